"""Sentence encoders: text to unit vectors whose cosine says how alike two sentences are.

load_encoder("embedded")     the static encoder of ohlora-embedded, no torch
load_encoder("gemma:DIR")    layers of Gemma 3 270M beside the static encoder, int8, no torch:
                             a folder that `ohlora train encoder --kind gemma` wrote
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

    progress: what is being done, 0..1, where the first call takes long ("gemma:DIR"). Raises
    BadInput, CheckpointError, StoreError.
    """
    kind, _, place = spec.partition(":")
    if spec == "embedded":
        from ohlora.embedding.static import load_static

        return load_static(embedded() / "encoder")
    if kind == "gemma" and place:
        from ohlora.embedding.gemma import load_gemma

        tokenizer = embedded() / "llm" / "tokenizer.json"
        return load_gemma(Path(place), embedded() / "encoder", tokenizer, progress)
    if kind == "sbert" and place:
        from ohlora.checkpoints.named import path_of
        from ohlora.embedding.sbert import load_sbert

        return load_sbert(path_of(place))
    raise BadInput(
        f"There is no sentence encoder {spec!r}: use 'embedded', 'gemma:DIR' or 'sbert:DIR'.",
        f"{spec!r} 문장 인코더가 없어요. 'embedded', 'gemma:폴더', 'sbert:폴더' 중에서 "
        "골라 주세요.",
    )
