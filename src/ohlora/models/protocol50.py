"""The 50 labels a face is judged on, and when a latent counts as obedient.

FineTune-v3 tried each z with the same 50 labels (eyes, mouth, pose; hair and background 0) and
kept those z whose measured scores followed. evaluation/ judges generators by the same rule; it
must not import training/, so grid and thresholds lie here.

    LABELS50   float64 [50, 3]   eyes, mouth, pose in standard deviations; mouth changes slowest,
                                 then eyes, pose fastest: test_img_000 .. 049 of the original
    scores     [50, 3]           measured on the 50 pictures, same columns and units

Published z (epoch 5, z 21): correlations 0.8928, 0.8582, 0.9318; errors 0.9342, 0.4452, 1.2365.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ohlora.errors import ShapeError

NAMES = ("eyes", "mouth", "pose")
MOUTH = (-1.2, -0.6, 0.0, 0.8, 1.6)
EYES = (-1.8, 1.8)
POSE = (-1.2, 0.0, 1.2, 2.4, 3.6)
LABELS50: NDArray[np.float64] = np.array(
    [(eyes, mouth, pose) for mouth, eyes, pose in product(MOUTH, EYES, POSE)]
)


@dataclass(frozen=True)
class Threshold:
    correlation: float  # Pearson's r, at least
    error: float  # mean absolute error in standard deviations, at most


THRESHOLDS = {
    "eyes": Threshold(0.77, 1.0),
    "mouth": Threshold(0.85, 0.6),
    "pose": Threshold(0.82, 1.4),
}


@dataclass(frozen=True)
class Judged:
    """Per property, order NAMES. A correlation is nan where one side never changes."""

    correlations: tuple[float, float, float]
    squared_errors: tuple[float, float, float]  # mean
    errors: tuple[float, float, float]  # mean absolute
    passed: bool  # all six thresholds


def judge(labels: ArrayLike, scores: ArrayLike) -> Judged:
    """Compare intended labels [N, 3] and measured scores [N, 3]. Raises ShapeError."""
    wanted, got = np.asarray(labels, float), np.asarray(scores, float)
    if wanted.ndim != 2 or wanted.shape[1] != len(NAMES) or wanted.shape != got.shape:
        raise ShapeError(
            f"want labels and scores [N, 3], got {wanted.shape} and {got.shape}",
            f"labels와 scores는 [N, 3] 모양이어야 하는데 {wanted.shape}, {got.shape}이에요",
        )
    found = [pearson(wanted[:, i], got[:, i]) for i in range(len(NAMES))]
    squared = np.square(got - wanted).mean(0)
    errors = np.abs(got - wanted).mean(0)
    passed = all(
        r >= limit.correlation and error <= limit.error
        for r, error, limit in zip(found, errors, THRESHOLDS.values(), strict=True)
    )
    return Judged(triple(found), triple(squared), triple(errors), passed)


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else float("nan")


def triple(values: ArrayLike) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in np.asarray(values))
    return first, second, third
