"""StyleGAN generator: latent z and property label to a picture.

After Karras et al. 2018 (progressive growing, https://arxiv.org/abs/1710.10196) and 2019 (style
layers, https://arxiv.org/abs/1812.04948), with a label embedding in front of the mapping net.
State-dict keys are those of the published checkpoints.

    z        [B, 512]          standard normal
    label    [B, L]            targets in standard deviations, order LABELS[L]; L = 0: no label
    w        [B, 512]          one style code per picture
    wp       [B, 14, 512]      one per layer
    image    [B, 3, 256, 256]  RGB, about [-1, 1], not clamped

Equalised learning rate throughout: a stored weight is used as weight * gain / sqrt(fan_in) * lr.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import ShapeError
from ohlora.models.generator_config import MAPPING_LAYERS, GeneratorConfig, Layer, layers

EPS = 1e-8
MAPPING_LR = 0.01  # the mapping net learns slower, so its stored weights are 100 times larger


@dataclass(frozen=True)
class Generated:
    """One forward pass: what it drew and every code on the way."""

    image: Tensor  # [B, 3, R, R]
    z: Tensor  # [B, w_dim + E], normalised latent and embedding
    embedding: Tensor | None  # [B, E]
    w: Tensor  # [B, w_dim]
    wp: Tensor  # [B, layers, w_dim]
    styles: list[Tensor]  # per drawn layer [B, 2 C]: scale, then shift


class Dense(nn.Module):
    """Fully connected layer with equalised learning rate."""

    def __init__(self, in_dim: int, out_dim: int, gain: float = sqrt(2), lr: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim) / lr)
        self.bias = nn.Parameter(torch.zeros(out_dim))
        self.scale, self.lr = gain / sqrt(in_dim) * lr, lr

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.lr)


class Mapping(nn.Module):
    """z and label to w."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        if config.label_dim:
            self.label_weight = nn.Parameter(torch.randn(config.label_dim, config.embed_dim))
        for i in range(MAPPING_LAYERS):
            wide = config.w_dim if i else config.w_dim + config.embed_dim
            self.add_module(f"dense{i}", Dense(wide, config.w_dim, lr=MAPPING_LR))

    def forward(self, z: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return w [B, w_dim], the normalised input [B, w_dim + E] and the embedding [B, E].

        Raises ShapeError on a wrong z or label.
        """
        check_inputs(self.config, z, label)
        embedding = label @ self.label_weight if self.config.label_dim else None
        # One norm over z and embedding: a large label shrinks z. Published weights expect it.
        x = z if embedding is None else torch.cat([z, embedding], dim=1)
        x = normalised = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPS)
        for i in range(MAPPING_LAYERS):
            x = F.leaky_relu(getattr(self, f"dense{i}")(x), 0.2)
        return x, normalised, embedding


def check_inputs(config: GeneratorConfig, z: Tensor, label: Tensor | None) -> None:
    want = f"z [B, {config.w_dim}]"
    want += f" and label [B, {config.label_dim}]" if config.label_dim else " and no label"
    fits = z.ndim == 2 and z.shape[1] == config.w_dim
    if config.label_dim:
        fits = fits and label is not None and label.shape == (len(z), config.label_dim)
    else:
        fits = fits and label is None
    if not fits:
        found = f"z {list(z.shape)}, label {None if label is None else list(label.shape)}"
        raise ShapeError(
            f"The generator wants {want}, got {found}.",
            f"생성기에는 {want} 모양이 필요한데 {found} 모양이 왔어요.",
        )


class Truncation(nn.Module):
    """Running mean of w, and the pull towards it."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.num_layers = config.num_layers
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, w: Tensor, psi: float, num_layers: int) -> Tensor:
        """w [B, w_dim] or already per layer [B, layers, w_dim] -> wp [B, layers, w_dim].

        psi in [0, 1]: 0 is the mean face, 1 leaves w; only the first `num_layers` layers move.
        """
        wp = w if w.ndim == 3 else w[:, None].repeat(1, self.num_layers, 1)
        if psi >= 1 or num_layers <= 0:
            return wp
        pulled = self.w_avg + (wp[:, :num_layers] - self.w_avg) * psi
        return torch.cat([pulled, wp[:, num_layers:]], dim=1)


