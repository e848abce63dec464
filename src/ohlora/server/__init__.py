"""The outer face over HTTP: the page, the web socket, the OpenAI-style API.

run.py         ohlora serve: address, lock, models, uvicorn, clean end
app.py         create_app(companion, settings): everything below in one ASGI app
turns.py       TurnHub: the server owns a generation; listeners come and go
wire.py        the web socket, JSON events both ways
api.py         /api: sessions, messages, memories, face frames
openai_api.py  /v1: chat completions, models, embeddings
security.py    who may ask: Host, Origin, token, sizes, headers
faults.py      every error as one sentence, never a traceback
bodies.py      JSON from outside, checked
metrics.py     what Prometheus reads
web/           the page
"""
