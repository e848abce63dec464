"""The web socket, message by message."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession

from ohlora.companion import Companion
from ohlora.server.app import create_app
from ohlora.server.settings import Settings
from server.small import Teller

ADDRESS = "ws://127.0.0.1:8765/api/ws"
ORIGIN = {"origin": "http://127.0.0.1:8765"}


@pytest.fixture
def settings() -> Settings:
    return replace(Settings(), messages_per_second=1000.0)


@pytest.fixture
def socket(client: TestClient) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(ADDRESS, headers=ORIGIN) as socket:
        yield socket


@pytest.fixture
def session(companion: Companion) -> str:
    return companion.store.sessions.create().id


def say(socket: WebSocketTestSession, session: str, text: str, **more: Any) -> dict[str, Any]:
    socket.send_json({"type": "text-input", "session_id": session, "text": text, **more})
    started: dict[str, Any] = socket.receive_json()
    return started


def until_over(socket: WebSocketTestSession) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in ("done", "error"):
        events.append(socket.receive_json())
    return events


def fault(message: dict[str, Any]) -> str:
    assert message["type"] == "error" and "response_id" not in message
    assert message["message_ko"] and "\n" not in message["message"]
    return str(message["message"])


def test_a_message_is_answered_with_numbered_events(
    socket: WebSocketTestSession, session: str, client: TestClient
) -> None:
    started = say(socket, session, "나 내일 친구랑 카페 가", client_id="c1")
    assert started["type"] == "turn-started" and started["client_id"] == "c1"
    assert started["session_id"] == session
    events = until_over(socket)
    assert {event["response_id"] for event in events} == {started["response_id"]}
    assert [event["seq"] for event in events] == list(range(len(events)))
    text = "".join(event["text"] for event in events if event["type"] == "token")
    assert [e["type"] for e in events if e["type"] != "token"] == [
        "reply",
        "expression",
        "memory",
        "done",
    ]
    assert text == events[-1]["text"] == "오! 그래, 좋아!"
    messages = client.get(f"/api/sessions/{session}/messages").json()["messages"]
    assert messages[0]["id"] == started["user_message_id"]
    assert messages[0]["client_id"] == "c1"
    assert messages[1]["memories"][0]["action"] == "stored"


def test_a_reload_in_mid_reply_resumes_the_same_reply(
    client: TestClient, companion: Companion, engine: Teller, session: str
) -> None:
    engine.gate = threading.Semaphore(6)
    with client.websocket_connect(ADDRESS, headers=ORIGIN) as socket:
        started = say(socket, session, "안녕")
        first = [socket.receive_json() for _ in range(3)]
    message = client.get(f"/api/sessions/{session}/messages").json()["messages"][1]
    assert message["status"] == "streaming" and message["text"]
    assert message["response_id"] == started["response_id"]
    with client.websocket_connect(ADDRESS, headers=ORIGIN) as socket:
        resume = {"type": "resume", "response_id": started["response_id"], "after": -1}
        socket.send_json(resume)
        assert [socket.receive_json() for _ in range(3)] == first
        engine.gate.release(100)
        rest = until_over(socket)
        assert rest[0]["seq"] == 3 and rest[-1]["reason"] == "complete"
        socket.send_json({**resume, "after": rest[-2]["seq"]})
        assert until_over(socket) == rest[-1:]
        assert len(engine.prompts) == 1


def test_she_stops_when_asked_to(
    socket: WebSocketTestSession, engine: Teller, session: str
) -> None:
    engine.gate = threading.Semaphore(3)
    started = say(socket, session, "안녕")
    socket.receive_json()
    socket.send_json({"type": "interrupt-signal", "response_id": started["response_id"]})
    assert until_over(socket)[-1]["reason"] == "interrupted"
    for gone in (started["response_id"], "never was"):  # too late is no fault
        socket.send_json({"type": "interrupt-signal", "response_id": gone})
    socket.send_json({"type": "heartbeat"})
    assert socket.receive_json() == {"type": "heartbeat-ack"}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("{", "The message is not valid JSON"),
        ("", "The message is not valid JSON"),
        ("NaN", "The message must be a JSON object"),
        ("[" * 50_000, "The message is not valid JSON"),
        ("[]", "The message must be a JSON object, but it is an array"),
        ("{}", "The type 'None' is unknown: send one of text-input, interrupt-signal"),
        ('{"type": ["x"]}', "The type \"['x']\" is unknown"),
        ('{"type": "launch"}', "The type 'launch' is unknown"),
        ('{"type": "text-input", "session_id": "s"}', "The field 'text' is missing: add it."),
        ('{"type": "text-input", "session_id": 1, "text": "x"}', "The field 'session_id' is wrong"),
        ('{"type": "text-input", "session_id": "s", "text": {}}', "The field 'text' is wrong"),
        ('{"type": "resume", "response_id": "r", "after": "0"}', "The field 'after' is wrong"),
        ('{"type": "resume", "response_id": "r", "after": 1e400}', "The field 'after' is wrong"),
        ('{"type": "resume", "response_id": "r"}', "That reply is not here any more"),
        ('{"type": "resume", "response_id": "\\ud800"}', "That reply is not here any more"),
        ('{"type": "interrupt-signal"}', "The field 'response_id' is missing"),
        ('{"type": "text-input", "session_id": "s", "text": "x"}', "There is no conversation 's'"),
        ('{"type": "text-input", "session_id": "\\ud800", "text": "x"}', "There is no conversat"),
    ],
)
def test_a_refused_message_is_one_sentence_and_the_socket_lives(
    shared_client: TestClient, raw: str, sentence: str
) -> None:
    with shared_client.websocket_connect(ADDRESS, headers=ORIGIN) as socket:
        socket.send_text(raw)
        assert fault(socket.receive_json()).startswith(sentence)
        socket.send_json({"type": "heartbeat"})
        assert socket.receive_json() == {"type": "heartbeat-ack"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The message is empty"),
        (" \u3000\n\u200b\u202e", "The message is empty"),
        ("\ud800", "The message is empty"),
        ("가" * 100_000, "The message has 100,000 characters and the limit is 2,000"),
    ],
)
def test_unusable_text_is_refused_by_the_name_its_sender_gave(
    socket: WebSocketTestSession, session: str, text: str, sentence: str
) -> None:
    message = {"type": "text-input", "session_id": session, "text": text, "client_id": "c9"}
    socket.send_text(json.dumps(message))  # a lone surrogate travels as \ud800
    refused = socket.receive_json()
    assert fault(refused).startswith(sentence) and refused["client_id"] == "c9"


@pytest.mark.parametrize(
    "text",
    [
        "😀🎉",
        "مرحبا \u202eabc",
        "<script>alert(1)</script>",
        "a\ud800b\x00c\x1b[31m",
        "(답변 종료)",
    ],
)
def test_odd_text_is_answered_like_any_other(
    socket: WebSocketTestSession, session: str, text: str, client: TestClient
) -> None:
    socket.send_text(json.dumps({"type": "text-input", "session_id": session, "text": text}))
    assert socket.receive_json()["type"] == "turn-started"
    assert until_over(socket)[-1]["reason"] == "complete"
    kept = client.get(f"/api/sessions/{session}/messages").json()["messages"][0]["text"]
    assert kept and not set(kept) & {"\x00", "\x1b", "\u202e", "\ud800"}


def test_a_huge_or_binary_message_is_refused(socket: WebSocketTestSession) -> None:
    socket.send_text('{"type": "heartbeat", "x": "' + "x" * (1 << 20) + '"}')
    assert fault(socket.receive_json()).startswith("The message is larger than 1,048,576 bytes")
    socket.send_bytes(b'{"type": "heartbeat"}')
    assert fault(socket.receive_json()).startswith("The server reads text messages")


def test_a_flood_is_answered_message_by_message(socket: WebSocketTestSession, session: str) -> None:
    for number in range(300):
        socket.send_text("{" if number % 2 else '{"type": "heartbeat"}')
    kinds = [socket.receive_json()["type"] for _ in range(300)]
    assert kinds == ["heartbeat-ack", "error"] * 150
    assert say(socket, session, "안녕")["type"] == "turn-started"


def test_a_socket_beyond_its_share_is_read_more_slowly(companion: Companion) -> None:
    app = create_app(companion, Settings(messages_per_second=100.0))
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        with client.websocket_connect(ADDRESS) as socket:
            started = time.perf_counter()
            for _ in range(150):
                socket.send_json({"type": "heartbeat"})
            for _ in range(150):
                assert socket.receive_json() == {"type": "heartbeat-ack"}
            assert 0.45 < time.perf_counter() - started < 5


def test_one_socket_follows_a_bounded_number_of_replies(
    socket: WebSocketTestSession, companion: Companion, engine: Teller
) -> None:
    engine.gate = threading.Semaphore(0)
    for _ in range(17):
        session = companion.store.sessions.create().id
        socket.send_json({"type": "text-input", "session_id": session, "text": "안녕"})
    refused = [message for message in (socket.receive_json() for _ in range(3))]
    assert sorted(message["type"] for message in refused) == [
        "error",
        "turn-started",
        "turn-started",
    ]
    engine.gate.release(1000)
    over = 0
    while over < 16:
        over += socket.receive_json()["type"] == "done"


def test_a_resume_of_a_reply_already_followed_replaces_it(
    socket: WebSocketTestSession, engine: Teller, session: str
) -> None:
    engine.gate = threading.Semaphore(3)
    started = say(socket, session, "안녕")
    first = [socket.receive_json() for _ in range(2)]
    for _ in range(5):
        socket.send_json({"type": "resume", "response_id": started["response_id"], "after": -1})
        assert [socket.receive_json() for _ in range(2)] == first
    engine.gate.release(100)
    rest = until_over(socket)
    assert [event["seq"] for event in rest] == list(range(2, 2 + len(rest)))


def test_a_session_deleted_in_mid_reply_ends_the_reply_first(
    socket: WebSocketTestSession, engine: Teller, session: str, client: TestClient
) -> None:
    engine.gate = threading.Semaphore(3)
    say(socket, session, "안녕")
    assert client.delete(f"/api/sessions/{session}").status_code == 204
    assert until_over(socket)[-1]["reason"] == "interrupted"
    assert client.get("/api/sessions").json() == []


def test_a_bug_in_a_turn_is_an_incident(
    socket: WebSocketTestSession, session: str, companion: Companion, monkeypatch: Any
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(companion, "turn", broken)
    message = say(socket, session, "안녕", client_id="c1")
    assert "incident" in fault(message) and message["client_id"] == "c1"
    assert "secret" not in json.dumps(message)
