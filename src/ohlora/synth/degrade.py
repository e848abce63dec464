"""Spoil a finished picture by a known amount: small and enlarged again, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ohlora.synth.parameters import Damage


def degrade(image: NDArray[np.uint8], damage: Damage) -> NDArray[np.uint8]:
    """uint8 [S, S, 3] -> the same shape. Blur is scaled, so it looks the same at any size."""
    size = len(image)
    picture = Image.fromarray(image)
    if damage.downscale > 1:
        small = max(8, round(size / damage.downscale))
        picture = picture.resize((small, small), Image.Resampling.BOX)
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    if damage.blur > 0:
        picture = picture.filter(ImageFilter.GaussianBlur(damage.blur * size / 256))
    out = np.asarray(picture)
    if damage.noise > 0:
        noise = np.random.default_rng(damage.seed).normal(0, damage.noise, out.shape)
        out = np.clip(out + noise, 0, 255).round().astype(np.uint8)
    if damage.jpeg:
        file = io.BytesIO()
        Image.fromarray(out).save(file, "JPEG", quality=damage.jpeg)
        out = np.asarray(Image.open(file))
    return out
