"""Five nets of a kind judge the faces nobody labelled; the good pictures of women are kept.

data, labelled = v1_faces(images_dir, hand_labels, out)    or: data of `ohlora synth dataset`
judged = judge_faces(data, labelled, configs, loop, out)
good = data.subset(judged.kept)

OUT/inference_result/gender.csv             img_no, img_path, mean, one column a net; 4 decimals
OUT/all_image_quality_and_gender.csv        labels where there are some, means elsewhere
OUT/filtered.csv                            the pictures that are kept
"""

from __future__ import annotations

import csv
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ohlora.errors import BadInput
from ohlora.training.cnn import CnnConfig, probabilities, summary, train_folds
from ohlora.training.face_data import FaceData
from ohlora.training.loop import LoopConfig
from ohlora.vision.table import Column, Row, write_table, writing

log = logging.getLogger(__name__)

DECIMALS = 4
AT_LEAST = {"gender": 0.7, "quality": 0.9}  # of a picture that is kept
COLUMNS = ("gender", "quality")  # of the labels
PICTURE = (Column("img_no", "int"), Column("img_path", "text"))
COLLECTED = (*PICTURE, Column("gender_score", "float"), Column("quality_score", "float"))
FILE = re.compile(r"(\d{6})\.(?:jpg|png)")


@dataclass(frozen=True)
class Judged:
    scores: dict[str, NDArray[np.float64]]  # per kind [N]: labels, or means of the nets
    kept: NDArray[np.bool_]  # [N]
    good: dict[str, bool]  # per kind: every fold reached its goal


def synth_faces(folder: Path, size: int | None = 256) -> FaceData:
    """A folder of `ohlora synth dataset` with labels gender and quality, both 0 or 1."""
    data = FaceData.from_synth(folder, COLUMNS, size)
    labels = data.labels.copy()
    labels[:, 1] = labels[:, 1] >= 0.5  # synth.labels.quality: under one half counts as bad
    return replace(data, labels=labels)


def v1_faces(images_dir: Path, hand_labels: Path, out: Path) -> tuple[FaceData, NDArray[np.bool_]]:
    """All pictures of images_dir (000000.jpg ...) and which of them have hand labels.

    hand_labels: a CSV with img_name or img_no, gender, quality. The rest gets NaN. Writes the list
    of pictures as OUT/pictures.csv. Raises BadInput.
    """
    known = read_hand_labels(hand_labels)
    found = [FILE.fullmatch(path.name) for path in sorted(images_dir.glob("*"))]
    numbers = sorted({int(match[1]) for match in found if match})
    if missing := sorted(set(known) - set(numbers)):
        raise BadInput(
            f"{hand_labels} names {len(missing)} pictures that {images_dir} does not hold, first "
            f"{missing[0]:06d}.",
            f"{hand_labels}에 있는 그림 {len(missing)}장이 {images_dir}에 없어요. 첫 번째는 "
            f"{missing[0]:06d}예요.",
        )
    nan = float("nan")
    rows: list[Row] = [
        {"img_no": number, **dict(zip(COLUMNS, known.get(number, (nan, nan)), strict=True))}
        for number in numbers
    ]
    table = (Column("img_no", "int"), *(Column(name, "float") for name in COLUMNS))
    write_table(out / "pictures.csv", table, rows)
    data = FaceData.from_csv(images_dir, out / "pictures.csv", COLUMNS)
    return data, np.isfinite(data.labels).all(axis=1)


def read_hand_labels(path: Path) -> dict[int, tuple[float, float]]:
    """img_no -> gender, quality. Raises BadInput."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            int(row["img_name"] if "img_name" in row else row["img_no"]): (
                float(row["gender"]),
                float(row["quality"]),
            )
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise BadInput(
            f"{path} is no table of hand labels (img_name, quality, gender): {error}.",
            f"{path}: 손으로 붙인 라벨 표(img_name, quality, gender)가 아니에요: {error}.",
        ) from error


def score(nets: Sequence[nn.Module], data: FaceData, dropout: bool = False) -> NDArray[np.float64]:
    """Answer of every net [N, nets]. dropout: leave it active, as the original did."""
    answers = [probabilities(net.train(dropout), data) for net in nets]
    for net in nets:
        net.eval()
    return np.stack(answers, axis=1).astype(np.float64)


def judge_faces(
    data: FaceData,
    labelled: NDArray[np.bool_],
    configs: Mapping[str, CnnConfig],
    loop: LoopConfig,
    out: Path,
) -> Judged:
    """Train on the labelled rows, score the others, collect and filter; again: goes on.

    data: labels [N, 2], order COLUMNS, 0 or 1 where `labelled`. Raises BadInput, and what `train`
    raises.
    """
    if not labelled.any():
        raise BadInput(
            "No picture has labels: the CNNs need some to learn from.",
            "라벨이 있는 그림이 없어요. CNN이 배우려면 필요해요.",
        )
    scores, good = {}, {}
    rest = data.subset(~labelled)
    for column, name in enumerate(COLUMNS):
        config = configs[name]
        labels = data.labels[:, column : column + 1]
        learned = replace(data, labels=labels, names=(name,)).subset(labelled)
        folds = train_folds(learned, config, loop, out)
        log.info("%s %s", name, summary(folds))
        good[name] = all(fold.good for fold in folds)
        nets = [fold.last if config.faithful else fold.best for fold in folds]
        scores[name] = labels[:, 0].astype(np.float64)
        if len(rest):
            answers = score(nets, rest, dropout=config.faithful)
            write_scores(out / "inference_result" / f"{name}.csv", name, rest, answers)
            scores[name][~labelled] = answers.mean(axis=1).round(DECIMALS)
    kept = keep_women(scores)
    rows = [
        {**picture(data, i), "gender_score": float(scores["gender"][i]),
         "quality_score": float(scores["quality"][i])}
        for i in range(len(data))
    ]  # fmt: skip
    write_table(out / "all_image_quality_and_gender.csv", COLLECTED, rows, numbered=True)
    write_table(out / "filtered.csv", COLLECTED, [rows[i] for i in np.flatnonzero(kept)])
    return Judged(scores, kept, good)


def keep_women(scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """The original's rule: 4,703 of its 10,000 pictures."""
    return np.logical_and.reduce([scores[name] >= least for name, least in AT_LEAST.items()])


def write_scores(path: Path, name: str, data: FaceData, answers: NDArray[np.float64]) -> None:
    nets = [f"score_model_{k}" for k in range(answers.shape[1])]
    mean = f"property_{name}_final_score"
    columns = (*PICTURE, *(Column(column, "float") for column in (mean, *nets)))
    rows = []
    for i, row in enumerate(answers.round(DECIMALS).tolist()):
        final = round(float(answers[i].mean()), DECIMALS)
        rows.append({**picture(data, i), mean: final, **dict(zip(nets, row, strict=True))})
    write_table(path, columns, rows)


def picture(data: FaceData, row: int) -> dict[str, Any]:
    """img_no and, in v1's layout, the file's name; a synthetic picture lies in a shard."""
    number = int(data.numbers[row])
    return {"img_no": number, "img_path": f"{number:06d}.jpg" if data.masks is None else ""}


def copy_kept(images_dir: Path, numbers: NDArray[np.int64], target: Path) -> int:
    """Copy the kept pictures under their names into `target`; returns how many."""
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
        for number in numbers.tolist():
            (path,) = (p for p in images_dir.glob(f"{number:06d}.*") if FILE.fullmatch(p.name))
            shutil.copyfile(path, target / path.name)
    return len(numbers)