class Noise(nn.Module):
    """Per-pixel noise, scaled per channel: a fixed picture, or a fresh one per forward."""

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, resolution, resolution))

    def forward(self, x: Tensor, fresh: bool) -> Tensor:
        noise = torch.randn_like(x[:, :1]) if fresh else self.noise
        return x + noise * self.weight[:, None, None]


class Blur(nn.Module):
    """Depthwise 3x3 binomial filter, zero padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        kernel = (torch.outer(row, row) / 16)[None, None].repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            blurred: Tensor = SymmetricBlur.apply(x, self.kernel)
            return blurred
        return blur(x, self.kernel)


def blur(x: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(x, kernel.to(x.dtype), padding=1, groups=x.shape[1])


class SymmetricBlur(torch.autograd.Function):
    """The blur is its own transpose, so its gradient is a blur again, of any order.

    PyTorch's second derivative of a depthwise convolution goes channel by channel: in a penalty
    on the discriminator's gradient that took most of the time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(kernel)
        return blur(x, kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (kernel,) = ctx.saved_tensors
        return SymmetricBlur.apply(grad, kernel), None


def widen_kernel(weight: Tensor) -> Tensor:
    """[O, I, 3, 3] -> [O, I, 4, 4]: the sum of the four shifted copies of a 3x3 kernel.

    Transposed convolution by it with stride 2 equals nearest x2 upsampling and convolution by the
    3x3 kernel turned by 180 degrees.
    """
    w = F.pad(weight, (1, 1, 1, 1))
    return w[..., 1:, 1:] + w[..., :-1, 1:] + w[..., 1:, :-1] + w[..., :-1, :-1]


class StyleLayer(nn.Module):
    """Convolution (or the learned 4x4 start), noise, bias, leaky ReLU, instance norm, style."""

    def __init__(self, layer: Layer, w_dim: int) -> None:
        super().__init__()
        self.upsample = layer.upsample
        c = layer.out_channels
        self.bias = nn.Parameter(torch.zeros(c))
        if layer.index == 0:
            self.const = nn.Parameter(torch.ones(1, c, layer.resolution, layer.resolution))
        else:
            self.weight = nn.Parameter(torch.randn(c, layer.in_channels, 3, 3))
            self.scale = sqrt(2) / sqrt(9 * layer.in_channels)
        self.apply_noise = Noise(layer.resolution, c)
        self.style = Dense(w_dim, 2 * c, gain=1.0)
        if layer.upsample:
            self.blur = Blur(c)

    def forward(self, x: Tensor | None, w: Tensor, fresh_noise: bool) -> tuple[Tensor, Tensor]:
        """x [B, I, R, R] (None for the start), w [B, w_dim] -> x [B, O, R', R'], style [B, 2 O]."""
        if x is None:
            x = self.const.repeat(len(w), 1, 1, 1)
        elif self.upsample == "fused":
            kernel = widen_kernel(self.weight * self.scale).transpose(0, 1)
            x = self.blur(F.conv_transpose2d(x, kernel, stride=2, padding=1))
        elif self.upsample == "nearest":
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.blur(F.conv2d(x, self.weight * self.scale, padding=1))
        else:
            x = F.conv2d(x, self.weight * self.scale, padding=1)
        x = F.leaky_relu(self.apply_noise(x, fresh_noise) + self.bias[:, None, None], 0.2)
        x = x - x.mean(dim=(2, 3), keepdim=True)
        x = x * torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + EPS)
        style = self.style(w)
        scale, shift = style[:, :, None, None].chunk(2, dim=1)
        return x * (scale + 1) + shift, style


