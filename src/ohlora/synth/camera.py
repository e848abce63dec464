"""The camera: 1.1 m in front of the face, looking straight back (+y)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ohlora.synth.head import Shape
from ohlora.synth.parameters import Scene

DISTANCE = 1.1  # metres from the eyes


@dataclass(frozen=True)
class Camera:
    place: Tensor  # [3], metres
    size: int  # pixels of the square picture
    frame: float  # metres across the picture at the eyes

    @property
    def pixels_per_metre(self) -> float:
        return self.size / self.frame

    def project(self, points: Tensor) -> Tensor:
        """[..., 3] metres -> x, y in pixels (y down) and depth in (0, 1)."""
        away = points[..., 1] - self.place[1]
        scale = DISTANCE / away * self.pixels_per_metre
        x = (points[..., 0] - self.place[0]) * scale + self.size / 2
        y = (self.place[2] - points[..., 2]) * scale + self.size / 2
        return torch.stack([x, y, (away - 0.5) / 1.6], -1).contiguous()


def aim(shape: Shape, scene: Scene, size: int) -> Camera:
    """Centre the face: a little under the eyes, half-way between where it was and is turned."""
    eyes = shape.eye_centers.mean(0)
    device = eyes.device
    # Follow the turned head only sideways by half, so that turning also moves the face.
    below = torch.tensor([0.0, 0.0, -0.008], device=device)
    center = eyes + below - torch.tensor([scene.shift[0], 0.0, scene.shift[1]], device=device)
    return Camera(center - torch.tensor([0.0, DISTANCE, 0.0], device=device), size, scene.frame)
