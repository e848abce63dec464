"""StyleGAN discriminator: is this picture real, given its label?

The mirror of the generator (Karras et al. 2018, https://arxiv.org/abs/1710.10196, with the blur and
fused scales of https://arxiv.org/abs/1812.04948). State-dict keys are those of the published files.

    image   [B, 3, 256, 256]  RGB, about [-1, 1]
    label   [B, L]            joined to the last features as it is; L = 0: no label
    logits  [B, 1]            positive: real
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import ShapeError
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.stylegan import EPS, Blur, Dense, widen_kernel


@dataclass(frozen=True)
class DiscriminatorConfig:
    label_dim: int = 0
    group: int = 4  # pictures compared with each other by the minibatch deviation
    channels: tuple[int, ...] = tuple(reversed(GeneratorConfig.channels))  # finest first, 4 px last
    fused_from: int = 128  # resolution from which downsampling is one strided convolution

    @property
    def resolution(self) -> int:
        return 4 << (len(self.channels) - 1)


VARIANTS = {
    "original": DiscriminatorConfig(label_dim=0, group=4),
    "v1": DiscriminatorConfig(label_dim=7, group=16),
    "v4": DiscriminatorConfig(label_dim=3, group=16),
}


class Conv(nn.Module):
    """Convolution with bias and leaky ReLU; with `down`, blurred first and halved in size."""

    def __init__(self, in_dim: int, out_dim: int, size: int = 3, down: str | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim, size, size))
        self.bias = nn.Parameter(torch.zeros(out_dim))
        self.scale, self.padding = sqrt(2 / (in_dim * size * size)), size // 2
        self.down = down  # None, "fused" or "pool"
        if down:
            self.blur = Blur(in_dim)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if self.down:
            x = self.blur(x)
        if self.down == "fused":
            x = F.conv2d(x, widen_kernel(weight) * 0.25, self.bias, stride=2, padding=1)
        else:
            x = F.conv2d(x, weight, self.bias, padding=self.padding)
        if self.down == "pool":
            x = F.avg_pool2d(x, 2)
        return F.leaky_relu(x, 0.2)


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """Append one channel: how much the pictures of a group differ. [B, C, H, W] -> C + 1.

    Raises ShapeError when the batch does not divide into groups.
    """
    batch, channels, height, width = x.shape
    group = min(group, batch)
    if batch % group:
        raise ShapeError(
            f"The batch must divide into groups of {group}, got {batch} pictures.",
            f"배치는 {group}장씩 나누어떨어져야 하는데 {batch}장이에요.",
        )
    groups = x.view(group, batch // group, channels, height, width)
    deviation = (groups.var(dim=0, unbiased=False) + EPS).sqrt()  # [B / G, C, H, W]
    mean = deviation.mean(dim=(1, 2, 3)).repeat(group)  # one number per picture
    return torch.cat([x, mean.view(batch, 1, 1, 1).expand(-1, 1, height, width)], dim=1)


class Discriminator(nn.Module):
    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("lod", torch.zeros(()))
        channels, last = config.channels, len(config.channels) - 1
        for i, width in enumerate(channels):
            self.add_module(f"input{i}", Conv(3, width, size=1))
            if i < last:
                down = "fused" if config.resolution >> i >= config.fused_from else "pool"
                self.add_module(f"layer{2 * i}", Conv(width, width))
                self.add_module(f"layer{2 * i + 1}", Conv(width, channels[i + 1], down=down))
        width = channels[-1]
        self.add_module(f"layer{2 * last}", Conv(width + 1, width))
        self.add_module(f"layer{2 * last + 1}", Dense(width * 16, width))
        self.add_module(f"layer{2 * last + 2}", Dense(width + config.label_dim, 1, gain=1.0))

    def forward(
        self, image: Tensor, label: Tensor | None = None, *, lod: float | None = None
    ) -> Tensor:
        """Return logits [B, 1]. Raises ShapeError on a wrong image or label.

        lod (level of detail) L looks at the picture averaged over 2**L pixels; in between, the
        features of two resolutions blend. Default: the buffer `lod`.
        """
        self._check(image, label)
        lod = float(self.lod) if lod is None else lod
        last = len(self.config.channels) - 1
        if not 0 <= lod <= last:
            raise ValueError(f"lod must lie in 0..{last}, got {lod}")
        return self.judge(self.features(image, lod), label)

    def features(self, image: Tensor, lod: float = 0.0) -> Tensor:
        """image [B, 3, R, R] -> [B, C, 4, 4]: all blocks but the last; each picture on its own."""
        last = len(self.config.channels) - 1
        first, share = int(lod), ceil(lod) - lod  # finest block used, its share when two blend
        x = self._layer("input", first)(shrink(image, first))
        for i in range(first, last):
            x = self._layer("layer", 2 * i + 1)(self._layer("layer", 2 * i)(x))
            if i == first and share:
                coarse = self._layer("input", i + 1)(shrink(image, i + 1))
                x = x * share + coarse * (1 - share)
        return x

    def judge(self, x: Tensor, label: Tensor | None) -> Tensor:
        """The last block: features [B, C, 4, 4] of a whole batch -> logits [B, 1]."""
        last = len(self.config.channels) - 1
        x = self._layer("layer", 2 * last)(minibatch_deviation(x, self.config.group))
        x = F.leaky_relu(self._layer("layer", 2 * last + 1)(x.flatten(1)), 0.2)
        if label is not None:
            x = torch.cat([x, label], dim=1)
        return self._layer("layer", 2 * last + 2)(x)

    def _layer(self, kind: str, index: int) -> nn.Module:
        return getattr(self, f"{kind}{index}")

    def _check(self, image: Tensor, label: Tensor | None) -> None:
        size, labels = self.config.resolution, self.config.label_dim
        fits = image.ndim == 4 and image.shape[1:] == (3, size, size)
        if labels:
            fits = fits and label is not None and label.shape == (len(image), labels)
        else:
            fits = fits and label is None
        if not fits:
            want = f"image [B, 3, {size}, {size}]"
            want += f" and label [B, {labels}]" if labels else " and no label"
            found = f"{list(image.shape)}, label {None if label is None else list(label.shape)}"
            raise ShapeError(
                f"The discriminator wants {want}, got {found}.",
                f"판별기에는 {want} 모양이 필요한데 {found} 모양이 왔어요.",
            )


def shrink(image: Tensor, halvings: int) -> Tensor:
    return F.avg_pool2d(image, 1 << halvings) if halvings else image


def make_discriminator(config: DiscriminatorConfig, state: dict[str, Tensor]) -> Discriminator:
    """A discriminator with these weights, in eval mode."""
    discriminator = Discriminator(config)
    discriminator.load_state_dict(state, strict=True)
    return discriminator.eval()