class ToRGB(nn.Module):
    """1x1 convolution to colour; linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight = nn.Parameter(torch.randn(3, channels, 1, 1))
        self.scale = 1 / sqrt(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias)


class Synthesis(nn.Module):
    """wp to a picture."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.num_blocks = len(config.channels)
        self.register_buffer("lod", torch.zeros(()))
        for layer in layers(config):
            self.add_module(f"layer{layer.index}", StyleLayer(layer, config.w_dim))
            if layer.index % 2:
                self.add_module(f"output{layer.index // 2}", ToRGB(layer.out_channels))

    def forward(
        self, wp: Tensor, lod: float | None = None, fresh_noise: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the image [B, 3, R, R] and the styles of the layers that were drawn.

        lod (level of detail) 0 is the full picture, 1 half the resolution, ...; in between, two
        resolutions blend. The result is always scaled up to R by repeating pixels.
        """
        lod = float(self.lod) if lod is None else lod
        last = self.num_blocks - 1
        blocks = last - int(lod)  # index of the finest block drawn
        share = ceil(lod) - lod  # of the finest block, when two blend
        if not 0 <= lod <= last:
            raise ValueError(f"lod must lie in 0..{last}, got {lod}")
        x, image, styles = None, None, []
        for i in range(blocks + 1):
            for index in (2 * i, 2 * i + 1):
                x, style = getattr(self, f"layer{index}")(x, wp[:, index], fresh_noise)
                styles.append(style)
            if i == blocks - 1 and share:
                image = double(getattr(self, f"output{i}")(x))
        fine = getattr(self, f"output{blocks}")(x)
        image = fine if image is None else fine * share + image * (1 - share)
        for _ in range(last - blocks):
            image = double(image)
        return image, styles


def double(image: Tensor) -> Tensor:
    return F.interpolate(image, scale_factor=2.0, mode="nearest")


class Generator(nn.Module):
    """The whole generator; see the module's head for shapes."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(config)
        self.truncation = Truncation(config)
        self.synthesis = Synthesis(config)

    def forward(
        self,
        z: Tensor,
        label: Tensor | None = None,
        *,
        truncation_psi: float = 1.0,
        truncation_layers: int = 0,
        lod: float | None = None,
        fresh_noise: bool = False,
        style_mixing_prob: float | None = None,
        w_avg_decay: float = 0.995,
    ) -> Generated:
        """Draw faces. Raises ShapeError on a wrong z or label.

        In train mode w_avg drifts towards the batch's mean w (decay 1 holds it still), and styles
        of two faces mix with the given probability (default: the configuration's).
        """
        w, normalised, embedding = self.mapping(z, label)
        mixed = w
        if self.training:
            if w_avg_decay < 1:
                with torch.no_grad():
                    w_avg = self.truncation.w_avg
                    w_avg.lerp_(w.mean(dim=0).to(w_avg), 1 - w_avg_decay)
            prob = self.config.style_mixing_prob if style_mixing_prob is None else style_mixing_prob
            if prob > 0:
                mixed = self.mix_styles(w, z, label, prob, lod)
        wp = self.truncation(mixed, truncation_psi, truncation_layers)
        image, styles = self.synthesis(wp, lod, fresh_noise)
        return Generated(image, normalised, embedding, w, wp, styles)

    def mix_styles(
        self, w: Tensor, z: Tensor, label: Tensor | None, prob: float, lod: float | None
    ) -> Tensor:
        """w [B, w_dim] -> [B, layers, w_dim]: from a random layer on, styles of another z."""
        other, _, _ = self.mapping(torch.randn_like(z), label)  # also when the coin says no
        both = (code[:, None].repeat(1, self.config.num_layers, 1) for code in (w, other))
        wp, other = both
        if torch.rand(()) >= prob:
            return wp
        drawn = self.config.num_layers - 2 * int(self.synthesis.lod if lod is None else lod)
        cutoff = int(torch.randint(1, drawn, ()))
        return torch.cat([wp[:, :cutoff], other[:, cutoff:]], dim=1)


def make_generator(config: GeneratorConfig, state: dict[str, Tensor]) -> Generator:
    """A generator with these weights, in eval mode."""
    generator = Generator(config)
    generator.load_state_dict(state, strict=True)
    return generator.eval().requires_grad_(False)
