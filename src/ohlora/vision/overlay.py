"""Parsed faces made visible: the classes in colour over the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import ShapeError

Pixels = NDArray[np.uint8]

# RGB by class, order models.face_parts.CLASSES
COLOURS = np.array(
    [
        (0, 0, 0),
        (0, 153, 255),
        (102, 255, 153),
        (0, 204, 153),
        (255, 255, 102),
        (255, 255, 204),
        (255, 153, 0),
        (255, 102, 255),
        (102, 0, 51),
        (255, 204, 255),
        (255, 0, 102),
    ],
    dtype=np.uint8,
)


def overlay(face: Pixels, classes: Pixels) -> Pixels:
    """Half face, half class colour: uint8 [H, W, 3]. Raises ShapeError on a wrong map."""
    if face.shape != (*classes.shape, 3) or classes.max(initial=0) >= len(COLOURS):
        raise ShapeError(
            f"want a face [H, W, 3] and classes [H, W] below {len(COLOURS)}, got "
            f"{list(face.shape)} and {list(classes.shape)} up to {classes.max(initial=0)}"
        )
    blend = (face.astype(np.uint16) + COLOURS[classes]) // 2
    return blend.astype(np.uint8)
