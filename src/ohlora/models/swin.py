"""Swin transformer backbone: a face picture to feature maps at four scales.

After Liu et al. 2021, https://arxiv.org/abs/2103.14030, size B by default. Keys are those of
the ImageNet checkpoints of torchvision, which the published FaceXFormer file was made from.

    image     [B, 3, 224, 224]   ImageNet-normalised RGB
    features  [B, 128, 56, 56], [B, 256, 28, 28], [B, 512, 14, 14], [B, 1024, 7, 7]

Inside, maps are [B, H, W, C]. A block attends within windows of 7 x 7; every second block moves
the windows by half their size, so that neighbours get to talk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohlora.errors import ShapeError

SIZE = 224  # pixels
HEAD = 32  # channels of an attention head
WINDOW = 7
SHIFT = WINDOW // 2


class Permute(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C]


def relative_positions() -> Tensor:
    """For each pair of places in a window, the row of the bias table: int64 [49 * 49]."""
    y, x = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    y, x = y.flatten(), x.flatten()  # [49]
    dy = y[:, None] - y[None, :] + WINDOW - 1  # [49, 49], 0..12
    dx = x[:, None] - x[None, :] + WINDOW - 1
    return (dy * (2 * WINDOW - 1) + dx).flatten()


def to_windows(x: Tensor) -> Tensor:
    """[B, H, W, C] -> [B, windows, 49, C], windows row by row."""
    b, h, w, c = x.shape
    x = x.view(b, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c).transpose(2, 3)
    return x.reshape(b, -1, WINDOW * WINDOW, c)


def from_windows(x: Tensor, h: int, w: int) -> Tensor:
    """[B, windows, 49, C] -> [B, H, W, C]."""
    b, c = len(x), x.shape[-1]
    x = x.view(b, h // WINDOW, w // WINDOW, WINDOW, WINDOW, c).transpose(2, 3)
    return x.reshape(b, h, w, c)


def shift_mask(size: int) -> Tensor:
    """What to add to attention scores after the shift: float [windows, 1, 49, 49].

    Rolling the map brings opposite edges into one window; -100 keeps them apart.
    """
    edge = torch.zeros(size, dtype=torch.long)
    edge[-WINDOW:-SHIFT], edge[-SHIFT:] = 1, 2
    region = to_windows((3 * edge[:, None] + edge[None, :]).view(1, size, size, 1))[0, :, :, 0]
    return -100.0 * (region[:, :, None] != region[:, None, :]).float().unsqueeze(1)


class WindowAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        table = torch.empty((2 * WINDOW - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("relative_position_index", relative_positions())
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, windows, 49, C]; mask [windows, 1, 49, 49] or None."""
        b, windows, n, c = x.shape
        bias = self.relative_position_bias_table[self.relative_position_index]
        bias = bias.view(n, n, self.heads).permute(2, 0, 1)  # [heads, 49, 49]
        if mask is not None:
            bias = bias + mask.to(bias.dtype)  # [windows, heads, 49, 49]
        qkv = self.qkv(x).view(b, windows, n, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(3, 0, 1, 4, 2, 5)  # each [B, windows, heads, 49, C / heads]
        x = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.proj(x.transpose(2, 3).reshape(b, windows, n, c))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, size: int, shifted: bool) -> None:
        super().__init__()
        # One window already sees a 7 x 7 map whole: nothing to shift.
        self.shift = SHIFT if shifted and size > WINDOW else 0
        mask = shift_mask(size) if self.shift else None
        self.register_buffer("mask", mask, persistent=False)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        # Identity stands where the checkpoint's numbering has dropout.
        self.mlp = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Identity(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        _, h, w, _ = x.shape
        y = self.norm1(x)
        y = y.roll((-self.shift, -self.shift), dims=(1, 2)) if self.shift else y
        y = from_windows(self.attn(to_windows(y), self.mask), h, w)
        y = y.roll((self.shift, self.shift), dims=(1, 2)) if self.shift else y
        x = x + y
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    """Each 2 x 2 places become one of twice the width: [B, H, W, C] -> [B, H/2, W/2, 2C]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class Swin(nn.ModuleList):
    """Children 0 (patches, blocks and merges by turns) and 1 (the final norm, never used here)."""

    def __init__(self, dim: int = 128, depths: tuple[int, ...] = (2, 2, 18, 2)) -> None:
        patches = nn.Sequential(
            nn.Conv2d(3, dim, kernel_size=4, stride=4), Permute(), nn.LayerNorm(dim)
        )
        stages: list[nn.Module] = [patches]
        for i, depth in enumerate(depths):
            if i:
                stages.append(Merge(dim))
                dim *= 2
            size = SIZE // 4 // 2**i
            blocks = (Block(dim, dim // HEAD, size, shifted=j % 2 == 1) for j in range(depth))
            stages.append(nn.Sequential(*blocks))
        super().__init__([nn.Sequential(*stages), nn.LayerNorm(dim)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return one map [B, C, H, W] per stage. Raises ShapeError unless 224 x 224."""
        if image.shape[1:] != (3, SIZE, SIZE):
            raise ShapeError(f"want images [B, 3, {SIZE}, {SIZE}], got {list(image.shape)}")
        x, features = image, []
        for i, stage in enumerate(self[0]):
            x = stage(x)
            if i % 2 == 1:
                features.append(x.permute(0, 3, 1, 2))
        return features
