"""Pictures of a face evaluation: contact sheets, the worst faces, and plots as SVG.

draw   z [B, W], wish [B, 3] -> uint8 [B, R, R, 3]
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.directions.control import PROPERTIES, Array
from ohlora.evaluation.face import Draw, Faces
from ohlora.evaluation.face_numbers import cross_talk
from ohlora.evaluation.report import Picture
from ohlora.face.pixels import encode
from ohlora.files import write_whole
from ohlora.models.protocol50 import LABELS50

Pixels = NDArray[np.uint8]
Progress = Callable[[str, float], None]

POSES = np.linspace(-1.2, 3.6, 7)
MOUTHS = np.linspace(-1.2, 1.6, 5)
EYES = np.linspace(-1.8, 1.8, 5)
GAP = 6  # pixels between blocks of a sheet
FEW = (  # expressions beside each other on a sheet of many faces
    (1.8, -1.2, 0.0), (-1.8, -1.2, 0.0), (0.5, 1.6, 0.0), (0.5, -0.6, -1.2), (0.5, -0.6, 3.6),
)  # fmt: skip


def contact_sheet(
    draw: Callable[[Array], Pixels], batch: int = 35, progress: Progress | None = None
) -> Pixels:
    """One face in 7 poses x 5 mouths x 5 eyes; draw takes wishes [N, 3].

    Columns are poses; rows are mouths in five blocks, one for each opening of the eyes.
    """
    wishes = np.array([(e, m, p) for e in EYES for m in MOUTHS for p in POSES])
    drawn = []
    for start in range(0, len(wishes), batch):
        drawn.append(draw(wishes[start : start + batch]))
        if progress:
            progress("drawing the sheet", min(1.0, (start + batch) / len(wishes)))
    images = np.concatenate(drawn)
    size = images.shape[1]
    grid = images.reshape(len(EYES), len(MOUTHS), len(POSES), size, size, 3)
    blocks = [np.concatenate([np.concatenate(row, axis=1) for row in block]) for block in grid]
    gap = np.full((GAP, blocks[0].shape[1], 3), 255, np.uint8)
    parts = [part for block in blocks for part in (block, gap)][:-1]
    return np.concatenate(parts)


def people_sheet(draw: Draw, z: Array, columns: int = 2) -> Pixels:
    """Faces z [N, W], each in five expressions, `columns` faces to a row."""
    rows = []
    for face in z:
        images = draw(np.tile(face, (len(FEW), 1)), np.array(FEW))
        rows.append(np.concatenate(list(images), axis=1))
    size, wide = rows[0].shape[:2]
    while len(rows) % columns:
        rows.append(np.full((size, wide, 3), 255, np.uint8))
    gap = np.full((size, GAP, 3), 255, np.uint8)
    lines = []
    for i in range(0, len(rows), columns):
        parts = [part for row in rows[i : i + columns] for part in (row, gap)][:-1]
        lines.append(np.concatenate(parts, axis=1))
    return np.concatenate(lines)


def worst_faces(faces: Faces, count: int = 6) -> list[int]:
    """Indices of the faces that obey least: those that lack a score first, then by lowest r."""

    def rank(index: int) -> float:
        judged = faces.judged[index]
        return -2.0 if judged is None else float(np.nan_to_num(judged.correlations).min())

    return sorted(range(len(faces.judged)), key=rank)[:count]


def draw_pictures(
    folder: Path, draw: Draw, faces: Faces, her: Array | None, progress: Progress | None = None
) -> list[Picture]:
    """Write every picture of the report beside it. her [W]: the face of the contact sheet.

    Raises OSError when the folder takes no more.
    """
    pictures = []

    def keep(title: str, name: str, data: bytes) -> None:
        write_whole(folder / name, data)
        pictures.append(Picture(title, name))

    svg = scatter(faces.measured).encode()
    keep("wished against measured, standard deviations", "face-scatter.svg", svg)
    keep("influence of each label (row) on each score (column)", "face-crosstalk.svg",
         matrix(cross_talk(LABELS50, faces.measured)).encode())  # fmt: skip
    if her is not None:
        sheet = contact_sheet(lambda wish: draw(np.tile(her, (len(wish), 1)), wish),
                              progress=progress)  # fmt: skip
        keep("her: 7 poses, 5 mouths in 5 blocks of eyes", "face-her.webp", encode(sheet))
    keep("random faces: open, closed, mouth, both poses", "face-people.webp",
         encode(people_sheet(draw, faces.z[:12])))  # fmt: skip
    worst = worst_faces(faces)
    title = f"the faces that obey least: {', '.join(map(str, worst))}"
    keep(title, "face-worst.webp", encode(people_sheet(draw, faces.z[worst])))
    return pictures


# SVG: colours work on light and dark ground.


def scatter(measured: Array) -> str:
    """Three plots side by side: each level that was wished, and what was measured there.

    Dots are pictures (at most 60 a level), the bar spans 5 to 95 %, the line joins the means.
    """
    size, margin = 230, 42
    parts = []
    rng = np.random.default_rng(0)
    for i, name in enumerate(PROPERTIES):
        wished = LABELS50[:, i]
        low, high = wished.min() - 1.2, wished.max() + 1.2
        left = i * (size + margin) + margin

        def at(x: float, y: float, left: float = left, low: float = low, high: float = high) -> str:
            unit = size / (high - low)
            up = min(max(y, low), high)  # what lies outside is drawn on the edge
            return f"{left + (x - low) * unit:.1f},{10 + (high - up) * unit:.1f}"

        parts.append(f'<rect x="{left}" y="10" width="{size}" height="{size}" fill="none" '
                     'stroke="#8888"/>')  # fmt: skip
        a, b = at(low, low), at(high, high)
        parts.append(f'<path d="M{a} L{b}" stroke="#3a9d6e" stroke-dasharray="4 3"/>')
        means = []
        for level in np.unique(wished):
            scores = measured[:, wished == level, i].reshape(-1)
            scores = scores[np.isfinite(scores)]
            if len(scores) == 0:
                continue
            some = rng.choice(scores, min(60, len(scores)), replace=False)
            for score in some:
                x, y = at(level + rng.uniform(-0.08, 0.08), score).split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="1.2" fill="#7d6bd0" opacity=".5"/>')
            first, last = np.percentile(scores, (5, 95))
            parts.append(f'<path d="M{at(level, first)} L{at(level, last)}" stroke="#c8553d" '
                         'stroke-width="2"/>')  # fmt: skip
            means.append(at(level, float(scores.mean())))
        parts.append(f'<path d="M{" L".join(means)}" fill="none" stroke="#c8553d" '
                     'stroke-width="1.5"/>')  # fmt: skip
        parts.append(text(left + size / 2, size + 30, f"{name}: wished"))
        for value in (low, 0.0, high):
            x, y = at(value, value).split(",")
            parts.append(text(float(x), size + 16, f"{value:.1f}", small=True))
            parts.append(text(left - 16, float(y) + 4, f"{value:.1f}", small=True))
    return wrap(3 * (size + margin) + 10, size + 40, parts)


def matrix(talk: Array) -> str:
    """Three by three cells, darker where the influence is larger."""
    cell, left, top = 78, 80, 26
    parts = []
    for i, name in enumerate(PROPERTIES):
        parts.append(text(left + (i + 0.5) * cell, 18, name))
        parts.append(text(left - 38, top + (i + 0.5) * cell + 5, name))
        for j in range(3):
            value = float(talk[i, j])
            colour = "#3a9d6e" if i == j else "#c8553d"
            x, y = left + j * cell, top + i * cell
            parts.append(f'<rect x="{x}" y="{y}" width="{cell - 4}" height="{cell - 4}" rx="4" '
                         f'fill="{colour}" fill-opacity="{min(1.0, abs(value)):.2f}" '
                         'stroke="#8886"/>')  # fmt: skip
            parts.append(text(x + cell / 2 - 2, y + cell / 2 + 3, f"{value:+.2f}"))
    return wrap(left + 3 * cell, top + 3 * cell, parts)


def text(x: float, y: float, words: str, *, small: bool = False) -> str:
    size = 10 if small else 13
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="{size}" '
        f'font-family="system-ui, sans-serif" fill="#888">{html.escape(words)}</text>'
    )


def wrap(width: float, height: float, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">{"".join(parts)}</svg>\n'
    )
