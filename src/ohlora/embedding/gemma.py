"""The first layers of Gemma 3 270M as a sentence encoder, mixed with the static one.

    tokens   [B, T]      <bos> and at most MAX_TOKENS - 1 pieces of the language model's tokenizer
    hidden   [B, T, D]   of the last layer, each token RMS-normed; every token sees the sentence
    pooled   [B, D]      mean over the tokens without <bos>
    gemma    [B, dim]    head(pooled), unit length
    vector   [B, dim + S]   sqrt(a) * gemma beside sqrt(1 - a) * static, unit length

so that the cosine of two vectors is a * their Gemma cosine + (1 - a) * their static cosine; a is
`mix` of config.json. Folder:

    adapter_config.json, adapter_model.safetensors   LoRA of the layers, in PEFT's layout
    head.safetensors   weight [dim, D], bias [dim]
    config.json        name, layers, dim, mix, thresholds, how it was trained and measured

The int8 network is made once from the language model's base (gemma_network.py).
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ohlora.checkpoints.load import load_state_dict
from ohlora.embedding.features import MAX_CHARS
from ohlora.embedding.static import StaticEncoder, load_static, read_config
from ohlora.errors import CheckpointError
from ohlora.llm.engine import Progress

Vectors = NDArray[np.float32]

HEAD, CONFIG = "head.safetensors", "config.json"
MAX_TOKENS = 48  # with <bos>; the rest of a longer text is left to the static encoder
BOS = 2
BATCH = 32  # sentences


class Network(Protocol):
    """The layers; gemma_network.py has the one that runs."""

    def hidden(self, lines: Sequence[Sequence[int]]) -> Vectors:
        """Token ids of B sentences to [B, T, D]; rows beyond a sentence's end mean nothing."""
        ...


class GemmaEncoder:
    """Satisfies ohlora.embedding.Encoder. Threads may share one."""

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        head: tuple[Vectors, Vectors],
        static: StaticEncoder,
        mix: float,
        recall_threshold: float = 0.5,
        lines_threshold: float = 0.5,
        id: str = "gemma",
    ) -> None:
        """head: weight [dim, D] and bias [dim]; mix in [0, 1], the weight of the Gemma cosine."""
        self.network, self.tokenizer, self.static, self.mix = network, tokenizer, static, mix
        self.weight, self.bias = head
        self.recall_threshold, self.lines_threshold = recall_threshold, lines_threshold
        self.id = id
        self.dim = len(self.bias) + static.dim

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors [N, dim] float32 of N texts; [0, dim] for none."""
        gemma = self.mix**0.5 * self.encode_gemma(texts)
        static = (1 - self.mix) ** 0.5 * self.static.encode(texts)
        return np.concatenate([gemma, static], axis=1).astype(np.float32)

    def encode_gemma(self, texts: Sequence[str]) -> Vectors:
        """The Gemma part alone: unit vectors [N, dim of the head]."""
        lines = token_ids(self.tokenizer, texts)
        # Sorted by length, a batch pads little.
        order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
        pooled = np.zeros((len(lines), self.weight.shape[1]), np.float32)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            hidden = self.network.hidden([lines[i] for i in part])
            lengths = np.array([len(lines[i]) for i in part])
            places = np.arange(hidden.shape[1])[None]
            keep = (places > 0) & (places < lengths[:, None])  # [B, T]
            total = np.where(keep[..., None], hidden, 0).sum(axis=1)
            pooled[part] = total / np.maximum(lengths - 1, 1)[:, None]
        vectors = pooled @ self.weight.T + self.bias
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def clean(text: str) -> str:
    """NFC, single spaces, no half surrogates, at most MAX_CHARS characters."""
    text = text[: MAX_CHARS * 2].encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).split())[:MAX_CHARS]


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """<bos> and the first tokens of each text."""
    texts = [clean(text) for text in texts]
    # A turn or two is not worth waking the tokenizer's threads.
    if len(texts) <= 8:
        encodings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    else:
        encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return [[BOS, *encoding.ids[: MAX_TOKENS - 1]] for encoding in encodings]


def load_gemma(
    folder: Path,
    static: Path,
    tokenizer: Path,
    progress: Progress = lambda what, part: None,
    *,
    parts: Sequence[Path] | None = None,
) -> GemmaEncoder:
    """Read an encoder folder and the static encoder's; makes the int8 network at the first call.

    tokenizer: the file of the language model. Raises CheckpointError when something is missing or
    damaged, StoreError when the network cannot be written.
    """
    from ohlora.embedding.gemma_network import load_network, network_digest

    config = read_config(folder)
    head = load_state_dict(folder / HEAD)
    try:
        weight, bias = (head[name].astype(np.float32) for name in ("weight", "bias"))
        mix, layers = float(config["mix"]), int(config["layers"])
        thresholds = float(config["recall_threshold"]), float(config["lines_threshold"])
        name = str(config["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"{error!r}") from error
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise _damaged(folder, f"a head of {list(weight.shape)} with a bias of {list(bias.shape)}")
    network = load_network(folder, tokenizer, layers, progress, parts)
    if weight.shape[1] != network.width:
        raise _damaged(folder, f"a head for width {weight.shape[1]}, layers of {network.width}")
    bag = load_static(static)
    digest = hashlib.sha256(f"{network_digest(folder, tokenizer, layers)} {mix} {bag.id}".encode())
    digest.update((folder / HEAD).read_bytes())
    return GemmaEncoder(
        network,
        Tokenizer.from_file(str(tokenizer)),
        (weight, bias),
        bag,
        mix,
        *thresholds,
        id=f"{name}@{digest.hexdigest()[:8]}",
    )


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json whole."""
    from ohlora.files import write_whole

    text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    write_whole(folder / CONFIG, text.encode())


def _damaged(folder: Path, found: str) -> CheckpointError:
    return CheckpointError(
        folder,
        f"the sentence encoder is damaged ({found}): install ohlora-embedded again",
        f"문장 인코더가 손상됐어요({found}). ohlora-embedded를 다시 설치해 주세요",
    )
