"""Contact sheets of a stage, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.face.pixels import encode
from ohlora.files import write_whole

Pixels = NDArray[np.uint8]
TILE = 96  # pixels of a tile's side


def sheet(images: Sequence[Pixels], columns: int, tile: int = TILE) -> Pixels:
    """uint8 [H, W, 3]: square pictures of any size side by side, each `tile` wide."""
    fitting = [
        np.asarray(Image.fromarray(image).resize((tile, tile), Image.Resampling.LANCZOS))
        for image in images
    ]
    blank = np.full((tile, tile, 3), 128, np.uint8)
    fitting += [blank] * (-len(fitting) % columns)
    rows = [
        np.concatenate(fitting[i : i + columns], axis=1) for i in range(0, len(fitting), columns)
    ]
    return np.concatenate(rows)


def save_sheet(path: Path, images: Sequence[Pixels], columns: int, tile: int = TILE) -> None:
    """Nothing is written where there is no picture. Raises StoreError."""
    if images:
        write_whole(path, encode(sheet(images, columns, tile)))
