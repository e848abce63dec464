"""Measured eyes, mouth and pose of pictures, in standard deviations of a domain.

    images   uint8 [N, H, W, 3]
    scores   float64 [N, 3], order PROPERTIES; nan where there is no face or nothing to measure

PartScorer measures as Oh-LoRA's v2 scores do: find the face, parse it, count pixels of the class
map. CnnScorer asks a property CNN. Where MTCNN's weights are absent, MaskDetector takes the face's
place from the parser itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.directions.control import PROPERTIES, Array
from ohlora.errors import CheckpointError, OhloraError
from ohlora.vision.images import Picture
from ohlora.vision.normalise import Normalisation
from ohlora.vision.scores import eyes_v2, mouth_v2, pose_v2
from ohlora.vision.stages import FaceParser, ParsedFace
from ohlora.vision.weights import SMALL_PARSER

if TYPE_CHECKING:
    from torch import nn

    from ohlora.models.mtcnn import MTCNN
    from ohlora.vision.parse import Parser

Pixels = NDArray[np.uint8]
Scorer = Callable[[Pixels], Array]
BROWS_TO_NOSE = range(2, 7)  # classes whose place hardly moves when the mouth does


class MaskDetector:
    """A face box from a class map of the whole picture: stands where MTCNN stands.

    In parts of the height of brows, eyes and nose together, MTCNN's box is 1.66 wide and reaches
    0.57 above and 0.76 below them (means over synthetic faces). A face without them is none.
    """

    def __init__(self, parse: Parser, smallest: int = 40) -> None:
        """smallest: pixels of the 224 x 224 map that make a face."""
        self.parse, self.smallest = parse, smallest

    def __call__(self, images: Sequence[Pixels]) -> list[object]:
        from ohlora.models.mtcnn import Faces
        from ohlora.vision.parse import preprocess

        size = (224, 224)
        crops = [
            np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
            for image in images
        ]
        found: list[object] = []
        for image, classes in zip(images, self.parse(preprocess(crops)), strict=True):
            box = face_box(classes, self.smallest)
            scale = np.array([image.shape[1], image.shape[0]] * 2) / 224
            boxes = np.zeros((0, 4)) if box is None else np.array([box]) * scale
            n = len(boxes)
            found.append(Faces(boxes.astype(np.float32), np.ones(n, np.float32),
                               np.zeros((n, 5, 2), np.float32)))  # fmt: skip
        return found


def face_box(classes: Pixels, smallest: int) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 on the class map."""
    y, x = np.nonzero(np.isin(classes, BROWS_TO_NOSE))
    if len(y) < smallest:
        return None
    (left, right), (top, bottom) = np.percentile(x, (1, 99)), np.percentile(y, (1, 99))
    tall, middle = bottom - top, (left + right) / 2
    return middle - 0.83 * tall, top - 0.57 * tall, middle + 0.83 * tall, bottom + 0.76 * tall


@dataclass
class PartScorer:
    parser: FaceParser
    statistics: tuple[Array, Array]  # mean and deviation of the raw scores over the domain, [3]
    name: str = ""

    def __call__(self, images: Pixels) -> Array:
        return self.standard(raw_scores(self.parsed(images)))

    def parsed(self, images: Pixels) -> list[ParsedFace | None]:
        return self.parser([Picture(Path(), image) for image in images])

    def standard(self, raw: Array) -> Array:
        mean, deviation = self.statistics
        return (raw - mean) / deviation


def raw_scores(parsed: Sequence[ParsedFace | None]) -> Array:
    """v2 scores [N, 3] before standardising: pixels, share, slope."""
    rows = np.full((len(parsed), 3), np.nan)
    for row, face in zip(rows, parsed, strict=True):
        if face is not None:
            row[:] = eyes_v2(face.classes), mouth_v2(face.classes), pose_v2(face.classes)
    rows[~np.isfinite(rows)] = np.nan
    return rows


@dataclass
class CnnScorer:
    """A property CNN, which reads whole pictures of 256 x 256 and was trained on standard ones."""

    net: nn.Module
    columns: tuple[int, int, int] = (0, 3, 4)  # of eyes, mouth, pose among its outputs
    name: str = ""

    def __call__(self, images: Pixels) -> Array:
        import torch

        device = next(self.net.parameters()).device
        pictures = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        if pictures.shape[2] != 256:
            pictures = torch.nn.functional.interpolate(
                pictures, size=(256, 256), mode="bilinear", antialias=True
            )
        with torch.inference_mode():
            scores = self.net(pictures)[:, list(self.columns)]
        return np.asarray(scores.double().cpu().numpy())


