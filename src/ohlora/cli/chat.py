"""`ohlora chat`: talk to her in the terminal."""

from __future__ import annotations

import json
import signal
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.face import picture_kind, save
from ohlora.cli.output import Encoder, Engine, Face, Json, Mode, complain, progress_bar, say
from ohlora.errors import BadInput, EmptyText, OhloraError
from ohlora.events import ExpressionEvent
from ohlora.expression import Expression

if TYPE_CHECKING:
    from ohlora.companion import Companion


def chat(
    once: Annotated[
        str | None, typer.Option("--once", help="Say TEXT, print her answer, exit.")
    ] = None,
    session: Annotated[str, typer.Option(help="Go on with this conversation (its id).")] = "",
    persona: Annotated[str, typer.Option(help="Who to talk to: a name or a folder.")] = "ohlora",
    engine: Engine = None,
    encoder: Encoder = None,
    face: Face = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw her face into this file at every answer (.png).")
    ] = None,
    mode: Mode = None,
    as_json: Json = False,
) -> None:
    """Talk to her in the terminal. Ctrl+C stops her reply, Ctrl+D leaves.

    \b
    ohlora chat
    ohlora chat --once "너는 누구야?"
    ohlora chat --persona ohlora-v1 --picture ohlora.png
    """
    from ohlora.companion import load_companion

    if once is not None and not once.strip():
        raise EmptyText
    if picture:
        picture_kind(picture)  # before minutes of loading
    with load_companion(
        persona=persona,
        engine=engine,
        encoder=encoder,
        face=face if picture else "embedded",  # nobody looks: no generator is loaded
        mode=mode,
        progress=progress_bar(),
    ) as companion:
        session_id = session or companion.store.sessions.create().id
        if once is not None:
            if not turn(companion, session_id, once, as_json, picture):
                raise typer.Exit(1)
            return
        greeting = f"{companion.persona.name['ko']}: {companion.persona.greeting['ko']}"
        print(greeting, file=sys.stderr if as_json else sys.stdout)
        print(say("(Ctrl+D to leave)", "(Ctrl+D로 나가기)"), file=sys.stderr)
        while True:
            try:
                text = input("" if as_json else "> ")
            except (EOFError, KeyboardInterrupt):
                print(file=sys.stderr)
                return
            except UnicodeDecodeError as error:
                complain(BadInput(f"The terminal sent bytes that are not UTF-8 ({error.reason})."))
                continue
            if text.strip():
                turn(companion, session_id, text, as_json, picture)


def turn(
    companion: Companion, session_id: str, text: str, as_json: bool, picture: Path | None = None
) -> bool:
    """Print one turn as it comes; Ctrl+C stops her, not the program. True when she answered."""
    stop = threading.Event()
    previous = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        answered = False
        for event in companion.turn(session_id, text, uuid.uuid4().hex, stop.is_set):
            if picture and isinstance(event, ExpressionEvent):
                draw(companion, Expression(event.eyes, event.mouth, event.pose), picture)
            if as_json:
                print(json.dumps(event.fields(), ensure_ascii=False), flush=True)
                answered = answered or event.type == "done"
                continue
            match event.fields():
                case {"type": "memory", "action": "recalled", "memory": memory, "score": score}:
                    note = f"  {memory['text']} ({score:.2f})"
                    print(dim(note), file=sys.stderr)
                case {"type": "token", "text": piece}:
                    print(piece, end="", flush=True)
                case {"type": "memory", "action": action, "memory": memory}:
                    sign = "-" if action == "forgotten" else "+"
                    print(dim(f"  {sign} {memory['text']}"), file=sys.stderr)
                case {"type": "reply"}:
                    print()
                case {"type": "done", "reason": "interrupted"}:
                    print()
                    answered = True
                case {"type": "done"}:
                    answered = True
                case {"type": "error", "message": en, "message_ko": ko}:
                    print(f"\nohlora: {say(en, ko)}", file=sys.stderr)
        return answered
    except OhloraError as error:
        complain(error)
        return False
    finally:
        signal.signal(signal.SIGINT, previous)


def draw(companion: Companion, expression: Expression, picture: Path) -> None:
    """Her face for this expression into a picture file. Raises BadInput, StoreError."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from ohlora.face.pixels import encode

    kind = picture_kind(picture)
    frame = companion.face.frame(companion.face.nearest(expression))
    with Image.open(BytesIO(frame)) as image:
        save(picture, encode(np.asarray(image.convert("RGB")), kind))


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if sys.stderr.isatty() else text
