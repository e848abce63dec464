"""create_app(companion, settings): the whole server as one ASGI app.

The companion comes in ready, so tests pass one with a small engine. Answers of dead processes
are ended when the app starts; running ones are stopped and stored when it ends.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ohlora import __version__
from ohlora.errors import OhloraError
from ohlora.server.api import api_routes
from ohlora.server.bodies import wanted
from ohlora.server.faults import BadField, fault_response, on_fault, on_http
from ohlora.server.metrics import CONTENT_TYPE, Metrics
from ohlora.server.openai_api import openai_routes
from ohlora.server.security import Guard
from ohlora.server.settings import Settings
from ohlora.server.turns import TurnHub
from ohlora.server.wire import Wire

if TYPE_CHECKING:
    from ohlora.companion import Companion

# Asked again each time, answered "not modified" by ETag: a new version shows at once.
ASK_AGAIN = "no-cache"

for kind, ending in {"text/javascript": ".js", "text/css": ".css", "image/webp": ".webp"}.items():
    mimetypes.add_type(kind, ending)  # some systems map .js to text/plain


class Page(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = ASK_AGAIN
        return response


def create_app(companion: Companion, settings: Settings = Settings()) -> FastAPI:
    """The app; `app.state.hub` is its TurnHub."""
    metrics = Metrics()
    hub = TurnHub(
        companion,
        metrics,
        running=settings.turns,
        waiting=settings.turns_waiting,
        text_chars=settings.text_chars,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(companion.store.recover)
        try:
            yield
        finally:
            await hub.close(settings.stop_seconds)

    app = FastAPI(
        title="Oh-LoRA",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,  # its pages load scripts from a CDN; docs/protocol.md says it all
        redirect_slashes=False,
        exception_handlers={
            OhloraError: on_fault,
            HTTPException: on_http,
            RequestValidationError: on_parameter,
        },
    )
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.state.hub = hub
    app.include_router(api_routes(companion, hub, settings, metrics))
    app.include_router(openai_routes(companion, hub, settings))
    files = Page(directory=settings.web)
    app.mount("/static", files, name="static")

    @app.get("/")
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "version": __version__}

    @app.get("/metrics")
    def read_metrics() -> Response:
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    @app.websocket("/api/ws")
    async def talk(socket: WebSocket) -> None:
        await Wire(socket, hub, settings).talk()

    return app


def query_kind(error: dict[str, Any]) -> str:
    """Pydantic's name of an error in the address, where every value comes as text."""
    return str(error["type"]).replace("_parsing_size", "_type").replace("_parsing", "_type")


async def on_parameter(request: Request, error: Exception) -> Response:
    """A part of the address that is wrong, such as ?limit=many."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    want = first["msg"][:1].lower() + first["msg"][1:]
    fault = BadField(
        name,
        f"The parameter {name!r} is wrong: {want}.",
        f"주소의 {name!r} 값이 잘못됐어요. {wanted(query_kind(first), first.get('ctx', {}))[1]} "
        "넣어 주세요.",
    )
    return fault_response(fault, request.url.path)
