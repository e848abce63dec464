"""Gender and quality CNNs: five nets of a kind, each trained on four fifths of labelled faces.

    train_folds(data, CnnConfig("gender"), LoopConfig(epochs=200), out)      called again: goes on

Published recipe (pipeline 3): images in [0, 1], AdamW 5e-5, binary cross-entropy summed over the
batch, a learning rate that falls and rises in cosines, early stop, the best epoch's weights kept;
a fold whose best validation loss is not good enough starts anew with another net. `faithful`
repeats two mistakes of the original: the nets handed on are the last epoch's, and their dropout
is still active when they score.

    OUT/models/gender_model_0.pt               state_dict, as published (ensemble.py scores with it)
    OUT/log/train_log_gender.csv               a row for each net that was trained
    OUT/log/epoch_detail_gender_0.csv          a row for each epoch of the net that was kept
    OUT/runs/gender_fold_0_try_0/              runs of the loop
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.models.cnn import SIZE, GenderCNN, JudgeCNN, QualityCNN
from ohlora.training.face_data import Batch, FaceData
from ohlora.training.faults import TrainingError
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.training.losses import real_fake_auroc
from ohlora.vision.table import Column, Row, write_table

VALID_BATCH = 4
AGREES = 2e-5  # the best net's validation loss, measured again
EPOCH = (
    Column("epoch", "int"), Column("val_loss", "float"), Column("val_accuracy", "float"),
    *(Column(name, "int") for name in ("tp", "tn", "fp", "fn")),
    *(Column(f"val_{name}", "float") for name in ("recall", "precision", "f1_score", "auroc")),
)  # fmt: skip
TRIED = (
    Column("fold_no", "int"), Column("success", "text"), Column("min_val_loss", "float"),
    Column("total_epochs", "int"), Column("best_epoch", "int"),
    Column("elapsed_time (s)", "float"), Column("val_loss_list", "json"),
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    net: type[JudgeCNN]
    good_enough: float  # validation loss a net must reach
    threshold: float  # probability that counts as a yes in the logged measures
    stratified: bool  # every fold gets its share of yes and no


KINDS = {
    "gender": Kind(GenderCNN, 0.35, 0.50, stratified=False),
    "quality": Kind(QualityCNN, 0.13, 0.90, stratified=True),
}


@dataclass(frozen=True)
class CnnConfig:
    kind: str  # of KINDS
    folds: int = 5
    lr: float = 5e-5  # AdamW; 1e-3 is reported as failing
    period: int = 10  # epochs in which the learning rate falls to 0; then it rises again
    patience: int = 20  # epochs without a new minimum
    good_enough: float | None = None  # validation loss; None: the published one of its kind
    retries: int | None = 3  # new nets for a fold that fails; None: until one succeeds
    unit: int = 32  # width of the net; 32 as published
    faithful: bool = False

    @property
    def goal(self) -> float:
        return KINDS[self.kind].good_enough if self.good_enough is None else self.good_enough


def v1_faithful(kind: str) -> CnnConfig:
    """The original's settings and mistakes."""
    return CnnConfig(kind, retries=None, faithful=True)


@dataclass(frozen=True)
class Fold:
    number: int
    tries: int
    loss: float  # least validation loss of the net that was kept
    good: bool
    best: JudgeCNN  # of the epoch with that loss
    last: JudgeCNN


def at_256(images: Tensor) -> Tensor:
    """Pictures of another size as the CNNs want them: [B, 3, 256, 256], gradients pass."""
    if images.shape[-1] == SIZE:
        return images
    return F.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True)


def split(labels: NDArray[Any], folds: int, stratified: bool, seed: int) -> Iterator[
    tuple[NDArray[np.int64], NDArray[np.int64]]
]:  # fmt: skip
    """Rows to learn from and rows to check, for each fold; shuffled."""
    order = np.random.default_rng([seed, folds]).permutation(len(labels))
    if stratified:  # dealt out class by class
        order = order[np.argsort(labels[order], kind="stable")]
        place = np.arange(len(order)) % folds
    else:
        place = np.arange(len(order)) * folds // len(order)
    for fold in range(folds):
        yield np.sort(order[place != fold]), np.sort(order[place == fold])


