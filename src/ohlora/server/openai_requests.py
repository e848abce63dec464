"""What an OpenAI client may ask for: the request bodies of /v1, checked.

A field this server cannot honour is refused by name instead of being ignored; fields nobody
here knows are let through, as OpenAI's own servers do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ohlora.server.bodies import Body
from ohlora.server.faults import BadField, Refused
from ohlora.text import josa

INPUTS, INPUT_CHARS = 256, 8_000  # of one embeddings request


class Part(Body):
    type: str
    text: str | None = None


class ChatMessage(Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None


class StreamOptions(Body):
    include_usage: bool | None = None


class Extra(Body):
    session_id: str | None = None
    recall: bool = False


class ChatRequest(Body):
    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=1_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    ohlora: Extra | None = None


class EmbeddingRequest(Body):
    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


def refuse_unsupported(asked: ChatRequest) -> None:
    """One sentence for what this server does not do, instead of doing something else."""
    wrong = {
        "n": asked.n not in (None, 1),
        "tools": bool(asked.tools),
        "functions": bool(asked.functions),
        "logprobs": bool(asked.logprobs),
        "frequency_penalty": bool(asked.frequency_penalty),
        "presence_penalty": bool(asked.presence_penalty),
        "response_format": (asked.response_format or {}).get("type", "text") != "text",
    }
    for name, unsupported in wrong.items():
        if unsupported:
            hint_en = "send one request per answer" if name == "n" else "leave the field out"
            hint_ko = "답변마다 따로 요청해 주세요" if name == "n" else "그 항목을 빼 주세요"
            raise BadField(
                name,
                f"This server does not support {name!r} here: {hint_en}.",
                f"여기서는 {josa(repr(name), '을/를')} 쓸 수 없어요. {hint_ko}.",
            )
    stops = stop_list(asked)
    if len(stops) > 4 or any(not 0 < len(text) <= 100 for text in stops):
        raise BadField(
            "stop",
            "The field 'stop' takes up to 4 texts of 1 to 100 characters: shorten it.",
            "stop에는 1~100자짜리 글을 4개까지 넣을 수 있어요.",
        )


def stop_list(asked: ChatRequest) -> list[str]:
    return [asked.stop] if isinstance(asked.stop, str) else asked.stop or []


def text_of(message: ChatMessage, at: int) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for part in message.content:
        if part.type not in ("text", "input_text") or part.text is None:
            raise BadField(
                f"messages.{at}.content",
                f"She reads text only, but a part is of type {part.type[:40]!r}: send text parts.",
                f"글만 읽을 수 있는데 {part.type[:40]!r} 형식이 있어요. 글로 보내 주세요.",
            )
    return "".join(part.text or "" for part in message.content)


def last_user_text(asked: ChatRequest) -> str:
    at = len(asked.messages) - 1
    if asked.messages[at].role != "user":
        raise BadField(
            f"messages.{at}.role",
            "The last message must be the user's: it is what she answers.",
            "마지막 메시지는 user의 것이어야 해요. 그 말에 답하니까요.",
        )
    return text_of(asked.messages[at], at)


def embedding_inputs(given: str | list[Any]) -> list[str]:
    """The texts to encode. Raises BadField."""
    texts = [given] if isinstance(given, str) else given
    if not 1 <= len(texts) <= INPUTS:
        raise BadField(
            "input",
            f"The field 'input' takes 1 to {INPUTS} texts and {len(texts)} came: send them in "
            "parts.",
            f"input에는 글을 1~{INPUTS}개 넣을 수 있는데 {len(texts)}개예요. 나눠서 보내 주세요.",
        )
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise BadField(
                "input",
                "The field 'input' takes texts that are not empty, no token numbers: send text.",
                "input에는 비어 있지 않은 글만 넣을 수 있어요(토큰 번호는 안 돼요).",
            )
        if len(text) > INPUT_CHARS:
            raise BadField(
                "input",
                f"A text of 'input' has {len(text):,} characters and the limit is "
                f"{INPUT_CHARS:,}: split it.",
                f"input의 글 하나가 {len(text):,}자예요. {INPUT_CHARS:,}자까지 돼요. 나눠 주세요.",
            )
    return texts


def no_model(name: str, known: str) -> Refused:
    error = Refused(
        404,
        "model_not_found",
        f"The model {name[:80]!r} is not here: use {known!r}, or see /v1/models.",
        f"{name[:80]!r} 모델은 없어요. {josa(repr(known), '을/를')} 쓰거나 /v1/models를 봐 주세요.",
    )
    error.field = "model"
    return error
