"""Property CNN: learns the seven measured scores, then labels every picture anew.

    data = scored_synth(folder)  or  scored_v1(images_dir, all_scores_v2.csv)
    trained = train_property(data, PropertyConfig(), LoopConfig(epochs=200), out)

Published recipe (pipeline 7): pictures in [-1, 1], a tenth kept for validation, mean squared
error over the seven scores, AdamW 5e-5 in cosines of 10 epochs, early stop on the validation loss
without background_std, which hardly can be learned; the best epoch's weights are kept. Its answers
are smoother than the masks' scores and became the labels of FineTune-v3 and v4. `faithful` gives
these answers with dropout active, as the original did.

    OUT/stylegan_gen_fine_tuned_v2_cnn.pth        state_dict, as published
    OUT/log/train_log_v2_cnn.csv                  a row for each epoch
    OUT/log/train_log_v2_cnn_val_log.csv          the first 30 validation pictures of each epoch
    OUT/all_scores_v2_cnn.csv                     the new labels
    OUT/compare/all_scores_v2_vs_cnn.csv          new against old
    OUT/scale.json                                of synthetic scores: what one deviation means
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.models.property_cnn import PROPERTIES, PropertyCNN
from ohlora.models.protocol50 import pearson
from ohlora.training.cnn import VALID_BATCH, at_256, state_bytes
from ohlora.training.face_data import Batch, FaceData
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.vision.table import Column, Row, write_table

log = logging.getLogger(__name__)

SHORT = ("eyes", "hair_color", "hair_length", "mouth", "pose", "back_mean", "back_std")
NAME = "stylegan_gen_fine_tuned_v2_cnn.pth"
SHOWN = 30  # validation pictures whose answers are logged
DECIMALS = 4
MEASURES = ("loss", "abs_diff", "corr")
EPOCH = (
    Column("epoch", "int"), Column("valid_loss", "float"),
    Column("val_loss_except_back_std", "float"),
    *(Column(f"{name}_score_{measure}", "float") for measure in MEASURES for name in SHORT),
)  # fmt: skip
ANSWERS = (
    Column("epoch", "int"), Column("img_no", "int"),
    *(Column(f"{name}_{side}", "float") for name in SHORT for side in ("score", "label")),
)  # fmt: skip
PICTURE = (Column("img_no", "int"), Column("img_path", "text"))
LABELS = (*PICTURE, *(Column(f"{name}_score", "float") for name in PROPERTIES))
COMPARED = (
    *PICTURE,
    *(Column(f"{p}_{side}", "float") for p in PROPERTIES for side in ("v2", "v2_cnn", "diff")),
)


@dataclass(frozen=True)
class PropertyConfig:
    lr: float = 5e-5  # AdamW
    period: int = 10  # epochs in which the learning rate falls to 0; then it rises again
    patience: int = 20  # epochs without a new minimum
    valid: float = 0.1  # share of the pictures
    unit: int = 32  # width of the net; 32 as published
    faithful: bool = False


@dataclass(frozen=True)
class Trained:
    net: PropertyCNN  # in eval mode
    epochs: int
    best_epoch: int
    valid_loss: float  # of the best epoch, without background_std
    labels: NDArray[np.float32]  # [N, 7] its answers, 4 decimals
    correlation: dict[str, float]  # with the scores it learned from, all pictures


def scored_synth(folder: Path, size: int | None = 256) -> FaceData:
    """A folder of `ohlora synth dataset`, v2 scores in standard deviations; data.scale undoes it.

    Pictures whose pose is undefined are left out. Raises BadInput.
    """
    data = FaceData.from_synth(folder, tuple(f"score_{name}" for name in PROPERTIES), size)
    sound = np.isfinite(data.labels).all(axis=1)
    if not sound.all():
        log.warning("%d pictures without all scores are left out", (~sound).sum())
    if not sound.any():
        raise BadInput(
            f"No picture of {folder} has all scores: no face was found in them.",
            f"{folder}에 점수가 모두 있는 그림이 없어요. 얼굴을 찾지 못했어요.",
        )
    return data.subset(sound).standardised()


def scored_v1(images_dir: Path, table: Path, size: int | None = None) -> FaceData:
    """v1's pictures and all_scores_v2.csv, or another table of seven scores. Raises BadInput."""
    data = FaceData.from_csv(images_dir, table, tuple(f"{name}_score" for name in PROPERTIES), size)
    data.check(labels=len(PROPERTIES))
    return data


@torch.no_grad()
def answers(net: nn.Module, data: FaceData, batch: int = VALID_BATCH) -> NDArray[np.float32]:
    """Scores of every row [N, 7], in whatever mode the net is."""
    device = next(net.parameters()).device
    found = [net(at_256(some.to(device).pixels())) for some in data.batches(batch)]
    return torch.cat(found).float().cpu().numpy()


