"""The embedded sentence encoder: a small BERT, mixed with the static encoder.

    tokens   [B, T]       one that says what the text is, at most MAX_TOKENS - 2 pieces, </s>
    hidden   [B, T, D]    of the last layer
    own      [B, D]       mean over the tokens, unit length
    vector   [B, D + S]   sqrt(a) * own beside sqrt(1 - a) * static, unit length

so that the cosine of two vectors is a * their own cosine + (1 - a) * their static cosine; a is
`mix` of config.json. The layers are eight of multilingual-e5-small's twelve, trained further
(training/encoder_transformer.py). Folder:

    model.safetensors   4-bit matrices and float16 vectors        transformer_weights.py
    tokenizer.json      a unigram vocabulary, the Korean part of XLM-RoBERTa's
    config.json         name, heads, mix, thresholds, how it was trained and measured
    static/             the static encoder                        static.py

The int8 network is made once from it in the data folder (transformer_network.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ohlora.checkpoints.load import load_state_dict
from ohlora.embedding.features import clean
from ohlora.embedding.static import StaticEncoder, load_static, read_config
from ohlora.embedding.transformer_weights import unpacked
from ohlora.errors import CheckpointError
from ohlora.llm.engine import Progress

Vectors = NDArray[np.float32]

WEIGHTS, TOKENIZER, CONFIG, STATIC = "model.safetensors", "tokenizer.json", "config.json", "static"
MAX_TOKENS = 64  # with the first and the last; the rest of a longer text is left to `static`
TURN, PAD, END, REPLY = 0, 1, 2, 3  # <s>, <pad>, </s> and, which stands first nowhere else, <unk>
BATCH = 32  # sentences


class Network(Protocol):
    """The layers; transformer_network.py has the one that runs."""

    def hidden(self, lines: Sequence[Sequence[int]]) -> Vectors:
        """Token ids of B sentences to [B, T, D]; rows beyond a sentence's end mean nothing."""
        ...


class TransformerEncoder:
    """Satisfies ohlora.embedding.Encoder. Threads may share one."""

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        width: int,
        static: StaticEncoder,
        mix: float,
        recall_threshold: float = 0.5,
        lines_threshold: float = 0.5,
        id: str = "transformer",
    ) -> None:
        """width: D of the network; mix in [0, 1], the weight of its own cosine."""
        self.network, self.tokenizer, self.static, self.mix = network, tokenizer, static, mix
        self.recall_threshold, self.lines_threshold = recall_threshold, lines_threshold
        self.id, self.width = id, width
        self.dim = width + static.dim
        # Recall, topics and lines each ask for the vector of one and the same turn.
        self._one = lru_cache(maxsize=64)(lambda text: self._encode([text]))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors [N, dim] float32 of N texts; [0, dim] for none."""
        return self._one(texts[0]).copy() if len(texts) == 1 else self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        own = self.mix**0.5 * self.encode_own(texts)
        static = (1 - self.mix) ** 0.5 * self.static.encode(texts)
        return np.concatenate([own, static], axis=1).astype(np.float32)

    def encode_own(self, texts: Sequence[str]) -> Vectors:
        """The transformer's part alone: unit vectors [N, D]."""
        lines = token_ids(self.tokenizer, texts)
        # Sorted by length, a batch pads little.
        order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
        total = np.zeros((len(lines), self.width), np.float32)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            hidden = self.network.hidden([lines[i] for i in part])
            lengths = np.array([len(lines[i]) for i in part])[:, None]
            inside = np.arange(hidden.shape[1])[None] < lengths  # [B, T]
            total[part] = np.where(inside[..., None], hidden, 0).sum(axis=1)
        return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True))


def token_ids(tokenizer: Tokenizer, texts: Sequence[str], replies: bool = False) -> list[list[int]]:
    """The tokens of each text; `replies`: of answers to turns, which only the training reads."""
    texts = [clean(text) for text in texts]
    # A turn or two is not worth waking the tokenizer's threads.
    if len(texts) <= 8:
        encodings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    else:
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    first = REPLY if replies else TURN
    return [[first, *encoding.ids[: MAX_TOKENS - 2], END] for encoding in encodings]


def load_transformer(
    folder: Path, progress: Progress = lambda what, part: None
) -> TransformerEncoder:
    """Read an encoder folder; makes the int8 network at the first call.

    Raises CheckpointError when something is missing or damaged, StoreError when the network cannot
    be written.
    """
    from ohlora.embedding.transformer_network import load_network

    config = read_config(folder)
    file = load_state_dict(folder / WEIGHTS)
    try:
        tokenizer_text = (folder / TOKENIZER).read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(tokenizer_text)
    except Exception as error:  # tokenizers raises a bare Exception for a damaged file
        raise _damaged(folder / TOKENIZER, f"{error}") from error
    try:
        tensors = unpacked(file)
        mix, heads, name = float(config["mix"]), int(config["heads"]), str(config["name"])
        thresholds = float(config["recall_threshold"]), float(config["lines_threshold"])
        vocabulary, width = tensors["word"].shape
        ids = sorted((number, piece) for piece, number in tokenizer.get_vocab().items())
        pieces = [piece for _, piece in ids]
        if len(pieces) != vocabulary:
            raise ValueError(f"{vocabulary} rows, {len(pieces)} pieces")
        digest = hashlib.sha256(tokenizer_text.encode() + (folder / WEIGHTS).read_bytes())
        network = load_network(digest.hexdigest()[:16], pieces, tensors, heads, progress)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"{error!r}") from error
    static = load_static(folder / STATIC)
    digest.update(f"{mix} {static.id}".encode())
    return TransformerEncoder(
        network, tokenizer, width, static, mix, *thresholds, id=f"{name}@{digest.hexdigest()[:8]}"
    )


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json whole."""
    from ohlora.files import write_whole

    text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    write_whole(folder / CONFIG, text.encode())


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"the sentence encoder is damaged ({found}): install ohlora-embedded again",
        f"문장 인코더가 손상됐어요({found}). ohlora-embedded를 다시 설치해 주세요",
    )