def measures(probability: NDArray[Any], truth: NDArray[Any], threshold: float) -> Row:
    """Loss and counts of one epoch; None where a measure is undefined."""
    yes, real = probability >= threshold, truth > 0.5
    tp, tn = int((yes & real).sum()), int((~yes & ~real).sum())
    fp, fn = int((yes & ~real).sum()), int((~yes & real).sum())
    recall = tp / (tp + fn) if tp + fn else None
    precision = tp / (tp + fp) if tp + fp else None
    both = recall is not None and precision is not None and recall + precision > 0
    p = torch.from_numpy(probability.astype(np.float64))
    loss = F.binary_cross_entropy(p, torch.from_numpy(truth.astype(np.float64)))
    auroc = real_fake_auroc(p[real], p[~real]) if real.any() and not real.all() else None
    return {
        "val_loss": float(loss), "val_accuracy": (tp + tn) / len(truth),
        "tp": tp, "tn": tn, "fp": fp, "fn": fn, "val_recall": recall, "val_precision": precision,
        "val_f1_score": 2 * tp / (2 * tp + fp + fn) if both else None, "val_auroc": auroc,
    }  # fmt: skip


@torch.no_grad()
def probabilities(net: nn.Module, data: FaceData, batch: int = VALID_BATCH) -> NDArray[np.float32]:
    """The net's answer for every row [N], in whatever mode it is."""
    device = next(net.parameters()).device
    found = [net(at_256(some.to(device).pixels(low=0.0)))[:, 0] for some in data.batches(batch)]
    return torch.cat(found).float().cpu().numpy()


class FoldRecipe:
    averaged = ()

    def __init__(self, config: CnnConfig, checked: FaceData, seed: int) -> None:
        self.config, self.kind, self.checked = config, KINDS[config.kind], checked
        torch.manual_seed(seed)
        self.net, self.best = self.kind.net(config.unit), self.kind.net(config.unit)
        self.best.requires_grad_(False)
        self.modules: dict[str, nn.Module] = {"net": self.net, "best": self.best}
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=config.lr)
        self.optimizers = {"net": optimizer}
        self.schedulers = {"net": CosineAnnealingLR(optimizer, config.period)}
        self.rows: list[Row] = []
        self.best_epoch, self.seconds, self.since = -1, 0.0, time.monotonic()

    @property
    def losses(self) -> list[float]:
        return [row["val_loss"] for row in self.rows]

    def step(self, batch: Batch, run: Run) -> dict[str, Tensor]:
        found = self.net.train()(at_256(batch.pixels(low=0.0)))
        with run.autocast(False):
            loss = F.binary_cross_entropy(found.float(), batch.labels, reduction="sum")
        run.backward(loss)
        run.update("net")
        return {"loss": loss.detach() / len(batch)}

    def epoch_end(self, run: Run) -> dict[str, float]:
        found = probabilities(self.net.eval(), self.checked)
        row = measures(found, self.checked.labels[:, 0], self.kind.threshold)
        epoch = len(self.rows)
        self.rows.append({"epoch": epoch, **row})
        if row["val_loss"] < min(self.losses[:-1], default=float("inf")):
            self.best_epoch = epoch
            self.best.load_state_dict(self.net.state_dict())
        elif epoch - self.best_epoch >= self.config.patience:
            run.stop()
        self.schedulers["net"].step()
        self.seconds += time.monotonic() - self.since
        self.since = time.monotonic()
        return {"val_loss": row["val_loss"], "val_accuracy": row["val_accuracy"]}

    def samples(self, run: Run) -> None:
        return None

    def extra_state(self) -> dict[str, Any]:
        return {"rows": self.rows, "best_epoch": self.best_epoch, "seconds": self.seconds}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.rows, self.best_epoch = list(state["rows"]), state["best_epoch"]
        self.seconds, self.since = state["seconds"], time.monotonic()


def check_labels(data: FaceData, config: CnnConfig) -> None:
    """Raises BadInput unless there is one column of 0 and 1, with enough of both."""
    if config.kind not in KINDS:
        raise BadInput(
            f"There is no CNN for {config.kind!r}: use {' or '.join(KINDS)}.",
            f"{config.kind!r} CNN은 없어요. {', '.join(KINDS)} 중에서 고르세요.",
        )
    data.check(labels=1)
    labels = data.labels[:, 0]
    if wrong := sorted(set(labels.tolist()) - {0.0, 1.0}):
        row = int(np.flatnonzero(labels == wrong[0])[0])
        raise BadInput(
            f"The label {config.kind} of picture {data.numbers[row]} is {wrong[0]:g} and must be 1 "
            "or 0.",
            f"{data.numbers[row]}번 그림의 {config.kind} 라벨이 {wrong[0]:g}인데 1 또는 0이어야 "
            "해요.",
        )
    if len(data) < config.folds or config.folds < 2:
        raise BadInput(
            f"{config.folds} folds need at least 2 folds and as many labelled pictures; there are "
            f"{len(data)}.",
            f"폴드는 2개 이상이고 라벨이 있는 그림이 그만큼 있어야 해요. 폴드 {config.folds}개, "
            f"그림 {len(data)}장이에요.",
        )


