"""Is it still the same person? Vectors of faces, and how far apart they are.

    recogniser   images uint8 [N, R, R, 3], class maps -> [N, D]; a row of nan where none is seen
    vectors      [Z, L, D]   of Z people in L pictures each

DlibNet is face recognition and is used where the extra `evaluation` is installed; Looks stands in
for it elsewhere, and its name in the results says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.directions.control import Array
from ohlora.evaluation.face_look import FINEST, LOOKS, look
from ohlora.evaluation.report import Number
from ohlora.vision.stages import ParsedFace

Pixels = NDArray[np.uint8]
PERSON = 0.6  # dlib's rule: two pictures closer than this show one person
SMALLEST = 256  # pixels; smaller pictures are enlarged, since dlib finds no face below 80


class Recogniser(Protocol):
    name: str
    rule: float | None  # pictures closer than this show one person; None: no such rule

    def __call__(self, images: Pixels, parsed: Sequence[ParsedFace | None]) -> Array:
        """[N, D], a row of nan where no face is seen."""

    def scale(self, resting: Array) -> tuple[Array, Array]:
        """Middle [D] and width [D] by which vectors are standardised; resting [Z, D], finite."""


class Looks:
    """Stand-in: colours and proportions off the class map (face_look), around the mean face."""

    name = "stand-in: colours and proportions, as the extra `evaluation` is not installed"
    rule: float | None = None

    def __call__(self, images: Pixels, parsed: Sequence[ParsedFace | None]) -> Array:
        unseen = np.full(LOOKS, np.nan)
        return np.stack([unseen if face is None else look(face) for face in parsed])

    def scale(self, resting: Array) -> tuple[Array, Array]:
        return resting.mean(axis=0), np.maximum(resting.std(axis=0), FINEST)


class DlibNet:
    """dlib's face recognition ResNet (King 2017, CC0): 128 numbers, trained so that pictures of
    one person lie within 0.6 of each other.

    A face is found by dlib's HOG detector, turned upright by five landmarks (that predictor was
    trained on dlib's own pictures; the one of 68 was not, and is not used) and cut to 150 pixels.
    """

    name = "dlib face recognition ResNet v1, 128 numbers"
    rule: float | None = PERSON

    def __init__(self, folder: Path) -> None:
        """folder: with the two .dat files. Raises ImportError without dlib."""
        import dlib

        self.crop = dlib.get_face_chip
        self.find = dlib.get_frontal_face_detector()
        self.landmarks = dlib.shape_predictor(str(folder / LANDMARKS))
        self.net = dlib.face_recognition_model_v1(str(folder / RESNET))

    def __call__(self, images: Pixels, parsed: Sequence[ParsedFace | None] = ()) -> Array:
        return np.stack([self.embedding(image) for image in images])

    def embedding(self, image: Pixels) -> Array:
        """[128] of the largest face of a picture [R, R, 3]; nan where none is found."""
        if (short := min(image.shape[:2])) < SMALLEST:
            wide, tall = (side * SMALLEST // short for side in (image.shape[1], image.shape[0]))
            grown = Image.fromarray(image).resize((wide, tall), Image.Resampling.LANCZOS)
            image = np.asarray(grown)
        image = np.ascontiguousarray(image)
        boxes = self.find(image, 0)
        if not boxes:
            return np.full(128, np.nan)
        place = self.landmarks(image, max(boxes, key=lambda box: box.area()))
        return np.array(self.net.compute_face_descriptor(self.crop(image, place, 150, 0.25)))

    def scale(self, resting: Array) -> tuple[Array, Array]:
        return np.zeros(resting.shape[1]), np.ones(resting.shape[1])


RESNET = "dlib_face_recognition_resnet_model_v1.dat"
LANDMARKS = "shape_predictor_5_face_landmarks.dat"


def load_recogniser() -> Recogniser:
    """dlib's net where the extra `evaluation` is installed, else the stand-in."""
    folder = package_folder("face_recognition_models")
    if folder is None:
        return Looks()
    try:
        return DlibNet(folder / "models")
    except ImportError:
        return Looks()


