"""Her face for a sentence, learned from lines labelled by docs/expression-guideline.md.

A ridge regression on the sentence vector and a few marks tells the feeling; what her face does is
the mean of the feelings' faces, weighted by how sure it is. It is fitted when loaded (under 300
lines, a few milliseconds), so it fits whatever encoder is in use and no weights are stored.

    x        [N, D + M]   sentence vector and marks
    feeling  [N, F]       one-hot targets, then softmax weights
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.expression import Expression

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
FACES = {  # the guideline's table: eyes, mouth, pose
    "surprise": Expression(1.6, 0.9, -1.2),
    "laugh": Expression(-0.6, 1.2, -0.6),
    "joy": Expression(0.6, 0.7, -1.2),
    "refuse": Expression(-0.8, -0.9, 2.7),
    "sorry": Expression(-0.8, -0.7, 1.8),
    "comfort": Expression(-0.4, -0.6, 0.6),
    "think": Expression(-0.2, -1.0, 1.2),
    "ask": Expression(0.5, 0.3, -0.9),
    "tell": Expression(-0.4, -0.3, -1.2),
}
MARKS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\?", r"!", r"…|\.\.", r"[ㅋㅎ]{2,}|하하|히히|푸하", r"[ㅠㅜ]{2,}",
        r"^(?:와|우와|헐|헉|오[,! ]|대박|세상)",
        r"미안|죄송|사과", r"^(?:음|흠|글쎄)", r"싫|안 돼|하지 마|그만", r"축하|좋|최고|신나",
        r"[\U0001F300-\U0001FAFF☀-➿]", r"겠[다네어]|괜찮|힘들|걱정",
    )
)  # fmt: skip
MARK_WEIGHT, RIDGE, SHARPNESS = 0.6, 0.3, 8.0


def lines(name: str = "lines") -> list[tuple[str, str]]:
    """(sentence, feeling) of lines.toml, or of heldout.toml."""
    raw = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text("utf-8"))
    return [(line, feeling) for feeling, said in raw.items() for line in said.strip().splitlines()]


class Learned:
    def __init__(self, encode: Encode, said: Sequence[tuple[str, str]] | None = None) -> None:
        """Fit to the labelled lines, or to `said`. `encode` gives unit vectors [N, D]."""
        self._encode = encode
        said = said or lines()
        x = self._features([line for line, _ in said])
        names = list(FACES)
        y = np.eye(len(names))[[names.index(feeling) for _, feeling in said]]
        gram = x.T @ x + RIDGE * np.eye(x.shape[1])
        self._weights = np.linalg.solve(gram, x.T @ y)  # [D + M, F]
        self._faces = np.array([(face.eyes, face.mouth, face.pose) for face in FACES.values()])

    def feelings(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        """How likely each feeling is [N, F], rows sum to 1."""
        score = SHARPNESS * (self._features(sentences) @ self._weights)
        score = np.exp(score - score.max(axis=1, keepdims=True))
        weights: NDArray[np.float64] = score / score.sum(axis=1, keepdims=True)
        return weights

    def __call__(self, sentence: str) -> Expression:
        """Her face for one sentence: the feelings' faces, each weighted by how likely it is."""
        eyes, mouth, pose = (self.feelings([sentence])[0] @ self._faces).round(3).tolist()
        return Expression(eyes, mouth, pose)

    def _features(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        marks = [[mark.search(one) is not None for mark in MARKS] for one in sentences]
        marked = MARK_WEIGHT * np.array(marks, float)
        ones = np.ones((len(marked), 1))
        return np.hstack([self._encode(sentences).astype(float), marked, ones])


@lru_cache(maxsize=2)
def fitted(encode: Encode) -> Learned:
    """Learned for this encoder, fitted once."""
    return Learned(encode)
