"""/v1: the shapes of OpenAI's API, so that any of its clients can talk to her.

Chat completions are stateless: the last message, which must be the user's, is the turn; what
stands before it (system, history) goes into the prompt; no session or memory is read or
written. A namespaced field asks for more:

    "ohlora": {"recall": true}          her memories of the user may be used (read only)
    "ohlora": {"session_id": "..."}     the message becomes a turn of that session, with its own
                                        history, memories and sampling; the request's are ignored

Every answer carries "ohlora": {"source", "expression", "frame", "memories"}, a stream in the
chunk that ends it. A persona is a model id; the encoder's id is the one for embeddings.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from ohlora.dialogue.prompt import Prompt
from ohlora.expression import NEUTRAL, Expression, v1_expression
from ohlora.llm import Engine, Sampling
from ohlora.server.bodies import body
from ohlora.server.faults import BadField, Refused, as_fault, as_json, fault_body
from ohlora.server.openai_requests import (
    ChatRequest,
    EmbeddingRequest,
    Extra,
    embedding_inputs,
    last_user_text,
    no_model,
    refuse_unsupported,
    stop_list,
    text_of,
)
from ohlora.server.settings import Settings
from ohlora.server.turns import Job, Turn, TurnHub
from ohlora.text import clean_user_text

if TYPE_CHECKING:
    from ohlora.companion import Companion, Spoken


@dataclass
class Answer:
    """One completion on its way: pieces first, then how it ended."""

    finish: Literal["stop", "length"] = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, int]:
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


Piece = str | Answer
Floats = np.ndarray[Any, np.dtype[np.float32]]
CHUNK = "chat.completion.chunk"


def openai_routes(companion: Companion, hub: TurnHub, settings: Settings) -> APIRouter:
    v1 = APIRouter(prefix="/v1")
    started = int(time.time())
    persona, encoder = companion.persona.id, companion.encoder.id
    models = [
        {"id": persona, "object": "model", "created": started, "owned_by": "ohlora"},
        {"id": encoder, "object": "model", "created": started, "owned_by": "ohlora"},
    ]

    @v1.get("/models")
    def list_models() -> dict[str, Any]:
        return {"object": "list", "data": models}

    @v1.get("/models/{model:path}")
    def get_model(model: str) -> dict[str, Any]:
        for known in models:
            if known["id"] == model:
                return known
        raise no_model(model, persona)

    @v1.post("/chat/completions")
    async def complete(request: Request) -> Response:
        asked = await body(request, ChatRequest)
        if asked.model != persona:
            raise no_model(asked.model, persona)
        refuse_unsupported(asked)
        extra = asked.ohlora or Extra()
        job: Job[Piece] | None = None
        if extra.session_id is not None:
            turn = await hub.start(extra.session_id, last_user_text(asked))
            pieces = said_in(turn, companion)
        else:
            prompt, memories = await run_in_threadpool(make_prompt, companion, asked, settings)
            await run_in_threadpool(check_length, companion, prompt)
            job = hub.generate(lambda stopped: speak(companion, prompt, memories, asked, stopped))
            pieces = made_by(job, hub)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": persona,
            "system_fingerprint": companion.engine.id,
        }
        if asked.stream:
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            async with stopped_when_gone(request, job):
                pieces = await first_of(pieces)
            return StreamingResponse(
                events(head, pieces, usage, job),
                media_type="text/event-stream",
                headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
            )
        return await whole(head, pieces, request, job)

    @v1.post("/embeddings")
    async def embed(request: Request) -> Response:
        asked = await body(request, EmbeddingRequest)
        if asked.model not in (persona, encoder):
            raise no_model(asked.model, encoder)
        texts = embedding_inputs(asked.input)
        if asked.dimensions not in (None, companion.encoder.dim):
            raise BadField(
                "dimensions",
                f"This encoder has {companion.encoder.dim} dimensions: leave the field out.",
                f"이 인코더는 {companion.encoder.dim}차원이에요. dimensions를 빼 주세요.",
            )
        vectors = await run_in_threadpool(companion.encoder.encode, texts)
        tokens = await run_in_threadpool(
            lambda: sum(companion.engine.count_tokens(text) for text in texts)
        )
        rows = [
            {
                "object": "embedding",
                "index": index,
                "embedding": as_base64(vector)
                if asked.encoding_format == "base64"
                else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_response({"object": "list", "data": rows, "model": asked.model, "usage": usage})

    return v1


# From a request to a generation


def make_prompt(
    companion: Companion, asked: ChatRequest, settings: Settings
) -> tuple[Prompt, list[dict[str, Any]]]:
    """The prompt of a stateless request, and the memories in it. Raises BadInput."""
    user = clean_user_text(last_user_text(asked), settings.text_chars)
    system, history = [], []
    for at, message in enumerate(asked.messages[:-1]):
        text = text_of(message, at)
        if message.role in ("system", "developer"):
            system.append(text)
        elif text:
            history.append((message.role, text))
    recall = bool(asked.ohlora and asked.ohlora.recall)
    found = companion.recall.best(user) if recall else ()
    prompt = Prompt(
        user=user,
        memories=tuple(recalled.record.text for recalled in found),
        system="\n\n".join(system) or companion.persona.system_on(companion.clock().date()),
        history=tuple(history),
    )
    told = [
        {"action": "recalled", "memory": one.record.to_dict(), "score": round(one.score, 4)}
        for one in found
    ]
    return prompt, told


def check_length(companion: Companion, prompt: Prompt) -> None:
    """Raises Refused when nothing of an answer would fit behind the prompt."""
    tokens = prompt_tokens(companion.engine, prompt)
    most = companion.engine.context_tokens
    if tokens >= most:
        error = Refused(
            400,
            "context_length_exceeded",
            f"The prompt has {tokens:,} tokens and the model reads {most:,}: shorten it.",
            f"프롬프트가 {tokens:,}토큰인데 모델은 {most:,}토큰까지 읽어요. 줄여 주세요.",
        )
        error.field = "messages"
        raise error


def prompt_tokens(engine: Engine, prompt: Prompt) -> int:
    """What the engine reads: every message where it is a chat model, else the completion prompt,
    in which system and history have no place."""
    if not reads_messages(engine):
        return engine.count_tokens(prompt.completion())
    return sum(engine.count_tokens(message["content"]) for message in prompt.messages())


def reads_messages(engine: Engine) -> bool:
    """A model on a server, or a folder of weights without our adapter: its id says so."""
    return engine.id.startswith("openai:") or (engine.id.startswith("hf-") and "+" not in engine.id)


def sampling_of(companion: Companion, asked: ChatRequest) -> Sampling:
    """The persona's sampling, with what the request sets."""
    most = asked.max_completion_tokens or asked.max_tokens
    wanted: dict[str, Any] = {"temperature": asked.temperature, "top_p": asked.top_p}
    if most is not None:
        wanted["max_new_tokens"] = min(most, companion.engine.context_tokens)
    if asked.seed is not None:
        wanted["seed"] = asked.seed % 2**31
    given = {name: value for name, value in wanted.items() if value is not None}
    return replace(companion.persona.sampling, **given)