def read_statistics(path: Path) -> tuple[Array, Array]:
    """Mean [3] and deviation [3] of the raw v2 scores of a domain.

    Takes what `ohlora vision score --statistics` saves, or the label scale that a training run
    saves (names, mean, std). Raises CheckpointError.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        rows = zip(body["names"], body["mean"], body["std"], strict=True)
        columns = {str(name): (float(mean), float(std)) for name, mean, std in rows}
        means, deviations = ({n: pair[i] for n, pair in columns.items()} for i in (0, 1))
        return pick_statistics(Normalisation(means, deviations, 0), path)
    except (OSError, ValueError, KeyError, TypeError):
        return pick_statistics(Normalisation.load(path), path)


def pick_statistics(statistics: Normalisation, path: Path) -> tuple[Array, Array]:
    means, deviations = [], []
    for name in PROPERTIES:
        key = next((k for k in (f"{name}_score", f"score_{name}", name) if k in statistics.means),
                   None)  # fmt: skip
        if key is None or not statistics.deviations[key] > 0:
            raise CheckpointError(
                path,
                f"the statistics say nothing about {name}, or it never varies: make them from "
                "pictures of the domain.",
                f"통계에 {name} 값이 없거나 전혀 변하지 않아요. 도메인 사진으로 만들어 주세요.",
            )
        means.append(statistics.means[key])
        deviations.append(statistics.deviations[key])
    return np.array(means), np.array(deviations)


def measure_statistics(raw: Array) -> Normalisation:
    """Statistics of raw scores [N, 3]. Raises BadInput when fewer than two faces were measured."""
    return Normalisation.fit({f"{name}_score": raw[:, i].tolist()
                              for i, name in enumerate(PROPERTIES)})  # fmt: skip


def load_face_parser(parser: Path, mtcnn: Path | None = None) -> tuple[FaceParser, str]:
    """The vision pipeline with a parser of any kind, and a name that tells which.

    parser: a file of `ohlora train parser`, a folder with one, or FaceXFormer's file.
    Faces are found by MTCNN where its weights are, else by the parser itself; a folder that is
    named must hold them. Raises CheckpointError.
    """
    from ohlora.vision.weights import digest, load_mtcnn, load_parser, mtcnn_files

    file = parser_path(parser)
    parse = load_parser(file)
    try:
        mtcnn_files(mtcnn)
        detector, found_by = load_mtcnn(mtcnn), "MTCNN"
    except CheckpointError:
        if mtcnn is not None:
            raise
        detector, found_by = cast("MTCNN", MaskDetector(parse)), "its mask"
    return FaceParser(detector, parse), f"{file.name}@{digest(file)[:8]}, face by {found_by}"


def load_scorer(parser: Path, statistics: Path, mtcnn: Path | None = None) -> PartScorer:
    """The vision pipeline with a parser, on the scale of a domain. Raises CheckpointError."""
    scale = read_statistics(statistics)  # first: it is quick to find wrong
    pipeline, name = load_face_parser(parser, mtcnn)
    return PartScorer(pipeline, scale, name)


def load_cnn_scorer(path: Path) -> CnnScorer:
    """A property CNN of any width, as v1 published it or trained here. Raises CheckpointError."""
    from ohlora.checkpoints import load_catalog
    from ohlora.models.property_cnn import PropertyCNN
    from ohlora.vision.weights import digest, fitted

    net = fitted(PropertyCNN, load_catalog()["property-cnn"].files[0].nets[0], path)
    return CnnScorer(net, name=f"{path.name}@{digest(path)[:8]}")


def parser_path(path: Path) -> Path:
    """A parser's file, or the one file of a folder. Raises CheckpointError."""
    if not path.is_dir():
        if path.is_file():
            return path
        raise CheckpointError(
            path,
            "expected a face parser, found nothing there: give the file that `ohlora train "
            "parser` makes, or FaceXFormer's.",
            "얼굴 파서 파일이 없어요. `ohlora train parser`가 만든 파일이나 FaceXFormer 파일을 "
            "적어 주세요.",
        )
    inside = sorted(path.glob("*.safetensors"))
    if (path / SMALL_PARSER).is_file():
        return path / SMALL_PARSER
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(one.name for one in inside) or "none"
    raise CheckpointError(
        path,
        f"expected {SMALL_PARSER} or one .safetensors in this folder, found {names}: name the "
        "file.",
        f"폴더에 {SMALL_PARSER}나 .safetensors 하나가 있어야 하는데 {names}이에요. 파일을 적어 "
        "주세요.",
    )


def no_faces(count: int) -> OhloraError:
    return OhloraError(
        f"No face was found in any of {count} pictures: the generator draws none, or the parser "
        "does not fit it.",
        f"사진 {count}장 어디에서도 얼굴을 찾지 못했어요. 생성기나 파서를 확인해 주세요.",
    )
