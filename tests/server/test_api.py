"""/api, the page and the operators' paths."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ohlora.companion import Companion
from ohlora.server.app import create_app
from ohlora.server.settings import Settings


def error(response: Any) -> dict[str, str]:
    body = response.json()["error"]
    assert set(body) == {"code", "message", "message_ko"}
    for sentence in (body["message"], body["message_ko"]):
        assert sentence and "\n" not in sentence and "Traceback" not in sentence
    assert response.headers["cache-control"] == "no-store"
    return body


def test_info_names_everything_the_page_needs(client: TestClient) -> None:
    info = client.get("/api/info").json()
    assert info["persona"]["id"] == "ohlora" and info["persona"]["name"] == "오로라"
    assert set(info["persona"]["names"]) == set(info["persona"]["greetings"]) == {"ko", "en"}
    assert info["engine"] == "teller:1" and info["encoder"] == "letters:1"
    assert info["face"]["id"] == "squares-1" and info["limits"] == {"text_chars": 2000}


def test_a_session_lives_is_renamed_and_deleted(client: TestClient) -> None:
    assert client.get("/api/sessions").json() == []
    made = client.post("/api/sessions", json={})
    assert made.status_code == 201
    session = made.json()["id"]
    assert client.get("/api/sessions").json() == [made.json()]
    renamed = client.patch(f"/api/sessions/{session}", json={"title": " 카페\n이야기 "})
    assert renamed.json()["title"] == "카페 이야기"
    assert client.get(f"/api/sessions/{session}/messages").json() == {"messages": [], "more": False}
    assert client.delete(f"/api/sessions/{session}").status_code == 204
    for response in (
        client.delete(f"/api/sessions/{session}"),
        client.patch(f"/api/sessions/{session}", json={"title": "x"}),
        client.get(f"/api/sessions/{session}/messages"),
    ):
        assert response.status_code == 404 and error(response)["code"] == "unknown-session"
    assert client.post("/api/sessions").status_code == 201  # no body at all


def test_messages_come_in_pages_oldest_first(client: TestClient, companion: Companion) -> None:
    session = companion.store.sessions.create().id
    for number in range(3):
        list(companion.turn(session, f"말 {number}", f"r{number}", lambda: False))
    url = f"/api/sessions/{session}/messages"
    page = client.get(url, params={"limit": 4}).json()
    assert page["more"] and [m["role"] for m in page["messages"]] == ["user", "assistant"] * 2
    answer = page["messages"][-1]
    assert answer["text"] == "오! 그래, 좋아!" and answer["status"] == "complete"
    assert answer["expression"]["eyes"] > 0.5 and answer["response_id"] == "r2"  # she is glad
    rest = client.get(url, params={"before": page["messages"][0]["id"], "limit": 4}).json()
    assert not rest["more"] and len(rest["messages"]) == 2
    for wrong in ({"limit": "many"}, {"before": "9" * 40}):
        refused = client.get(url, params=wrong)
        assert refused.status_code == 400
        assert error(refused)["message"].startswith(f"The parameter '{next(iter(wrong))}' is wrong")


@pytest.mark.parametrize(
    ("method", "path", "request_", "sentence"),
    [
        (
            "GET",
            "/api/sessions/x/messages?limit=many",
            {},
            "주소의 'limit' 값이 잘못됐어요. 정수를",
        ),
        ("GET", "/api/memories?all=maybe", {}, "주소의 'all' 값이 잘못됐어요. true나 false를"),
        ("POST", "/api/sessions", {"content": b"[1]"}, "JSON 객체여야 하는데 배열이에요."),
        ("POST", "/api/sessions", {"content": b"5"}, "JSON 객체여야 하는데 숫자예요."),
        ("POST", "/api/sessions", {"content": b"{"}, "올바른 JSON이 아니에요(2번째 글자)."),
        ("GET", "/health", {"headers": {"host": "evil.com"}}, "'evil.com'이라는 이름을"),
        ("PUT", "/api/sessions", {}, "PUT를 쓸 수 없어요."),
    ],
)
def test_korean_refusals_are_all_korean_with_the_particle_that_fits(
    shared_client: TestClient, method: str, path: str, request_: dict[str, Any], sentence: str
) -> None:
    assert sentence in error(shared_client.request(method, path, **request_))["message_ko"]


def test_memories_are_kept_searched_edited_deleted_and_undone(client: TestClient) -> None:
    made = client.post("/api/memories", json={"key": "이름", "value": "민수"})
    assert made.status_code == 201
    memory = made.json()
    assert memory["text"] == "[이름: 민수]" and memory["source_text"] is None
    url = f"/api/memories/{memory['id']}"
    assert client.patch(url, json={"value": "철수"}).json()["text"] == "[이름: 철수]"
    assert client.post("/api/memories/undo").json()["undone"]["memory"]["value"] == "민수"
    assert len(client.get("/api/memories", params={"q": "민수"}).json()) == 1
    assert client.get("/api/memories", params={"q": "철수"}).json() == []
    assert client.delete(url).json()["value"] == "민수"
    assert client.get("/api/memories").json() == []
    assert len(client.get("/api/memories", params={"all": "1"}).json()) == 1
    undone = client.post(f"{url}/undo").json()["undone"]
    assert undone["action"] == "deleted" and len(client.get("/api/memories").json()) == 1
    assert error(client.patch(url, json={}))["message"].startswith("Nothing to change")
    assert client.delete("/api/memories/999").status_code == 404
    assert error(client.post("/api/memories/999/undo"))["code"] == "unknown-memory"
    assert error(client.delete("/api/memories/x"))["message"].startswith(
        "The parameter 'memory_id'"
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "The message is not valid JSON"),
        (b"\xff\xfe{}", "The message is not valid JSON"),
        (b"[" * 100_000, "The message is not valid JSON (it is not UTF-8 text or nested too deep)"),
        (b'{"key":' + b"[" * 40 + b"]" * 40 + b"}", "The JSON is nested deeper than 32 levels"),
        (b"[1]", "The message must be a JSON object, but it is an array"),
        (b'"x"', "The message must be a JSON object, but it is a string"),
        (b"{}", "The field 'key' is missing"),
        (b'{"key": 5, "value": "x"}', "The field 'key' is wrong"),
        (b'{"key": "x", "value": null}', "The field 'value' is wrong"),
        (b'{"key": " \\u0000 ", "value": "x"}', "A memory needs a key"),
        (b'{"key": "\\ud800", "value": "x"}', "A memory needs a key"),
    ],
)
def test_a_wrong_body_is_one_sentence(
    shared_client: TestClient, body: bytes, sentence: str
) -> None:
    response = shared_client.post("/api/memories", content=body)
    assert response.status_code == 400 and error(response)["message"].startswith(sentence)


def test_half_characters_in_a_body_are_dropped(client: TestClient) -> None:
    body = b'{"key": "\\ud83d\\ude00a\\ud800", "value": "\\udc00<b>x"}'
    memory = client.post("/api/memories", content=body).json()
    assert memory["text"] == "[😀a: <b>x]"


def test_unknown_paths_and_methods_are_one_sentence(client: TestClient) -> None:
    assert error(client.get("/api/nothing"))["code"] == "not-found"
    assert error(client.get("/<script>"))["message"].startswith("There is nothing at /")
    refused = client.put("/api/sessions", json={})
    assert refused.status_code == 405 and error(refused)["code"] == "method-not-allowed"


def test_a_frame_is_sent_once_and_then_known_by_its_tag(client: TestClient) -> None:
    url = "/api/face/frames/1-0-1.webp"
    frame = client.get(url, params={"v": "squares-1"})
    assert frame.content == b"webp 1-0-1" and frame.headers["content-type"] == "image/webp"
    assert "immutable" in frame.headers["cache-control"]
    tag = frame.headers["etag"]
    again = client.get(url, headers={"if-none-match": f"W/{tag}"})
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == tag
    assert client.get(url).headers["cache-control"] == "no-cache"
    assert client.get(url, params={"v": "old"}).headers["cache-control"] == "no-cache"
    for name in ("9-0-0.webp", "1-1.webp", "..%2f..%2fetc", "1-0-1.png", f"{'9' * 50}-0-0.webp"):
        assert client.get(f"/api/face/frames/{name}").status_code == 404
    assert "ohlora_frames_total 3.0" in client.get("/metrics").text


def test_operators_see_health_and_metrics(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "ok"
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in ("turns_total", "first_token_seconds_bucket", "tokens_total", "ws_connections"):
        assert f"ohlora_{name}" in metrics.text


def test_the_page_is_checked_by_tag_each_time(companion: Companion, tmp_path: Path) -> None:
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<!doctype html><title>오로라</title>")
    (web / "main.js").write_text("export {}")
    app = create_app(companion, replace(Settings(), web=web))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for url, kind in (("/", "text/html"), ("/static/main.js", "text/javascript")):
            page = client.get(url)
            assert page.headers["content-type"].startswith(kind)
            assert page.headers["cache-control"] == "no-cache"
            assert "script-src" not in page.headers["content-security-policy"]
            assert page.headers["content-security-policy"].startswith("default-src 'self'; ")
            again = client.get(url, headers={"if-none-match": page.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        assert client.get("/static/../../etc/passwd").status_code == 404
        assert error(client.get("/static/none.js"))["code"] == "not-found"


def test_a_bug_is_an_incident_and_its_log_quotes_nobody(
    client: TestClient,
    companion: Companion,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret words of the user")

    monkeypatch.setattr(companion.store.sessions, "list", broken)
    response = client.get("/api/sessions")
    fault = error(response)
    assert response.status_code == 500 and fault["code"] == "internal"
    number = fault["message"].split("incident ")[1][:8]
    assert number in caplog.text and "in broken" in caplog.text
    assert "secret" not in caplog.text and "secret" not in json.dumps(fault)


def test_a_full_disk_is_one_sentence(
    client: TestClient, companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from ohlora.memory.database import store_error

    def full(*_: Any) -> None:
        raise store_error(Path("ohlora.db"), sqlite3.SQLITE_FULL, "full")

    monkeypatch.setattr(companion.store.memories, "remember", full)
    response = client.post("/api/memories", json={"key": "a", "value": "b"})
    assert response.status_code == 503 and "is full" in error(response)["message"]
