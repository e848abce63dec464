"""Find directions for a generator, and how its pictures answer to them.

After VectorFind of Oh-LoRA v2 (sample, score, linear directions between the largest and smallest
share), with ridge regression beside it, and what VectorFind lacked: directions that leave the
other two readings alone, and a calibration in standard deviations.

1. For w and style: draw many z, score, fit a linear reading of each property from the code. The
   moves are the dual basis of the three readings, so each moves its own reading by one and the
   others by nothing.
2. For every way to steer: draw some faces at random settings of the knobs and fit the response,
   its mean over faces and its spread (random effects by expectation maximisation, Laird & Ware
   1982).
3. Wish on faces that were held out, measure, keep the way whose scores miss the wish least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.directions.control import (
    FEATURES,
    PROPERTIES,
    SPACES,
    Array,
    Directions,
    features,
    identity_response,
    knob_limits,
    posterior,
)
from ohlora.directions.draw import Drawer, digest_of, draw_all, plain
from ohlora.directions.scorer import Scorer, no_faces
from ohlora.errors import BadInput
from ohlora.models.protocol50 import LABELS50, pearson
from ohlora.models.stylegan import Generator

Progress = Callable[[str, float], None]
METHODS = ("ridge", "svm")


@dataclass(frozen=True)
class FitConfig:
    spaces: tuple[str, ...] = ()  # which to try; none: label where there are labels, else the rest
    samples: int = 2000  # pictures for the linear readings of w and style
    faces: int = 48  # z for the response
    settings: int = 24  # pictures of each
    held_out: int = 16  # z on which the ways are compared
    share: float = 0.2  # of the largest, and of the smallest, for the SVM
    batch: int = 32
    seed: int = 0


@dataclass(frozen=True)
class Way:
    """One way to steer, and how it did on held-out faces."""

    directions: Directions
    error: float  # root mean square of measured - wished, standard deviations
    r: tuple[float, ...]  # wished against measured, eyes, mouth, pose
    reading: tuple[float, ...] | None = None  # r of the linear reading on held-out z


def fit(
    generator: Generator,
    score: Scorer,
    config: FitConfig = FitConfig(),
    *,
    scorer: str = "",
    progress: Progress | None = None,
) -> tuple[Directions, list[Way]]:
    """The best directions, and every way that was tried, best first.

    Raises BadInput for a space that the generator or the list lacks, OhloraError when there is
    no face to measure or the generator draws NaN.
    """
    report = progress or (lambda what, fraction: None)
    spaces = config.spaces or (("label",) if generator.config.label_dim else ("w", "style"))
    if not set(spaces) <= set(SPACES):
        raise BadInput(
            f"There is no space {', '.join(set(spaces) - set(SPACES))}: use {', '.join(SPACES)}.",
            f"공간은 {', '.join(SPACES)} 중에서 고르세요.",
        )
    rng = np.random.default_rng(config.seed)
    digest = digest_of(generator)
    candidates: list[tuple[Directions, tuple[float, ...] | None]] = []
    if "label" in spaces:
        label = replace(plain(generator=digest), limits=knob_limits(), scorer=scorer)
        candidates.append((replace(label, mean=identity_response(label.limits)), None))
    if {"w", "style"} & set(spaces):
        codes, scores = sample_codes(generator, score, config, rng, report)
        for space in ("w", "style"):
            if space in spaces:
                candidates += readings(space, codes[space], scores, config, digest, scorer)
    ways = []
    for number, (directions, reading) in enumerate(candidates):
        name = f"{directions.space} {directions.method}"

        def part(fraction: float, number: int = number, name: str = name) -> None:
            report(f"measuring {name}", (number + fraction) / len(candidates))

        answered = fit_response(generator, score, directions, config, part)
        ways.append(compare(generator, score, answered, reading, config))
    ways.sort(key=lambda way: way.error)
    return ways[0].directions, ways


def sample_codes(
    generator: Generator,
    score: Scorer,
    config: FitConfig,
    rng: np.random.Generator,
    report: Progress,
) -> tuple[dict[str, NDArray[np.float32]], Array]:
    """w and styles of random faces [N, S] at random labels, and their scores [N, 3]."""
    net = generator.config
    # Directions that leave the code as it is, so that a picture is drawn from z and label alone.
    drawer = Drawer(generator, plain() if net.label_dim else still(net.w_dim))
    codes: dict[str, list[NDArray[np.float32]]] = {"w": [], "style": []}
    scores = []
    limits = knob_limits(0.2)
    for start in range(0, config.samples, config.batch):
        count = min(config.batch, config.samples - start)
        z = rng.standard_normal((count, net.w_dim))
        knobs = (
            rng.uniform(limits[:, 0], limits[:, 1], (count, 3))
            if net.label_dim
            else np.zeros((count, 3))
        )
        scores.append(score(drawer.turn(z, knobs)))
        label = drawer.directions.label(knobs, net.label_dim) if net.label_dim else None
        w = drawer.w(z, label)
        codes["w"].append(w.float().cpu().numpy())
        codes["style"].append(drawer.styles(w).float().cpu().numpy())
        report("sampling faces", (start + count) / config.samples)
    found = np.concatenate(scores)
    seen = np.isfinite(found).all(axis=1)
    if seen.sum() < 10:
        raise no_faces(len(found))
    return {space: np.concatenate(rows)[seen] for space, rows in codes.items()}, found[seen]


def still(width: int) -> Directions:
    zeros = np.zeros((3, width))
    return replace(plain("w"), reader=zeros, bias=np.zeros(3), moves=zeros)


def readings(
    space: str, codes: NDArray[np.float32], scores: Array, config: FitConfig, digest: str,
    scorer: str,
) -> list[tuple[Directions, tuple[float, ...]]]:  # fmt: skip
    """Directions by each method, with the correlation of their reading on the last fifth."""
    cut = len(codes) * 4 // 5
    found = []
    for method in METHODS:
        rows = [linear(codes[:cut], scores[:cut, i], method, config) for i in range(3)]
        reader = np.stack([row[0] for row in rows])
        bias = np.array([row[1] for row in rows])
        if np.linalg.matrix_rank(reader) < 3:
            raise BadInput(
                f"The scores do not depend on {space}: this generator or the scorer is deaf to "
                "eyes, mouth or pose.",
                f"점수가 {space}에 따라 변하지 않아요. 생성기나 채점기를 확인해 주세요.",
            )
        moves = np.asarray(
            np.linalg.pinv(reader).T, float
        )  # dual basis: reader @ moves.T is the identity
        told = codes[cut:] @ reader.T + bias
        r = tuple(pearson(told[:, i], scores[cut:, i]) for i in range(3))
        limits = knob_limits()
        found.append((
            Directions(space, method, digest, limits, identity_response(limits),
                       np.zeros((3, FEATURES, FEATURES)), np.ones(3), reader, bias, moves,
                       scorer=scorer), r))  # fmt: skip
    return found


def linear(
    codes: NDArray[np.float32], scores: Array, method: str, config: FitConfig
) -> tuple[Array, float]:
    """weight [S] and bias so that weight @ code + bias is the score, as well as a line can."""
    from sklearn.linear_model import RidgeCV
    from sklearn.svm import LinearSVC

    middle, width = codes.mean(axis=0), codes.std(axis=0)
    width = np.where(width > 1e-6 * max(float(width.max()), 1e-12), width, np.inf)
    scaled = ((codes - middle) / width).astype(np.float64)
    if method == "ridge":
        ridge = RidgeCV(alphas=np.logspace(-1, 5, 13)).fit(scaled, scores)
        direction = np.asarray(ridge.coef_, float)
    else:
        order = np.argsort(scores)
        count = max(2, int(config.share * len(scores)))
        picked = np.concatenate([order[:count], order[-count:]])
        side = np.repeat([0, 1], count)
        svm = LinearSVC(C=0.01, max_iter=20_000, random_state=config.seed, dual="auto")
        direction = np.asarray(svm.fit(scaled[picked], side).coef_[0], float)
    direction = direction / width
    projected = codes @ direction
    slope = 0.0
    if projected.std() > 0:
        slope = float(np.polyfit(projected, scores, 1)[0])
    weight = slope * direction
    return weight, float(scores.mean() - codes.mean(axis=0) @ weight)


def fit_response(
    generator: Generator, score: Scorer, directions: Directions, config: FitConfig,
    report: Callable[[float], None] = lambda fraction: None,
) -> Directions:  # fmt: skip
    """Measure faces at random settings; the same directions with a response."""
    rng = np.random.default_rng((config.seed, 1))
    z = rng.standard_normal((config.faces, generator.config.w_dim))
    knobs = np.concatenate([knob_settings(config.settings, directions.limits, rng) for _ in z])
    scores = measure(generator, score, directions, z.repeat(config.settings, 0), knobs,
                     config.batch, report, knobs_given=True)  # fmt: skip
    design = features(directions._unit(knobs))
    groups = np.arange(config.faces).repeat(config.settings)
    parts = [random_effects(design, scores[:, i], groups) for i in range(3)]
    return replace(
        directions,
        mean=np.stack([mean for mean, _, _ in parts]),
        spread=np.stack([spread for _, spread, _ in parts]),
        noise=np.array([noise for _, _, noise in parts]),
    )


def knob_settings(count: int, limits: Array, rng: np.random.Generator | int = 0) -> Array:
    """Settings [count, 3] spread evenly over the box (Sobol points)."""
    from scipy.stats import qmc

    points = qmc.Sobol(3, rng=rng).random_base2(max(1, (count - 1).bit_length()))[:count]
    return np.asarray(qmc.scale(points, limits[:, 0], limits[:, 1]))


def random_effects(
    design: Array, scores: Array, groups: NDArray[np.int64], rounds: int = 30
) -> tuple[Array, Array, float]:
    """Mean [F] and covariance [F, F] of coefficients over groups, and the residual deviation.

    Rows with a nan score are left out. Raises OhloraError when fewer than FEATURES are left.
    """
    seen = np.isfinite(scores)
    if seen.sum() < FEATURES:
        raise no_faces(len(scores))
    design, scores, groups = design[seen], scores[seen], groups[seen]
    gram = design.T @ design + 1e-3 * np.eye(FEATURES)
    mean: Array = np.asarray(np.linalg.solve(gram, design.T @ scores), float)
    noise = max(float(np.std(scores - design @ mean)), 1e-3)
    spread = noise**2 * np.eye(FEATURES)
    split = [(design[groups == g], scores[groups == g]) for g in np.unique(groups)]
    for _ in range(rounds):
        posteriors = [posterior(x, y, mean, spread, noise) for x, y in split]
        mean = np.asarray(np.stack([m for m, _ in posteriors]).mean(axis=0), float)
        spread = np.stack([c + np.outer(m - mean, m - mean) for m, c in posteriors]).mean(axis=0)
        left = sum(
            float(np.square(y - x @ m).sum() + np.trace(x @ c @ x.T))
            for (x, y), (m, c) in zip(split, posteriors, strict=True)
        )
        noise = max(float(np.sqrt(left / len(scores))), 1e-3)
    return mean, spread, noise


def compare(
    generator: Generator, score: Scorer, directions: Directions,
    reading: Sequence[float] | None, config: FitConfig,
) -> Way:  # fmt: skip
    """Wish half of the original's 50 labels on faces that the fit never saw."""
    rng = np.random.default_rng((config.seed, 2))
    z = rng.standard_normal((config.held_out, generator.config.w_dim))
    wishes = LABELS50[::2]
    wished = np.tile(wishes, (len(z), 1))
    got = measure(generator, score, directions, z.repeat(len(wishes), 0), wished, config.batch)
    seen = np.isfinite(got).all(axis=1)
    if seen.sum() < 2:
        raise no_faces(len(got))
    got, wished = got[seen], wished[seen]
    error = float(np.sqrt(np.square(got - wished).mean()))
    r = tuple(round(pearson(wished[:, i], got[:, i]), 4) for i in range(3))
    return Way(directions, round(error, 4), r, None if reading is None else tuple(reading))