class StopTexts:
    """Ends a text before the first of some given texts, also one that spans two pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.hit = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        text = self._held + piece
        found = [at for stop in self.stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        held = max((overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back and is no stop text after all."""
        text, self._held = self._held, ""
        return text


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0


def speak(
    companion: Companion,
    prompt: Prompt,
    memories: list[dict[str, Any]],
    asked: ChatRequest,
    stopped: Callable[[], bool],
) -> Iterator[Piece]:
    """Pieces of a stateless answer, then the Answer. Runs in a thread of the hub."""
    cut, said = StopTexts(stop_list(asked)), ""
    sampling = sampling_of(companion, asked)
    which = random.getrandbits(31) if sampling.seed is None else sampling.seed
    answer = companion.speak(prompt, stopped, seed=which, sampling=sampling)
    finish: Literal["stop", "length"] = "stop"
    source, tokens = "llm", None
    while not cut.hit:
        try:
            shown = cut.feed(next(answer))
        except StopIteration as ended:
            spoken: Spoken = ended.value
            finish = "length" if spoken.finish == "length" else "stop"
            source, tokens = spoken.source, spoken.completion_tokens
            shown = cut.rest()
        if shown:
            said += shown
            yield shown
        if tokens is not None:
            break
    answer.close()
    yield Answer(
        finish,
        prompt_tokens(companion.engine, prompt),
        companion.engine.count_tokens(said) if tokens is None else tokens,
        extra_of(companion, v1_expression(said), source, memories),
    )


