"""Directions: what to do to a generator so that the measured eyes, mouth and pose are those wished.

A generator has three *knobs*, one for each property, all in standard deviations of the score:

    label    the knobs are its own labels
    w        w moves along three vectors until a linear reading of w says what the knobs say
    style    the same on the styles of all layers at once (StyleSpace, Wu et al. 2020,
             https://arxiv.org/abs/2011.12799)

The *response* says what is measured at a setting of the knobs: a cubic polynomial of the three,
with products of two for cross-talk, fitted over many faces. `knobs` inverts it. Faces differ, so
the polynomial's coefficients have a mean and a spread; `for_face` takes a few measured pictures
of one face and gives that face's own response (Bayesian linear regression, Bishop 2006, sec. 3.3).

    wish, knobs, measured   [N, 3]   order PROPERTIES, standard deviations
    code                    [N, S]   w (S = w_dim), or every layer's styles (S = sum of 2 C)

A file is one .safetensors: tensors below, settings in its header. numpy only, no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ohlora.errors import BadInput, CheckpointError, ShapeError
from ohlora.files import write_whole
from ohlora.models.generator_config import LABELS, GeneratorConfig, layers
from ohlora.models.protocol50 import LABELS50, NAMES

Array = NDArray[np.float64]
PROPERTIES = NAMES
SPACES = ("label", "w", "style")
FORMAT = "ohlora-directions-1"
FEATURES = 13
FEWEST_PROBES = 3
CLOSED = -3.5  # eyes of a blink, about: with open eyes as the norm they are far from it
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Directions:
    space: str
    method: str  # how they were found: "label", "ridge", "svm" or "published"
    generator: str  # digest of the weights they belong to; "" fits any
    limits: Array  # [3, 2] lowest and highest setting of each knob
    mean: Array  # [3, F] response coefficients of the average face
    spread: Array  # [3, F, F] their covariance over faces
    noise: Array  # [3] deviation of a measured score from its face's response
    reader: Array | None = None  # [3, S] reader @ code + bias = knobs; None for labels
    bias: Array | None = None  # [3]
    moves: Array | None = None  # [3, S] reader @ moves.T is the identity
    z: Array | None = None  # [w_dim] the face this response belongs to; None: any
    scorer: str = ""  # who measured, for people

    def respond(self, knobs: ArrayLike) -> Array:
        """Scores to expect at these knobs [N, 3]."""
        return features(self._unit(np.asarray(knobs, float))) @ self.mean.T

    def knobs(self, wish: ArrayLike) -> Array:
        """Settings [N, 3] whose expected scores come closest to the wish [N, 3], within limits.

        Gauss-Newton from the best point of a 7 x 7 x 7 grid. Raises ShapeError, BadInput.
        """
        wish = np.atleast_2d(np.asarray(wish, float))
        if wish.ndim != 2 or wish.shape[1] != 3:
            raise ShapeError(
                f"A wish is eyes, mouth and pose, [N, 3]; got {list(wish.shape)}.",
                f"눈, 입, 고개 값 세 개([N, 3])여야 하는데 {list(wish.shape)} 모양이에요.",
            )
        if not np.isfinite(wish).all():
            raise BadInput("A wish must be finite numbers.", "눈, 입, 고개 값은 유한해야 해요.")
        axis = np.linspace(-1, 1, 7)
        grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
        expected = features(grid) @ self.mean.T
        nearest = np.square(wish[:, None] - expected).sum(2).argmin(1)
        u = grid[nearest]
        best, error = u, self._error(u, wish)
        for _ in range(25):
            jacobian = np.einsum("kf,nfj->nkj", self.mean, slopes(u))
            gap = wish - features(u) @ self.mean.T
            # A knob at its limit that is pushed further stays out of the step.
            pull = np.einsum("nkj,nk->nj", jacobian, gap)
            stuck = ((u >= 1) & (pull > 0)) | ((u <= -1) & (pull < 0))
            jacobian = np.where(stuck[:, None], 0.0, jacobian)
            normal = np.einsum("nki,nkj->nij", jacobian, jacobian) + 1e-4 * np.eye(3)
            step = np.linalg.solve(normal, np.einsum("nkj,nk->nj", jacobian, gap)[..., None])
            u = np.clip(u + np.clip(step[..., 0], -0.5, 0.5), -1, 1)
            now = self._error(u, wish)
            best = np.where((now < error)[:, None], u, best)
            error = np.minimum(now, error)
        low, high = self.limits.T
        settings: Array = low + (best + 1) / 2 * (high - low)
        return settings

    def for_face(self, z: ArrayLike, knobs: ArrayLike, measured: ArrayLike) -> Directions:
        """The directions for one face z [w_dim], from pictures of it: knobs, measured [N, 3].

        Rows with a score that is nan count for nothing. Raises BadInput when too few are left.
        """
        design = features(self._unit(np.asarray(knobs, float)))
        got = np.asarray(measured, float)
        mean, spread = self.mean.copy(), self.spread.copy()
        for i, name in enumerate(PROPERTIES):
            seen = np.isfinite(got[:, i])
            if seen.sum() < FEWEST_PROBES:
                raise BadInput(
                    f"Only {seen.sum()} of {len(got)} pictures of this face gave a score for "
                    f"{name} and {FEWEST_PROBES} are needed: draw more, or take another face.",
                    f"이 얼굴 사진 {len(got)}장 중 {seen.sum()}장만 {name} 점수가 나왔어요. "
                    f"{FEWEST_PROBES}장 이상 필요하니 더 그리거나 다른 얼굴을 쓰세요.",
                )
            mean[i], spread[i] = posterior(
                design[seen], got[seen, i], self.mean[i], self.spread[i], float(self.noise[i])
            )
        return replace(self, mean=mean, spread=spread, z=np.asarray(z, float).reshape(-1))

    def move(self, code: ArrayLike, knobs: ArrayLike) -> Array:
        """code [N, S] moved until its reading is `knobs` [N, 3]. For spaces w and style."""
        assert self.reader is not None and self.bias is not None and self.moves is not None
        code = np.asarray(code, float)
        return code + (np.asarray(knobs) - code @ self.reader.T - self.bias) @ self.moves

    def label(self, knobs: ArrayLike, label_dim: int) -> NDArray[np.float32]:
        """The generator's label [N, label_dim]; zeros where the knobs are no labels."""
        knobs = np.asarray(knobs, np.float32)
        label = np.zeros((len(knobs), label_dim), np.float32)
        if self.space == "label":
            label[:, label_columns(label_dim)] = knobs
        return label

    def check(self, digest: str, config: GeneratorConfig, z: ArrayLike | None = None) -> None:
        """Raises BadInput unless they fit this generator and, if they are one face's, this z."""
        if self.generator not in ("", digest):
            raise BadInput(
                f"These directions belong to another generator ({self.generator}, this one is "
                f"{digest}): fit them anew with `ohlora face directions`.",
                f"다른 생성기({self.generator})의 방향 파일이에요. 이 생성기는 {digest}이니 "
                "`ohlora face directions`로 다시 찾아 주세요.",
            )
        width = code_width(self.space, config)
        found = None if self.moves is None else self.moves.shape[1]
        if found != width or (self.space == "label" and not config.label_dim):
            raise BadInput(
                f"Directions in {self.space} of {found} numbers do not fit a generator with "
                f"{config.label_dim} labels and {width} numbers there.",
                f"{self.space} 공간의 방향({found}개)이 이 생성기(라벨 {config.label_dim}개, "
                f"{width}개)와 맞지 않아요.",
            )
        if z is not None and self.z is not None:
            given = np.asarray(z, float).reshape(-1)
            if given.shape != self.z.shape or not np.allclose(given, self.z, atol=1e-5):
                raise BadInput(
                    "These directions were calibrated for another face: give the z they were "
                    "made with, or calibrate anew with `ohlora face calibrate`.",
                    "다른 얼굴에 맞춘 방향 파일이에요. 그 얼굴의 z를 주거나 "
                    "`ohlora face calibrate`로 다시 맞춰 주세요.",
                )

    @property
    def digest(self) -> str:
        """12 hex digits over everything that decides the knobs."""
        total = hashlib.sha256(f"{self.space}{self.generator}".encode())
        for array in self._tensors().values():
            total.update(array.tobytes())
        return total.hexdigest()[:12]

    def _unit(self, knobs: Array) -> Array:
        low, high = self.limits.T
        unit: Array = 2 * (knobs - low) / (high - low) - 1
        return unit

    def _error(self, u: Array, wish: Array) -> Array:
        found: Array = np.square(features(u) @ self.mean.T - wish).sum(axis=1)
        return found

    def _tensors(self) -> dict[str, NDArray[np.float32]]:
        names = ("limits", "mean", "spread", "noise", "reader", "bias", "moves", "z")
        found = {name: getattr(self, name) for name in names}
        return {
            name: np.ascontiguousarray(array, np.float32)
            for name, array in found.items()
            if array is not None
        }


