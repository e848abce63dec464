"""A stand-in for the Hugging Face hub and a plain file server, in one small real HTTP server.

    with Hub() as hub:
        hub.add("owner/repo", {"file.bin": b"..."})          GET /api/models/owner/repo, /resolve/
        hub.files["plain/file.bin"] = b"..."                 GET /plain/file.bin
        hub.fault("file.bin", cut(1000), status(500))        what the next requests get instead
    hub.fault("cdn:file.bin", cut(1000))                 the same, behind the hub's redirect

Every request is kept in hub.requests as (method, path, headers).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 1000  # bytes from which the hub keeps a file in LFS and redirects to a CDN
SHA = "0123456789abcdef0123456789abcdef01234567"

Fault = Callable[["Handler", bytes], None]


def status(code: int, **headers: str) -> Fault:
    """Answer with a code; header names are given with underscores."""

    def send(handler: Handler, _: bytes) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.answer(code, b"{}", named)

    return send


def cut(after: int) -> Fault:
    """Promise the whole file, send a part, and hang up."""

    def send(handler: Handler, content: bytes) -> None:
        start = handler.range_start(content)
        handler.head(content, start)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        handler.hang_up()

    return send


def slow(seconds: float) -> Fault:
    """Send in ten pieces with pauses."""

    def send(handler: Handler, content: bytes) -> None:
        start = handler.range_start(content)
        handler.head(content, start)
        step = max(1, len(content) // 10)
        for i in range(start, len(content), step):
            handler.wfile.write(content[i : i + step])
            handler.wfile.flush()
            time.sleep(seconds / 10)

    return send


def changed(content: bytes) -> Fault:
    """Serve other bytes than the hub announced."""
    return lambda handler, _: handler.serve(content)


def loop(handler: Handler, _: bytes) -> None:
    handler.answer(302, b"", {"location": handler.path})


def page(handler: Handler, _: bytes) -> None:
    handler.answer(200, b"<html>please log in</html>", {"content-type": "text/html; charset=utf-8"})


@dataclass
class Repo:
    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    private: bool = False


class Hub:
    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.ranges_allowed = True
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Hub:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def add(self, repo: str, files: dict[str, bytes], **kind: bool) -> None:
        self.repos.setdefault(repo, Repo(**kind)).files.update(files)

    def fault(self, name: str, *faults: Fault) -> None:
        """The next requests whose path ends with name meet these faults, one each."""
        self.faults.setdefault(name, []).extend(faults)

    def fetched(self, name: str) -> list[dict[str, str]]:
        """Headers of the content requests for a file (its CDN address, when it is large)."""
        return [h for _, path, h in self.requests if path.endswith(name) and "/api/" not in path]

    def siblings(self, repo: Repo) -> list[dict[str, Any]]:
        return [sibling(name, content) for name, content in repo.files.items()]


def sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if len(content) >= LARGE:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
    return entry


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side left

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.hub.requests.append(
            (self.command, path, {k.lower(): v for k, v in self.headers.items()})
        )
        for name, waiting in self.hub.faults.items():
            if self.is_for(name, path) and waiting:
                waiting.pop(0)(self, self.content(path) or b"")
                return
        if path.startswith("api/"):
            self.repo_info(path.removeprefix("api/"))
            return
        if path in self.hub.files:
            self.serve(self.hub.files[path])
            return
        self.resolve(path)

    def is_for(self, name: str, path: str) -> bool:
        only_cdn = name.startswith("cdn:")
        return path.endswith(name.removeprefix("cdn:")) and (
            not only_cdn or path.startswith("cdn/")
        )

    def content(self, path: str) -> bytes | None:
        if path in self.hub.files:
            return self.hub.files[path]
        repo, name = self.find(path)
        return repo.files.get(name) if repo else None

    def find(self, path: str) -> tuple[Repo | None, str]:
        path = path.removeprefix("cdn/")
        repo, found, rest = path.partition("/resolve/")
        name = rest.partition("/")[2] if found else ""
        return self.hub.repos.get(repo), name

    def repo_info(self, path: str) -> None:
        kind, _, name = path.partition("/")
        name = name.partition("/revision/")[0]
        repo = self.hub.repos.get(name if kind == "models" else f"datasets/{name}")
        if repo is None or (repo.private and "authorization" not in self.headers):
            self.answer(401, b"{}", {"x-error-code": "RepoNotFound"})
            return
        info = {"id": name, "sha": SHA, "siblings": self.hub.siblings(repo), "private": False}
        info |= {"tags": [], "downloads": 0, "likes": 0}
        self.answer(200, json.dumps(info).encode(), {"content-type": "application/json"})

    def resolve(self, path: str) -> None:
        repo, name = self.find(path)
        if repo is None or name not in repo.files:
            self.answer(404, b"", {"x-error-code": "EntryNotFound"})
        elif repo.gated and not path.startswith("cdn/") and not self.allowed():
            self.answer(403, b"", {"x-error-code": "GatedRepo"})
        elif len(repo.files[name]) >= LARGE and not path.startswith("cdn/"):
            other = self.hub.url.replace("127.0.0.1", "localhost")
            self.answer(302, b"", {"location": f"{other}/cdn/{path}"})
        else:
            self.serve(repo.files[name])

    def allowed(self) -> bool:
        return self.headers.get("authorization") == "Bearer hf_good"

    def serve(self, content: bytes) -> None:
        start = self.range_start(content)
        if start > len(content) or (start and start == len(content)):
            self.answer(416, b"", {"content-range": f"bytes */{len(content)}"})
            return
        self.head(content, start)
        if self.command != "HEAD":
            self.wfile.write(content[start:])

    def range_start(self, content: bytes) -> int:
        asked = self.headers.get("range", "")
        if not asked or not self.hub.ranges_allowed:
            return 0
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def head(self, content: bytes, start: int) -> None:
        headers = {"content-length": str(len(content) - start), "etag": '"x"'}
        if start:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()