def extra_of(
    companion: Companion, shown: Expression, source: str | None, memories: list[dict[str, Any]]
) -> dict[str, Any]:
    """The namespaced field of an answer."""
    face = companion.face
    return {
        "source": source,
        "expression": asdict(shown),
        "frame": f"/api/face/frames/{face.nearest(shown)}.webp?v={face.id}",
        "memories": memories,
    }


# From a generation to a response


async def made_by(job: Job[Piece], hub: TurnHub) -> AsyncIterator[Piece]:
    """What a stateless job makes; raises the error that ended it."""
    started, first = time.perf_counter(), None
    async for piece in job.all():
        if first is None:
            first = time.perf_counter() - started
        if isinstance(piece, Answer):
            outcome = "interrupted" if job.stop.is_set() else "complete"
            hub.metrics.ended(outcome, piece.completion_tokens, first)
        yield piece
    if job.error is not None:
        hub.metrics.ended("error")
        raise job.error


async def said_in(turn: Turn, companion: Companion) -> AsyncIterator[Piece]:
    """What a turn of a session says; the turn goes on when nobody listens any more."""
    memories, source, shown = [], None, NEUTRAL
    async for event in turn.listen():
        if event["type"] == "token":
            yield event["text"]
        elif event["type"] == "reply":
            source = event["source"]
        elif event["type"] == "expression":
            shown = Expression(event["eyes"], event["mouth"], event["pose"])
        elif event["type"] == "memory":
            memories.append({name: event[name] for name in ("action", "memory", "score")})
        elif event["type"] == "error":
            raise Refused(503, event["code"], event["message"], event["message_ko"])
        elif event["type"] == "done":
            extra = extra_of(companion, shown, source, memories)
            extra |= {"session_id": turn.session_id, "response_id": turn.response_id}
            yield Answer("stop", event["prompt_tokens"], event["completion_tokens"], extra)


async def events(
    head: dict[str, Any], pieces: AsyncIterator[Piece], usage: bool, job: Job[Piece] | None
) -> AsyncIterator[str]:
    """Server-sent events of one completion."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        none = {"usage": None} if usage else {}
        return sse({**head, "object": CHUNK, "choices": [choice], **none, **more})

    answer = Answer()
    try:
        yield chunk({"role": "assistant", "content": ""})
        async for piece in pieces:
            if isinstance(piece, Answer):
                answer = piece
            else:
                yield chunk({"content": piece})
        yield chunk({}, answer.finish, ohlora=answer.extra)
        if usage:
            yield sse({**head, "object": CHUNK, "choices": [], "usage": answer.usage})
        yield "data: [DONE]\n\n"
    except Exception as error:  # outer face: the headers are gone, the error goes in the stream
        yield sse(fault_body(as_fault(error), "/v1"))
    finally:
        if job is not None:
            job.stop.set()


async def whole(
    head: dict[str, Any],
    pieces: AsyncIterator[Piece],
    request: Request,
    job: Job[Piece] | None,
) -> Response:
    """One completion in one body; nobody waits for it any more: it stops."""
    answer, text = Answer(), ""
    async with stopped_when_gone(request, job):
        async for piece in pieces:
            if isinstance(piece, Answer):
                answer = piece
            else:
                text += piece
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish,
    }
    return json_response(
        {
            **head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": answer.usage,
            "ohlora": answer.extra,
        }
    )


@asynccontextmanager
async def stopped_when_gone(request: Request, job: Job[Piece] | None) -> AsyncIterator[None]:
    """Within the block, a client that goes away stops its job."""
    if job is None:
        yield
        return

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        job.stop.set()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def first_of(pieces: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    """The same pieces, the first of them waited for now: an engine that cannot answer at all
    then gets an HTTP status of its own instead of an error inside a stream."""
    first = await anext(pieces, None)

    async def again() -> AsyncIterator[Piece]:
        if first is not None:
            yield first
        async for piece in pieces:
            yield piece

    return again()


def sse(data: dict[str, Any]) -> str:
    return f"data: {as_json(data)}\n\n"


def json_response(data: dict[str, Any]) -> Response:
    return Response(as_json(data), media_type="application/json")


def as_base64(vector: Floats) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