def package_folder(package: str) -> Path | None:
    """Where an installed package lies, without running its code; None when there is none."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def identity(vectors: Array, neutral: int, recogniser: Recogniser) -> dict[str, float]:
    """Is everyone still himself? Column `neutral` of vectors [Z, L, D] is the resting face.

    recognised   share of pictures whose nearest resting face among all Z is their own
    cosine       to the own resting face, mean; worst: the lowest 5 % begin here
    distance     to the own resting face, mean (Euclidean)
    within_rule  share of pictures that the recogniser's rule calls the same person; nan: no rule
    between      mean distance of two people's resting faces
    between_rule share of such pairs that the rule calls one person

    All nan for fewer than two faces.
    """
    names = ("recognised", "cosine", "worst", "distance", "within_rule", "between",
             "between_rule")  # fmt: skip
    resting = vectors[:, neutral]
    usable = np.isfinite(resting).all(axis=1)
    if usable.sum() < 2:
        return dict.fromkeys(names, float("nan"))
    middle, width = recogniser.scale(resting[usable])
    people = (resting[usable] - middle) / width
    right: list[bool] = []
    cosines, away = [], []
    for place, who in enumerate(np.flatnonzero(usable)):
        shown = (np.delete(vectors[who], neutral, axis=0) - middle) / width
        shown = shown[np.isfinite(shown).all(axis=1)]
        distances = np.linalg.norm(shown[:, None] - people, axis=2)
        right += list(distances.argmin(axis=1) == place)
        cosine, distance = apart(shown, people[place])
        cosines.append(cosine)
        away.append(distance)
    if not right:
        return dict.fromkeys(names, float("nan"))
    pairs = np.linalg.norm(people[:, None] - people, axis=2)
    pairs = pairs[~np.eye(len(people), dtype=bool)]
    seen, far = np.concatenate(cosines), np.concatenate(away)
    values = (np.mean(right), seen.mean(), np.percentile(seen, 5), far.mean(),
              within(far, recogniser), pairs.mean(), within(pairs, recogniser))  # fmt: skip
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def apart(shown: Array, resting: Array) -> tuple[Array, Array]:
    """Cosine [N] and Euclidean distance [N] of vectors [N, D] to one vector [D]."""
    lengths = np.linalg.norm(shown, axis=1) * np.linalg.norm(resting)
    cosine: Array = shown @ resting / np.maximum(lengths, 1e-9)
    return cosine, np.linalg.norm(shown - resting, axis=1)


def within(distances: Array, recogniser: Recogniser) -> float:
    return float("nan") if recogniser.rule is None else float((distances < recogniser.rule).mean())


def identity_numbers(vectors: Array, neutral: int, recogniser: Recogniser) -> list[Number]:
    """The rows of a report."""
    who = identity(vectors, neutral, recogniser)
    lost = float(np.isnan(vectors).any(axis=2).mean())
    unit = "" if recogniser.rule else ", in deviations between faces"
    found = [
        perhaps("identity: recognised by its resting face", who["recognised"],
                note=f"{recogniser.name}; by chance {1 / len(vectors):.3f}"),
        perhaps("identity: cosine to the resting face, mean", who["cosine"]),
        perhaps("identity: cosine, lowest 5 % below", who["worst"]),
        perhaps("identity: distance to the resting face, mean", who["distance"],
                note=f"Euclidean{unit}"),
        perhaps("identity: distance of two people at rest, mean", who["between"]),
    ]  # fmt: skip
    if recogniser.rule:
        rule = f"distance below {recogniser.rule:g}"
        found += [
            perhaps("identity: pictures that show the same person", who["within_rule"], note=rule),
            perhaps("identity: two people taken for one", who["between_rule"], note=rule),
        ]
    return [*found, Number("identity: pictures that show no face to it", round(lost, 4),
                           of=vectors.shape[0] * vectors.shape[1])]  # fmt: skip


def pack_numbers(
    frames: Array, resting: Array, people: Array, recogniser: Recogniser
) -> list[Number]:
    """How far frames [N, D] of a pack are from its resting frame [D].

    people [Z, D]: resting faces of others, which give the stand-in its scale; rows of nan are
    left out.
    """
    people = people[np.isfinite(people).all(axis=1)]
    seen = frames[np.isfinite(frames).all(axis=1)]
    if not len(seen) or not len(people) or not np.isfinite(resting).all():
        return [Number("pack: cosine to the resting frame, mean", 0.0, of=0)]
    middle, width = recogniser.scale(people)
    cosine, distance = apart((seen - middle) / width, (resting - middle) / width)
    found = [
        perhaps("pack: cosine to the resting frame, mean", float(cosine.mean()),
                note=f"{recogniser.name}; {len(seen)} of {len(frames)} frames"),
        perhaps("pack: cosine, lowest", float(cosine.min())),
        perhaps("pack: distance to the resting frame, mean", float(distance.mean())),
        perhaps("pack: distance, largest", float(distance.max())),
    ]  # fmt: skip
    if recogniser.rule:
        found.append(perhaps("pack: frames that show the same person", within(distance, recogniser),
                             note=f"distance below {recogniser.rule:g}"))  # fmt: skip
    return found


def perhaps(what: str, value: float, *, unit: str = "", note: str = "") -> Number:
    """A number, or "none" when nothing could be measured."""
    if not np.isfinite(value):
        return Number(what, 0.0, of=0, note=note)
    return Number(what, round(value, 4), unit, note=note)
