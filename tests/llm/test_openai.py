"""An OpenAI-style server, played by a thread: its stream, its refusals, its faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, EngineError
from ohlora.llm import Sampling, load_engine, never
from ohlora.llm.openai import OpenAIEngine

Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers every request with `reply` and remembers what was asked."""

    def __init__(self) -> None:
        self.reply: Reply = lambda handler: None
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append({"path": self.path, **json.loads(body)})
                outer.keys.append(self.headers.get("Authorization"))
                try:
                    outer.reply(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the engine left, as some tests want

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def send(status: int, body: str, kind: str = "application/json") -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        data = body.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def stream(*events: str, pause: float = 0.0) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.end_headers()
        for event in events:
            handler.wfile.write(f"{event}\n\n".encode())
            handler.wfile.flush()
            time.sleep(pause)

    return reply


def piece(text: str | None, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return "data: " + json.dumps({"choices": [choice]}, ensure_ascii=False)


def ask(server: Server, stopped=never, sampling=Sampling(seed=3), **options):
    engine = OpenAIEngine(server.url, "small", **options)
    prompt = Prompt(
        "안녕", ("[이름: 지수]",), "너는 오로라야.", (("user", "응"), ("assistant", "그래"))
    )
    pieces, answer = [], engine.generate(prompt, sampling, stopped)
    while True:
        try:
            pieces.append(next(answer))
        except StopIteration as end:
            return pieces, end.value


def test_a_stream_is_passed_on_piece_by_piece_and_the_mark_is_not(server):
    events = [": comment", piece(""), piece("안녕"), piece("! 반가워 (답변"), piece(" 종료) 더")]
    server.reply = stream(*events, piece(None, "stop"), "data: [DONE]")
    assert ask(server) == (["안녕", "! 반가워"], "stop")


def test_the_request_is_openais(server):
    server.reply = stream(piece("응"), "data: [DONE]")
    ask(server, key="secret")
    (body,) = server.asked
    assert body["path"] == "/v1/chat/completions" and body["model"] == "small"
    assert body["stream"] is True and body["max_tokens"] == 64 and body["seed"] == 3
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert body["messages"][0]["content"].endswith("[이름: 지수]")
    assert body["messages"][-1]["content"] == "안녕"
    assert server.keys == ["Bearer secret"]


def test_a_server_that_does_not_stream_is_understood_too(server):
    whole = {"choices": [{"message": {"content": " 그래!"}, "finish_reason": "length"}]}
    server.reply = send(200, json.dumps(whole))
    assert ask(server) == (["그래!"], "length")


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "OPENAI_API_KEY"), (404, "serves 'small'"), (429, "try again"), (500, "server's log")],
)
def test_a_refusal_says_what_to_do(server, status, advice):
    server.reply = send(status, json.dumps({"error": {"message": "no such thing"}}))
    with pytest.raises(EngineError, match=f"{status}: no such thing.*{advice}") as caught:
        ask(server)
    assert str(status) in caught.value.ko and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (stream(piece("안녕"), pause=0.01), "cut off"),
        (stream("data: {not json"), "no JSON"),
        (send(200, "<html>hello</html>"), "no JSON"),
        (send(502, "<html>bad gateway</html>"), "502"),
        (stream('data: {"error": {"message": "out of memory"}}'), "out of memory"),
        (stream("data: 5"), "reported 5"),
        (send(200, '{"choices": [{"message": "hello"}]}'), "cut off"),
        (send(200, '{"choices": {"0": 1}}'), "cut off"),
    ],
)
def test_a_broken_answer_is_one_sentence(server, reply, said):
    server.reply = reply
    with pytest.raises(EngineError, match=said) as caught:
        ask(server)
    assert "\n" not in str(caught.value) and caught.value.ko != caught.value.en


def test_what_came_before_a_cut_was_already_shown(server):
    server.reply = stream(piece("안녕"))
    answer = OpenAIEngine(server.url, "small").generate(Prompt("응"), Sampling(), never)
    assert next(answer) == "안녕"
    with pytest.raises(EngineError, match="cut off"):
        next(answer)


def test_a_silent_server_times_out(server):
    server.reply = lambda handler: time.sleep(0.6)
    with pytest.raises(EngineError, match="in time"):
        ask(server, read_s=0.2)


def test_a_stop_is_obeyed_while_the_server_is_silent(server):
    server.reply = stream(piece("안녕"), piece("!"), piece("."), pause=0.5)
    since = time.monotonic()
    pieces, finish = ask(server, stopped=lambda: time.monotonic() - since > 0.2)
    assert (pieces, finish) == (["안녕"], "stopped") and time.monotonic() - since < 0.45


def test_nobody_listening_is_one_sentence():
    engine = OpenAIEngine("http://127.0.0.1:9", "small")
    with pytest.raises(EngineError, match="no connection"):
        next(engine.generate(Prompt("안녕"), Sampling(), never))


def test_the_spec_names_address_and_model():
    engine = load_engine("openai:http://127.0.0.1:11434/v1#gemma3:1b")
    assert engine.id == "openai:http://127.0.0.1:11434/v1#gemma3:1b"
    for spec in ("openai:127.0.0.1#m", "openai:http://127.0.0.1/v1"):
        with pytest.raises(BadInput, match="URL#MODEL"):
            load_engine(spec)


def test_a_key_no_header_can_carry_is_one_sentence():
    with pytest.raises(BadInput, match="copy the key again"):
        OpenAIEngine("http://127.0.0.1:9/v1", "m", key="열쇠")
