"""Numbers over many pictures: cross-talk, and how close two sets of pictures are. Pure functions.

wished     [L, 3]      the labels, order PROPERTIES
measured   [Z, L, 3]   scores of each face at each label; nan where none was measured
features   [N, D]      one row a picture
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ohlora.directions.control import Array

Pixels = NDArray[np.uint8]
SUBSET = 100  # pictures of each set in one KID estimate
SUBSETS = 50


def correlations(wished: Array, measured: Array) -> Array:
    """Pearson r of each property over all measured pictures [3]; 0 where a side never changes."""
    rows = np.broadcast_to(wished, measured.shape).reshape(-1, 3)
    return np.array([plain_r(rows[:, i], measured[..., i].reshape(-1)) for i in range(3)])


def plain_r(x: Array, y: Array) -> float:
    seen = np.isfinite(x) & np.isfinite(y)
    if seen.sum() < 2:
        return 0.0
    x, y = x[seen] - x[seen].mean(), y[seen] - y[seen].mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 1e-9 else 0.0


def cross_talk(wished: Array, measured: Array) -> Array:
    """Partial influence of each label (row) on each measured score (column), [3, 3].

    Least squares of the score on the three labels together, all in standard deviations and
    every face around its own mean, so that what a face always has counts for nothing. The
    diagonal is what obeys; off it a perfect generator has 0.
    """
    labels = np.broadcast_to(wished, measured.shape)
    found = np.zeros((3, 3))
    for column in range(3):
        seen = np.isfinite(measured[..., column])
        x, y = [], []
        for face, rows in enumerate(seen):
            if rows.sum() > 3:
                x.append(labels[face, rows] - labels[face, rows].mean(axis=0))
                y.append(measured[face, rows, column] - measured[face, rows, column].mean())
        if not x:
            continue
        design, score = np.concatenate(x), np.concatenate(y)
        if score.std() < 1e-9:
            continue
        design = design / np.maximum(design.std(axis=0), 1e-9)
        found[:, column] = np.linalg.lstsq(design, score / score.std(), rcond=None)[0]
    return found


def fid(ours: Array, theirs: Array) -> float:
    """Frechet distance of two Gaussians (Heusel et al. 2017, https://arxiv.org/abs/1706.08500)."""
    a, b = np.cov(ours, rowvar=False), np.cov(theirs, rowvar=False)
    apart = np.square(ours.mean(axis=0) - theirs.mean(axis=0)).sum()
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    both = np.linalg.eigvalsh(root @ b @ root)
    return float(apart + np.trace(a) + np.trace(b) - 2 * np.sqrt(np.clip(both, 0, None)).sum())


def kid(ours: Array, theirs: Array, seed: int = 0) -> tuple[float, float]:
    """Kernel distance, mean and deviation over subsets (Binkowski et al. 2018,
    https://arxiv.org/abs/1801.01401): unbiased squared MMD with the kernel (x.y / D + 1)^3.

    May be slightly negative for sets that are alike.
    """
    rng = np.random.default_rng(seed)
    size = min(SUBSET, len(ours), len(theirs))
    found = []
    for _ in range(SUBSETS):
        x = ours[rng.choice(len(ours), size, replace=False)]
        y = theirs[rng.choice(len(theirs), size, replace=False)]
        found.append(unbiased_mmd(x, y))
    return float(np.mean(found)), float(np.std(found))


def unbiased_mmd(x: Array, y: Array) -> float:
    def kernel(a: Array, b: Array) -> Array:
        grown: Array = (a @ b.T / a.shape[1] + 1) ** 3
        return grown

    n, m = len(x), len(y)
    within = (kernel(x, x).sum() - np.trace(kernel(x, x))) / (n * (n - 1))
    across = (kernel(y, y).sum() - np.trace(kernel(y, y))) / (m * (m - 1))
    return float(within + across - 2 * kernel(x, y).mean())


def closeness(
    ours: Pixels, domain: Pixels, features: Callable[[Pixels], Array], *, standardised: bool
) -> dict[str, float]:
    """KID (mean, deviation over subsets) and FID of two sets of pictures of one size.

    floor: KID of the domain's first half against its second, what two sets of one kind have.
    standardised: features are first put into standard deviations of the domain; those that hardly
    vary there into a quarter of the usual deviation, so that no silent filter decides alone.
    """
    a, b = features(ours), features(domain)
    if standardised:
        middle, width = b.mean(axis=0), b.std(axis=0)
        width = np.maximum(width, max(float(np.median(width)) / 4, 1e-6))
        a, b = (a - middle) / width, (b - middle) / width
    mean, deviation = kid(a, b)
    floor, _ = kid(b[: len(b) // 2], b[len(b) // 2 :])
    return {"kid": mean, "kid_deviation": deviation, "floor": floor, "fid": fid(a, b)}
