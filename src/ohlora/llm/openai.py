"""Any server with OpenAI's chat API: vLLM, Ollama, llama.cpp, or OpenAI itself.

    openai:http://127.0.0.1:11434/v1#gemma3:1b

A key is read from OPENAI_API_KEY when the server wants one. A thread reads the stream, so a stop
is obeyed even while the server is silent.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import httpx

from ohlora.dialogue.prompt import STOP_MARK, Prompt
from ohlora.errors import BadInput, EngineError
from ohlora.llm.decode import StopText
from ohlora.llm.engine import Finish, Sampling
from ohlora.text import josa

CONNECT_S, READ_S = 5.0, 60.0  # longest waits for a connection and between two pieces
_BYTES_PER_TOKEN = 4  # a rough guess; the server counts for itself


class OpenAIEngine:
    """A model on a server. Threads may share one engine."""

    context_tokens = 8192

    def __init__(
        self, url: str, model: str, key: str | None = None, read_s: float = READ_S
    ) -> None:
        self.url, self.model = url.rstrip("/"), model
        self.id = f"openai:{self.url}#{model}"
        if key and not key.isascii():
            raise BadInput(
                "OPENAI_API_KEY holds characters no key has: copy the key again.",
                "OPENAI_API_KEY에 키에 없는 글자가 있어요. 키를 다시 복사해 주세요.",
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(read_s, connect=CONNECT_S)
        )

    @classmethod
    def from_spec(cls, spec: str) -> OpenAIEngine:
        """Read "URL#MODEL". Raises BadInput."""
        url, _, model = spec.partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise BadInput(
                f"want openai:URL#MODEL, got {spec!r}: e.g. openai:http://127.0.0.1:11434/v1#name.",
                f"openai:주소#모델 꼴이어야 하는데 {josa(repr(spec), '이에요/예요')}. "
                "예: openai:http://127.0.0.1:11434/v1#이름",
            )
        return cls(url, model, os.environ.get("OPENAI_API_KEY"))

    def count_tokens(self, text: str) -> int:
        """A rough count: the server's tokenizer is unknown."""
        return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        """Yield pieces of the answer; return why it ended. Raises EngineError."""
        pieces: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        left = threading.Event()
        body = self._body(prompt, sampling)
        reader = threading.Thread(target=self._read, args=(body, pieces, left), daemon=True)
        reader.start()
        shown = StopText([STOP_MARK])
        try:
            while True:
                if stopped():
                    return "stopped"
                try:
                    kind, value = pieces.get(timeout=0.05)
                except queue.Empty:
                    continue
                if kind == "error":
                    raise value
                if kind == "end":
                    if rest := shown.finish():
                        yield rest
                    return "length" if value == "length" else "stop"
                if piece := shown.feed(str(value).replace("\ufffd", "")):
                    yield piece
                if shown.ended:
                    return "stop"
        finally:
            left.set()

    def _body(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        messages = prompt.messages()
        for message in messages:  # JSON carries no lone surrogates
            message["content"] = message["content"].encode("utf-8", "replace").decode("utf-8")
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": [STOP_MARK],
            "stream": True,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return body

    def _read(
        self, body: dict[str, Any], pieces: queue.SimpleQueue[Any], left: threading.Event
    ) -> None:
        """Run in a thread: put ("text", str), then ("end", reason) or ("error", EngineError)."""
        try:
            url = f"{self.url}/chat/completions"
            with self._client.stream("POST", url, json=body) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refused(response)
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    events = iter([self._parse(response.read().decode("utf-8", "replace"))])
                else:
                    events = self._events(response)
                reason = None
                for event in events:
                    if left.is_set():
                        return
                    text, reason = _choice(event)
                    if text:
                        pieces.put(("text", text))
                    if reason:
                        break
                if reason is None:
                    raise self._failed("the answer was cut off", "답이 중간에 끊겼어요")
                pieces.put(("end", reason))
        except EngineError as error:
            pieces.put(("error", error))
        except httpx.TimeoutException:
            reason_en, reason_ko = "it did not answer in time", "제때 답하지 않아요"
            pieces.put(("error", self._failed(reason_en, reason_ko)))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            name = str(error) or type(error).__name__
            pieces.put(("error", self._failed(f"no connection: {name}", f"연결 실패: {name}")))
        except Exception as error:  # whatever it was, the listener must not wait for ever
            name = type(error).__name__
            pieces.put(("error", self._failed(f"unexpected {name}", f"예상 밖의 {name}")))

    def _events(self, response: httpx.Response) -> Iterator[dict[str, Any]]:
        for line in response.iter_lines():
            data = line.removeprefix("data:").strip()
            if not line.startswith("data:") or not data:
                continue
            if data == "[DONE]":
                yield {"choices": [{"finish_reason": "stop"}]}
                return
            yield self._parse(data)

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            event = json.loads(text)
        except ValueError as error:
            raise self._failed(
                "it sent something that is no JSON", "JSON이 아닌 답이 왔어요"
            ) from error
        if not isinstance(event, dict) or "error" in event:
            detail = _detail(event)
            raise self._failed(f"it reported {detail}", f"서버가 오류를 알렸어요: {detail}")
        return event

    def _refused(self, response: httpx.Response) -> EngineError:
        status = response.status_code
        try:
            detail = _detail(response.json())
        except ValueError:
            detail = response.text.strip()[:160] or response.reason_phrase
        en, ko = {
            401: ("set OPENAI_API_KEY to a valid key", "OPENAI_API_KEY에 올바른 키를 넣어 주세요"),
            403: ("set OPENAI_API_KEY to a valid key", "OPENAI_API_KEY에 올바른 키를 넣어 주세요"),
            404: (
                f"check the address and that it serves {self.model!r}",
                f"주소와 {self.model!r} 모델이 있는지 확인해 주세요",
            ),
            429: ("it is busy, try again shortly", "지금 바쁘니 잠시 뒤에 다시 해 주세요"),
        }.get(status, ("look at the server's log", "서버 기록을 확인해 주세요"))
        return EngineError(
            f"The language model server {self.url} refused ({status}: {detail}): {en}.",
            f"언어 모델 서버 {josa(self.url, '이/가')} 거절했어요({status}: {detail}). {ko}.",
        )

    def _failed(self, en: str, ko: str) -> EngineError:
        return EngineError(
            f"The language model server {self.url} failed ({en}): check that it runs, try again.",
            f"언어 모델 서버 {self.url}에서 답을 받지 못했어요({ko}). "
            "서버가 켜져 있는지 확인하고 다시 해 주세요.",
        )


def _choice(event: dict[str, Any]) -> tuple[str, str | None]:
    """Text and finish reason of a chunk or of a whole answer."""
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    choice = choice if isinstance(choice, dict) else {}
    message = choice.get("delta") or choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    reason = choice.get("finish_reason")
    return (text if isinstance(text, str) else ""), (reason if isinstance(reason, str) else None)


def _detail(event: Any) -> str:
    error = event.get("error", event) if isinstance(event, dict) else event
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error)[:160]
