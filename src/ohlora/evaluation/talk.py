"""Turns of the real Companion for measuring: nothing kept, a fixed clock, repeatable draws."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ohlora.companion import Companion
from ohlora.embedding import Encoder, load_encoder
from ohlora.errors import OhloraError
from ohlora.events import Done, ErrorEvent, MemoryEvent, Reply
from ohlora.face import Lattice, load_face
from ohlora.lines import Lines, load_lines
from ohlora.llm import Engine, Progress, load_engine, never
from ohlora.memory.store import Store, open_store
from ohlora.persona import Persona, load_persona

KST = timezone(timedelta(hours=9))
NOW = datetime(2026, 11, 24, 14, 0, tzinfo=KST)  # a Tuesday; she is 23


@dataclass(frozen=True)
class Models:
    """What one evaluation measures."""

    persona: Persona
    engine: Engine
    encoder: Encoder
    lines: Lines
    face: Lattice

    def setting(self) -> dict[str, object]:
        """What a result must name to be repeated."""
        return {
            "persona": self.persona.id,
            "engine": self.engine.id,
            "encoder": self.encoder.id,
            "lines": len(self.lines.lines),
        }


def load_models(
    persona: str = "ohlora",
    engine: str = "embedded",
    encoder: str = "embedded",
    *,
    llm_only: bool = False,
    progress: Progress | None = None,
) -> Models:
    """With `llm_only` she has no written lines to answer from: all words are the model's."""
    pack, words = load_persona(persona), load_encoder(encoder)
    small = engine.startswith("embedded")  # as load_companion decides it
    lines = Lines([], words) if llm_only else load_lines(pack.folder, words, small_talk=small)
    return Models(pack, load_engine(engine, progress=progress), words, lines, load_face())


@dataclass(frozen=True)
class Said:
    """One turn and what came of it."""

    question: str
    text: str
    source: str  # "llm", "lines"; "" when the turn failed
    recalled: tuple[str, ...] = ()  # "[key: value]", best first
    stored: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def empty_store(clock: Clock) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="ohlora-eval-") as folder:
        store = open_store(Path(folder) / "eval.db", clock)
        try:
            yield store
        finally:
            store.close()


class Room:
    """A user of her own for each `name`: what one turn tells is never known in another's."""

    def __init__(self, models: Models, store: Store, name: str, clock: Clock) -> None:
        self.name, self.turns = name, 0
        self.companion = Companion(
            models.persona,
            store.of(name, models.persona.id),
            models.engine,
            models.encoder,
            models.lines,
            models.face,
            clock=clock,
        )
        self.session = ""
        self.new_session()

    def new_session(self) -> None:
        self.session = self.companion.store.sessions.create().id

    def say(self, text: str, *, listen: bool = True) -> Said:
        """One turn. The draw depends on the room's name and the number of the turn only.

        With listen=False her reply is stopped at once; what was told is remembered all the same.
        """
        self.turns += 1
        response = f"{self.name}-{self.turns}"
        stopped = never if listen else (lambda: True)
        recalled: list[str] = []
        stored: list[str] = []
        reply, source, error = "", "", ""
        started = time.perf_counter()
        try:
            for event in self.companion.turn(self.session, text, response, stopped):
                if isinstance(event, MemoryEvent):
                    texts = recalled if event.action == "recalled" else stored
                    texts.append(str(event.memory["text"]))
                elif isinstance(event, Reply):
                    source = event.source
                elif isinstance(event, Done):
                    reply = event.text
                elif isinstance(event, ErrorEvent):
                    error = event.message
        except OhloraError as refused:
            error = refused.en
        seconds = round(time.perf_counter() - started, 3)
        return Said(text, reply, source, tuple(recalled), tuple(stored), seconds, error)


def ask_each(
    models: Models, questions: list[str], name: str, progress: Progress | None = None
) -> list[Said]:
    """Each question to a stranger of its own."""
    clock, said = Clock(), []
    with empty_store(clock) as store:
        for number, question in enumerate(questions):
            said.append(Room(models, store, f"{name}-{number}", clock).say(question))
            if progress:
                progress(name, (number + 1) / len(questions))
    return said
