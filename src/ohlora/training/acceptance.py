"""The acceptance test: does a latent draw the eyes, mouth and pose it is asked for?

FineTune-v3's test after every epoch: each of 30 z draws the 50 labels of models.protocol50, a
scorer measures the pictures, and z passes when all six thresholds hold. Any generator and any
scorer will do:

    draw   z [B, w_dim], wanted [B, 3]  ->  images [B, 3, R, R], RGB about [-1, 1]
    score  images                       ->  eyes, mouth, pose [B, 3] in standard deviations

    FOLDER/test_zs.csv              one z a row below a header 0, 1, 2 ...
    FOLDER/K/test_img_000..049.png  of latent K, order LABELS50
    FOLDER/K/test_result.csv        eyes_score, eyes_label, mouth_score ...
    FOLDER/result_each_z.csv        z_idx, passed (O or X), correlations and errors
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ohlora.face.pixels import encode, to_pixels
from ohlora.files import write_whole
from ohlora.models.generator_config import LABELS
from ohlora.models.protocol50 import LABELS50, NAMES, Judged, judge
from ohlora.models.stylegan import Generator
from ohlora.vision.table import Column, Row, write_table

Draw = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor], Tensor]

DECIMALS = 4  # scores are rounded before they are judged, as the original did
RESULT = tuple(Column(f"{name}_{side}", "float") for name in NAMES for side in ("score", "label"))
MEASURES = ("corr", "mse", "mae")
EACH_Z = (
    Column("z_idx", "int"),
    Column("passed", "text"),
    *(Column(f"{name}_{measure}", "float") for measure in MEASURES for name in NAMES),
)


def label_rows(wanted: Tensor, label_dim: int) -> Tensor:
    """Eyes, mouth, pose [B, 3] as a generator's label [B, L]; hair and background are 0."""
    label = wanted.new_zeros(len(wanted), label_dim)
    label[:, [LABELS[label_dim].index(name) for name in NAMES]] = wanted
    return label


def drawer(generator: Generator) -> Draw:
    """Draws with a generator of ours: psi 1, fixed noise, in whatever mode it is."""

    def draw(z: Tensor, wanted: Tensor) -> Tensor:
        return generator(z, label_rows(wanted, generator.config.label_dim)).image

    return draw


@torch.no_grad()
def accept(
    draw: Draw,
    score: Score,
    zs: Tensor,
    folder: Path | None = None,
    *,
    batch: int = 10,
    pictures: bool = True,
) -> list[Judged]:
    """Judge each z of zs [K, w_dim]; with a folder, write the files above.

    Raises StoreError when they cannot be written.
    """
    labels = torch.as_tensor(LABELS50, dtype=zs.dtype, device=zs.device)
    judged = []
    for k, z in enumerate(zs):
        scores, number = [], 0
        for wanted in labels.split(batch):
            images = draw(z.expand(len(wanted), -1), wanted)
            scores.append(score(images).double().cpu())
            if folder and pictures:
                write_images(folder / str(k), images, number)
            number += len(images)
        measured = torch.cat(scores).numpy().round(DECIMALS)
        judged.append(judge(LABELS50, measured))
        if folder:
            write_table(folder / str(k) / "test_result.csv", RESULT, result_rows(measured))
    if folder:
        write_vectors(folder / "test_zs.csv", zs)
        write_table(folder / "result_each_z.csv", EACH_Z, [row(k, j) for k, j in enumerate(judged)])
    return judged


def write_images(folder: Path, images: Tensor, first: int = 0) -> None:
    for i, image in enumerate(images.float().cpu().numpy(), start=first):
        write_whole(folder / f"test_img_{i:03d}.png", encode(to_pixels(image), "png"))


def result_rows(measured: NDArray[np.float64], labels: NDArray[np.float64] = LABELS50) -> list[Row]:
    rows = []
    for scores, wanted in zip(measured.tolist(), labels.tolist(), strict=True):
        row: Row = {}
        for name, score, label in zip(NAMES, scores, wanted, strict=True):
            row[f"{name}_score"], row[f"{name}_label"] = score, round(label, DECIMALS)
        rows.append(row)
    return rows


def row(k: int, judged: Judged) -> Row:
    values = (judged.correlations, judged.squared_errors, judged.errors)
    cells = {
        f"{name}_{measure}": round(value, DECIMALS) if np.isfinite(value) else None
        for measure, three in zip(MEASURES, values, strict=True)
        for name, value in zip(NAMES, three, strict=True)
    }
    return {"z_idx": k, "passed": "O" if judged.passed else "X", **cells}


def write_vectors(path: Path, vectors: Tensor, decimals: int | None = None) -> None:
    """Vectors [N, W], one a row, below a header 0, 1, 2 ... as v1's own z file has it."""
    rows = vectors.double().cpu().numpy()
    rows = rows if decimals is None else rows.round(decimals)
    lines = [",".join(map(str, range(rows.shape[1])))]
    lines += [",".join(map(repr, row)) for row in rows.tolist()]
    write_whole(path, ("\n".join(lines) + "\n").encode())
