"""FineTune-v1: a face GAN learns labels, with nearly all of it frozen (Oh-LoRA v1).

Only the generator's mapping net and the discriminator's last three layers train. The published
recipe is FAITHFUL; the default mends it: learning rates follow their schedule, and the weights
are averaged. Neither computes what the trained layers do not need:

    D step   fakes and their features without a graph; of the real pictures' graph (R1 goes down to
             the pixels and back) only the way to the trained layers
    G step   gradients reach w through the frozen nets, no frozen weight gets one

Files in the run folder, after every epoch and at the end (keys and shapes as published; of the
generator the averaged one where there is):

    stylegan_gen_fine_tuned_v1.safetensors, stylegan_dis_fine_tuned_v1.safetensors, train_log.csv
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from ohlora.errors import BadInput, StoreError
from ohlora.files import write_whole
from ohlora.models.discriminator import Discriminator, DiscriminatorConfig
from ohlora.models.generator_config import config_of
from ohlora.models.stylegan import Generator
from ohlora.training.face_data import Batch
from ohlora.training.loop import Run
from ohlora.training.losses import (
    discriminator_loss,
    generator_loss,
    r1_penalty,
    real_fake_auroc,
)
from ohlora.training.run_folder import write_weights
from ohlora.training.stylegan_base import draw, sample_grid

TRAIN_LOG = (
    "epoch", "idx", "d_loss", "g_loss", "g_train_count", "real_scores_mean", "fake_scores_mean",
    "real_fake_auroc",
)  # fmt: skip


@dataclass(frozen=True)
class FineTuneConfig:
    version: str = "v1"  # in the names of the files
    label_dim: int = 7
    embed_dim: int = 16
    lr: float = 1e-4  # AdamW, both nets
    lr_period: int | None = 10  # epochs from lr to 0, and as many back; None: constant
    r1_gamma: float = 10.0
    generator_tries: int = 4  # at most, until its loss is under twice the discriminator's
    style_mixing: float = 0.9
    group: int = 16  # pictures compared by the discriminator; divides the batch or exceeds it
    log_batches: int = 10  # a row of train_log.csv
    suffix: str = ".safetensors"  # or ".pth"


DEFAULT = FineTuneConfig()
FAITHFUL = replace(DEFAULT, lr_period=None)  # schedulers were made and never stepped


class FineTune:
    """Recipe (loop.py) of FineTune-v1 and v4."""

    averaged: tuple[str, ...] = ("generator",)

    def __init__(
        self, generator: Generator, discriminator: Discriminator, config: FineTuneConfig
    ) -> None:
        self.generator, self.discriminator, self.config = generator, discriminator, config
        generator.train().requires_grad_(False).mapping.requires_grad_(True)
        discriminator.train().requires_grad_(False)
        for layer in last_layers(discriminator):
            layer.requires_grad_(True)
        self.modules: dict[str, nn.Module] = {
            "generator": generator, "discriminator": discriminator
        }  # fmt: skip
        self.trained = {
            name: [p for p in module.parameters() if p.requires_grad]
            for name, module in self.modules.items()
        }
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: torch.optim.AdamW(parameters, config.lr, weight_decay=0.01, fused=True)
            for name, parameters in self.trained.items()
        }
        self.schedulers: dict[str, LRScheduler] = {}
        if config.lr_period:
            self.schedulers = {
                name: CosineAnnealingLR(optimizer, config.lr_period)
                for name, optimizer in self.optimizers.items()
            }
        self.epoch_start = 0  # step
        self.table: list[dict[str, float]] = []

    def step(self, batch: Batch, run: Run) -> dict[str, float | Tensor]:
        d_loss, real, fake = self.discriminator_step(batch, run)
        g_loss, tries = d_loss, 0
        for tries in range(1, self.config.generator_tries + 1):
            g_loss = self.generator_step(batch.labels, run)
            if g_loss < 2 * d_loss:
                break
        row = {
            "d_loss": float(d_loss), "g_loss": float(g_loss), "g_train_count": tries,
            "real_scores_mean": float(real.mean()), "fake_scores_mean": float(fake.mean()),
            "real_fake_auroc": real_fake_auroc(real, fake),
        }  # fmt: skip
        index = run.step - self.epoch_start
        if index % self.config.log_batches == 0:
            self.table.append({"epoch": run.epoch, "idx": index, **row})
        return row

    def discriminator_step(self, batch: Batch, run: Run) -> tuple[Tensor, Tensor, Tensor]:
        """Penalised loss, real and fake logits [B, 1], all detached."""
        net, label = self.discriminator, batch.labels
        with torch.no_grad():
            fake = net.features(draw(self.generator, label, len(batch), self.config.style_mixing))
        with run.autocast(False):  # squares of small gradients: bfloat16 is too coarse
            images = batch.pixels().requires_grad_(True)
            real_logits, fake_logits = net(images, label), net.judge(fake.float(), label)
            loss = discriminator_loss(real_logits, fake_logits)
            loss = loss + self.config.r1_gamma / 2 * r1_penalty(real_logits, images)
        run.backward(loss, self.trained["discriminator"])
        run.update("discriminator")
        return loss.detach(), real_logits.detach(), fake_logits.detach()

    def generator_step(self, label: Tensor, run: Run) -> Tensor:
        fake = draw(self.generator, label, len(label), self.config.style_mixing)
        loss = generator_loss(self.discriminator(fake, label))
        run.backward(loss, self.trained["generator"])
        run.update("generator")
        return loss.detach()

    def epoch_end(self, run: Run) -> dict[str, float | Tensor]:
        for scheduler in self.schedulers.values():
            scheduler.step()
        self.epoch_start = run.step
        self.finish(run)
        return {name: s.get_last_lr()[0] for name, s in self.schedulers.items()}

    def samples(self, run: Run) -> NDArray[np.uint8]:
        return sample_grid(run.averaged.get("generator", self.generator))

    def extra_state(self) -> dict[str, Any]:
        return {"epoch_start": self.epoch_start, "table": self.table}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.epoch_start, self.table = state["epoch_start"], state["table"]

    def finish(self, run: Run) -> None:
        """Write both nets and train_log.csv under their published names. Raises StoreError."""
        if run.main:
            nets = {"gen": run.averaged.get("generator", self.generator), "dis": self.discriminator}
            publish(run.path, nets, self.table, self.config)


def last_layers(discriminator: Discriminator) -> list[nn.Module]:
    """layer12, layer13 and layer14 of the published net."""
    first = 2 * len(discriminator.config.channels) - 2
    return [discriminator.get_submodule(f"layer{first + i}") for i in range(3)]


def publish(
    folder: Path, nets: Mapping[str, nn.Module], table: list[dict[str, float]],
    config: FineTuneConfig,
) -> None:  # fmt: skip
    try:
        for short, net in nets.items():
            path = folder / f"stylegan_{short}_fine_tuned_{config.version}{config.suffix}"
            if config.suffix == ".safetensors":
                write_weights(path, net)
            else:
                memory = io.BytesIO()
                torch.save({key: t.detach().cpu() for key, t in net.state_dict().items()}, memory)
                write_whole(path, memory.getvalue())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["", *TRAIN_LOG])
        for i, row in enumerate(table):
            writer.writerow([i, *(row[name] for name in TRAIN_LOG)])
        write_whole(folder / "train_log.csv", text.getvalue().encode())
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room and run the same command "
            "again.",
            f"{folder}에 쓸 수 없어요({error.strerror}). 공간을 비우고 다시 실행해 주세요.",
        ) from error


State = Mapping[str, NDArray[Any]]


def start_from(
    generator: State, discriminator: State, config: FineTuneConfig
) -> tuple[Generator, Discriminator]:
    """Nets with the weights of another variant; what depends on the label starts at random.

    That is the generator's label_weight and dense0.weight, and the discriminator's last layer, as
    published. Raises BadInput when the states are no generator and discriminator of one size.
    """
    try:
        shape = config_of({key: tuple(value.shape) for key, value in generator.items()})
        channels = []
        while (key := f"input{len(channels)}.bias") in discriminator:
            channels.append(int(discriminator[key].shape[0]))
        if tuple(reversed(channels)) != shape.channels:
            raise ValueError(f"widths {shape.channels} and {tuple(reversed(channels))}")
        new = replace(shape, label_dim=config.label_dim, embed_dim=config.embed_dim)
        g = Generator(new)
        d = Discriminator(DiscriminatorConfig(config.label_dim, config.group, tuple(channels)))
        load_but(g, generator, ("mapping.label_weight", "mapping.dense0.weight"))
        load_but(
            d, discriminator, tuple(f"layer{2 * len(channels)}.{w}" for w in ("weight", "bias"))
        )
    except (KeyError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise BadInput(
            f"These are not the weights of a StyleGAN generator and its discriminator ({first}): "
            "give the pair of one training.",
            f"StyleGAN 생성기와 그 판별기의 가중치가 아니에요({first}). 한 학습에서 나온 짝을 "
            "주세요.",
        ) from error
    return g, d


def load_but(net: nn.Module, state: State, fresh: tuple[str, ...]) -> None:
    """Load all but `fresh`. Raises RuntimeError when anything else is missing or left over."""
    given = {key: torch.from_numpy(np.array(v)) for key, v in state.items() if key not in fresh}
    result = net.load_state_dict(given, strict=False)
    if wrong := [key for key in result.missing_keys if key not in fresh] + result.unexpected_keys:
        raise RuntimeError(f"{wrong[0]} does not fit")
