"""Frames drawn once by a renderer and kept on disk, so a restart draws nothing again.

    OHLORA_HOME/faces/<id>/2-0-1-9f86d081884c7d65.webp     eyes-mouth-pose-hash of the content

One thread draws: first what someone waits for, then the rest of the grid, cells that look most
like the last wanted one first. A file appears whole or not at all; one whose content no longer
fits its name is dropped and drawn anew; with a full disk frames live in memory only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from ohlora.errors import OhloraError
from ohlora.expression import NEUTRAL
from ohlora.face.lattice import Axes, Cell
from ohlora.face.pixels import encode
from ohlora.face.renderer import Renderer
from ohlora.files import write_whole
from ohlora.paths import home

log = logging.getLogger(__name__)

# Every value that v1's rules ask for, and steps between them.
GENERATOR_AXES = Axes(
    eyes=(-1.2, 0.0, 0.8, 1.6),
    mouth=(-1.2, -0.4, 0.3, 0.9, 1.6),
    pose=(-1.2, -0.3, 0.6, 1.5, 2.4, 3.0, 3.6),
)
STILL = Axes((0.0,), (0.0,), (0.0,))  # a generator without label draws one picture
STALE_SECONDS = 3600.0  # a partial file this old belongs to a process that was killed


class RestlessFrames:
    """Frames drawn anew each time they are asked for, for a renderer with noise: nothing is kept.

    A browser keeps what it was shown, so there one cell stays the same until the server restarts.
    """

    licence = "that of the generator's weights"

    def __init__(self, renderer: Renderer, axes: Axes) -> None:
        self.axes = axes if renderer.follows else STILL
        self.size = renderer.size
        self.id = f"{renderer.id[:12]}{secrets.token_hex(4)}"
        self._renderer = renderer

    def frame(self, cell: Cell) -> bytes:
        return encode(self._renderer.render(self.axes.expression(cell)))

    def close(self) -> None:
        """Nothing runs between two frames."""


class RenderedFrames:
    """A lattice's frames from a renderer. Thread-safe."""

    licence = "that of the generator's weights"

    def __init__(
        self, renderer: Renderer, axes: Axes = GENERATOR_AXES, folder: Path | None = None
    ) -> None:
        """`folder` holds one folder per face; default OHLORA_HOME/faces. Draws nothing yet."""
        self.axes = axes if renderer.follows else STILL
        self.size = renderer.size
        grid = json.dumps([renderer.id, *self.axes.levels, self.axes.closed_eyes])
        self.id = hashlib.sha256(grid.encode()).hexdigest()[:20]
        self._renderer = renderer
        self._folder = (folder or home() / "faces") / self.id
        self._memory: dict[Cell, bytes] = {}
        self._asked: dict[Cell, Future[bytes]] = {}  # someone waits for these
        self._rest: deque[Cell] = deque()  # to draw when nobody waits
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._prepare_folder()

    def frame(self, cell: Cell) -> bytes:
        """WebP bytes; drawn now when this cell never was. Raises what the renderer raises."""
        data = self._memory.get(cell)
        if data is None:
            data = self._kept(cell) or self._ask(cell).result()
        return data

    def draw_ahead(self) -> None:
        """Fill the whole grid in the background, from the resting face outwards."""
        with self._wake:
            self._rest = deque(self.axes.around(self.axes.nearest(NEUTRAL)))
            self._start()
            self._wake.notify()

    @property
    def drawn(self) -> int:
        """How many cells are in memory."""
        return len(self._memory)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _ask(self, cell: Cell) -> Future[bytes]:
        with self._wake:
            if cell not in self._asked:
                self._asked[cell] = Future()
                if cell in self._memory:  # drawn while we came here
                    self._asked[cell].set_result(self._memory[cell])
                    return self._asked.pop(cell)
                if self._rest:  # what comes next will look like this one
                    self._rest = deque(self.axes.around(cell))
                self._start()
                self._wake.notify()
            return self._asked[cell]

    def _start(self) -> None:
        if self._closed:
            raise OhloraError("This face is closed.", "이 얼굴은 이미 닫혔어요.")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ohlora-face", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._asked or self._rest)
                if self._closed:
                    break
                cell = next(iter(self._asked), None) or self._rest.popleft()
            try:
                data = self._memory.get(cell) or self._kept(cell) or self._draw(cell)
            except Exception as error:  # handed to whoever waits; the thread lives on
                with self._wake:
                    waiting = self._asked.pop(cell, None)
                if waiting is not None:
                    waiting.set_exception(error)
                else:
                    log.warning("face frame %s was not drawn: %s", cell, error)
                continue
            with self._wake:
                waiting = self._asked.pop(cell, None)
            if waiting is not None:
                waiting.set_result(data)
        with self._wake:
            left, self._asked = list(self._asked.values()), {}
        for waiting in left:
            waiting.set_exception(OhloraError("This face is closed.", "이 얼굴은 이미 닫혔어요."))

    def _draw(self, cell: Cell) -> bytes:
        data = encode(self._renderer.render(self.axes.expression(cell)))
        self._memory[cell] = data
        digest = hashlib.sha256(data).hexdigest()[:16]
        try:
            write_whole(self._folder / f"{cell}-{digest}.webp", data)
        except OSError as error:
            log.warning("face frame %s is kept in memory only: %s", cell, error)
        return data

    def _kept(self, cell: Cell) -> bytes | None:
        """The frame on disk, None when there is none or it is damaged (then it is removed)."""
        try:
            for path in self._folder.glob(f"{cell}-*.webp"):
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()[:16]
                if data and path.stem == f"{cell}-{digest}":
                    self._memory[cell] = data
                    return data
                log.warning("face frame %s is damaged and will be drawn again", path)
                path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("face frame %s cannot be read: %s", cell, error)
        return None

    def _prepare_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for partial in self._folder.glob("*.tmp"):
                if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                    partial.unlink(missing_ok=True)
        except OSError as error:
            log.warning("face frames will live in memory only: %s", error)