def features(u: Array) -> Array:
    """Knobs scaled to [-1, 1], [N, 3] -> [N, 13]: 1, u, u^2, u^3 and the products of two."""
    a, b, c = u.T
    rows = [np.ones_like(a), *u.T, *u.T**2, *u.T**3, a * b, a * c, b * c]
    return np.stack(rows, axis=1)


def slopes(u: Array) -> Array:
    """Derivative of the features, [N, 13, 3]."""
    found = np.zeros((len(u), FEATURES, 3))
    for i in range(3):
        found[:, 1 + i, i], found[:, 4 + i, i] = 1, 2 * u[:, i]
        found[:, 7 + i, i] = 3 * u[:, i] ** 2
    for row, (i, j) in enumerate(((0, 1), (0, 2), (1, 2)), start=10):
        found[:, row, i], found[:, row, j] = u[:, j], u[:, i]
    return found


def posterior(
    design: Array, scores: Array, mean: Array, spread: Array, noise: float
) -> tuple[Array, Array]:
    """Mean [F] and covariance [F, F] of coefficients after seeing scores [N] at design [N, F]."""
    # In the form that needs no inverse of `spread`, which may be singular.
    gain = (
        spread
        @ design.T
        @ np.linalg.inv(design @ spread @ design.T + max(noise, 1e-6) ** 2 * np.eye(len(design)))
    )
    return mean + gain @ (scores - design @ mean), spread - gain @ design @ spread