def train_folds(data: FaceData, config: CnnConfig, loop: LoopConfig, out: Path) -> list[Fold]:
    """Train the nets of a kind and write the files above; nets come back in eval mode.

    data: labelled pictures, labels [N, 1]: 1 a woman, or a good picture. Raises BadInput for
    labels that are not 0 and 1 or of one class only, and what `train` raises.
    """
    check_labels(data, config)
    kind, rows, folds = KINDS[config.kind], [], []
    for number, (learn, check) in enumerate(
        split(data.labels[:, 0], config.folds, kind.stratified, loop.seed)
    ):
        learned, checked = data.subset(learn), data.subset(check)
        if len(set(learned.labels[:, 0].tolist())) < 2:
            only = f"{learned.labels[0, 0]:g}"
            raise BadInput(
                f"All {len(learned)} pictures that fold {number} learns from have {config.kind} "
                f"{only}: label some of the other kind too.",
                f"폴드 {number}에서 학습할 그림 {len(learned)}장의 {config.kind}이(가) 모두 "
                f"{only}이에요. 다른 쪽도 라벨을 붙여 주세요.",
            )
        kept: FoldRecipe | None = None
        for attempt in count():
            seed = loop.seed + 1000 * attempt + number
            recipe = FoldRecipe(config, checked, seed)
            run_dir = out / "runs" / f"{config.kind}_fold_{number}_try_{attempt}"
            train(recipe, learned, replace(loop, seed=seed), run_dir)
            rows.append(tried(number, recipe))
            write_table(out / "log" / f"train_log_{config.kind}.csv", TRIED, rows, numbered=True)
            if kept is None or min(recipe.losses) < min(kept.losses):
                kept = recipe
            if min(recipe.losses) <= config.goal or attempt == config.retries:
                break
        folds.append(keep(number, attempt + 1, kept, out))
    return folds


def tried(number: int, recipe: FoldRecipe) -> Row:
    if not recipe.losses:
        raise BadInput(
            "Training ended before its first epoch was over: give more steps.",
            "첫 에폭이 끝나기 전에 학습이 끝났어요. 스텝 수를 늘려 주세요.",
        )
    return {
        "fold_no": number,
        "success": str(min(recipe.losses) <= recipe.config.goal),
        "min_val_loss": min(recipe.losses),
        "total_epochs": len(recipe.losses),
        "best_epoch": recipe.best_epoch,
        "elapsed_time (s)": round(recipe.seconds, 1),
        "val_loss_list": recipe.losses,
    }


def keep(number: int, tries: int, recipe: FoldRecipe, out: Path) -> Fold:
    """Write the net and the log of the best try. Raises TrainingError when it is not the same."""
    config, loss = recipe.config, min(recipe.losses)
    again = measures(
        probabilities(recipe.best.eval(), recipe.checked),
        recipe.checked.labels[:, 0],
        recipe.kind.threshold,
    )["val_loss"]
    if abs(again - loss) > AGREES:
        raise TrainingError(
            f"The best net of fold {number} has a validation loss of {again:.6f} now and had "
            f"{loss:.6f} in training: its files cannot be trusted, train it again.",
            f"폴드 {number}에서 가장 좋은 신경망의 검증 손실이 지금은 {again:.6f}, 학습 때는 "
            f"{loss:.6f}이에요. 파일을 믿을 수 없으니 다시 학습해 주세요.",
        )
    name = f"{config.kind}_model_{number}.pt"
    write_whole(out / "models" / name, state_bytes(recipe.best))
    write_table(out / "log" / f"epoch_detail_{config.kind}_{number}.csv", EPOCH, recipe.rows)
    good = loss <= config.goal
    return Fold(number, tries, loss, good, recipe.best.eval(), recipe.net.eval())


def state_bytes(net: nn.Module) -> bytes:
    """The file of a state_dict, as the published ones are; opens with weights_only."""
    buffer = io.BytesIO()
    torch.save({key: value.cpu() for key, value in net.state_dict().items()}, buffer)
    return buffer.getvalue()


def summary(folds: list[Fold]) -> str:
    """One line of JSON: what became of each fold."""
    return json.dumps([{"fold": f.number, "tries": f.tries, "min_val_loss": round(f.loss, 4),
                        "good": f.good} for f in folds])  # fmt: skip
