"""Sentence encoders: text to unit vectors whose cosine says how alike two sentences are.

load_encoder("embedded")     the static encoder of ohlora-embedded, no torch
load_encoder("sbert:DIR")    a sentence-transformers folder or a catalog id of one: "sbert:sbert"
                             is the published S-BERT
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import BadInput
from ohlora.paths import embedded


class Encoder(Protocol):
    """`id` names the weights by content: vectors of different ids must never be compared."""

    id: str
    dim: int
    recall_threshold: float  # cosine above which a memory is recalled
    lines_threshold: float  # cosine above which one of her own lines answers

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, dim] float32; [0, dim] for no texts."""
        ...


def load_encoder(spec: str = "embedded") -> Encoder:
    """The encoder that `spec` names. Raises BadInput or CheckpointError."""
    kind, _, place = spec.partition(":")
    if spec == "embedded":
        from ohlora.embedding.static import load_static

        return load_static(embedded() / "encoder")
    if kind == "sbert" and place:
        from ohlora.checkpoints.named import path_of
        from ohlora.embedding.sbert import load_sbert

        return load_sbert(path_of(place))
    raise BadInput(
        f"There is no sentence encoder {spec!r}: use 'embedded' or 'sbert:DIR'.",
        f"{spec!r} 문장 인코더가 없어요. 'embedded'나 'sbert:폴더'를 써 주세요.",
    )
