"""What is done to a batch of pictures: detect, parse, score. One row for each picture.

A stage is called with pictures and gives their rows; batch.run feeds it. The networks are
loaded once, by whoever makes the stage.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.files import write_whole
from ohlora.vision.detect import Box, crop_face, detect, enlarge
from ohlora.vision.images import Picture
from ohlora.vision.notes import Note
from ohlora.vision.overlay import overlay
from ohlora.vision.parse import Parser, face_pixels, preprocess
from ohlora.vision.scores import HAIR, SIZE, VERSIONS, Scores
from ohlora.vision.table import Column, Row

if TYPE_CHECKING:
    from ohlora.models.mtcnn import MTCNN, Faces

Pixels = NDArray[np.uint8]

POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
FIRST = (Column("img_no", "int"), Column("img_path", "text"))
LAST = (Column("faces", "int"), Column("status", "text"), Column("note", "text"))
BOX = tuple(Column(name, "float") for name in ("x1", "y1", "x2", "y2"))
CROP = tuple(Column(f"crop_{name}", "int") for name in ("x1", "y1", "x2", "y2"))
DETECTED = (
    *FIRST,
    *BOX,
    Column("probability", "float"),
    *(Column(f"{point}_{axis}", "float") for point in POINTS for axis in "xy"),
    *CROP,
    Column("all_boxes", "json"),
    *LAST,
)
PARSED = (
    *FIRST,
    *(Column(f"{name}_path", "text") for name in ("parsing", "parsing_visualization", "face")),
    *CROP,
    *LAST,
)
SCORE_COLUMNS = tuple(f"{name}_score" for name in Scores._fields)  # the original's names
SCORED = (*FIRST, *(Column(name, "float") for name in SCORE_COLUMNS), *LAST)

NO_FACE = Note("no face found", "얼굴을 찾지 못함")
NO_HAIR = Note("no hair found", "머리카락을 찾지 못함")


@dataclass(frozen=True)
class Result:
    """Fields of a row and what to say about it; without fields there was no face."""

    fields: Row | None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class ParsedFace:
    faces: int
    crop: Box
    classes: Pixels  # [224, 224]
    face: Pixels  # [224, 224, 3]


def usable(faces: Faces, width: int, height: int) -> Box | None:
    """The enlarged box of the largest face that covers at least a pixel."""
    for box in faces.boxes:
        x1, y1, x2, y2 = enlarge(box, width, height)
        if int(x2) > int(x1) and int(y2) > int(y1):
            return x1, y1, x2, y2
    return None


def several(faces: int) -> tuple[Note, ...]:
    if faces < 2:
        return ()
    return (Note(f"{faces} faces, the largest is used", f"얼굴 {faces}개 중 가장 큰 것을 씀"),)


@dataclass
class Detect:
    """The faces of each picture."""

    mtcnn: MTCNN

    def __call__(self, pictures: Sequence[Picture]) -> list[Result]:
        found = detect(self.mtcnn, [picture.pixels for picture in pictures])
        return [self.result(p, faces) for p, faces in zip(pictures, found, strict=True)]

    def result(self, picture: Picture, faces: Faces) -> Result:
        height, width, _ = picture.pixels.shape
        crop = usable(faces, width, height)
        if crop is None:
            return Result(None)
        fields: Row = dict(zip(("x1", "y1", "x2", "y2"), decimals(faces.boxes[0]), strict=True))
        fields["probability"] = round(float(faces.probs[0]), 6)
        for name, (x, y) in zip(POINTS, faces.points[0], strict=True):
            fields[f"{name}_x"], fields[f"{name}_y"] = decimals([x, y])
        fields |= crop_fields(crop)
        fields["all_boxes"] = [decimals(box) for box in faces.boxes]
        fields["faces"] = len(faces)
        return Result(fields, several(len(faces)))


def decimals(values: Sequence[float] | NDArray[np.float32]) -> list[float]:
    return [round(float(value), 3) for value in values]


def crop_fields(crop: Box) -> Row:
    return {column.name: int(side) for column, side in zip(CROP, crop, strict=True)}


@dataclass
class FaceParser:
    """Largest face of each picture, parsed; None where there is none."""

    mtcnn: MTCNN
    parse: Parser

    def __call__(self, pictures: Sequence[Picture]) -> list[ParsedFace | None]:
        found = detect(self.mtcnn, [picture.pixels for picture in pictures])
        crops: dict[int, Box] = {}
        for i, (picture, faces) in enumerate(zip(pictures, found, strict=True)):
            height, width, _ = picture.pixels.shape
            crop = usable(faces, width, height)
            if crop is not None:
                crops[i] = crop
        parsed: list[ParsedFace | None] = [None] * len(pictures)
        if crops:
            inputs = preprocess([crop_face(pictures[i].pixels, box) for i, box in crops.items()])
            maps = self.parse(inputs)
            for i, classes, face in zip(crops, maps, face_pixels(inputs), strict=True):
                parsed[i] = ParsedFace(len(found[i]), crops[i], classes, face)
        return parsed


@dataclass
class Parse:
    """Writes parsing_NNNNNN.png, face_NNNNNN.png and the overlay of each picture."""

    parser: FaceParser
    folder: Path
    names: dict[Path, str] = field(default_factory=dict)  # NNNNNN of each picture

    def __call__(self, pictures: Sequence[Picture]) -> list[Result]:
        parsed = self.parser(pictures)
        return [self.result(p, face) for p, face in zip(pictures, parsed, strict=True)]

    def result(self, picture: Picture, parsed: ParsedFace | None) -> Result:
        if parsed is None:
            return Result(None)
        images = {
            "parsing": parsed.classes,
            "parsing_visualization": overlay(parsed.face, parsed.classes),
            "face": parsed.face,
        }
        fields: Row = {}
        for kind, pixels in images.items():
            name = f"{kind}_{self.names.get(picture.path, picture.path.stem)}.png"
            write_whole(self.folder / name, png_bytes(pixels))
            fields[f"{kind}_path"] = name
        fields |= crop_fields(parsed.crop)
        fields["faces"] = parsed.faces
        return Result(fields, several(parsed.faces))


def names_for(paths: Iterable[Path], taken: Iterable[str] = ()) -> dict[Path, str]:
    """NNNNNN of each picture: its stem; its whole name, then name~2 ..., where that is taken."""
    used, names = set(taken), {}
    for path in paths:
        more = (f"{path.name}~{i}" for i in count(2))
        names[path] = next(name for name in chain((path.stem, path.name), more) if name not in used)
        used.add(names[path])
    return names


def png_bytes(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Score:
    """Property scores of each picture, by the rules of v1 or v2."""

    parser: FaceParser
    version: str = "v2"

    def __call__(self, pictures: Sequence[Picture]) -> list[Result]:
        parsed = self.parser(pictures)
        return [self.result(p, face) for p, face in zip(pictures, parsed, strict=True)]

    def result(self, picture: Picture, parsed: ParsedFace | None) -> Result:
        if parsed is None:
            return Result(None)
        image = parsed.face if self.version == "v2" else whole(picture.pixels)
        return scored(parsed.classes, image, self.version, parsed.faces)


def whole(pixels: Pixels) -> Pixels:
    """The whole picture at 224 x 224, which v1's rules measure colours on."""
    size = (SIZE, SIZE)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def scored(classes: Pixels, image: Pixels, version: str, faces: int | None) -> Result:
    """The row of one parsed face. What cannot be measured stays empty and gets a note."""
    scores = VERSIONS[version](classes, image)
    notes = [*several(faces or 1)]
    if not (classes == HAIR).any():
        notes.append(NO_HAIR)
    fields: Row = {"faces": faces}
    for name, column, value in zip(Scores._fields, SCORE_COLUMNS, scores, strict=True):
        defined = value is not None and math.isfinite(value)
        fields[column] = float(value) if value is not None and defined else None
        if not defined and not (name.startswith("hair") and NO_HAIR in notes):
            notes.append(Note(f"{name} is undefined", f"{name} 값을 정할 수 없음"))
    return Result(fields, tuple(notes))
