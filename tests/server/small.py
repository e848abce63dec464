"""A small working companion for the server's tests: the real turn and store, a tiny model."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ohlora.companion import Companion
from ohlora.dialogue.prompt import Prompt
from ohlora.face import Axes, Cell, Lattice
from ohlora.lines import Lines
from ohlora.llm import Sampling
from ohlora.memory.store import open_store
from ohlora.persona import load_persona
from ohlora.server.app import create_app
from ohlora.server.run import listen, make_server
from ohlora.server.settings import Settings


class Teller:
    """An engine that says `answer` a character at a time.

    pause: seconds between characters. gate: when set, each character waits for a permit, so a
    test decides how far a reply has come. deaf: does not hear that it should stop.
    """

    id, context_tokens = "teller:1", 512

    def __init__(self, answer: str | Exception = " 오! 그래, 좋아!", pause: float = 0.0) -> None:
        self.answer, self.pause = answer, pause
        self.gate: threading.Semaphore | None = None
        self.deaf = False
        self.prompts: list[tuple[Prompt, Sampling]] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, str]:
        with self._lock:
            self.prompts.append((prompt, sampling))
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            if isinstance(self.answer, Exception):
                raise self.answer
            for char in self.answer[: sampling.max_new_tokens]:
                if self._waits(stopped):
                    return "stopped"
                yield char
            return "stop" if len(self.answer) <= sampling.max_new_tokens else "length"
        finally:
            with self._lock:
                self.running -= 1

    def _waits(self, stopped: Callable[[], bool]) -> bool:
        if self.pause:
            threading.Event().wait(self.pause)
        while self.gate is not None and not self.gate.acquire(timeout=0.01):
            if stopped() and not self.deaf:
                return True
        return stopped() and not self.deaf


class Letters:
    """An encoder of character pairs: texts that share letters lie close."""

    id, dim, recall_threshold, lines_threshold = "letters:1", 64, 0.3, 2.0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for pair in zip(f" {text}", f"{text} ", strict=True):
                row[hashlib.md5("".join(pair).encode()).digest()[0] % self.dim] += 1
            row /= np.linalg.norm(row) or 1
        return rows


class Squares:
    """Frames of a 2 x 2 x 2 face; the bytes name their cell."""

    id, size, licence = "squares-1", 8, "CC0-1.0"
    axes = Axes((-1.2, 1.6), (-1.2, 0.6), (-1.2, 2.4))

    def frame(self, cell: Cell) -> bytes:
        return f"webp {cell}".encode()

    def close(self) -> None: ...


@contextmanager
def small_companion(folder: Path, engine: Teller) -> Iterator[Companion]:
    store = open_store(folder / "ohlora.db")
    words = Letters()
    try:
        yield Companion(load_persona(), store, engine, words, Lines([], words), Lattice(Squares()))
    finally:
        store.close()


@contextmanager
def served(companion: Companion, settings: Settings = Settings()) -> Iterator[str]:
    """A real server in a thread; yields "127.0.0.1:PORT"."""
    listener = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = make_server(create_app(companion, settings), settings, ready.set)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert ready.wait(10)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
