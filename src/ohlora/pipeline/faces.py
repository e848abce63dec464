"""From nothing to good pictures of women: draw faces, label some, train CNNs, keep the good ones.

After `label` the pipeline sees what the original saw: a folder of JPEGs and 2,000 labels. The
renderer's truth is used again by the parser's training, by the supervised generator, and to
report how right the CNNs are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints import load_catalog
from ohlora.face.pixels import encode
from ohlora.files import write_whole
from ohlora.pipeline.sheets import save_sheet
from ohlora.pipeline.stage import Curve, Number, Picture, Told, Work
from ohlora.synth.dataset import Plan, make_dataset, read_dataset, read_manifest
from ohlora.training.cnn import KINDS, CnnConfig, train_folds
from ohlora.training.ensemble import (
    COLLECTED,
    COLUMNS,
    DECIMALS,
    copy_kept,
    keep_women,
    picture,
    score,
    v1_faces,
    write_scores,
)
from ohlora.training.face_data import FaceData
from ohlora.training.face_files import read_columns
from ohlora.training.loop import LoopConfig
from ohlora.vision.overlay import COLOURS
from ohlora.vision.table import Column, write_table
from ohlora.vision.weights import fitted

FACES, PICTURES, KEPT = "faces", "pictures", "synthesize_results_filtered"
HAND = "synthesize_results_quality_and_gender.csv"
HAND_COLUMNS = (Column("img_name", "int"), Column("quality", "int"), Column("gender", "int"))


def synthesise(work: Work[Plan]) -> Told:
    """FOLDER/faces: a data set of `ohlora synth dataset`."""
    plan, folder = work.options, work.folder / FACES
    workers = work.machine.workers_for(plan.count)
    make_dataset(folder, plan, workers=workers, progress=work.progress)
    some = list(islice(read_dataset(folder), 24))
    pairs = [image for one in some for image in (one.image, COLOURS[one.mask])]
    save_sheet(work.folder / "sheet.webp", pairs, columns=12)
    people = -(-plan.count // plan.pictures_per_person)
    return Told(
        (
            Number("pictures", "그림", plan.count),
            Number("people", "인물", people),
            Number("size", "크기", plan.size, "px"),
        ),
        (Picture("faces and their exact masks", "얼굴과 정확한 마스크", "sheet.webp"),),
    )


@dataclass(frozen=True)
class Label:
    hand: int = 2_000  # the first pictures get gender and quality, as if somebody had looked


def label(work: Work[Label]) -> Told:
    """FOLDER/pictures/000000.jpg ... and the hand labels, in v1's layout."""
    source = work.inputs["synthesise"] / FACES
    pictures = work.folder / PICTURES
    rows, shown = [], []
    count = int(read_manifest(source)["plan"]["count"])
    for one in read_dataset(source):
        path = pictures / f"{one.index:06d}.jpg"
        if not path.is_file():
            write_whole(path, encode(one.image, "jpeg"))
        if one.index < work.options.hand:
            good = int(one.labels["quality"] >= 0.5)
            rows.append({"img_name": one.index, "quality": good, "gender": one.labels["gender"]})
            shown.append((good, one.labels["gender"], one.image))
        work.progress("writing pictures", (one.index + 1) / count)
    write_table(work.folder / HAND, HAND_COLUMNS, rows)
    bad = [image for good, _, image in shown if not good][:12]
    women = [image for good, woman, image in shown if good and woman][:12]
    men = [image for good, woman, image in shown if good and not woman][:12]
    padded = [some + [np.full_like(shown[0][2], 128)] * (12 - len(some))
              for some in (women, men, bad)]  # fmt: skip
    save_sheet(work.folder / "sheet.webp", [image for row in padded for image in row], columns=12)
    women_share = float(np.mean([row["gender"] for row in rows]))
    good_share = float(np.mean([row["quality"] for row in rows]))
    return Told(
        (
            Number("hand labels", "손 라벨", len(rows)),
            Number("of them women", "그중 여성", round(women_share, 3)),
            Number("of them good pictures", "그중 좋은 그림", round(good_share, 3)),
        ),
        (Picture("labelled: women, men, spoilt", "라벨: 여성, 남성, 나쁜 그림", "sheet.webp"),),
    )


@dataclass(frozen=True)
class Cnn:
    loop: LoopConfig
    gender: CnnConfig = CnnConfig("gender")
    quality: CnnConfig = CnnConfig("quality")


