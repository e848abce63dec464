"""Who may ask, and how much. One ASGI layer around the whole app.

    Host       only names this server answers to (a rebound DNS name is not one)
    Origin     a browser page of another site may not change anything or open a socket
    token      beyond loopback: `Authorization: Bearer`, the page's cookie, or `?token=`
    size       bodies are read here, up to a limit and in limited time
    number     requests and sockets at once
    headers    what a browser may do with our answers

Programs that are no browser send no Origin and are let through: the token is for them.
Neither texts nor tokens are ever logged.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ohlora.errors import Busy, OhloraError
from ohlora.memory.database import os_error
from ohlora.server.faults import Refused, as_fault, fault_response
from ohlora.server.metrics import Metrics
from ohlora.server.settings import Settings, is_loopback
from ohlora.text import josa

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/health",)  # asked by whatever watches the process; tells nothing of anybody
COOKIE_SECONDS = 30 * 24 * 3600
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# A page of our own that goes on to "/": its cookie is then sent, wherever the link was clicked.
# Without an icon of its own a browser that stays a moment asks for /favicon.ico, which is not here.
COME_IN = (
    '<!doctype html><meta http-equiv="refresh" content="0;url=/"><link rel="icon" href="data:,">'
    "<title>Oh-LoRA</title>"
)


class Guard:
    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self.requests = 0
        self.sockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        if self.requests >= self.settings.requests:
            await fault_response(Busy(), scope["path"])(scope, receive, send)
            return
        self.requests += 1
        try:
            self._admit(scope)
            if came_with_link(scope) and self.settings.token is not None:
                await self._come_in(scope, receive, send)
                return
            body = await read_body(scope, receive, self.settings)
            await self.app(scope, replay(body, receive), watched)
        except ClientDisconnect:
            pass
        except Exception as error:  # outer face: one sentence, never a traceback
            fault = as_fault(error)
            if not begun:
                await fault_response(fault, scope["path"])(scope, receive, send)
        finally:
            self.requests -= 1

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._admit(scope)
            if self.sockets >= self.settings.sockets:
                raise Busy
        except OhloraError as error:
            await refuse_socket(error, scope, receive, send)
            return
        self.sockets += 1
        try:
            with self.metrics.sockets.track_inprogress():
                await self.app(scope, receive, send)
        except Exception as error:
            as_fault(error)
            await send({"type": "websocket.close", "code": 1011})
        finally:
            self.sockets -= 1

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._answers_to(host):
            raise bad_host(split_host(host)[0][:80])
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if changes and origin is not None and not same_site(origin, host):
            raise Refused(
                403,
                "bad-origin",
                "A page of another site may not use this server: open the server's own page.",
                "다른 사이트의 페이지에서는 이 서버를 쓸 수 없어요. 서버의 페이지를 열어 주세요.",
            )
        if self.settings.token is not None and scope["path"] not in OPEN_PATHS:
            self._check_token(scope, headers, self.settings.token)

    def _answers_to(self, host: str) -> bool:
        name = split_host(host)[0]
        if is_loopback(name) or name in self.settings.allowed_hosts:
            return True
        if self.settings.loopback:
            return False
        # Beyond loopback the token decides; an address or this machine's name can't be rebound.
        return is_address(name) or name in (self.settings.host, *own_names())

    def _check_token(self, scope: Scope, headers: Headers, token: str) -> None:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        offered = [bearer.strip()] if kind.lower() == "bearer" else []
        offered += parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [])
        cookies = cookie_parser(headers.get("cookie", ""))
        offered.append(cookies.get(cookie_name(headers.get("host", "")), ""))
        # Compared in constant time, and all of them, so that timing tells nothing.
        matches = [hmac.compare_digest(text.encode(), token.encode()) for text in offered]
        if not any(matches):
            raise Refused(
                401,
                "token",
                "This server asks for its token: open the address it printed when it first "
                "started, or send `Authorization: Bearer TOKEN` (the file `token` in its data "
                "folder).",
                "이 서버는 토큰이 필요해요. 처음 시작할 때 나온 주소를 열거나 "
                "`Authorization: Bearer 토큰`을 보내 주세요(데이터 폴더의 `token` 파일).",
            )

    async def _come_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = HTMLResponse(COME_IN, headers={"cache-control": "no-store"})
        response.set_cookie(
            cookie_name(Headers(scope=scope).get("host", "")),
            self.settings.token or "",
            max_age=COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=scope.get("scheme") == "https",
        )
        await response(scope, receive, send)


async def read_body(scope: Scope, receive: Receive, settings: Settings) -> bytes:
    """The whole body. Raises Refused when it is too big or does not come; counts what really
    arrives, so a body without a length, or with a false one, is bounded too."""
    too_big = Refused(
        413,
        "too-large",
        f"The request is larger than {settings.body_bytes:,} bytes: send less at once.",
        f"요청이 {settings.body_bytes:,}바이트보다 커요. 나눠서 보내 주세요.",
    )
    length = Headers(scope=scope).get("content-length", "0")
    if length.isdigit() and int(length) > settings.body_bytes:
        raise too_big
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return bytes(body)
                body += message.get("body", b"")
                if len(body) > settings.body_bytes:
                    raise too_big
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refused(
            408,
            "timeout",
            "The request did not arrive in time: send it again.",
            "요청이 제때 오지 않았어요. 다시 보내 주세요.",
        ) from None


def replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body read before, then what else the client sends."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending


async def refuse_socket(error: OhloraError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse the handshake with an HTTP answer where the server can send one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
        return
    response = fault_response(error, scope["path"])
    start = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": response.body})


def came_with_link(scope: Scope) -> bool:
    """The page's address with ?token=, as run.py prints it."""
    return (
        scope["path"] == "/"
        and scope["method"] == "GET"
        and b"token=" in scope.get("query_string", b"")
    )


def split_host(host: str) -> tuple[str, str]:
    """("name", "port") of a Host header; the name in lower case, IPv6 without brackets."""
    try:
        if set(host) & set("@/?#\\"):
            raise ValueError(host)
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "").rstrip("."), str(parts.port or "")
    except ValueError:
        return "", ""


def bad_host(name: str) -> Refused:
    return Refused(
        403,
        "bad-host",
        f"This server does not answer to the name {name!r}: use its own address, or start it "
        "with that name allowed.",
        f"이 서버는 {josa(repr(name), '이라는/라는')} 이름을 쓰지 않아요. "
        "서버 주소로 접속하거나 그 이름을 허용해서 시작해 주세요.",
    )


def same_site(origin: str, host: str) -> bool:
    """True when a page at `origin` came from the server addressed as `host`."""
    scheme, _, place = origin.partition("://")
    default = {"http": "80", "https": "443"}.get(scheme)
    if default is None or "/" in place:
        return False
    name, port = split_host(place)
    own_name, own_port = split_host(host)
    return bool(name) and (name, port or default) == (own_name, own_port or default)


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def own_names() -> tuple[str, ...]:
    name = socket.gethostname().lower()
    return name, f"{name}.local"


def cookie_name(host: str) -> str:
    """Browsers keep one cookie jar for all ports of a host: the port makes the name ours."""
    return f"ohlora-token-{split_host(host)[1] or '80'}"


def read_token(folder: Path) -> tuple[str, bool]:
    """The token kept in the data folder, and whether it was made just now. Raises StoreError."""
    path = folder / "token"
    try:
        token = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if token:
            path.chmod(0o600)
            return token, False
        token = secrets.token_urlsafe(32)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        return token, True
    except OSError as error:
        raise os_error(path, error) from error
