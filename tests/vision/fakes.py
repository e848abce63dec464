"""Small working stand-ins for the networks, for tests of what lies around them.

A face is a pure red square on any picture; the parser calls its pixels by fixed rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from ohlora.models.mtcnn import Faces
from ohlora.vision.parse import TorchParser
from ohlora.vision.stages import FaceParser


class SquareDetector:
    """Finds connected columns of pure red; counts how often it was called."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        self.batches.append(len(images))
        return [self.find(image) for image in images]

    def find(self, image: np.ndarray) -> Faces:
        red = (image[:, :, 0] > 200) & (image[:, :, 1:].max(axis=2) < 60)
        columns = np.flatnonzero(red.any(axis=0))
        groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        boxes = []
        for group in groups:
            if len(group):
                rows = np.flatnonzero(red[:, group].any(axis=1))
                boxes.append([group[0], rows[0], group[-1] + 1, rows[-1] + 1])
        boxes.sort(key=lambda b: -(b[2] - b[0]) * (b[3] - b[1]))
        count = len(boxes)
        return Faces(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.ones(count, np.float32),
            np.zeros((count, 5, 2), np.float32),
        )


class BandParser(nn.Module):
    """The upper quarter is background, then hair (on any picture but a green one), then face."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_fuse = nn.Linear(1, 1)  # tells device and precision
        self.batches: list[int] = []

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        self.batches.append(len(inputs))
        logits = torch.zeros(len(inputs), 11, 224, 224)
        logits[:, 0, :56] = 1
        logits[:, 1, 56:] = 1
        green = inputs[:, 1].mean(dim=(1, 2)) > inputs[:, 2].mean(dim=(1, 2)) + 0.5
        logits[~green, 10, 56:112] = 2
        return {"parsing": logits}


def fake_parser() -> FaceParser:
    return FaceParser(SquareDetector(), TorchParser(BandParser()))  # type: ignore[arg-type]


def portrait(
    path: Path,
    faces: Sequence[tuple[int, int, int, int]] = ((20, 20, 60, 60),),
    ground: str = "navy",
    size: tuple[int, int] = (96, 96),
) -> Path:
    image = Image.new("RGB", size, ground)
    for box in faces:
        ImageDraw.Draw(image).rectangle((*box[:2], box[2] - 1, box[3] - 1), fill="red")
    image.save(path)
    return path
