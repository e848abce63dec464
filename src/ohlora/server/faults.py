"""Every fault as one sentence: for the page (/api), for OpenAI clients (/v1), for the socket.

    /api   {"error": {"code", "message", "message_ko"}}
    /v1    {"error": {"message", "type", "param", "code"}}
    socket {"type": "error", "code", "message", "message_ko"}

A bug is logged under an incident number; the client gets the number, never the traceback.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ohlora.errors import BadInput, OhloraError
from ohlora.text import josa

log = logging.getLogger("ohlora.server")
LONGEST = 600  # characters of a sentence


class BadField(BadInput):
    """A field of a JSON body: `field` names it as the sender wrote it."""

    def __init__(self, field: str | None, en: str, ko: str) -> None:
        self.field = field
        super().__init__(en, ko)


class Refused(OhloraError):
    """A request turned away at the door or by the router: status and code say why."""

    field: str | None = None

    def __init__(self, status: int, code: str, en: str, ko: str) -> None:
        self.status, self.code = status, code
        super().__init__(en, ko)


class Incident(OhloraError):
    """A bug. Made by `incident`, which logs what happened."""

    code, status = "internal", 500

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(
            f"Something went wrong inside the server (incident {number}): try again, and if it "
            "stays, report the lines of its log with that number.",
            f"서버 안에서 문제가 생겼어요(사고 번호 {number}). 다시 시도해 보고, 계속되면 로그에서 "
            "그 번호가 있는 줄을 알려 주세요.",
        )


def incident(error: BaseException) -> Incident:
    """Log a bug with its traceback and return what may be told. Its message is not logged:
    it may quote what somebody said."""
    number = uuid.uuid4().hex[:8]
    where = error.__traceback__
    frames = []
    while where is not None:
        code = where.tb_frame.f_code
        frames.append(f"{code.co_filename}:{where.tb_lineno} in {code.co_name}")
        where = where.tb_next
    log.error("incident %s: %s\n  %s", number, type(error).__name__, "\n  ".join(frames))
    return Incident(number)


def as_fault(error: BaseException) -> OhloraError:
    """What a client may be told about any exception."""
    return error if isinstance(error, OhloraError) else incident(error)


def fault_fields(error: OhloraError) -> dict[str, str]:
    """code and both sentences, each on one line and short, whatever they quote."""

    def line(text: str) -> str:
        text = " ".join(text.split())
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"

    return {"code": error.code, "message": line(error.en), "message_ko": line(error.ko)}


def fault_body(error: OhloraError, path: str) -> dict[str, Any]:
    """The JSON body that fits the API `path` belongs to."""
    fields = fault_fields(error)
    if not path.startswith("/v1"):
        return {"error": fields}
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    plain = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": fields["message"],
            "type": kind.get(error.status, plain),
            "param": getattr(error, "field", None),
            "code": error.code,
        }
    }


def fault_response(
    error: OhloraError, path: str, headers: Mapping[str, str] | None = None
) -> Response:
    more = {"cache-control": "no-store", **(headers or {})}
    if error.status in (429, 503):
        more["retry-after"] = "2"
    return JSONResponse(fault_body(error, path), error.status, more)


def as_json(data: Any) -> str:
    """JSON text that always encodes to UTF-8."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


async def on_fault(request: Request, error: Exception) -> Response:
    """Exception handler of the app, for errors raised on purpose and for bugs alike."""
    return fault_response(as_fault(error), request.url.path)


async def on_http(request: Request, error: Exception) -> Response:
    """What the router itself refuses: unknown path, wrong method."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 404:
        refused = Refused(
            404,
            "not-found",
            f"There is nothing at {path}: the page is at /, the API under /api and /v1.",
            f"{path}에는 아무것도 없어요. 페이지는 /, API는 /api와 /v1에 있어요.",
        )
    elif error.status_code == 405:
        refused = Refused(
            405,
            "method-not-allowed",
            f"{path} does not take {request.method}: see the API in the README.",
            f"{path}에는 {josa(request.method, '을/를')} 쓸 수 없어요. "
            "README의 API 설명을 봐 주세요.",
        )
    else:
        refused = Refused(error.status_code, "http", f"{error.detail}.", f"{error.detail}.")
    return fault_response(refused, path, error.headers)
