"""Does a generator obey? Random faces x the original's 50 labels, measured on the class map.

    draw     z [B, W], wish [B, 3]      -> uint8 [B, R, R, 3]
    scorer   the vision pipeline with a parser that took no part in training (directions.scorer)

Faces are drawn from a seed, none is picked; each is judged by the 50 labels and six thresholds of
models.protocol50. The original's figures for its one chosen face: r 0.893, 0.858, 0.932.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.directions.control import PROPERTIES, Array
from ohlora.directions.scorer import PartScorer, no_faces, raw_scores
from ohlora.errors import BadInput
from ohlora.evaluation.face_identity import Looks, Recogniser, identity_numbers, perhaps
from ohlora.evaluation.face_look import moved, on_frame, turn
from ohlora.evaluation.face_numbers import closeness, correlations, cross_talk, plain_r
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.models.protocol50 import LABELS50, POSE, Judged, judge

if TYPE_CHECKING:
    from ohlora.evaluation.face_features import Features

Pixels = NDArray[np.uint8]
Draw = Callable[[Array, Array], Pixels]
Progress = Callable[[str, float], None]

R_BAR, PASS_BAR, TALK_BAR = 0.95, 0.9, 0.15
NEUTRAL = int(
    np.flatnonzero((LABELS50 == (1.8, -1.2, 0.0)).all(axis=1))[0]
)  # open eyes, shut mouth
BEFORE = {  # one hand-picked z of FineTune-v3
    "eyes": "original, its one z: r 0.893, error 0.934",
    "mouth": "original, its one z: r 0.858, error 0.445",
    "pose": "original, its one z: r 0.932, error 1.237",
}


@dataclass(frozen=True)
class Faces:
    """What was measured on Z faces at L labels."""

    z: Array  # [Z, W]
    measured: Array  # [Z, L, 3] standard deviations; nan where no face was found
    turns: Array  # [Z, L] yaw by the nose
    vectors: Array  # [Z, L, D] of the recogniser; nan where it saw no face
    recogniser: Recogniser
    drift: Array  # [Z, 2] background, hair
    judged: list[Judged | None]  # None: a picture without a score

    @property
    def passed(self) -> int:
        return sum(one is not None and one.passed for one in self.judged)


def measure_faces(
    draw: Draw,
    scorer: PartScorer,
    z: Array,
    batch: int = 25,
    progress: Progress | None = None,
    recogniser: Recogniser | None = None,
) -> Faces:
    """Draw and measure every face at the 50 labels; recogniser None: the stand-in.

    Raises OhloraError when none shows a face.
    """
    recogniser = recogniser or Looks()
    count, labels = len(z), len(LABELS50)
    measured = np.full((count, labels, 3), np.nan)
    turns, drift = np.full((count, labels), np.nan), np.full((count, 2), np.nan)
    vectors = []
    poses = np.arange(labels) % len(POSE)
    for face in range(count):
        images, parsed = [], []
        for start in range(0, labels, batch):
            wish = LABELS50[start : start + batch]
            images.append(draw(np.tile(z[face], (len(wish), 1)), wish))
            parsed += scorer.parsed(images[-1])
        pictures = np.concatenate(images)
        measured[face] = scorer.standard(raw_scores(parsed))
        vectors.append(recogniser(pictures, parsed))
        frames: list[Pixels | None] = [None] * labels
        for row, one in enumerate(parsed):
            if one is not None:
                turns[face, row] = turn(one)
                frames[row] = on_frame(one, *pictures.shape[1:3])
        drift[face] = moved(pictures, frames, poses)
        if progress:
            progress("measuring faces", (face + 1) / count)
    if not np.isfinite(measured).any():
        raise no_faces(count * labels)
    judged = [judge(LABELS50, rows) if np.isfinite(rows).all() else None for rows in measured]
    return Faces(z, measured, turns, np.stack(vectors), recogniser, drift, judged)


def load_domain(folder: Path, size: int, count: int) -> Pixels:
    """The first `count` pictures of a domain, clean ones, at `size`: uint8 [N, size, size, 3].

    A data set of `ohlora synth dataset`, or a folder of pictures. Raises BadInput.
    """
    found: list[Pixels] = []
    if (folder / "manifest.json").is_file():
        from ohlora.synth.dataset import read_dataset

        clean = (s.image for s in read_dataset(folder) if s.labels.get("quality", 1.0) >= 0.5)
        found = [resized(image, size) for image in islice(clean, count)]
    else:
        from ohlora.vision.images import UnusablePicture, find_images, open_picture

        for path in find_images([str(folder)]):
            try:
                found.append(resized(open_picture(path).pixels, size))
            except UnusablePicture:
                continue
            if len(found) == count:
                break
    if len(found) < 2:
        raise BadInput(
            f"{folder} holds {len(found)} pictures that can be used, and a domain needs more.",
            f"{folder}에 쓸 수 있는 사진이 {len(found)}장뿐이에요. 도메인 사진이 더 필요해요.",
        )
    return np.stack(found)


def resized(image: Pixels, size: int) -> Pixels:
    if image.shape[:2] == (size, size):
        return image
    picture = Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def against_domain(
    draw: Draw,
    domain: Pixels,
    scores: Array | None,
    width: int,
    seed: int,
    features: Features,
    batch: int = 32,
) -> dict[str, float]:
    """KID and FID of as many random faces as the domain has pictures.

    With the domain's own scores [N, 3] the faces are asked for the same expressions; else for
    labels drawn from the 50.
    """
    rng = np.random.default_rng((seed, 7))
    wishes = LABELS50[rng.integers(len(LABELS50), size=len(domain))]
    if scores is not None:
        wishes = np.where(np.isnan(scores), wishes, scores)
    z = rng.standard_normal((len(domain), width))
    drawn = [draw(z[i : i + batch], wishes[i : i + batch]) for i in range(0, len(z), batch)]
    ours = np.concatenate(drawn)
    return closeness(ours, domain, features, standardised=features.standardised)


def summarise(
    faces: Faces,
    setting: dict[str, object],
    close: dict[str, float] | None = None,
    features: str = "",
) -> Report:
    """All numbers of a run, with what was asked for; features: name of what `close` is made of."""
    z, labels = faces.measured.shape[:2]
    pictures = z * labels
    r = correlations(LABELS50, faces.measured)
    each = [j for j in faces.judged if j is not None]
    numbers = [
        Number(f"{name}: |r| over all pictures", round(abs(float(r[i])), 4), bar=R_BAR,
               note=BEFORE[name])
        for i, name in enumerate(PROPERTIES)
    ]  # fmt: skip
    for i, name in enumerate(PROPERTIES):
        inside = np.nan_to_num([j.correlations[i] for j in each])
        if each:
            numbers += [
                Number(f"{name}: r of a face, mean", round(float(inside.mean()), 4)),
                Number(f"{name}: r of a face, worst", round(float(inside.min()), 4)),
            ]
        error = float(np.nanmean(np.abs(faces.measured[..., i] - LABELS50[:, i])))
        numbers.append(Number(f"{name}: mean absolute error", round(error, 3), "sd"))
    numbers.append(
        Number("faces within all six thresholds", round(faces.passed / z, 4), of=z, bar=PASS_BAR,
               note="later Oh-LoRA versions: 0.024")
    )  # fmt: skip
    talk = cross_talk(LABELS50, faces.measured)
    off = np.abs(talk - np.diag(np.diag(talk)))
    row, column = np.unravel_index(off.argmax(), off.shape)
    obeys = bool((np.abs(np.diag(talk)) > 0.1).all())  # a deaf face has nothing to mix up
    numbers.append(
        Number("largest cross-talk", round(float(off.max()), 4), bar=TALK_BAR if obeys else None,
               lower_is_better=True, note=f"of {PROPERTIES[row]} on {PROPERTIES[column]}"
               if obeys else "says nothing: not every property obeys")
    )  # fmt: skip
    wished_pose = np.broadcast_to(LABELS50[:, 2], (z, labels)).reshape(-1)
    yaw = plain_r(wished_pose, faces.turns.reshape(-1))
    numbers.append(
        Number("pose: |r| with the turn of the nose", round(abs(yaw), 4),
               note="v2's pose score sees the tilt of the eyes, this the turn")
    )  # fmt: skip
    numbers += identity_numbers(faces.vectors, NEUTRAL, faces.recogniser)
    for i, name in enumerate(("background", "hair")):
        seen = faces.drift[np.isfinite(faces.drift[:, i]), i]
        change = float(seen.mean()) if len(seen) else np.nan
        note = "mean change where only eyes and mouth do, of 255"
        numbers.append(perhaps(f"{name} drift", change, unit="levels", note=note))
    lost = float(np.isnan(faces.measured).any(axis=2).sum())
    numbers.append(
        Number("pictures without a face or score", round(lost / pictures, 4), of=pictures)
    )
    if close:
        numbers += [
            Number("KID against the domain", round(close["kid"], 4),
                   note=f"unbiased, (x.y/D + 1)^3; {features}"),
            Number("KID, deviation over subsets", round(close["kid_deviation"], 4)),
            Number("KID of the domain's two halves", round(close["floor"], 4)),
            Number("FID against the domain", round(close["fid"], 2), note=features),
        ]  # fmt: skip
    plots = [
        Plot(f"r of each face, {name}: share of faces at or above",
             at_or_above([j.correlations[i] for j in each], z), bar=None)
        for i, name in enumerate(PROPERTIES)
    ]  # fmt: skip
    influence = {
        f"{PROPERTIES[i]} on {PROPERTIES[j]}": round(float(abs(talk[i, j])), 4)
        for i in range(3)
        for j in range(3)
    }
    plots.append(Plot("influence of each label on each score, standardised", influence))
    rows = [face_row(i, one) for i, one in enumerate(faces.judged)]
    failures = [
        {k: v for k, v in row.items() if k != "passed"} for row in rows if not row["passed"]
    ]
    return Report("face", "Face control", setting, numbers, plots, failures, rows)


def at_or_above(values: list[float], of: int) -> dict[str, float]:
    steps = (0.5, 0.8, 0.9, 0.95, 0.98)
    found = np.nan_to_num(np.array(values))
    return {f"{step:g}": round(float((found >= step).sum()) / of, 4) for step in steps}


def face_row(index: int, judged: Judged | None) -> dict[str, object]:
    """One face in the table of faces."""
    if judged is None:
        return {"face": index, "passed": False, "note": "a picture without a face or score"}
    row: dict[str, object] = {"face": index, "passed": judged.passed}
    for i, name in enumerate(PROPERTIES):
        row[f"{name} r"] = round(judged.correlations[i], 3)
        row[f"{name} error"] = round(judged.errors[i], 3)
    return row
