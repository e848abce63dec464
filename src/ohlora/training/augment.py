"""Differentiable changes of a picture: a critic cannot learn a small data set by heart.

After Zhao et al. 2020, https://arxiv.org/abs/2006.10738: real and generated pictures go through the
same kinds of change before the discriminator sees them. No flip: labels know left from right.

    images  float [B, 3, R, R], about -1..1
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BRIGHTNESS, COLOR, CONTRAST = 0.4, 0.5, 0.5  # widest change: offset, factors around 1
SHIFT, HOLE = 1 / 8, 1 / 3  # of the picture's width


def augment(images: Tensor, p: float) -> Tensor:
    """Each change meets each picture with probability p; p = 0 returns images as they are."""
    if p <= 0:
        return images
    return cut_out(shift(recolor(images, p), p), p)


def chance(images: Tensor, p: float) -> Tensor:
    """[B, 1, 1, 1] of 0 and 1."""
    return (torch.rand(len(images), 1, 1, 1, device=images.device) < p).to(images.dtype)


def spread(images: Tensor, p: float, width: float) -> Tensor:
    """[B, 1, 1, 1] uniform in -width..width, or 0 where the picture is left alone."""
    draw = torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1
    return draw.to(images.dtype) * width * chance(images, p)


def recolor(images: Tensor, p: float) -> Tensor:
    images = images + spread(images, p, BRIGHTNESS)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (1 + spread(images, p, COLOR))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + spread(images, p, CONTRAST))


def shift(images: Tensor, p: float) -> Tensor:
    """Move by whole pixels; what comes in at the edge is grey."""
    batch, _, size, _ = images.shape
    most = max(1, round(size * SHIFT))
    here = torch.arange(size, device=images.device)
    moves = torch.randint(-most, most + 1, (2, batch, 1), device=images.device)
    moves = moves * chance(images, p).long().view(1, batch, 1) + most
    rows, columns = here + moves  # [B, R] each, places in the padded picture
    padded = F.pad(images, (most,) * 4).permute(0, 2, 3, 1)
    picture = torch.arange(batch, device=images.device)[:, None, None]
    return padded[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(images: Tensor, p: float) -> Tensor:
    """A grey square somewhere, partly outside at times."""
    batch, _, size, _ = images.shape
    half = size * HOLE / 2
    here = torch.arange(size, device=images.device)
    y, x = torch.rand(2, batch, 1, device=images.device) * size
    hole = ((here - y).abs() < half)[:, :, None] & ((here - x).abs() < half)[:, None, :]
    return images * (1 - hole[:, None].to(images.dtype) * chance(images, p))
