"""Faces cut from coloured paper, whose eyes, mouth and tilt are exactly as asked.

Each part has its own colour, so a parser that knows the colours makes no mistakes; everything
behind it (detector from the mask, crop, v2 scores) is the real thing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ohlora.directions.scorer import MaskDetector, PartScorer, raw_scores
from ohlora.vision.parse import face_pixels
from ohlora.vision.stages import FaceParser

SIZE, W = 256, 8
COLOURS = np.array([  # by class; pairs that touch lie far apart
    (40, 60, 200), (220, 170, 140), (90, 60, 40), (60, 90, 40), (250, 250, 250), (200, 250, 250),
    (250, 120, 60), (200, 40, 60), (20, 0, 20), (200, 40, 140), (100, 40, 0),
])  # fmt: skip
NEAR = 38  # of a part's colour, summed over channels

Pixels = NDArray[np.uint8]

# Class of each colour in steps of 8.
STEPS = np.stack(np.meshgrid(*[np.arange(32) * 8 + 4] * 3, indexing="ij"), -1)[..., None, :]
AWAY = np.abs(STEPS - COLOURS).sum(-1)
CLASS_OF = np.where(AWAY.min(-1) <= NEAR, AWAY.argmin(-1), 1).astype(np.uint8)


def paper_face(z: NDArray, wish: NDArray) -> Pixels:
    """One picture. A unit of eyes is 4 pixels of height, of pose 0.06 of slope, of mouth 0.1."""
    eyes, mouth, pose = wish
    image = np.empty((SIZE, SIZE, 3))
    image[:] = COLOURS[0]

    def paper(part: int, x: float, y: float, wide: float, tall: float) -> None:
        rows = slice(max(0, round(y - tall / 2)), round(y + tall / 2))
        image[rows, round(x - wide / 2) : round(x + wide / 2)] = COLOURS[part]

    paper(10, 128, 110, 200, 190)
    paper(1, 128, 140, 150, 200)
    paper(2, 92, 76, 44, 8)
    paper(3, 164, 76, 44, 8)
    paper(6, 128, 145, 26, 36)
    tall = 18 + 4 * eyes
    if tall >= 1:
        paper(4, 94, 108 - 0.06 * pose * 68 / 2, 36, tall)
        paper(5, 162, 108 + 0.06 * pose * 68 / 2, 36, tall)
    share = np.clip(0.3 + 0.1 * mouth, 0, 0.9)
    inner = 20 * share / (1 - share)
    paper(7, 128, 190 - inner / 2 - 5, 60, 10)
    if inner >= 1:
        paper(8, 128, 190, 60, inner)
    paper(9, 128, 190 + inner / 2 + 5, 60, 10)
    tint = np.clip(np.tile(z[:3], (SIZE, SIZE, 1)) * 4, -10, 10)  # who it is
    return np.clip(image + tint, 0, 255).astype(np.uint8)


def obedient(z: NDArray, wish: NDArray) -> Pixels:
    return np.stack([paper_face(a, b) for a, b in zip(z, wish, strict=True)])


def deaf(z: NDArray, wish: NDArray) -> Pixels:
    return obedient(z, np.zeros_like(wish))


def parse_paper(inputs: Tensor) -> list[Pixels]:
    """Class maps of crops: a part where its colour is, face where colours mix at an edge."""
    found = []
    for picture in face_pixels(inputs):
        r, g, b = (picture >> 3).transpose(2, 0, 1).astype(int)
        found.append(CLASS_OF[r, g, b])
    return found


def paper_parser() -> FaceParser:
    return FaceParser(MaskDetector(parse_paper), parse_paper)  # type: ignore[arg-type]


def paper_scorer() -> PartScorer:
    """On the scale on which a wish and its score are one number."""
    parser = PartScorer(paper_parser(), (np.zeros(3), np.ones(3)), "paper")
    wishes = np.linspace((-1.5, -1.2, -1.2), (1.5, 1.5, 3.5), 7)
    raw = raw_scores(parser.parsed(obedient(np.zeros((7, W)), wishes)))
    lines = [np.polyfit(wishes[:, i], raw[:, i], 1) for i in range(3)]
    slopes, bases = np.array(lines).T
    return PartScorer(parser.parser, (bases, slopes), "paper")
