"""Sentence encoders: text to unit vectors whose cosine says how alike two sentences are.

load_encoder("embedded")     that of ohlora-embedded: a small transformer, int8, no torch
load_encoder("own:DIR")      a folder that `ohlora train encoder` wrote, of either kind
load_encoder("sbert:DIR")    a sentence-transformers folder or a catalog id of one: "sbert:sbert"
                             is the published S-BERT
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import BadInput
from ohlora.paths import embedded

Progress = Callable[[str, float], None]


class Encoder(Protocol):
    """`id` names the weights by content: vectors of different ids must never be compared."""

    id: str
    dim: int
    recall_threshold: float  # cosine above which a memory is recalled
    lines_threshold: float  # cosine above which one of her own lines answers

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors [N, dim] float32; [0, dim] for no texts."""
        ...


def load_encoder(spec: str = "embedded", progress: Progress = lambda what, part: None) -> Encoder:
    """The encoder that `spec` names.

    progress: what is being done, 0..1, where the first call takes long.
    Raises BadInput, CheckpointError, StoreError.
    """
    kind, _, place = spec.partition(":")
    if spec == "embedded" or (kind == "own" and place):
        from ohlora.embedding.static import load_static
        from ohlora.embedding.transformer import STATIC, load_transformer

        folder = Path(place) if place else embedded() / "encoder"
        if place and not (folder / STATIC).is_dir():
            return load_static(folder)
        return load_transformer(folder, progress)
    if kind == "sbert" and place:
        from ohlora.checkpoints.named import path_of
        from ohlora.embedding.sbert import load_sbert

        return load_sbert(path_of(place))
    raise BadInput(
        f"There is no sentence encoder {spec!r}: use 'embedded', 'own:DIR' or 'sbert:DIR'.",
        f"{spec!r} 문장 인코더가 없어요. 'embedded', 'own:폴더', 'sbert:폴더' 중에서 골라 주세요.",
    )
