"""`ohlora serve`: the page and the API."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.output import Encoder, Engine, Face, Mode, language, progress_bar

if TYPE_CHECKING:
    from ohlora.companion import Companion


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback a token is asked for.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    persona: Annotated[str, typer.Option(help="Who to talk to: a name or a folder.")] = "ohlora",
    engine: Engine = None,
    encoder: Encoder = None,
    face: Face = None,
    token: Annotated[
        str,
        typer.Option(envvar="OHLORA_TOKEN", help="Access token; made and kept when left out."),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name the server may be called by, such as a proxy's; repeatable."),
    ] = None,
    mode: Mode = None,
) -> None:
    """Serve the page and the OpenAI-style API on this machine.

    \b
    ohlora serve
    ohlora serve --port 9000 --no-browser
    """
    from ohlora.companion import load_companion
    from ohlora.server.run import run

    def load() -> AbstractContextManager[Companion]:
        return load_companion(
            persona=persona,
            engine=engine,
            encoder=encoder,
            face=face,
            mode=mode,
            progress=progress_bar(),
        )

    run(
        load,
        host=host,
        port=port,
        open_browser=browser,
        language=language(),
        token=token or None,
        allowed_hosts=tuple(allow_host or ()),
    )