def cnn(work: Work[Cnn]) -> Told:
    """FOLDER/models/{gender,quality}_model_{0..4}.pt, logs beside them."""
    source, options = work.inputs["label"], work.options
    data, labelled = v1_faces(source / PICTURES, source / HAND, work.folder)
    loop = replace(options.loop, device=work.machine.device, threads=work.machine.threads)
    numbers, curves = [], []
    for column, config in enumerate((options.gender, options.quality)):
        labels = data.labels[:, column : column + 1]
        learned = replace(data, labels=labels, names=(config.kind,)).subset(labelled)
        folds = train_folds(learned, config, loop, work.folder)
        ko = {"gender": "성별", "quality": "품질"}[config.kind]
        losses = [fold.loss for fold in folds]
        reached = f"{sum(fold.good for fold in folds)} / {len(folds)}"
        numbers += [
            Number(f"{config.kind}: validation loss, mean", f"{ko}: 검증 손실 평균",
                   round(float(np.mean(losses)), 4)),
            Number(f"{config.kind}: folds that reached {config.goal:g}",
                   f"{ko}: {config.goal:g}에 도달한 폴드", reached),
        ]  # fmt: skip
        log = f"runs/{config.kind}_fold_0_try_0/log.jsonl"
        curves.append(Curve(f"{config.kind}, fold 0", f"{ko}, 폴드 0", log, ("loss", "val_loss")))
    return Told(tuple(numbers), (), tuple(curves))


@dataclass(frozen=True)
class Filter:
    """Nothing to choose: women with 0.7, good pictures with 0.9, as published."""


def filter_faces(work: Work[Filter]) -> Told:
    """Score what has no label, keep good pictures of women: FOLDER/synthesize_results_filtered."""
    source, models = work.inputs["label"], work.inputs["cnn"] / "models"
    data, labelled = v1_faces(source / PICTURES, source / HAND, work.folder)
    rest = data.subset(~labelled)
    scores: dict[str, NDArray[np.float64]] = {}
    for column, kind in enumerate(COLUMNS):
        scores[kind] = data.labels[:, column].astype(np.float64)
        if not len(rest):
            continue
        wanted = load_catalog()[f"{kind}-cnn"].files[0].nets[0]
        nets = [
            fitted(KINDS[kind].net, wanted, path).to(work.machine.torch_device)
            for path in sorted(models.glob(f"{kind}_model_*.pt"))
        ]
        answers = score(nets, rest)
        write_scores(work.folder / "inference_result" / f"{kind}.csv", kind, rest, answers)
        scores[kind][~labelled] = answers.mean(axis=1).round(DECIMALS)
        work.progress("scoring pictures", (column + 1) / len(COLUMNS))
    kept = keep_women(scores)
    rows = [
        {**picture(data, i), "gender_score": float(scores["gender"][i]),
         "quality_score": float(scores["quality"][i])}
        for i in range(len(data))
    ]  # fmt: skip
    write_table(work.folder / "all_image_quality_and_gender.csv", COLLECTED, rows, numbered=True)
    write_table(work.folder / "filtered.csv", COLLECTED, [rows[i] for i in np.flatnonzero(kept)])
    copy_kept(source / PICTURES, data.numbers[kept], work.folder / KEPT)
    few = data.subset(np.flatnonzero(kept)[:24])
    save_sheet(work.folder / "sheet.webp", tiles(few), columns=12)
    right = rightness(work.inputs["synthesise"] / FACES, scores, ~labelled)
    return Told(
        (Number("pictures kept", "남긴 그림", int(kept.sum())), *right),
        (Picture("kept", "남긴 그림", "sheet.webp"),),
    )


def rightness(
    folder: Path, scores: dict[str, NDArray[np.float64]], rows: NDArray[np.bool_]
) -> list[Number]:
    """How often the CNNs agree with the renderer, on pictures without a label."""
    if not rows.any():
        return []
    truth = read_columns(folder, len(rows), ("index", *COLUMNS))
    found = []
    for kind, ko in (("gender", "성별"), ("quality", "품질")):
        right = (np.array(truth[kind], float) >= 0.5) == (scores[kind] >= 0.5)
        found.append(
            Number(f"{kind} right, without label", f"라벨 없는 그림의 {ko} 정확도",
                   round(float(right[rows].mean()), 3))
        )  # fmt: skip
    return found


def tiles(data: FaceData) -> list[NDArray[np.uint8]]:
    return [image.transpose(1, 2, 0) for image in np.asarray(data.images[np.arange(len(data))])]


def near(work: Work[Plan]) -> Told:
    """FOLDER/faces: her and women near her, for the supervised generator."""
    told = synthesise(work)
    caption = Picture("she and women near her", "그녀와 닮은 사람들", "sheet.webp")
    return replace(told, pictures=(caption,))
