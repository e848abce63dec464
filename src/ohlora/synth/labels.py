"""Ground truth of a picture: the class mask, and properties measured on mask and geometry.

Nothing here reads the knob that made the property; a mouth hidden by hair is a small mouth.
(Who was drawn is not measured: a data set's column `gender` is the person's.)
Classes are models.face_parts.CLASSES (left and right as in the picture); clothes count as
background. The seven `scores` are Oh-LoRA v1's v2 rules (vision.scores) on a face crop found
from geometry, as wide as the one its face detector would cut.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ohlora.synth.camera import Camera
from ohlora.synth.head import Shape
from ohlora.synth.parameters import Damage
from ohlora.vision.scores import Scores, scores_v2

CLASS_COUNT = 11
# A detector's face box in metres from the middle of the eyes: sideways, up, down. With the
# 25 % margin the pipeline adds on each side.
BOX = (0.072 * 1.5, 0.058 + 0.085 * 0.5, 0.112 + 0.085 * 0.5)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Labels:
    yaw: float  # degrees, + to the viewer's right
    pitch: float  # degrees, + up
    roll: float  # degrees, + clockwise in the picture
    eyes: float  # mean height of the wider visible eye / distance between the eyes
    mouth: float  # inner mouth / whole mouth, areas, 0..1
    mouth_gap: float  # height of the inner mouth / distance between the eyes
    hair_length: float  # lowest hair below the eyes / distance between the eyes
    hair_cut_off: bool  # hair reaches the lower edge: longer than the picture shows
    hair_color: float  # mean brightness of hair, 0..255
    background_mean: float  # 0..255
    background_std: float
    quality: float  # 1 clean .. 0 spoilt
    eye_points: tuple[float, float, float, float]  # x, y of the left and right eye, pixels
    crop: tuple[int, int, int, int]  # face crop, pixels
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "scores": self.scores._asdict()}


def reduce_classes(classes: Tensor, oversample: int) -> Pixels:
    """Majority vote over each block. classes [S, S] may hold -1 (takes its block's other class)."""
    best = torch.full_like(classes[::oversample, ::oversample], -1, dtype=torch.float32)
    winner = torch.ones_like(best, dtype=torch.int64)  # a block of lashes only is face
    for number in range(CLASS_COUNT):
        share = torch.nn.functional.avg_pool2d((classes == number).float()[None, None], oversample)[
            0, 0
        ]
        better = share > best.clamp_min(1e-6)
        winner, best = torch.where(better, number, winner), torch.where(better, share, best)
    return winner.to(torch.uint8).cpu().numpy()


def measure(
    image: Pixels, mask: Pixels, classes: Tensor, shape: Shape, camera: Camera, damage: Damage
) -> Labels:
    """image, mask: the clean picture; classes: the enlarged mask, for fine measures."""
    factor = camera.size // len(mask)
    between = float((shape.eye_centers[0] - shape.eye_centers[1]).norm())
    unit = between * camera.pixels_per_metre  # enlarged pixels
    eyes = camera.project(shape.eye_centers)
    fine = classes.cpu().numpy()
    inner, lips = fine == 8, (fine == 7) | (fine == 9)
    hair_rows = np.flatnonzero((mask == 10).sum(1) >= max(2, len(mask) // 40))
    eye_row = float(eyes[:, 1].mean()) / factor
    brightness = image.mean(-1)
    behind = brightness[: len(mask) // 2][mask[: len(mask) // 2] == 0]
    hair = brightness[mask == 10]
    x1, y1, x2, y2 = crop_box(shape, camera, factor)
    box = (x1, y1, x2, y2)
    size = (224, 224)
    cut = np.asarray(Image.fromarray(image).crop(box).resize(size, Image.Resampling.BICUBIC))
    parts = np.asarray(Image.fromarray(mask).crop(box).resize(size, Image.Resampling.NEAREST))
    turn = shape.turn.cpu().numpy()
    right, left = int(eyes[0, 0] < eyes[1, 0]), int(eyes[0, 0] >= eyes[1, 0])
    points = (eyes[:, :2] / factor).cpu().numpy()
    return Labels(
        yaw=math.degrees(math.atan2(-turn[0, 1], turn[1, 1])),
        pitch=math.degrees(math.asin(max(-1.0, min(1.0, float(turn[2, 1]))))),
        roll=math.degrees(math.atan2(-turn[2, 0], turn[2, 2])),
        eyes=max(mean_height(fine == 4), mean_height(fine == 5)) / unit,
        mouth=float(inner.sum() / max(1, inner.sum() + lips.sum())),
        mouth_gap=tallest(inner) / unit,
        hair_length=float((hair_rows[-1] + 1 - eye_row) * factor / unit) if len(hair_rows) else 0.0,
        hair_cut_off=bool(len(hair_rows) and hair_rows[-1] >= len(mask) - 1),
        hair_color=float(hair.mean()) if len(hair) else 127.5,
        background_mean=float(behind.mean()) if len(behind) else 192.0,
        background_std=float(behind.std()) if len(behind) else 0.0,
        quality=quality(damage),
        eye_points=(*points[left].tolist(), *points[right].tolist()),
        crop=box,
        scores=scores_v2(np.ascontiguousarray(parts), np.ascontiguousarray(cut)),
    )


def tallest(area: NDArray[np.bool_]) -> int:
    """Pixels in the fullest column."""
    return int(area.sum(0).max(initial=0))


def mean_height(area: NDArray[np.bool_]) -> float:
    """Pixels per column that has any: finer than whole rows."""
    return float(area.sum() / max(1, area.any(0).sum()))


def crop_box(shape: Shape, camera: Camera, factor: int) -> tuple[int, int, int, int]:
    """The face in the picture: x1, y1, x2, y2 in pixels, kept inside."""
    wide, up, down = BOX
    corners = torch.tensor([[-wide, 0.0, up], [wide, 0.0, up], [-wide, 0.0, -down],
                            [wide, 0.0, -down]], device=shape.turn.device)  # fmt: skip
    # Follows the head's place and tilt, not its turn: a detector's box stays as wide.
    middle = shape.eye_centers.mean(0)
    screen = camera.project(middle + corners)[:, :2] / factor
    limit = camera.size // factor
    low = screen.amin(0).round().clamp(0, limit - 8).int().tolist()
    high = screen.amax(0).round().clamp(8, limit).int().tolist()
    return low[0], low[1], high[0], high[1]


def quality(damage: Damage) -> float:
    """1 clean .. 0 spoilt, from the known strength of the damage; under 0.5 counts as bad."""
    loss = damage.blur / 5 + damage.noise / 70 + (damage.downscale - 1) / 9
    if damage.jpeg:
        loss += max(0, 40 - damage.jpeg) / 60
    return max(0.0, 1 - loss)
