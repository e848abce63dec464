"""Where hair grows: the skin above the hairline, found once on the template. Metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ohlora.synth.geometry import smoothstep, unit, value_noise
from ohlora.synth.head import Head, Shape

# The hairline: least elevation (degrees above the centre of the skull) at each azimuth
# (degrees, 0 is the forehead).
HAIRLINE = (
    (0, 20, 38, 52, 66, 80, 98, 108, 125, 150, 180),
    (28, 28, 27, 21, 9, 1, 10, 3, -22, -34, -38),
)
SKULL = (0.0, -0.045, 0.745)  # centre on the template


@dataclass
class Roots:
    points: Tensor  # [N, 3]
    normals: Tensor  # [N, 3]
    azimuth: Tensor  # [N] degrees 0 front .. 180 back
    height: Tensor  # [N] metres above the eyes
    edge: Tensor  # [N] 0 at the hairline .. 1 well inside
    above: Tensor  # [N] degrees above the hairline


class Scalp:
    """Where hair grows: triangles of the body above the hairline, found once on the template."""

    def __init__(self, head: Head) -> None:
        self.triangles = head.parts["body"].triangles.long()
        center = head.rest[self.triangles].mean(1)
        offset = center - torch.tensor(SKULL, device=head.device)
        flat = torch.hypot(offset[:, 0], offset[:, 1])
        self.azimuth = torch.rad2deg(torch.atan2(offset[:, 0].abs(), -offset[:, 1]))
        elevation = torch.rad2deg(torch.atan2(offset[:, 2], flat))
        least = np.interp(self.azimuth.cpu().numpy(), *HAIRLINE)
        ragged = 5.0 * (value_noise(center, 110.0, 3) - 0.5)
        self.above = elevation - torch.as_tensor(least, dtype=torch.float32).to(head.device)
        uv = head.parts["body"].uv[head.parts["body"].uv_triangles].mean(1)
        grows = (
            (self.above + ragged > 0)
            & (head.sample("ears", uv) < 0.5)
            & (center[:, 2] > 0.66)
            & (offset.norm(dim=1) > 0.06)
        )
        self.chosen = torch.nonzero(grows)[:, 0]
        self.coverage = self._per_vertex(smoothstep(0.0, 6.0, self.above) * grows.float(), head)
        a, b, c = head.rest[self.triangles[self.chosen]].unbind(1)
        self.area = torch.linalg.cross(b - a, c - a).norm(dim=1)

    def _per_vertex(self, value: Tensor, head: Head) -> Tensor:
        """[V] mean over the triangles around each vertex."""
        total = torch.zeros(len(head.rest), device=head.device)
        count = torch.zeros_like(total)
        index = self.triangles.reshape(-1)
        total.index_add_(0, index, value[:, None].expand(-1, 3).reshape(-1))
        count.index_add_(0, index, torch.ones(len(index), device=head.device))
        return total / count.clamp_min(1)

    def sample(self, shape: Shape, count: int, random: torch.Generator) -> Roots:
        device = self.area.device
        thin = 0.35 + 0.65 * smoothstep(0.0, 7.0, self.above[self.chosen])  # sparser at the edge
        picked = torch.multinomial((self.area * thin).cpu(), count, True, generator=random)
        triangle = self.chosen[picked.to(device)]
        corner = self.triangles[triangle]
        r = torch.rand(count, 2, generator=random).to(device)
        r = torch.where(r.sum(1, keepdim=True) > 1, 1 - r, r)
        w = torch.stack([1 - r.sum(1), r[:, 0], r[:, 1]], -1)[..., None]
        points = (shape.parts["body"][corner] * w).sum(1)
        eye_height = shape.eye_centers[:, 2].mean()
        return Roots(
            points,
            unit((shape.normals[corner] * w).sum(1)),
            self.azimuth[triangle],
            points[:, 2] - eye_height,
            smoothstep(0.0, 9.0, self.above[triangle]),
            self.above[triangle],
        )
