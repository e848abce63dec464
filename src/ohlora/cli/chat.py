"""`ohlora chat`: talk to her in the terminal."""

from __future__ import annotations

import json
import signal
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.output import Json, complain, progress_bar, say
from ohlora.errors import BadInput, EmptyText, OhloraError

if TYPE_CHECKING:
    from ohlora.companion import Companion


def chat(
    once: Annotated[
        str | None, typer.Option("--once", help="Say TEXT, print her answer, exit.")
    ] = None,
    session: Annotated[str, typer.Option(help="Go on with this conversation (its id).")] = "",
    persona: Annotated[str, typer.Option(help="Who to talk to: a name or a folder.")] = "ohlora",
    engine: Annotated[
        str,
        typer.Option(help="embedded, hf:FOLDER[+ADAPTER], or openai:URL#MODEL."),
    ] = "embedded",
    encoder: Annotated[str, typer.Option(help="embedded, or sbert:FOLDER.")] = "embedded",
    mode: Annotated[str, typer.Option(help="default, or v1: exactly as published.")] = "default",
    as_json: Json = False,
) -> None:
    """Talk to her in the terminal. Ctrl+C stops her reply, Ctrl+D leaves.

    \b
    ohlora chat
    ohlora chat --once "너는 누구야?"
    """
    from ohlora.companion import load_companion

    if once is not None and not once.strip():
        raise EmptyText
    with load_companion(
        persona=persona, engine=engine, encoder=encoder, mode=mode, progress=progress_bar()
    ) as companion:
        session_id = session or companion.store.sessions.create().id
        if once is not None:
            if not turn(companion, session_id, once, as_json):
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
                turn(companion, session_id, text, as_json)


def turn(companion: Companion, session_id: str, text: str, as_json: bool) -> bool:
    """Print one turn as it comes; Ctrl+C stops her, not the program. True when she answered."""
    stop = threading.Event()
    previous = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        answered = False
        for event in companion.turn(session_id, text, uuid.uuid4().hex, stop.is_set):
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
                case {"type": "memory", "memory": memory}:
                    print(dim(f"  + {memory['text']}"), file=sys.stderr)
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


def dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m" if sys.stderr.isatty() else text
