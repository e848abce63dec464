"""/v1 as OpenAI's clients see it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI
from starlette.testclient import TestClient

from ohlora.companion import Companion
from ohlora.errors import EngineError
from ohlora.server.openai_api import StopTexts
from server.small import Letters, Teller, served

ASK = [{"role": "user", "content": "너는 누구야?"}]


@pytest.fixture
def address(companion: Companion) -> Iterator[str]:
    with served(companion) as address:
        yield address


@pytest.fixture
def ai(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"http://{address}/v1", api_key="local", max_retries=0) as client:
        yield client


def refused(client: TestClient, status: int = 400, **request: Any) -> dict[str, Any]:
    response = client.post("/v1/chat/completions", json={"model": "ohlora", **request})
    assert response.status_code == status
    body = response.json()["error"]
    assert set(body) == {"message", "type", "param", "code"} and "\n" not in body["message"]
    return body


def test_the_openai_client_gets_a_completion(ai: OpenAI, companion: Companion) -> None:
    answer = ai.chat.completions.create(model="ohlora", messages=ASK)
    assert answer.object == "chat.completion" and answer.model == "ohlora"
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "오! 그래, 좋아!")
    assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens == 10 and answer.usage.prompt_tokens > 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 10
    extra = answer.ohlora
    assert extra["expression"]["eyes"] == 1.6 and extra["source"] == "llm"
    assert extra["frame"] == "/api/face/frames/1-1-0.webp?v=squares-1" and extra["memories"] == []
    assert companion.store.sessions.list() == []  # stateless


def test_the_openai_client_streams(ai: OpenAI) -> None:
    chunks = list(
        ai.chat.completions.create(
            model="ohlora", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "오! 그래, 좋아!"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 10
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-2].ohlora["expression"]["eyes"] == 1.6


def test_a_stream_is_framed_as_server_sent_events(client: TestClient) -> None:
    request = {"model": "ohlora", "messages": ASK, "stream": True}
    response = client.post("/v1/chat/completions", json=request)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, end = response.text.split("\n\n")
    assert end == "" and events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert all("usage" not in chunk for chunk in chunks)
    assert chunks[-1]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_what_stands_before_the_last_message_goes_into_the_prompt(
    client: TestClient, engine: Teller
) -> None:
    parts = [{"type": "text", "text": "그럼 "}, {"type": "text", "text": "지금은?"}]
    messages = [
        {"role": "system", "content": "짧게 답해."},
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "content": "응!"},
        {"role": "user", "content": parts},
    ]
    request = {"temperature": 0, "top_p": 0.5, "max_completion_tokens": 9, "seed": 3}
    client.post("/v1/chat/completions", json={"model": "ohlora", "messages": messages, **request})
    prompt, sampling = engine.prompts[-1]
    assert (prompt.system, prompt.user) == ("짧게 답해.", "그럼 지금은?")
    assert prompt.history == (("user", "안녕"), ("assistant", "응!"))
    assert (sampling.temperature, sampling.top_p, sampling.max_new_tokens) == (0, 0.5, 9)
    assert sampling.seed == 3
    client.post("/v1/chat/completions", json={"model": "ohlora", "messages": ASK})
    prompt, sampling = engine.prompts[-1]
    assert "오로라" in prompt.system and sampling.temperature != 0


def test_without_a_seed_the_model_draws_freely(client: TestClient, engine: Teller) -> None:
    for seed, given in ((None, None), (0, 0), (-1, 2**31 - 1)):
        request = {"model": "ohlora", "messages": ASK, "seed": seed}
        client.post("/v1/chat/completions", json=request)
        assert engine.prompts[-1][1].seed == given


LONG = [
    {"role": "system", "content": "짧게 답해."},
    {"role": "user", "content": "가" * 300},
    {"role": "assistant", "content": "응!" * 100},
    *ASK,
]


def test_usage_counts_every_message_a_chat_model_reads(
    client: TestClient, engine: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "id", "openai:http://127.0.0.1:1/v1#m", raising=False)
    request = {"model": "ohlora", "messages": [LONG[0], LONG[3]]}
    usage = client.post("/v1/chat/completions", json=request).json()["usage"]
    assert usage["prompt_tokens"] == len("짧게 답해." + "너는 누구야?")
    assert usage["completion_tokens"] == len("오! 그래, 좋아!")


def test_a_history_too_long_is_refused_where_the_model_reads_it(
    client: TestClient, engine: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"model": "ohlora", "messages": LONG}
    assert client.post("/v1/chat/completions", json=request).status_code == 200  # not read
    monkeypatch.setattr(engine, "id", "openai:http://127.0.0.1:1/v1#m", raising=False)
    body = refused(client, messages=LONG)
    assert (body["code"], body["param"]) == ("context_length_exceeded", "messages")
    assert "the model reads 512" in body["message"]


def test_a_turn_of_a_session_counts_tokens_of_what_was_said(
    client: TestClient, companion: Companion
) -> None:
    session = companion.store.sessions.create().id
    request = {"model": "ohlora", "messages": ASK, "ohlora": {"session_id": session}}
    usage = client.post("/v1/chat/completions", json=request).json()["usage"]
    assert usage["completion_tokens"] == len("오! 그래, 좋아!")


def test_a_length_limit_is_told(client: TestClient, engine: Teller) -> None:
    engine.answer = " 나는 오늘 아침에 일어나서"
    request = {"model": "ohlora", "messages": ASK, "max_tokens": 6}
    choice = client.post("/v1/chat/completions", json=request).json()["choices"][0]
    assert choice["finish_reason"] == "length" and choice["message"]["content"].startswith(
        "나는 오늘"
    )


@pytest.mark.parametrize("pieces", [["abcdefg"], list("abcdefg"), ["ab", "cde", "fg"]])
def test_a_stop_text_ends_the_answer_wherever_it_is_cut(pieces: list[str]) -> None:
    for stops, want in {
        ("cd",): "ab",
        ("x", "efg"): "abcd",
        ("gh",): "abcdefg",
        (): "abcdefg",
    }.items():
        cut, said = StopTexts(stops), ""
        for piece in pieces:
            if not cut.hit:
                said += cut.feed(piece)
        assert said + cut.rest() == want and cut.hit == (want != "abcdefg")


def test_stop_texts_stop_the_engine_too(client: TestClient, engine: Teller) -> None:
    request = {"model": "ohlora", "messages": ASK, "stop": ["래, ", "없음"]}
    answer = client.post("/v1/chat/completions", json=request).json()
    assert answer["choices"][0]["message"]["content"] == "오! 그"
    assert answer["choices"][0]["finish_reason"] == "stop" and engine.running == 0
    assert answer["usage"]["completion_tokens"] == len("오! 그")


def test_memories_are_read_only_when_asked_for_and_never_written(
    client: TestClient, companion: Companion, engine: Teller
) -> None:
    companion.store.memories.remember("내일 일정", "친구랑 카페 가기")
    ask = [{"role": "user", "content": "나 내일 일정 뭐였지?"}]
    for extra, told in (({}, 0), ({"ohlora": {"recall": True}}, 1)):
        request = {"model": "ohlora", "messages": ask, **extra}
        answer = client.post("/v1/chat/completions", json=request).json()
        assert len(answer["ohlora"]["memories"]) == told == len(engine.prompts[-1][0].memories)
    assert answer["ohlora"]["memories"][0]["memory"]["value"] == "친구랑 카페 가기"
    assert len(companion.store.memories.all()) == 1 and companion.store.sessions.list() == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_makes_it_a_turn_of_hers(
    client: TestClient, companion: Companion, stream: bool
) -> None:
    session = companion.store.sessions.create().id
    ask = [{"role": "user", "content": "나 내일 친구랑 카페 가"}]
    request = {"model": "ohlora", "messages": ask, "ohlora": {"session_id": session}}
    response = client.post("/v1/chat/completions", json={**request, "stream": stream})
    if stream:
        extra = json.loads(response.text.split("\n\n")[-3].removeprefix("data: "))["ohlora"]
    else:
        extra = response.json()["ohlora"]
        assert response.json()["choices"][0]["message"]["content"] == "오! 그래, 좋아!"
    assert extra["memories"][0]["action"] == "stored" and extra["session_id"] == session
    messages, _ = companion.store.sessions.messages(session)
    assert [m.status for m in messages] == ["complete", "complete"]
    assert extra["response_id"] == messages[1].response_id
    request["ohlora"] = {"session_id": "nowhere"}
    response = client.post("/v1/chat/completions", json={**request, "stream": stream})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown-session"


def test_models_are_listed_and_found(ai: OpenAI) -> None:
    assert [model.id for model in ai.models.list()] == ["ohlora", "letters:1"]
    assert ai.models.retrieve("ohlora").owned_by == "ohlora"
    with pytest.raises(openai.NotFoundError, match="The model 'gpt-4' is not here"):
        ai.models.retrieve("gpt-4")


def test_embeddings_come_as_numbers_and_as_base64(ai: OpenAI, client: TestClient) -> None:
    want = Letters().encode(["안녕", "hello"])
    got = ai.embeddings.create(model="letters:1", input=["안녕", "hello"])  # base64 inside
    np.testing.assert_array_equal(np.array([row.embedding for row in got.data], np.float32), want)
    assert got.usage.prompt_tokens == 7
    one = client.post("/v1/embeddings", json={"model": "ohlora", "input": "안녕"}).json()
    assert one["data"][0]["embedding"] == pytest.approx(want[0].tolist())
    raw = client.post(
        "/v1/embeddings",
        json={"model": "ohlora", "input": "안녕", "encoding_format": "base64", "dimensions": 64},
    ).json()["data"][0]["embedding"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(raw), "<f4"), want[0])


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", " "]}, "input"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": ["a"] * 257}, "input"),
        ({"input": "가" * 8_001}, "input"),
        ({"input": 5}, "input"),
        ({"input": "a", "dimensions": 3}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({}, "input"),
    ],
)
def test_wrong_embedding_requests_name_the_field(
    shared_client: TestClient, request_: dict[str, Any], param: str
) -> None:
    response = shared_client.post("/v1/embeddings", json={"model": "ohlora", **request_})
    body = response.json()["error"]
    assert response.status_code == 400 and body["type"] == "invalid_request_error"
    assert body["param"] == param and body["message"].count("\n") == 0


@pytest.mark.parametrize(
    ("request_", "param", "sentence"),
    [
        ({"messages": ASK, "n": 2}, "n", "send one request per answer"),
        ({"messages": ASK, "tools": [{}]}, "tools", "leave the field out"),
        ({"messages": ASK, "logprobs": True}, "logprobs", "leave the field out"),
        ({"messages": ASK, "response_format": {"type": "json_object"}}, "response_format", ""),
        ({"messages": ASK, "temperature": 3}, "temperature", "it should be 2 or less."),
        ({"messages": ASK, "temperature": "hot"}, "temperature", "it should be a number."),
        ({"messages": ASK, "top_p": 0}, "top_p", "it should be above 0."),
        ({"messages": ASK, "max_tokens": 0}, "max_tokens", "it should be 1 or more."),
        ({"messages": ASK, "stop": ["a"] * 5}, "stop", "up to 4 texts"),
        ({"messages": ASK, "stop": ""}, "stop", "up to 4 texts"),
        ({"messages": ASK, "stream": "yes"}, "stream", "it should be true or false."),
        ({"messages": []}, "messages", "at least 1 long"),
        ({}, "messages", "is missing"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages.0.role", "the user's"),
        (
            {"messages": [{"role": "robot", "content": "x"}]},
            "messages.0.role",
            "one of 'system', 'developer'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "reads text only",
        ),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "a text"),
        ({"messages": "안녕"}, "messages", "a list"),
        ({"messages": ["안녕"]}, "messages.0", "an object"),
        ({"messages": ASK, "seed": 2**70}, "seed", "it should be below 9223372036854775808"),
        ({"messages": [{"role": "user", "content": " "}]}, None, "The message is empty"),
        ({"messages": [{"role": "user"}]}, None, "The message is empty"),
        ({"messages": [{"role": "user", "content": "가" * 100_000}]}, None, "100,000 characters"),
        (
            {"messages": [{"role": "user", "content": "가" * 600}]},
            "messages",
            "the model reads 512",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence_that_names_the_field(
    shared_client: TestClient, request_: dict[str, Any], param: str | None, sentence: str
) -> None:
    body = refused(shared_client, **request_)
    assert body["type"] == "invalid_request_error" and body["param"] == param
    assert sentence in body["message"]


def test_half_characters_in_a_request_are_dropped(client: TestClient, engine: Teller) -> None:
    raw = b'{"model": "ohlora", "messages": [{"role": "user", "content": "a\\ud800b"}]}'
    assert client.post("/v1/chat/completions", content=raw).status_code == 200
    assert engine.prompts[-1][0].user == "ab"


def test_an_unknown_model_is_not_found(client: TestClient) -> None:
    body = refused(client, 404, model="gpt-4", messages=ASK)
    assert (body["code"], body["param"]) == ("model_not_found", "model")


def test_an_engine_that_cannot_answer_gives_a_status_also_when_streaming(
    client: TestClient, engine: Teller
) -> None:
    engine.answer = EngineError("The model is gone.", "모델이 없어요.")
    for stream in (False, True):
        body = refused(client, 503, messages=ASK, stream=stream)
        assert (body["message"], body["type"]) == ("The model is gone.", "server_error")


def test_an_engine_that_fails_in_mid_stream_ends_it_with_an_error(
    ai: OpenAI, companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speak(*_: Any, **__: Any) -> Iterator[str]:
        yield "오"
        raise EngineError("The model is gone.", "모델이 없어요.")

    monkeypatch.setattr(companion, "speak", speak)
    said = ""
    with pytest.raises(openai.APIError, match="The model is gone."):
        for chunk in ai.chat.completions.create(model="ohlora", messages=ASK, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == "오"


def test_too_many_requests_are_refused_with_429(companion: Companion, engine: Teller) -> None:
    from ohlora.server.settings import Settings

    engine.gate = threading.Semaphore(0)
    with served(companion, Settings(turns=1, turns_waiting=0)) as address:
        url = f"http://{address}/v1/chat/completions"
        body = {"model": "ohlora", "messages": ASK}
        results: list[httpx.Response] = []
        first = threading.Thread(target=lambda: results.append(httpx.post(url, json=body)))
        first.start()
        while not engine.running:
            time.sleep(0.01)
        second = httpx.post(url, json=body)
        assert second.status_code == 429 and second.headers["retry-after"] == "2"
        assert second.json()["error"]["type"] == "rate_limit_error"
        engine.gate.release(100)
        first.join()
        assert results[0].status_code == 200


@pytest.mark.parametrize(("stream", "said"), [(False, 3), (True, 3), (True, 0)])
def test_a_client_that_goes_away_stops_its_generation(
    address: str, engine: Teller, stream: bool, said: int
) -> None:
    engine.gate = threading.Semaphore(said)
    body = {"model": "ohlora", "messages": ASK, "stream": stream}
    with pytest.raises(httpx.ReadTimeout):
        with httpx.Client(timeout=0.3) as client:
            client.post(f"http://{address}/v1/chat/completions", json=body)
    until = time.monotonic() + 3
    while engine.running and time.monotonic() < until:
        time.sleep(0.01)
    assert not engine.running
