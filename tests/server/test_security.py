"""Who may ask, and how much."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from ohlora.companion import Companion
from ohlora.errors import StoreError
from ohlora.server.app import create_app
from ohlora.server.security import cookie_name, own_names, read_token, same_site, split_host
from ohlora.server.settings import Settings, is_loopback
from server.small import Teller, served

TOKEN = "t0ken-" + "x" * 40
ABROAD = Settings(host="0.0.0.0", token=TOKEN)


@pytest.fixture
def guarded(companion: Companion) -> Iterator[TestClient]:
    app = create_app(companion, ABROAD)
    with TestClient(app, base_url="http://192.168.0.7:8765") as client:
        yield client


def code(response: Any) -> str:
    return str(response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:9", 200),
        ("LOCALHOST.", 200),
        ("[::1]:8765", 200),
        ("127.8.8.8", 200),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.0.7:8765", 403),
        ("0.0.0.0:8765", 403),
        ("evil.example@127.0.0.1", 403),
        ("127.0.0.1@evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_only_our_own_names_are_answered_to(
    shared_client: TestClient, host: str, status: int
) -> None:
    response = shared_client.get("/api/info", headers={"host": host})
    assert response.status_code == status
    assert status == 200 or code(response) == "bad-host"


def test_beyond_loopback_addresses_and_our_name_work_but_no_other_names(
    companion: Companion,
) -> None:
    settings = replace(ABROAD, allowed_hosts=("lora.home",))
    with TestClient(create_app(companion, settings)) as client:
        for host in (
            "192.168.0.7:8765",
            "[fe80::1]:8765",
            own_names()[0],
            "lora.home",
            "localhost",
        ):
            headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
            assert client.get("/api/info", headers=headers).status_code == 200
        headers["host"] = "evil.example"
        assert code(client.get("/api/info", headers=headers)) == "bad-host"


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:8765", "127.0.0.1:8765", True),
        ("http://LOCALHOST:8765", "localhost:8765", True),
        ("http://localhost", "localhost", True),
        ("http://localhost", "localhost:80", True),
        ("https://lora.home", "lora.home", True),
        ("http://127.0.0.1:8766", "127.0.0.1:8765", False),
        ("http://localhost:8765", "127.0.0.1:8765", False),
        ("http://evil.example", "127.0.0.1:8765", False),
        ("https://127.0.0.1.evil.example:8765", "127.0.0.1:8765", False),
        ("null", "127.0.0.1:8765", False),
        ("", "127.0.0.1:8765", False),
        ("file://", "127.0.0.1:8765", False),
        ("chrome-extension://abc", "127.0.0.1:8765", False),
        ("http://", "", False),
    ],
)
def test_an_origin_is_ours_when_scheme_name_and_port_are(
    origin: str, host: str, same: bool
) -> None:
    assert same_site(origin, host) is same


def test_a_page_of_another_site_changes_nothing_and_opens_no_socket(client: TestClient) -> None:
    theirs = {"origin": "http://evil.example"}
    for method, url in (
        ("POST", "/api/sessions"),
        ("POST", "/v1/chat/completions"),
        ("DELETE", "/api/memories/1"),
        ("PATCH", "/api/sessions/x"),
    ):
        response = client.request(method, url, headers=theirs)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "bad-origin"
    assert client.get("/api/sessions").json() == []
    with pytest.raises(WebSocketDenialResponse) as denied:
        with client.websocket_connect("ws://127.0.0.1:8765/api/ws", headers=theirs):
            raise AssertionError
    assert denied.value.status_code == 403 and code(denied.value) == "bad-origin"
    with client.websocket_connect("ws://127.0.0.1:8765/api/ws") as socket:  # no browser
        socket.send_json({"type": "heartbeat"})
        assert socket.receive_json() == {"type": "heartbeat-ack"}
    ours = {"origin": "http://127.0.0.1:8765"}
    assert client.post("/api/sessions", headers=ours).status_code == 201
    assert "access-control-allow-origin" not in client.get("/api/info", headers=theirs).headers


def test_a_token_is_asked_of_everybody_for_everything_but_health(guarded: TestClient) -> None:
    for url in ("/", "/static/x.js", "/api/info", "/api/sessions", "/metrics", "/v1/models"):
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": "Bearer"},
            {"cookie": f"{cookie_name('192.168.0.7:8765')}=wrong"},
            {"cookie": f"other={TOKEN}"},
        ):
            response = guarded.get(url, headers=headers)
            assert response.status_code == 401 and code(response) in ("token", "not-found")
        assert guarded.get(url, params={"token": "토큰"}).status_code == 401
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/v1/models").json()["error"]["type"] == "authentication_error"
    with pytest.raises(WebSocketDenialResponse) as denied:
        with guarded.websocket_connect("ws://192.168.0.7:8765/api/ws"):
            raise AssertionError
    assert denied.value.status_code == 401


def test_the_token_opens_the_door_as_header_query_or_cookie(guarded: TestClient) -> None:
    bearer = {"authorization": f"bearer {TOKEN}"}
    assert guarded.get("/api/info", headers=bearer).status_code == 200
    assert guarded.get("/api/info", params={"token": TOKEN}).status_code == 200
    with guarded.websocket_connect(f"ws://192.168.0.7:8765/api/ws?token={TOKEN}") as socket:
        socket.send_json({"type": "heartbeat"})
        assert socket.receive_json() == {"type": "heartbeat-ack"}
    assert guarded.get("/api/info").status_code == 401
    page = guarded.get("/", params={"token": TOKEN})
    assert page.status_code == 200 and TOKEN not in page.text and "refresh" in page.text
    cookie = page.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert cookie.startswith("ohlora-token-8765=")
    assert guarded.get("/api/info").status_code == 200  # by the cookie
    with guarded.websocket_connect("ws://192.168.0.7:8765/api/ws") as socket:
        socket.send_json({"type": "heartbeat"})
        assert socket.receive_json() == {"type": "heartbeat-ack"}


def test_every_answer_tells_the_browser_what_it_may_do(
    client: TestClient, guarded: TestClient
) -> None:
    for response in (
        client.get("/health"),
        client.get("/nothing"),
        client.get("/api/info", headers={"host": "evil.example"}),
        client.post("/api/sessions", content=b"x" * (2 << 20)),
        guarded.get("/", params={"token": TOKEN}),
    ):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' blob: data:;")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-frame-options"] == "DENY"


def test_a_body_beyond_the_limit_is_one_sentence_with_or_without_a_length(
    companion: Companion,
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    with served(companion) as address, httpx.Client(base_url=f"http://{address}") as client:
        for url in ("/api/memories", "/v1/chat/completions"):
            for content in (b"x" * (4 << 20), chunks()):
                response = client.post(url, content=content)
                assert response.status_code == 413
                assert "larger than 1,048,576 bytes" in response.json()["error"]["message"]
        assert client.post("/api/sessions", content=b"{}").status_code == 201


def test_a_body_that_does_not_come_is_given_up(companion: Companion) -> None:
    import socket

    with served(companion, Settings(body_seconds=0.2)) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as line:
            line.sendall(
                b"POST /api/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{"
            )
            assert line.recv(1000).startswith(b"HTTP/1.1 408")


def test_requests_and_sockets_at_once_are_bounded(companion: Companion, engine: Teller) -> None:
    engine.gate = threading.Semaphore(0)
    app = create_app(companion, Settings(requests=1, sockets=1))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        ask = {"model": "ohlora", "messages": [{"role": "user", "content": "안녕"}]}
        answers: list[Any] = []
        waiting = threading.Thread(
            target=lambda: answers.append(client.post("/v1/chat/completions", json=ask))
        )
        waiting.start()
        while not engine.running:
            time.sleep(0.01)
        refused = client.get("/api/info")
        assert refused.status_code == 429 and code(refused) == "busy"
        assert refused.headers["retry-after"] == "2"
        engine.gate.release(100)
        waiting.join()
        assert answers[0].status_code == 200 and client.get("/api/info").status_code == 200
        with client.websocket_connect("ws://127.0.0.1/api/ws"):
            with pytest.raises(WebSocketDenialResponse) as denied:
                with client.websocket_connect("ws://127.0.0.1/api/ws"):
                    raise AssertionError
            assert denied.value.status_code == 429
        with client.websocket_connect("ws://127.0.0.1/api/ws"):
            pass


def test_neither_texts_nor_tokens_are_logged(
    companion: Companion, engine: Teller, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "비밀이야기"
    session = companion.store.sessions.create().id
    with served(companion, Settings(token=TOKEN)) as address:
        with httpx.Client(base_url=f"http://{address}") as client:
            client.get("/", params={"token": TOKEN})
            client.get(f"/api/memories?token={TOKEN}&q={secret}")
            ask = {"model": "ohlora", "messages": [{"role": "user", "content": secret}]}
            client.post(
                "/v1/chat/completions", json=ask, headers={"authorization": f"Bearer {TOKEN}"}
            )
            client.post("/v1/chat/completions", json={**ask, "ohlora": {"session_id": session}})
            client.post("/api/memories", content=json.dumps({"key": secret}))
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpcore", "httpx"))]
    everything = "\n".join(ours) + "".join(capfd.readouterr())
    assert TOKEN not in everything and secret not in everything


def test_the_token_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    token, made = read_token(tmp_path)
    assert made and len(token) >= 43
    assert read_token(tmp_path) == (token, False)
    path = tmp_path / "token"
    path.chmod(0o644)
    read_token(tmp_path)
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("\n")
    assert read_token(tmp_path)[1]
    with pytest.raises(StoreError):
        read_token(tmp_path / "nowhere")


def test_loopback_is_told_from_the_rest() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LocalHost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "192.168.0.1", "", "example.com", "127.0.0.1.example.com"):
        assert not is_loopback(host)
    assert split_host("[::1]:80") == ("::1", "80") and split_host("a:b") == ("", "")
