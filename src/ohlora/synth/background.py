"""What is behind the head: plain, a soft gradient, or soft blobs. Linear RGB [S, S, 3]."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ohlora.synth.parameters import Background


def paint_background(background: Background, size: int, device: torch.device) -> Tensor:
    mean = torch.tensor(background.color, device=device)
    axis = torch.linspace(-1, 1, size, device=device)
    x, y = axis[None], -axis[:, None]
    if background.kind == "plain":
        field = torch.zeros(size, size, 1, device=device)
    elif background.kind == "gradient":
        slope = math.cos(background.angle) * x + math.sin(background.angle) * y
        field = (slope - 0.4 * (x * x + y * y))[..., None]
    else:
        random = torch.Generator().manual_seed(background.seed)
        seeds = torch.randn(1, 3, 6, 6, generator=random).to(device)
        field = torch.nn.functional.interpolate(
            seeds, size=(size, size), mode="bicubic", align_corners=True
        )[0].permute(1, 2, 0)
        # Mostly light and dark, a little colour.
        field = field.mean(-1, keepdim=True) * 1.5 + 0.2 * field
    spread = field.std().clamp_min(1e-3)
    field = ((field - field.mean()) / spread).clamp(-1.8, 1.8)
    if background.kind == "plain":
        field = torch.zeros_like(field)
    return (mean * (1 + background.contrast * field)).clamp_min(0.005)
