"""Floats to 8-bit pixels, exactly as v1 did it (golden/funcs/images.npz)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora.face.pixels import encode, to_dataset_pixels, to_pixels


def test_both_rounding_rules_match_the_reference(golden_dir: Path) -> None:
    golden = np.load(golden_dir / "funcs" / "images.npz")
    image = golden["quant_input"]
    np.testing.assert_array_equal(to_pixels(image), golden["quant_png_rgb"])
    np.testing.assert_array_equal(to_dataset_pixels(image), golden["quant_postprocess_rgb"])
    assert (golden["quant_png_rgb"] != golden["quant_postprocess_rgb"]).any()


def test_values_outside_the_range_are_clipped() -> None:
    image = np.array([-9, -1, 1, 9], np.float32).reshape(1, 2, 2).repeat(3, axis=0)
    for convert in (to_pixels, to_dataset_pixels):
        assert convert(image)[..., 0].tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize("kind", ["webp", "png", "jpeg"])
def test_pictures_keep_their_pixels(kind: str) -> None:
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    with Image.open(io.BytesIO(encode(pixels, kind))) as picture:
        found = np.asarray(picture.convert("RGB"))
    assert np.abs(found.astype(int) - pixels).max() <= (0 if kind == "png" else 4)
