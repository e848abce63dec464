"""/api: what the page asks for. JSON; the shapes are in docs/protocol.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from ohlora import __version__
from ohlora.errors import BadInput
from ohlora.face import Cell
from ohlora.memory.sessions import Message
from ohlora.server.bodies import Body, body
from ohlora.server.faults import Refused
from ohlora.server.metrics import Metrics
from ohlora.server.settings import Settings
from ohlora.server.turns import TurnHub, client_id_of

if TYPE_CHECKING:
    from ohlora.companion import Companion

FRAME = re.compile(r"(\d{1,4})-(\d{1,4})-(\d{1,4})\.webp")
A_YEAR = 365 * 24 * 3600
Number = Annotated[int, Query(ge=-(2**53), le=2**53)]


class Title(Body):
    title: str = ""


class NewTitle(Body):
    title: str


class NewMemory(Body):
    key: str
    value: str


class MemoryChange(Body):
    key: str | None = None
    value: str | None = None


def api_routes(
    companion: Companion, hub: TurnHub, settings: Settings, metrics: Metrics
) -> APIRouter:
    api = APIRouter(prefix="/api")
    sessions, memories, face = companion.store.sessions, companion.store.memories, companion.face

    @api.get("/info")
    def info() -> dict[str, Any]:
        persona = companion.persona
        return {
            "version": __version__,
            "persona": {
                "id": persona.id,
                "name": persona.name["ko"],  # the language she speaks
                "greeting": persona.greeting["ko"],
                "names": persona.name,
                "greetings": persona.greeting,
            },
            "engine": companion.engine.id,
            "encoder": companion.encoder.id,
            "face": face.manifest(),
            "limits": {"text_chars": settings.text_chars},
        }

    @api.get("/sessions")
    def list_sessions() -> list[dict[str, Any]]:
        return [session.to_dict() for session in sessions.list()]

    @api.post("/sessions", status_code=201)
    async def create_session(request: Request) -> dict[str, Any]:
        wanted = await body(request, Title)
        return (await run_in_threadpool(sessions.create, wanted.title)).to_dict()

    @api.patch("/sessions/{session_id}")
    async def rename_session(session_id: str, request: Request) -> dict[str, Any]:
        wanted = await body(request, NewTitle)
        return (await run_in_threadpool(sessions.rename, session_id, wanted.title)).to_dict()

    @api.delete("/sessions/{session_id}", status_code=204)
    async def delete_session(session_id: str) -> None:
        await hub.stop_session(session_id)
        await run_in_threadpool(sessions.delete, session_id)

    @api.get("/sessions/{session_id}/messages")
    def list_messages(
        session_id: str, before: Number | None = None, limit: Number = 50
    ) -> dict[str, Any]:
        messages, more = sessions.messages(session_id, before, limit)
        return {"messages": [message_dict(message) for message in messages], "more": more}

    @api.get("/memories")
    def list_memories(q: str = "", all: bool = False) -> list[dict[str, Any]]:
        found = memories.search(q, all) if q.strip() else memories.all(all)
        return [record.to_dict() for record in found]

    @api.post("/memories", status_code=201)
    async def add_memory(request: Request) -> dict[str, Any]:
        new = await body(request, NewMemory)
        record, _ = await run_in_threadpool(memories.remember, new.key, new.value)
        return record.to_dict()

    @api.post("/memories/undo")
    def undo_last() -> dict[str, Any]:
        return {"undone": memories.undo().to_dict()}

    @api.post("/memories/{memory_id}/undo")
    def undo_one(memory_id: int) -> dict[str, Any]:
        return {"undone": memories.undo(memory_id).to_dict()}

    @api.patch("/memories/{memory_id}")
    async def edit_memory(memory_id: int, request: Request) -> dict[str, Any]:
        change = await body(request, MemoryChange)
        if change.key is None and change.value is None:
            raise BadInput(
                "Nothing to change: send a key, a value, or both.",
                "바꿀 내용이 없어요. key나 value를 보내 주세요.",
            )
        record = await run_in_threadpool(memories.edit, memory_id, change.key, change.value)
        return record.to_dict()

    @api.delete("/memories/{memory_id}")
    def delete_memory(memory_id: int) -> dict[str, Any]:
        return memories.delete(memory_id).to_dict()

    @api.get("/face/frames/{name}")
    def frame(name: str, request: Request, v: str = "") -> Response:
        """One frame. An address with ?v=<face id> never changes its picture."""
        numbers = FRAME.fullmatch(name)
        if numbers is None:
            raise no_frame(name)
        cell = Cell(*(int(number) for number in numbers.groups()))
        kept = f"private, max-age={A_YEAR}, immutable" if v == face.id else "no-cache"
        headers = {"etag": face.etag(cell), "cache-control": kept}
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        try:
            picture = face.frame(cell)
        except BadInput as error:
            raise Refused(404, "not-found", error.en, error.ko) from error
        metrics.frames.inc()
        return Response(picture, media_type="image/webp", headers=headers)

    return api


def message_dict(message: Message) -> dict[str, Any]:
    """A message for the page; one of the user's with the client_id it was sent with."""
    data = message.to_dict()
    if message.role == "user":
        data["client_id"] = client_id_of(message.response_id)
    return data


def no_frame(name: str) -> Refused:
    return Refused(
        404,
        "not-found",
        f"There is no face frame {name[:40]!r}: frames are named EYES-MOUTH-POSE.webp.",
        f"{name[:40]!r} 얼굴 프레임은 없어요. 이름은 눈-입-고개.webp 꼴이에요.",
    )