def measure(
    generator: Generator, score: Scorer, directions: Directions, z: Array, values: Array,
    batch: int, report: Callable[[float], None] = lambda fraction: None, *,
    knobs_given: bool = False,
) -> Array:  # fmt: skip
    """Scores [N, 3] of pictures of z at wishes, or at knobs."""
    drawer = Drawer(generator, directions)
    scores = np.full((len(z), 3), np.nan)
    for rows, images in draw_all(drawer, z, values, batch, knobs=knobs_given):
        scores[rows] = score(images)
        report(rows.stop / len(z))
    return scores


def calibrate(
    generator: Generator, score: Scorer, directions: Directions, z: Array, probes: int = 24,
    batch: int = 32,
) -> Directions:  # fmt: skip
    """The directions for one face z [w_dim], after measuring `probes` pictures of it.

    Costs as much as drawing and scoring them. Raises BadInput when too few show a face.
    """
    free = replace(directions, z=None)
    knobs = knob_settings(probes, directions.limits, np.random.default_rng(3))
    many = np.tile(np.asarray(z, float), (probes, 1))
    scores = measure(generator, score, free, many, knobs, batch, knobs_given=True)
    return directions.for_face(z, knobs, scores)


class CalibratingDrawer:
    """A Drawer that measures a few pictures of every face before it draws it.

    Costs `probes` drawn and scored pictures a face, once. A face whose pictures give too few
    scores is drawn as the average one.
    """

    def __init__(
        self, generator: Generator, directions: Directions, score: Scorer, probes: int
    ) -> None:
        self.drawer = Drawer(generator, directions)
        self.score, self.probes = score, probes
        self._own: dict[bytes, Directions] = {}

    def __call__(self, z: Array, wish: Array) -> NDArray[np.uint8]:
        """As Drawer."""
        knobs = np.concatenate([
            self.own(face).knobs(one) for face, one in zip(z, wish[:, None], strict=True)
        ])  # fmt: skip
        return self.drawer.turn(z, knobs)

    def own(self, z: Array) -> Directions:
        """The directions of one face."""
        key = z.tobytes()
        if key not in self._own:
            anyone = self.drawer.directions
            try:
                own = calibrate(self.drawer.generator, self.score, anyone, z, self.probes)
            except BadInput:
                own = anyone
            self._own[key] = own
        return self._own[key]


def describe(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """What was tried, for the report beside the file."""
    return [
        {
            "space": way.directions.space,
            "method": way.directions.method,
            "error": way.error,
            "r": dict(zip(PROPERTIES, way.r, strict=True)),
            "reading": None
            if way.reading is None
            else dict(zip(PROPERTIES, (round(r, 4) for r in way.reading), strict=True)),
        }
        for way in ways
    ]