def identity_response(limits: Array) -> Array:
    """Coefficients [3, F] under which every score equals its knob."""
    mean = np.zeros((3, FEATURES))
    mean[:, 0] = limits.mean(axis=1)
    mean[np.arange(3), 1 + np.arange(3)] = (limits[:, 1] - limits[:, 0]) / 2
    return mean


def knob_limits(widen: float = 0.4) -> Array:
    """[3, 2]: the range of the original's 50 labels, wider on each side by a share of its half.

    Eyes reach down to CLOSED at least.
    """
    low, high = LABELS50.min(axis=0), LABELS50.max(axis=0)
    more = widen * (high - low) / 2
    limits = np.stack([low - more, high + more], axis=1)
    limits[0, 0] = min(limits[0, 0], CLOSED)
    return limits


def label_columns(label_dim: int) -> list[int]:
    """Where eyes, mouth and pose stand in a label. Raises BadInput for a label without them."""
    names = LABELS.get(label_dim, ())
    if not set(PROPERTIES) <= set(names):
        raise BadInput(
            f"A generator with {label_dim} labels has none for eyes, mouth and pose.",
            f"라벨이 {label_dim}개인 생성기에는 눈, 입, 고개 라벨이 없어요.",
        )
    return [names.index(name) for name in PROPERTIES]


def code_width(space: str, config: GeneratorConfig) -> int | None:
    """How many numbers a code of this space has; None for labels."""
    if space == "w":
        return config.w_dim
    if space == "style":
        return sum(2 * layer.out_channels for layer in layers(config))
    return None


def generator_digest(state: Mapping[str, NDArray[Any]]) -> str:
    """16 hex digits over a generator's weights, rounded to float16 so that a slimmed copy is alike.

    Order of the keys does not count.
    """
    total = hashlib.sha256()
    for key in sorted(state):
        with np.errstate(over="ignore"):
            total.update(key.encode() + np.asarray(state[key]).astype(np.float16).tobytes())
    return total.hexdigest()[:16]


def save(path: Path, directions: Directions) -> None:
    """Whole or not at all. Raises StoreError."""
    from safetensors.numpy import save as to_bytes

    settings = {
        "format": FORMAT, "space": directions.space, "method": directions.method,
        "generator": directions.generator, "scorer": directions.scorer,
    }  # fmt: skip
    write_whole(path, to_bytes(directions._tensors(), {"directions": json.dumps(settings)}))


def load(path: Path) -> Directions:
    """Raises CheckpointError for a file that `save` did not write."""
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        with safe_open(path, "numpy") as file:
            settings = json.loads((file.metadata() or {})["directions"])
            tensors = {key: file.get_tensor(key).astype(np.float64) for key in file.keys()}  # noqa: SIM118
        if settings.pop("format") != FORMAT or settings["space"] not in SPACES:
            raise ValueError(f"not {FORMAT}")
        directions = Directions(**settings, **tensors)
        check_shapes(directions)
    except FileNotFoundError as error:
        raise not_directions(path, "no such file", "파일이 없음") from error
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        found = (str(error).partition("\n")[0] or type(error).__name__)[:100]
        raise not_directions(path, found, found) from error
    return directions


def check_shapes(directions: Directions) -> None:
    """Raises ValueError when tensors do not belong together or are not finite."""
    wide = None if directions.moves is None else directions.moves.shape[-1]
    want: dict[str, tuple[int | None, ...]] = {
        "limits": (3, 2), "mean": (3, FEATURES), "spread": (3, FEATURES, FEATURES), "noise": (3,),
    }  # fmt: skip
    if directions.space != "label":
        want |= {"reader": (3, wide), "bias": (3,), "moves": (3, wide)}
    for name, shape in want.items():
        array = getattr(directions, name)
        if array is None or array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} is not {list(shape)} finite numbers")
    if not (directions.limits[:, 0] < directions.limits[:, 1]).all():
        raise ValueError("limits do not ascend")


def not_directions(path: Path, found: str, found_ko: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"expected directions as `ohlora face directions` writes them, found {found}.",
        f"`ohlora face directions`가 만든 방향 파일이어야 하는데 쓸 수 없어요({found_ko}).",
    )
