"""The faces of a picture, and the square of pixels that the face parser wants.

The largest face counts. Its box is enlarged so that hair and background come along, then the
crop is resized to 224 x 224.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from ohlora.models.mtcnn import MTCNN, Faces

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels

MARGIN = 0.25  # of the box's width and height, added on each side
SIZE = 224
TOGETHER = 4_000_000  # pixels that go through the nets at once: about 200 MB


def detect(mtcnn: MTCNN, images: Sequence[Pixels]) -> list[Faces]:
    """Faces of each picture, largest first. Pictures of one size go through the nets together."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(i)
    found: dict[int, Faces] = {}
    for (height, width, _), alike in by_shape.items():
        at_once = max(1, TOGETHER // (height * width))
        for start in range(0, len(alike), at_once):
            some = alike[start : start + at_once]
            found.update(zip(some, mtcnn([images[i] for i in some]), strict=True))
    return [found[i] for i in range(len(images))]


def enlarge(box: Sequence[float], width: int, height: int) -> Box:
    """Add MARGIN on each side, as far as the picture goes."""
    x1, y1, x2, y2 = (float(side) for side in box)
    dx, dy = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    return max(0.0, x1 - dx), max(0.0, y1 - dy), min(width, x2 + dx), min(height, y2 + dy)


def crop_face(image: Pixels, box: Sequence[float]) -> Pixels:
    """Cut out an enlarged box, whole pixels, and resize to uint8 [224, 224, 3] (bicubic)."""
    x1, y1, x2, y2 = (int(side) for side in box)
    crop = Image.fromarray(image).crop((x1, y1, x2, y2))
    return np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