class PropertyRecipe:
    averaged = ()

    def __init__(self, config: PropertyConfig, checked: FaceData, seed: int = 7) -> None:
        self.config, self.checked = config, checked
        torch.manual_seed(seed)
        self.net, self.best = PropertyCNN(config.unit), PropertyCNN(config.unit)
        self.best.requires_grad_(False)
        self.modules: dict[str, nn.Module] = {"net": self.net, "best": self.best}
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=config.lr)
        self.optimizers = {"net": optimizer}
        self.schedulers = {"net": CosineAnnealingLR(optimizer, config.period)}
        self.rows: list[Row] = []
        self.shown: list[Row] = []
        self.best_epoch = -1

    def step(self, batch: Batch, run: Run) -> dict[str, Tensor]:
        scores = self.net.train()(at_256(batch.pixels()))
        loss = (scores.float() - batch.labels).square().mean()
        run.backward(loss)
        run.update("net")
        return {"loss": loss.detach()}

    def epoch_end(self, run: Run) -> dict[str, float]:
        found = answers(self.net.eval(), self.checked)
        epoch, row = len(self.rows), validated(found, self.checked.labels)
        least = min((one["val_loss_except_back_std"] for one in self.rows), default=np.inf)
        self.rows.append({"epoch": epoch, **row})
        for i in range(min(SHOWN, len(found))):
            self.shown.append({"epoch": epoch, "img_no": int(self.checked.numbers[i]),
                               **sides(found[i], self.checked.labels[i])})  # fmt: skip
        if row["val_loss_except_back_std"] < least:
            self.best_epoch = epoch
            self.best.load_state_dict(self.net.state_dict())
        elif epoch - self.best_epoch >= self.config.patience:
            run.stop()
        self.schedulers["net"].step()
        return {name: row[name] for name in ("valid_loss", "val_loss_except_back_std")}

    def samples(self, run: Run) -> None:
        return None

    def extra_state(self) -> dict[str, Any]:
        return {"rows": self.rows, "shown": self.shown, "best_epoch": self.best_epoch}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.rows, self.shown = list(state["rows"]), list(state["shown"])
        self.best_epoch = state["best_epoch"]


def validated(found: NDArray[np.float32], truth: NDArray[np.float32]) -> Row:
    """One row of the epoch log; a correlation is None where one side never varies."""
    error = found.astype(np.float64) - truth
    losses = np.square(error).mean(0)
    whole = float(losses.mean())
    row: Row = {
        "valid_loss": whole,
        "val_loss_except_back_std": float((len(SHORT) * whole - losses[-1]) / (len(SHORT) - 1)),
    }
    for i, name in enumerate(SHORT):
        r = pearson(found[:, i].astype(np.float64), truth[:, i].astype(np.float64))
        row[f"{name}_score_loss"] = float(losses[i])
        row[f"{name}_score_abs_diff"] = float(np.abs(error[:, i]).mean())
        row[f"{name}_score_corr"] = r if np.isfinite(r) else None
    return row


def sides(found: NDArray[np.float32], truth: NDArray[np.float32]) -> Row:
    row: Row = {}
    for name, score, label in zip(SHORT, found.tolist(), truth.tolist(), strict=True):
        row[f"{name}_score"], row[f"{name}_label"] = round(score, DECIMALS), round(label, DECIMALS)
    return row


def train_property(data: FaceData, config: PropertyConfig, loop: LoopConfig, out: Path) -> Trained:
    """Train, write the files above, label every picture anew; called again, goes on.

    data: labels [N, 7], order PROPERTIES, in standard deviations. Raises BadInput for wrong labels
    or too few pictures, and what `train` raises.
    """
    data.check(labels=len(PROPERTIES))
    order = np.random.default_rng([loop.seed, 90]).permutation(len(data))
    kept_back = max(1, round(config.valid * len(data)))
    if len(data) < kept_back + 1:
        raise BadInput(
            f"There are {len(data)} scored pictures: at least 2 are needed, one to learn from and "
            "one to check.",
            f"점수가 있는 그림이 {len(data)}장이에요. 학습과 검증에 한 장씩, 2장은 있어야 해요.",
        )
    checked, learned = data.subset(order[:kept_back]), data.subset(order[kept_back:])
    recipe = PropertyRecipe(config, checked, loop.seed)
    started = time.monotonic()
    train(recipe, learned, loop, out / "run")
    if not recipe.rows:
        raise BadInput(
            "Training ended before its first epoch was over: give more steps.",
            "첫 에폭이 끝나기 전에 학습이 끝났어요. 스텝 수를 늘려 주세요.",
        )
    log.info("%d epochs in %.0f s", len(recipe.rows), time.monotonic() - started)
    net = recipe.best.eval()
    write_whole(out / NAME, state_bytes(net))
    write_table(out / "log" / "train_log_v2_cnn.csv", EPOCH, recipe.rows, numbered=True)
    write_table(out / "log" / "train_log_v2_cnn_val_log.csv", ANSWERS, recipe.shown, numbered=True)
    if data.scale:
        data.scale.save(out / "scale.json")
    labels = answers(net.train(config.faithful), data).round(DECIMALS)
    net.eval()
    return Trained(
        net,
        len(recipe.rows),
        recipe.best_epoch,
        recipe.rows[recipe.best_epoch]["val_loss_except_back_std"],
        labels,
        write_labels(data, labels, out),
    )


def write_labels(data: FaceData, labels: NDArray[np.float32], out: Path) -> dict[str, float]:
    """The new labels and their comparison with the old; returns the correlations."""
    new, compared = [], []
    for i in np.argsort(data.numbers, kind="stable").tolist():
        number = int(data.numbers[i])
        where = {"img_no": number, "img_path": f"{number:06d}.jpg" if data.masks is None else ""}
        row: Row = dict(where)
        both: Row = dict(where)
        for p, old, answer in zip(PROPERTIES, data.labels[i].tolist(), labels[i].tolist(),
                                  strict=True):  # fmt: skip
            row[f"{p}_score"] = round(answer, DECIMALS)
            both[f"{p}_v2"], both[f"{p}_v2_cnn"] = round(old, DECIMALS), round(answer, DECIMALS)
            both[f"{p}_diff"] = round(answer - old, DECIMALS)
        new.append(row)
        compared.append(both)
    write_table(out / "all_scores_v2_cnn.csv", LABELS, new)
    write_table(out / "compare" / "all_scores_v2_vs_cnn.csv", COMPARED, compared)
    old, answer = data.labels.astype(np.float64), labels.astype(np.float64)
    return {p: pearson(old[:, i], answer[:, i]) for i, p in enumerate(PROPERTIES)}
