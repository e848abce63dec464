"""From the generator's floats to 8-bit pixels and picture files.

Two rules, as in v1 (golden/funcs/images.npz); they differ where a value ends on exactly one half.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
WEBP_QUALITY = 90


def to_pixels(image: NDArray[np.float32]) -> Pixels:
    """The product's rule: float RGB [3, H, W], about [-1, 1] -> uint8 [H, W, 3].

    (x + 1) * 127.5 in float32, rounded half to even, clipped.
    """
    scaled = (image.astype(np.float32, copy=False) + np.float32(1)) * np.float32(127.5)
    return _hwc(np.rint(scaled))


def to_dataset_pixels(image: NDArray[np.float32]) -> Pixels:
    """The rule of v1's generated data sets: the same scale in float64, rounded half up."""
    return _hwc(np.floor((image.astype(np.float64) + 1) * 127.5 + 0.5))


def _hwc(scaled: NDArray[np.floating[Any]]) -> Pixels:
    return np.ascontiguousarray(np.clip(scaled, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def encode(pixels: Pixels, kind: str = "webp") -> bytes:
    """Picture file bytes: "webp" (lossy), "png" or "jpeg"."""
    from PIL import Image

    options = {
        "webp": {"quality": WEBP_QUALITY, "method": 4},
        "png": {"compress_level": 6},
        "jpeg": {"quality": 95},
    }
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(buffer, kind, **options[kind])
    return buffer.getvalue()
