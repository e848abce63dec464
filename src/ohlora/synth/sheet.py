"""Contact sheets: many faces in one picture, to look at and judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ohlora.synth.hairstyles import STYLES
from ohlora.synth.parameters import Damage, Face, Scene
from ohlora.synth.render import Renderer
from ohlora.synth.sample import HAIR, her, sample_face, sample_person
from ohlora.vision.overlay import COLOURS

Progress = Callable[[str, float], None]


def people(count: int, seed: int) -> list[Face]:
    """Random people in random scenes, all clean."""
    faces = [sample_face(seed + i) for i in range(count)]
    return [replace(f, scene=replace(f.scene, damage=Damage())) for f in faces]


def expressions(count: int, seed: int) -> list[Face]:
    """Her: mouth opens downwards, eyes open and the head turns to the right."""
    columns = max(1, min(count, 7))
    rows = -(-count // columns)
    faces = []
    for row in range(rows):
        for column in range(columns):
            share = column / max(1, columns - 1)
            jaw = 0.8 * row / max(1, rows - 1)
            scene = Scene(yaw=-30 + 60 * share, roll=-6 + 12 * share, eyes=1.4 * share, jaw=jaw)
            faces.append(Face(her(), replace(scene, smile=0.3)))
    return faces[:count]


def hair(count: int, seed: int) -> list[Face]:
    """Her with every style, then every colour."""
    her_hair = her().hair
    kinds = [
        replace(her_hair, style=style, fringe=0.0,
                length={"short": 0.06, "crop": 0.018, "coils": 0.045, "bob": 0.1}.get(style, 0.22),
                curl={"curly": 0.012, "coils": 0.004}.get(style, 0.0))
        for style in STYLES
    ] + [replace(her_hair, color=c, tip_color=c) for c in HAIR.values()]  # fmt: skip
    faces = [Face(replace(her(), hair=kind), Scene(yaw=12)) for kind in kinds]
    more = [Face(sample_person(seed + i), Scene(yaw=-12)) for i in range(count - len(faces))]
    return [*faces, *more][:count]


KINDS: dict[str, Callable[[int, int], list[Face]]] = {
    "people": people,
    "expressions": expressions,
    "hair": hair,
}


def make_sheet(
    renderer: Renderer, faces: list[Face], columns: int, size: int, oversample: int = 3,
    masks: bool = False, progress: Progress | None = None,
) -> NDArray[np.uint8]:  # fmt: skip
    """uint8 [rows * size, columns * size, 3]; with masks, each row is followed by its masks."""
    report = progress or (lambda what, fraction: None)
    blank = np.zeros((size, size, 3), np.uint8)
    rows = []
    for first in range(0, len(faces), columns):
        shots = []
        for i, face in enumerate(faces[first : first + columns]):
            shots.append(renderer.render(face, size, oversample))
            report("drawing the sheet", (first + i + 1) / len(faces))
        empty = [blank] * (columns - len(shots))
        rows.append(np.concatenate([*(shot.image for shot in shots), *empty], 1))
        if masks:
            rows.append(np.concatenate([*(COLOURS[shot.mask] for shot in shots), *empty], 1))
    return np.concatenate(rows, 0)
