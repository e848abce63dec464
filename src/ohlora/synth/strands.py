"""Strands: hair, brows and lashes as poly-lines with thickness. Metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ohlora.synth.geometry import unit

HAIR, BROW_LEFT, BROW_RIGHT, LASH = 10, 11, 12, 13  # materials, after those of meshes


@dataclass(frozen=True)
class Strands:
    """N strands of S points each, all of one kind or mixed."""

    points: Tensor  # [N, S, 3]
    radius: Tensor  # [N, S]
    normals: Tensor  # [N, S, 3] of the skin below
    along: Tensor  # [N, S] 0 root .. 1 tip
    random: Tensor  # [N] 0..1, one per strand
    depth: Tensor  # [N] 0 lies on the skin .. 1 outermost
    material: int

    @property
    def tangents(self) -> Tensor:
        p = self.points
        ahead = torch.cat([p[:, 1:2] - p[:, :1], p[:, 2:] - p[:, :-2], p[:, -1:] - p[:, -2:-1]], 1)
        return unit(ahead)

    def segments(self, first_point: int) -> Tensor:
        """[N * (S - 1), 2] int32 pairs of point numbers, strand by strand."""
        count, steps, _ = self.points.shape
        device = self.points.device
        start = torch.arange(count, device=device)[:, None] * steps
        start = (start + torch.arange(steps - 1, device=device)[None]).reshape(-1) + first_point
        return torch.stack([start, start + 1], -1).int()

    def follow(self, turn: Tensor, moved: Tensor, chin: float) -> Strands:
        """Move with the head; hair well below the chin lies on the shoulders and stays."""
        height = self.points[..., 2:3]
        t = ((height - (chin - 0.10)) / 0.12).clamp(0, 1)
        with_head = t * t * (3 - 2 * t)
        posed = self.points @ turn.T + moved
        points = self.points * (1 - with_head) + posed * with_head
        return replace(self, points=points, normals=self.normals @ turn.T)


def taper(base: float, count: int, along: Tensor, tip: float = 0.3) -> Tensor:
    """[count, S] radii from `base` at the root to `tip * base`."""
    return (base * (1 - (1 - tip) * along))[None].expand(count, -1).contiguous()


def join(parts: list[Strands]) -> Strands:
    """Strands of equal step count and material as one."""
    fields = ("points", "radius", "normals", "along", "random", "depth")
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in fields}
    return Strands(**joined, material=parts[0].material)
