"""Is she any good? Answer keys and counts; no judge, no network.

    persona.py   200 questions about who she is
    chat.py      100 everyday turns and 200 that test her boundaries
    memory.py    talks over several days, then questions about them
    expression.py  her face on held-out lines, against v1's rules
    encoder.py   sentence similarity against human scores
    face.py      does her face obey: random faces x 50 labels (face_*.py: numbers, looks, pictures)
    report.py    results as JSON, one HTML page and a section for the model card

Every turn goes through the real Companion (talk.py) with an empty data folder and a fixed clock,
so that lines, language model and recall are measured together. The sets lie in ohlora_embedded/
evaluation: held-out ones, never trained or tuned on, and development ones; data_check.py holds the
training lines against both.
"""
