"""The grid of expressions a face can show, and its frames.

Axis values are standard deviations of the property scores, ascending. One eye level may be the
closed eyes of a blink: the page shows it for a moment, `nearest` never picks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ohlora.errors import BadInput
from ohlora.expression import NEUTRAL, Expression

TIE = 1e-6  # standard deviations; two levels this equally far from a wish are a tie


class Cell(NamedTuple):
    """Indices on the three axes."""

    e: int
    m: int
    p: int

    def __str__(self) -> str:
        return f"{self.e}-{self.m}-{self.p}"


@dataclass(frozen=True)
class Axes:
    """Levels of each axis in standard deviations, and which eye level is a blink (or None)."""

    eyes: tuple[float, ...]
    mouth: tuple[float, ...]
    pose: tuple[float, ...]
    closed_eyes: int | None = None

    def __post_init__(self) -> None:
        for name in ("eyes", "mouth", "pose"):
            levels = getattr(self, name)
            if not levels or list(levels) != sorted(set(levels)):
                raise ValueError(f"axis {name} must ascend and hold at least one level: {levels}")
        open_levels = len(self.eyes) - (self.closed_eyes is not None)
        if open_levels < 1 or not 0 <= (self.closed_eyes or 0) < len(self.eyes):
            raise ValueError(f"closed_eyes {self.closed_eyes} does not fit {len(self.eyes)} levels")

    def __len__(self) -> int:
        return len(self.eyes) * len(self.mouth) * len(self.pose)

    def __iter__(self) -> Iterator[Cell]:
        for e in range(len(self.eyes)):
            for m in range(len(self.mouth)):
                for p in range(len(self.pose)):
                    yield Cell(e, m, p)

    def __contains__(self, cell: Cell) -> bool:
        e, m, p = cell
        return 0 <= e < len(self.eyes) and 0 <= m < len(self.mouth) and 0 <= p < len(self.pose)

    def expression(self, cell: Cell) -> Expression:
        return Expression(self.eyes[cell.e], self.mouth[cell.m], self.pose[cell.p])

    def nearest(self, expression: Expression) -> Cell:
        """The cell closest to the wish on each axis, with open eyes."""
        return Cell(
            nearest_level(self.eyes, expression.eyes, but=self.closed_eyes),
            nearest_level(self.mouth, expression.mouth),
            nearest_level(self.pose, expression.pose),
        )

    def around(self, centre: Cell) -> list[Cell]:
        """Every cell, those that look most like `centre` first."""

        def distance(cell: Cell) -> float:
            return sum(
                abs(levels[there] - levels[here])
                for levels, there, here in zip(self.levels, cell, centre, strict=True)
            )

        return sorted(self, key=distance)

    @property
    def levels(self) -> tuple[tuple[float, ...], ...]:
        return self.eyes, self.mouth, self.pose


def nearest_level(levels: Sequence[float], wish: float, but: int | None = None) -> int:
    """Index of the closest level; of two equally close ones, the stronger expression."""
    best, distance = -1, float("inf")
    for index, level in enumerate(levels):
        if index == but:
            continue
        away = abs(level - wish)
        stronger = best >= 0 and abs(level) > abs(levels[best])
        if away < distance - TIE or (away < distance + TIE and stronger):
            best, distance = index, away
    return best


class Frames(Protocol):
    """Where a lattice gets its pictures: a frame pack, or frames rendered once and kept."""

    @property
    def id(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def axes(self) -> Axes: ...

    @property
    def licence(self) -> str: ...

    def frame(self, cell: Cell) -> bytes: ...

    def close(self) -> None: ...


class Lattice:
    """A face as the server and the page see it. Safe to use from several threads."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._grid = frames.axes
        self.id, self.size = frames.id, frames.size

    @property
    def axes(self) -> dict[str, list[float]]:
        """Levels in standard deviations, ascending: {"eyes": [...], "mouth", "pose"}."""
        grid = self._grid
        return {"eyes": list(grid.eyes), "mouth": list(grid.mouth), "pose": list(grid.pose)}

    @property
    def closed_eyes(self) -> int | None:
        """Index on the eyes axis that only a blink shows, or None."""
        return self._grid.closed_eyes

    def nearest(self, expression: Expression) -> Cell:
        return self._grid.nearest(expression)

    def frame(self, cell: Cell) -> bytes:
        """WebP bytes of one cell. Raises BadInput for a cell outside the grid."""
        cell = Cell(*cell)
        if cell not in self._grid:
            e, m, p = (len(levels) for levels in self._grid.levels)
            raise BadInput(
                f"There is no face frame {cell}: this face has {e} eye, {m} mouth and {p} pose "
                "levels, counted from 0.",
                f"{cell} 얼굴 프레임은 없어요. 이 얼굴은 눈 {e}단계, 입 {m}단계, 고개 {p}단계이고 "
                "번호는 0부터 시작해요.",
            )
        return self._frames.frame(cell)

    def etag(self, cell: Cell) -> str:
        """HTTP entity tag of a frame, quotes included. Known before the frame is drawn:
        the lattice id covers everything that decides its pixels."""
        return f'"{self.id}-{Cell(*cell)}"'

    def manifest(self) -> dict[str, Any]:
        """Plain JSON data for the page."""
        return {
            "id": self.id,
            "size": self.size,
            "format": "webp",
            "axes": self.axes,
            "closed_eyes": self.closed_eyes,
            "neutral": list(self.nearest(NEUTRAL)),
            "frames": len(self._grid),
            "licence": self._frames.licence,
        }

    def close(self) -> None:
        """Stop drawing ahead; frames already drawn stay on disk."""
        self._frames.close()
