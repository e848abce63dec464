"""How commands speak: the user's language, one line for an error, JSON when asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ohlora.errors import OhloraError

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

# What she runs on. None: as the persona says, else what comes with the program.
Engine = Annotated[
    str | None,
    typer.Option(
        help="embedded, auto:, int8: or hf:BASE[+ADAPTER], or openai:URL#MODEL.",
        show_default="the persona's",
    ),
]
Encoder = Annotated[
    str | None, typer.Option(help="embedded, or sbert:FOLDER.", show_default="the persona's")
]
Face = Annotated[
    str | None,
    typer.Option(
        help="embedded, embedded:7 (another woman), pack:FOLDER, or generator:FILE;z=FILE.",
        show_default="the persona's",
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(help="default, or v1: exactly as published.", show_default="the persona's"),
]


def language() -> str:
    """ "ko" or "en", from OHLORA_LANG, LC_ALL, LC_MESSAGES or LANG."""
    names = ("OHLORA_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    found = next((value for name in names if (value := os.environ.get(name))), "en")
    return "ko" if found.lower().startswith("ko") else "en"


def say(en: str, ko: str) -> str:
    return ko if language() == "ko" else en


def complain(error: OhloraError) -> None:
    print(f"ohlora: {say(error.en, error.ko)}", file=sys.stderr)


def print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2))


def progress_bar() -> Callable[[str, float], None]:
    """A callback (what, fraction 0..1) that draws a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        shown: set[str] = set()

        def plain(what: str, fraction: float) -> None:
            if what not in shown:
                shown.add(what)
                print(f"{what} ...", file=sys.stderr, flush=True)

        return plain

    def bar(what: str, fraction: float) -> None:
        filled = round(24 * max(0.0, min(1.0, fraction)))
        line = f"\r{'█' * filled}{'░' * (24 - filled)} {fraction:4.0%}  {what}"
        print(line + "\x1b[K", end="\n" if fraction >= 1 else "", file=sys.stderr, flush=True)

    return bar
