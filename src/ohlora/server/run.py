"""`ohlora serve`: from nothing to a ready page, and to a clean end.

The order: the data folder is claimed and the port taken first, so that what cannot work fails
at once; then the models are loaded, with progress; then the first answer. A browser that asks
meanwhile waits in the port's queue and gets the page as soon as there is one.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import TYPE_CHECKING

from ohlora.errors import BadInput
from ohlora.memory.database import claim_home
from ohlora.paths import home
from ohlora.server.settings import Settings
from ohlora.text import josa

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from ohlora.companion import Companion

PORTS_TRIED = 20


def run(
    load: Callable[[], AbstractContextManager[Companion]],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    open_browser: bool = True,
    language: str = "en",
    token: str | None = None,
    allowed_hosts: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Serve until Ctrl+C or SIGTERM. `load` opens the companion and closes it at the end.

    Beyond loopback a token is demanded: the given one, else the data folder's (made when
    missing). Raises StoreError for a data folder that another server holds, BadInput for a
    port or host that cannot be used, and what `load` raises.
    """
    korean = language == "ko"
    signal.signal(signal.SIGTERM, interrupt)
    with claim_home(home()), listen(host, port) as listener:
        port = listener.getsockname()[1]
        settings, made = settings_for(host, token, allowed_hosts)
        with load() as companion:
            from ohlora.server.app import create_app

            def ready() -> None:
                address = f"http://{shown_host(host)}:{port}"
                if made:
                    address += f"/?token={settings.token}"
                say(f"오로라: {address}  (Ctrl+C로 종료)" if korean else READY.format(address))
                if settings.token and not made:
                    place = home() / "token"
                    say(f"토큰은 {place}에 있어요." if korean else f"The token is in {place}.")
                if open_browser:
                    threading.Thread(target=show, args=(address,), daemon=True).start()

            server = make_server(create_app(companion, settings), settings, ready)
            try:
                server.run(sockets=[listener])
            except KeyboardInterrupt:
                pass  # the way uvicorn hands on a Ctrl+C after its clean end
    say("안녕!" if korean else "Stopped.")


READY = "Oh-LoRA is ready at {}  (Ctrl+C stops)"


def settings_for(
    host: str, token: str | None, allowed_hosts: tuple[str, ...]
) -> tuple[Settings, bool]:
    """Settings with a token where one is needed, and whether it was made just now."""
    from ohlora.server.security import read_token

    settings = Settings(host, token, tuple(name.lower() for name in allowed_hosts))
    if settings.loopback or token:
        return settings, False
    token, made = read_token(home())
    return Settings(host, token, settings.allowed_hosts), made


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises BadInput with the next step when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise BadInput(
            f"The host {host!r} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for "
            "the local network.",
            f"{josa(repr(host), '은/는')} 이 컴퓨터의 주소가 아니에요. 127.0.0.1을 쓰거나, "
            "로컬 네트워크에 열려면 0.0.0.0을 써 주세요.",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise cannot_listen(host, port, error) from error
    return listener


def cannot_listen(host: str, port: int, error: OSError) -> BadInput:
    if error.errno == errno.EADDRINUSE:
        free = next_free_port(host, port + 1)
        return BadInput(
            f"Port {port} is taken by another program: stop it, or use --port {free}.",
            f"{port}번 포트를 다른 프로그램이 쓰고 있어요. 그 프로그램을 끄거나 --port {free}로 "
            "시작해 주세요.",
        )
    if error.errno == errno.EACCES:
        return BadInput(
            f"Port {port} is reserved for the system: use one above 1023, such as --port 8765.",
            f"{port}번 포트는 시스템용이에요. 1023보다 큰 번호(예: --port 8765)를 써 주세요.",
        )
    return BadInput(
        f"The server cannot listen on {host}:{port} ({error.strerror}): use --host 127.0.0.1.",
        f"{host}:{port}에서 열 수 없어요({error.strerror}). --host 127.0.0.1을 써 주세요.",
    )


def next_free_port(host: str, start: int) -> int:
    for port in range(start, min(start + PORTS_TRIED, 65_536)):
        try:
            with socket.create_server((host, port), family=family_of(host)):
                return port
        except OSError:
            continue
    with socket.create_server((host, 0), family=family_of(host)) as any_free:
        return int(any_free.getsockname()[1])


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def make_server(
    app: FastAPI, settings: Settings, ready: Callable[[], None] = lambda: None
) -> uvicorn.Server:
    """uvicorn around the app: quiet (its log lines would hold addresses with tokens), bounded,
    telling when the first request can be answered, and stopping generations before it waits
    for connections."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await app.state.hub.close(settings.stop_seconds)
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=4 * settings.message_bytes,
            ws_max_queue=8,
            ws_per_message_deflate=False,  # small messages on a short line
            timeout_graceful_shutdown=2,
            timeout_keep_alive=30,
        )
    )


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends like Ctrl+C: locks released, the store closed."""
    raise KeyboardInterrupt


def shown_host(host: str) -> str:
    """What to type into a browser to reach `host`."""
    if host in ("0.0.0.0", "::", ""):
        return lan_address()
    return f"[{host}]" if ":" in host else host


def lan_address() -> str:
    """This machine's address in its network. Sends nothing: a UDP socket only picks a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def show(address: str) -> None:
    """Open a browser where there is a screen; a text browser would take over the terminal."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen or sys.platform in ("darwin", "win32"):
        webbrowser.open(address)
