"""Frames drawn once and kept: restarts, damage, full disks, kills, many askers."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ohlora.errors import EngineError, OhloraError
from ohlora.expression import NEUTRAL, Expression
from ohlora.face import Axes, Cell, Lattice
from ohlora.face.rendered import STILL, RenderedFrames

AXES = Axes((-1.2, 0.0, 1.6), (-1.2, 1.6), (-1.2, 1.2))
HERE = AXES.nearest(NEUTRAL)


class Painter:
    """A renderer that paints one shade per expression and remembers what it drew."""

    id, size, follows = "painter", 16, True

    def __init__(self) -> None:
        self.drawn: list[Expression] = []
        self.gate = threading.Event()  # closed: render waits
        self.gate.set()
        self.broken = False

    def render(self, expression: Expression) -> np.ndarray:
        assert self.gate.wait(10)
        if self.broken:
            raise EngineError("no paint")
        self.drawn.append(expression)
        shade = int(100 + 20 * (expression.eyes + expression.mouth + expression.pose))
        return np.full((16, 16, 3), shade, np.uint8)


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def frames(painter: Painter, tmp_path: Path) -> Iterator[RenderedFrames]:
    frames = RenderedFrames(painter, AXES, tmp_path)
    yield frames
    painter.gate.set()
    frames.close()


def wait_until(check: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not check():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def files_of(frames: RenderedFrames, folder: Path) -> list[Path]:
    return sorted((folder / frames.id).iterdir())


def test_a_cell_is_drawn_once(frames: RenderedFrames, painter: Painter) -> None:
    assert frames.frame(HERE) == frames.frame(HERE)
    assert painter.drawn == [NEUTRAL]


def test_nothing_is_drawn_before_someone_asks(frames: RenderedFrames, painter: Painter) -> None:
    time.sleep(0.05)
    assert not painter.drawn and frames.drawn == 0


def test_a_restart_draws_nothing_again(frames: RenderedFrames, tmp_path: Path) -> None:
    before = [frames.frame(cell) for cell in AXES]
    fresh = Painter()
    again = RenderedFrames(fresh, AXES, tmp_path)
    assert [again.frame(cell) for cell in AXES] == before
    assert not fresh.drawn


def test_drawing_ahead_starts_at_the_resting_face(frames: RenderedFrames, painter: Painter) -> None:
    frames.draw_ahead()
    wait_until(lambda: frames.drawn == len(AXES))
    assert painter.drawn == [AXES.expression(cell) for cell in AXES.around(HERE)]


def test_what_someone_waits_for_comes_first_and_then_what_looks_like_it(
    frames: RenderedFrames, painter: Painter
) -> None:
    wanted = Cell(2, 1, 1)
    painter.gate.clear()
    frames.draw_ahead()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(frames.frame, wanted)
        wait_until(lambda: wanted in frames._asked)
        painter.gate.set()
        answer.result(timeout=10)
    wait_until(lambda: frames.drawn == len(AXES))
    order = [AXES.nearest(expression) for expression in painter.drawn]
    assert order.index(wanted) <= 1
    after = [cell for cell in order[order.index(wanted) :]]
    assert after == [cell for cell in AXES.around(wanted) if cell in after]


def test_many_who_ask_for_one_cell_share_one_drawing(
    frames: RenderedFrames, painter: Painter
) -> None:
    painter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(frames.frame, HERE) for _ in range(8)]
        wait_until(lambda: HERE in frames._asked)
        painter.gate.set()
        assert len({answer.result(timeout=10) for answer in answers}) == 1
    assert len(painter.drawn) == 1


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_frame_is_drawn_again(
    frames: RenderedFrames, tmp_path: Path, damage: str
) -> None:
    good = frames.frame(HERE)
    (path,) = files_of(frames, tmp_path)
    bad = {"cut": good[:-9], "bit": bytes([good[0] ^ 1]) + good[1:], "empty": b""}[damage]
    path.write_bytes(bad)
    fresh = Painter()
    again = RenderedFrames(fresh, AXES, tmp_path)
    assert again.frame(HERE) == good
    assert fresh.drawn == [NEUTRAL]
    assert path.read_bytes() == good
    again.close()


def test_without_a_folder_frames_live_in_memory(painter: Painter, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    frames = RenderedFrames(painter, AXES, in_the_way)
    assert frames.frame(HERE) == frames.frame(HERE)
    assert len(painter.drawn) == 1
    frames.close()


def test_on_a_full_disk_frames_live_in_memory(
    frames: RenderedFrames, painter: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert frames.frame(HERE) == frames.frame(HERE)
    assert len(painter.drawn) == 1
    assert files_of(frames, tmp_path) == []


def test_an_error_reaches_who_waits_and_the_next_try_works(
    frames: RenderedFrames, painter: Painter
) -> None:
    painter.broken = True
    with pytest.raises(EngineError, match="no paint"):
        frames.frame(HERE)
    painter.broken = False
    assert frames.frame(HERE)[8:12] == b"WEBP"


def test_closing_frees_those_who_wait(frames: RenderedFrames, painter: Painter) -> None:
    painter.gate.clear()
    cells = [HERE, Cell(2, 1, 1)]
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(frames.frame, cell) for cell in cells]
        wait_until(lambda: len(frames._asked) == 2)
        closing = threading.Thread(target=frames.close)
        closing.start()
        wait_until(lambda: frames._closed)
        painter.gate.set()
        closing.join(10)
        outcomes = [answer.exception(timeout=10) for answer in answers]
    assert [type(outcome) for outcome in outcomes].count(OhloraError) == 1  # the one not begun
    with pytest.raises(OhloraError, match="closed"):
        frames.frame(Cell(1, 1, 1))


def test_partial_files_of_killed_processes_are_swept_when_old(
    frames: RenderedFrames, tmp_path: Path
) -> None:
    folder = tmp_path / frames.id
    old, young = folder / "old.tmp", folder / "young.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    RenderedFrames(Painter(), AXES, tmp_path)
    assert not old.exists() and young.exists()


def test_another_grid_has_another_id(painter: Painter, tmp_path: Path) -> None:
    other = Axes(AXES.eyes, AXES.mouth, (-1.2, 1.3))
    ids = {RenderedFrames(painter, axes, tmp_path).id for axes in (AXES, other)}
    assert len(ids) == 2


def test_a_renderer_that_follows_nothing_has_one_cell(painter: Painter, tmp_path: Path) -> None:
    painter.follows = False
    frames = RenderedFrames(painter, AXES, tmp_path)
    assert frames.axes == STILL
    assert Lattice(frames).nearest(Expression(1.6, 1.6, 3.6)) == Cell(0, 0, 0)


def test_a_drawn_frame_comes_in_under_a_millisecond(frames: RenderedFrames) -> None:
    face = Lattice(frames)
    face.frame(HERE)
    times = []
    for _ in range(101):
        start = time.perf_counter()
        face.frame(HERE)
        times.append(time.perf_counter() - start)
    assert sorted(times)[50] < 0.001


KILLED = """
import sys
from pathlib import Path
from test_rendered import AXES, Painter
from ohlora.face.rendered import RenderedFrames
frames = RenderedFrames(Painter(), AXES, Path(sys.argv[1]))
print(frames.id, flush=True)
while True:
    for cell in AXES:
        frames._draw(cell)
"""


def test_kill_9_leaves_whole_frames_only(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    for attempt in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert process.stdout is not None
        folder = tmp_path / process.stdout.readline().decode().strip()
        wait_until(lambda folder=folder: any(folder.glob("*.webp")), 30)
        time.sleep(0.01 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for frame in folder.glob("*.webp"):
            assert hashlib.sha256(frame.read_bytes()).hexdigest()[:16] in frame.name
    fresh = Painter()
    again = RenderedFrames(fresh, AXES, tmp_path)
    assert again.id == folder.name
    for cell in AXES:
        assert again.frame(cell)[8:12] == b"WEBP"
    assert len(fresh.drawn) < len(AXES)
    again.close()
