"""Base StyleGAN: a generator and a discriminator from nothing, on labelled faces.

Non-saturating loss with R1 on real pictures (Karras et al. 2019, https://arxiv.org/abs/1812.04948;
the penalty every 16th step as in Karras et al. 2020, https://arxiv.org/abs/1912.04958, appendix B),
style mixing, an averaged generator, augmentation where data is small (augment.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ohlora.face.pixels import to_pixels
from ohlora.models.discriminator import Discriminator, DiscriminatorConfig
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.stylegan import Generator
from ohlora.training.augment import augment
from ohlora.training.face_data import Batch
from ohlora.training.loop import Run
from ohlora.training.losses import discriminator_loss, generator_loss, r1_penalty


@dataclass(frozen=True)
class BaseConfig:
    label_dim: int = 3
    embed_dim: int = 16
    w_dim: int = 512
    channels: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64)  # from 4 px up
    lr: float = 2e-3  # of both, Adam with betas 0 and 0.99
    r1_gamma: float = 10.0
    r1_every: int = 16  # steps; 1: the penalty in every step
    style_mixing: float = 0.9  # probability a batch
    augment: float = 0.0  # probability of each change; 0.6 for a few thousand pictures
    group: int = 4  # pictures compared by the minibatch deviation; divides the batch

    @property
    def generator(self) -> GeneratorConfig:
        return GeneratorConfig(self.label_dim, self.embed_dim, self.w_dim, self.channels)

    @property
    def discriminator(self) -> DiscriminatorConfig:
        return DiscriminatorConfig(self.label_dim, self.group, tuple(reversed(self.channels)))


class StyleganBase:
    """Recipe (loop.py). Each step updates the discriminator, then the generator."""

    schedulers: dict[str, torch.optim.lr_scheduler.LRScheduler] = {}
    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, config: BaseConfig) -> None:
        self.config = config
        self.generator = Generator(config.generator)
        self.discriminator = Discriminator(config.discriminator)
        self.modules: dict[str, nn.Module] = {
            "generator": self.generator, "discriminator": self.discriminator
        }  # fmt: skip
        # The penalty every k-th step is a step of its own: fewer, so smaller, plain steps.
        share = config.r1_every / (config.r1_every + 1) if config.r1_every > 1 else 1.0
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(
                self.generator.parameters(), config.lr, (0.0, 0.99), fused=True
            ),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), config.lr * share, (0.0, 0.99**share), fused=True
            ),
        }

    def step(self, batch: Batch, run: Run) -> dict[str, float | Tensor]:
        config, label = self.config, batch.labels if self.config.label_dim else None
        with torch.no_grad():
            fake = augment(self.draw(label, len(batch)), config.augment)
        real = augment(batch.pixels(), config.augment)
        penalised = run.step % config.r1_every == 0
        real_logits = self.discriminator(real, label)
        fake_logits = self.discriminator(fake, label)
        d_loss = loss = discriminator_loss(real_logits, fake_logits)
        logged: dict[str, float | Tensor] = {"d_loss": d_loss.detach()}
        if penalised:
            with run.autocast(False):  # squares of small gradients: bfloat16 is too coarse
                images = real.detach().requires_grad_(True)
                penalty = r1_penalty(self.discriminator(images, label), images)
            loss = d_loss + config.r1_gamma / 2 * config.r1_every * penalty
            logged["r1"] = penalty.detach()
        run.backward(loss, self.discriminator.parameters())
        run.update("discriminator")

        fake = augment(self.draw(label, len(batch)), config.augment)
        g_loss = generator_loss(self.discriminator(fake, label))
        run.backward(g_loss, self.generator.parameters())
        run.update("generator")
        return {**logged, "g_loss": g_loss.detach(), "real": real_logits.detach().mean(),
                "fake": fake_logits.detach().mean()}  # fmt: skip

    def draw(self, label: Tensor | None, count: int) -> Tensor:
        return draw(self.generator, label, count, self.config.style_mixing)

    def epoch_end(self, run: Run) -> dict[str, float | Tensor]:
        return {}

    def samples(self, run: Run) -> NDArray[np.uint8]:
        return sample_grid(run.averaged.get("generator", self.generator))

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        pass


def draw(generator: Generator, label: Tensor | None, count: int, mixing: float) -> Tensor:
    """Faces of fresh z with fresh noise, float32 [count, 3, R, R], as in training.

    The mapping net always runs in float32: bfloat16 would blur the label. w_avg drifts.
    """
    device = generator.truncation.w_avg.device
    z = torch.randn(count, generator.config.w_dim, device=device)
    with torch.autocast(device.type, enabled=False):
        w, _, _ = generator.mapping(z, label)
        with torch.no_grad():
            generator.truncation.w_avg.lerp_(w.mean(dim=0), 0.005)
        if mixing > 0:
            w = generator.mix_styles(w, z, label, mixing, None)
        wp = generator.truncation(w, 1.0, 0)
    return generator.synthesis(wp, 0.0, fresh_noise=True)[0].float()


@torch.no_grad()
def sample_grid(generator: Generator, columns: int = 6, reach: float = 1.5) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: a row without expression, then each label at -reach and +reach; the same
    z down each column. In eval mode: no mixing, fixed noise."""
    config, mode = generator.config, generator.training
    device = generator.truncation.w_avg.device
    z = torch.randn(columns, config.w_dim, generator=torch.Generator().manual_seed(0)).to(device)
    rows = torch.zeros(1 + 2 * config.label_dim, config.label_dim, device=device)
    for i in range(config.label_dim):
        rows[1 + 2 * i, i], rows[2 + 2 * i, i] = -reach, reach
    generator.eval()
    try:
        pictures = [
            generator(z, row.expand(columns, -1) if config.label_dim else None).image
            for row in rows
        ]
    finally:
        generator.train(mode)
    return tiled([list(images.float().cpu().numpy()) for images in pictures])


def tiled(rows: list[list[NDArray[np.float32]]]) -> NDArray[np.uint8]:
    """Rows of pictures [3, R, R] as one, uint8 [H, W, 3]."""
    return np.concatenate([np.concatenate([to_pixels(x) for x in row], axis=1) for row in rows])
