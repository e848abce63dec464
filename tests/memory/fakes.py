"""Small working stand-ins: a clock to set by hand and an encoder of hashed character n-grams."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

KST = timezone(timedelta(hours=9))
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=KST)


class Clock:
    """Gives `now` until told otherwise."""

    def __init__(self, now: datetime = TUESDAY) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


class NgramEncoder:
    """Unit vectors of hashed character 1- to 3-grams: texts that share syllables are near."""

    recall_threshold = 0.2
    lines_threshold = 0.6

    def __init__(self, id: str = "ngrams", dim: int = 256) -> None:
        self.id, self.dim = id, dim
        self.texts: list[str] = []  # everything it was asked to encode

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        vectors = np.zeros((len(texts), self.dim), "f4")
        for row, text in enumerate(texts):
            for size in (1, 2, 3):
                for start in range(len(text) - size + 1):
                    slot = zlib.crc32(text[start : start + size].encode()) % self.dim
                    vectors[row, slot] += size
            vectors[row] /= np.linalg.norm(vectors[row]) + 1e-9
        return vectors
