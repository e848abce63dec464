"""FineTune-v3: a conditional VAE around the generator, judged by frozen CNNs (Oh-LoRA v1's face).

    mu, logvar = encoder(picture, label);  z = mu + exp(logvar / 2) * eps;  G(z, label) is drawn;
    the property CNN must find the label in it, the gender CNN a woman

Trained are the encoder and the generator's mapping net. There is no reconstruction term and no
true divergence; the losses are in losses.vae_loss. Defaults mend the original: the CNNs stand
still (no dropout, in training and test), the gender CNN gets [0, 1] as it was trained, training
stops when it no longer improves. FAITHFUL repeats it all.

Neither computes what the trained nets do not need (`graph`): of the seven property nets only eyes,
mouth and pose carry loss, and no frozen weight takes a gradient.

    RUN/stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth, _enc.pth     of epochs in which a z passes
    RUN/inference_test_during_finetuning_v3/epoch_0005/            the 30 x 50 test, acceptance.py
    RUN/train_log_v3.csv
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from ohlora.checkpoints import load_catalog
from ohlora.checkpoints.state import file_path
from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.models.cnn import GenderCNN
from ohlora.models.cvae import CVAEEncoder, sample_z
from ohlora.models.generator_config import LABELS, config_of
from ohlora.models.property_cnn import PROPERTIES, PropertyCNN
from ohlora.models.stylegan import Generator
from ohlora.training.acceptance import (
    RESULT,
    accept,
    drawer,
    result_rows,
    write_images,
    write_vectors,
)
from ohlora.training.cnn import at_256, state_bytes
from ohlora.training.face_data import Batch, FaceData
from ohlora.training.finetune_v1 import load_but
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.training.losses import OBEYED, VaeLoss, vae_loss
from ohlora.training.stylegan_base import sample_grid
from ohlora.vision.table import Column, Row, write_table
from ohlora.vision.weights import fitted, missing

TEST = "inference_test_during_finetuning_v3"
CHECKPOINT = "stylegan_gen_fine_tuned_v3_ckpt"
KEPT = 100  # batches whose first mu and logvar are remembered
RANDOM = 30  # pictures of random z and labels beside the test
DECIMALS = 4
LOSSES = ("total_loss", "mse", "gender_loss", "mu_loss", "logvar_loss")
EACH = tuple(f"{name}_{kind}" for kind in ("mse", "abs") for name in PROPERTIES)
LOG = (
    Column("epoch", "int"), Column("batch_idx", "text"),
    *(Column(name, "float") for name in (*LOSSES, *EACH)),
)  # fmt: skip


@dataclass(frozen=True)
class V3Config:
    encoder_lr: float = 1e-5  # AdamW, both
    mapping_lr: float = 1e-4
    period: int = 10  # epochs in which the learning rates fall to 0; then they rise again
    patience: int = 40  # epochs without a lower loss before training stops
    stop_after: int = 0  # epochs that are done in any case
    embed_dim: int = 24  # width of the label embedding
    test_zs: int = 30  # latents of the acceptance test
    test_pictures: bool = True  # keep its 1,500 pictures an epoch
    log_batches: int = 10  # a row of train_log_v3.csv, all seven properties measured
    graph: str = "needed"  # "marked": all seven nets in it; "kept": and gradients of frozen weights
    faithful: bool = False


DEFAULT = V3Config()
FAITHFUL = replace(DEFAULT, stop_after=1000, faithful=True)


class FineTuneV3:
    """Recipe (loop.py). Labels of the data: all seven properties, standard deviations."""

    averaged = ("generator",)

    def __init__(
        self, generator: Generator, property_cnn: PropertyCNN, gender_cnn: GenderCNN,
        config: V3Config = DEFAULT,
    ) -> None:  # fmt: skip
        self.config, self.generator = config, generator
        self.property_cnn, self.gender_cnn = property_cnn, gender_cnn
        label_dim = generator.config.label_dim
        self.columns = [PROPERTIES.index(name) for name in LABELS[label_dim]]
        self.encoder = CVAEEncoder(generator.config.w_dim, label_dim)
        generator.requires_grad_(False).mapping.requires_grad_(True)
        self.modules: dict[str, nn.Module] = {"generator": generator, "encoder": self.encoder}
        self.frozen: dict[str, nn.Module] = {"property": property_cnn, "gender": gender_cnn}
        for net in self.frozen.values():
            # The original left dropout on, in training and in the test.
            net.train(config.faithful).requires_grad_(config.graph == "kept")
        self.trained = [*generator.mapping.parameters(), *self.encoder.parameters()]
        if config.graph == "kept":
            generator.requires_grad_(True)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "mapping": torch.optim.AdamW(generator.mapping.parameters(), config.mapping_lr),
            "encoder": torch.optim.AdamW(self.encoder.parameters(), config.encoder_lr),
        }
        self.schedulers = {
            name: CosineAnnealingLR(optimizer, config.period)
            for name, optimizer in self.optimizers.items()
        }
        self.seen: list[Row] = []  # of this epoch, one a batch
        self.table: list[Row] = []
        self.latents: list[Tensor] = []  # mu and logvar [2, w_dim] of the last batches
        self.least, self.best_epoch, self.epochs = math.inf, -1, 0

    def step(self, batch: Batch, run: Run) -> dict[str, float]:
        self.generator.train()
        index = len(self.seen)
        measured = index % self.config.log_batches == 0
        label = batch.labels[:, self.columns]
        mu, logvar = self.encoder(at_256(batch.pixels()), label)
        image = self.generator(sample_z(mu.float(), logvar.float()), label).image
        loss = self.judge(image, batch.labels, mu, logvar, measured)
        if self.config.graph == "kept":
            run.backward(loss.total)
            self.forget_frozen()
        else:
            run.backward(loss.total, self.trained)
        run.update("mapping")
        run.update("encoder")
        self.latents.append(torch.stack([mu[0], logvar[0]]).detach().float().cpu())
        self.latents = self.latents[-KEPT:]
        row = numbers(loss, measured)
        self.seen.append(row)
        if measured:
            self.table.append({"epoch": self.epochs, "batch_idx": str(index), **row})
        return {name: row[name] for name in LOSSES}

    def judge(
        self, image: Tensor, labels: Tensor, mu: Tensor, logvar: Tensor, all_seven: bool
    ) -> VaeLoss:
        """The loss of drawn pictures [B, 3, R, R]; labels [B, 7].

        Where only eyes, mouth and pose are measured, the other errors come out as 0.
        """
        large = at_256(image)
        woman = large if self.config.faithful else (large / 2 + 0.5).clamp(0, 1)
        if self.config.graph == "needed":
            scores = needed_scores(self.property_cnn, large, labels, all_seven)
        else:
            scores = self.property_cnn(large)
        return vae_loss(scores, labels, self.gender_cnn(woman), mu, logvar)

    def forget_frozen(self) -> None:
        trained = {id(p) for p in self.trained}
        for net in (*self.modules.values(), *self.frozen.values()):
            for p in net.parameters():
                if id(p) not in trained:
                    p.grad = None

    def epoch_end(self, run: Run) -> dict[str, float]:
        means = mean_row(self.seen)
        self.table.append({"epoch": self.epochs, "batch_idx": "-", **means})
        self.seen = []
        passed, closest = self.test(run)
        for scheduler in self.schedulers.values():
            scheduler.step()
        if means["total_loss"] < self.least:
            self.least, self.best_epoch = means["total_loss"], self.epochs
        waited = self.epochs - self.best_epoch
        if waited >= self.config.patience and self.epochs >= self.config.stop_after:
            run.stop()
        self.epochs += 1
        if run.main:
            write_table(run.path / "train_log_v3.csv", LOG, self.table)
        return {"total_loss": means["total_loss"], "passed": passed, **closest}

    @torch.no_grad()
    def test(self, run: Run) -> tuple[float, dict[str, float]]:
        """The acceptance test of this epoch: how many z passed, and the best of each measure."""
        generator = run.averaged.get("generator", self.generator)
        generator.train(self.config.faithful)
        folder = run.path / TEST / f"epoch_{self.epochs:04d}" if run.main else None
        recent = torch.stack(self.latents[-self.config.test_zs :])
        mu, logvar = recent[:, 0].to(run.device), recent[:, 1].to(run.device)
        draw, zs = drawer(generator), sample_z(mu, logvar)
        judged = accept(draw, self.score, zs, folder, batch=10, pictures=self.config.test_pictures)
        if folder:
            every = torch.stack(self.latents)
            write_vectors(folder / "test_mus.csv", every[:, 0], DECIMALS)
            write_vectors(folder / "test_log_vars.csv", every[:, 1], DECIMALS)
            self.draw_random(run, folder)
            if any(one.passed for one in judged):
                stem = run.path / f"{CHECKPOINT}_{self.epochs:04d}"
                for name, net in (("gen", generator), ("enc", self.encoder)):
                    write_whole(stem.with_name(f"{stem.name}_{name}.pth"), state_bytes(net))
        best = np.array([one.correlations for one in judged])
        closest = {
            f"best_{name}_corr": float(np.nan_to_num(best[:, i], nan=-1.0).max())
            for i, name in enumerate(LABELS[3])
        }
        return float(sum(one.passed for one in judged)), closest

    def draw_random(self, run: Run, folder: Path) -> None:
        """Pictures of z and labels that nobody encoded."""
        generator = run.averaged.get("generator", self.generator)
        z = torch.randn(RANDOM, generator.config.w_dim, device=run.device)
        wanted = torch.randn(RANDOM, 3, device=run.device)
        images = torch.cat([
            drawer(generator)(some, labels)
            for some, labels in zip(z.split(10), wanted.split(10), strict=True)
        ])  # fmt: skip
        scores = torch.cat([self.score(some) for some in images.split(10)])
        if self.config.test_pictures:
            write_images(folder / "random", images)
        rows = result_rows(rounded(scores), rounded(wanted))
        write_table(folder / "test_random_gen_result.csv", RESULT, rows)

    def score(self, images: Tensor) -> Tensor:
        """Eyes, mouth and pose [B, 3] of pictures about [-1, 1]."""
        large = at_256(images)
        return torch.cat([net(large) for net in obeyed_nets(self.property_cnn)], dim=1)

    def samples(self, run: Run) -> NDArray[np.uint8]:
        return sample_grid(run.averaged.get("generator", self.generator))

    def extra_state(self) -> dict[str, Any]:
        return {
            "seen": self.seen, "table": self.table, "latents": self.latents,
            "least": self.least, "best_epoch": self.best_epoch, "epochs": self.epochs,
        }  # fmt: skip

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.seen, self.table = list(state["seen"]), list(state["table"])
        self.latents = [one.cpu() for one in state["latents"]]
        self.least, self.best_epoch = state["least"], state["best_epoch"]
        self.epochs = state["epochs"]


def obeyed_nets(net: PropertyCNN) -> tuple[nn.Module, nn.Module, nn.Module]:
    return net.eyes_score_cnn, net.mouth_score_cnn, net.pose_score_cnn


def needed_scores(net: PropertyCNN, images: Tensor, labels: Tensor, all_seven: bool) -> Tensor:
    """Scores [B, 7] of which eyes, mouth and pose have a graph.

    The others cost most (they look at the whole picture) and carry no loss: they are measured
    without a graph, or not at all (then their labels stand for them).
    """
    columns = list(labels.float().unbind(1))
    for i, part in zip(OBEYED, obeyed_nets(net), strict=True):
        columns[i] = part(images)[:, 0].float()
    if all_seven:
        with torch.no_grad():
            columns[1] = net.hair_color_score_cnn(images)[:, 0].float()
            columns[2] = net.hair_length_score_cnn(images)[:, 0].float()
            columns[5], columns[6] = net.background_score_cnn(images).float().unbind(1)
    return torch.stack(columns, dim=1)


def numbers(loss: VaeLoss, all_seven: bool) -> Row:
    parts = (loss.total, loss.properties, loss.gender, loss.mu, loss.logvar)
    values = torch.cat([torch.stack(parts), loss.squared, loss.absolute]).detach().cpu().tolist()
    row: Row = dict(zip((*LOSSES, *EACH), values, strict=True))
    if not all_seven:
        row.update({name: None for name in EACH})
    return row


def mean_row(rows: Sequence[Row]) -> Row:
    """Mean of each column over the rows that have it."""
    means: Row = {}
    for name in (*LOSSES, *EACH):
        values = [row[name] for row in rows if row[name] is not None]
        means[name] = math.fsum(values) / len(values) if values else None
    return means


def rounded(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy().round(DECIMALS)


def load_judges(
    property_file: Path | None = None, gender_file: Path | None = None
) -> tuple[PropertyCNN, GenderCNN]:
    """The frozen CNNs; without a file the published ones. Raises CheckpointError."""
    catalog = load_catalog()
    nets: list[Any] = []
    for row, kind, path in (
        (catalog["property-cnn"], PropertyCNN, property_file),
        (catalog["gender-cnn"], GenderCNN, gender_file),
    ):
        path = path or file_path(row, row.files[0])
        if not path.is_file():
            raise missing(path, row.id)
        nets.append(fitted(kind, row.files[0].nets[0], path))
    return nets[0], nets[1]


def start_from(state: Mapping[str, NDArray[Any]], config: V3Config = DEFAULT) -> Generator:
    """A v1 generator's weights; label_weight and dense0.weight start at random, as published.

    A generator of ours with three labels keeps its three. Raises BadInput when the state is of
    something else.
    """
    try:
        shape = config_of({key: tuple(value.shape) for key, value in state.items()})
        if shape.label_dim not in (3, 7):
            shape = replace(shape, label_dim=7)
        new = replace(shape, embed_dim=config.embed_dim, style_mixing_prob=0.0)
        generator = Generator(new)
        load_but(generator, state, ("mapping.label_weight", "mapping.dense0.weight"))
    except (KeyError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise BadInput(
            f"These are not the weights of a StyleGAN generator ({first}): give FineTune-v1's.",
            f"StyleGAN 생성기의 가중치가 아니에요({first}). FineTune-v1의 것을 주세요.",
        ) from error
    return generator


def finetune(recipe: FineTuneV3, data: FaceData, loop: LoopConfig, run_dir: Path) -> Path:
    """Train; called again, go on. Raises BadInput for wrong labels, and what `train` raises."""
    data.check(labels=len(PROPERTIES))
    return train(recipe, data, loop, run_dir)
