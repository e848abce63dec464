"""The embedded sentence encoder: a weighted bag of subwords and letter runs, in numpy alone.

    rows      the features of a sentence                    features.py
    weight    exp(log_weight[row]), times the value weight inside a memory's value
    vector    sum of weight * table[row], then unit length  [dim]

Folder: encoder.safetensors (fp16), tokenizer.json, config.json, MODEL_CARD.md. A text without a
single feature (empty, spaces) gets the fixed unit vector (1, 0, ..., 0).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from tokenizers import Tokenizer

from ohlora.embedding.features import Featurizer
from ohlora.errors import CheckpointError

Vectors = NDArray[np.float32]

WEIGHTS, TOKENIZER, CONFIG = "encoder.safetensors", "tokenizer.json", "config.json"
CHUNK = 512  # sentences summed at once, so that 100,000 texts need little memory


class StaticEncoder:
    """Satisfies ohlora.embedding.Encoder. Safe to use from several threads."""

    def __init__(
        self,
        featurizer: Featurizer,
        table: Vectors,
        weight: Vectors,
        value_weight: float,
        recall_threshold: float = 0.5,
        lines_threshold: float = 0.5,
        id: str = "static",
    ) -> None:
        self.featurizer = featurizer
        self.table, self.weight = table, weight  # [rows, dim], [rows]
        self.value_weight = value_weight
        self.recall_threshold, self.lines_threshold = recall_threshold, lines_threshold
        self.id = id
        self.dim = int(table.shape[1])

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors [N, dim] float32 of N texts; [0, dim] for none."""
        out = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            out[start : start + len(part)] = self._encode(part)
        return out

    def _encode(self, texts: Sequence[str]) -> Vectors:
        features = self.featurizer(texts)
        lengths = np.array([len(rows) for rows, _ in features])
        rows = np.concatenate([np.array(r, dtype=np.int64) for r, _ in features])
        in_value = np.concatenate([np.array(f, dtype=bool) for _, f in features])
        weights = np.where(in_value, self.weight[rows] * self.value_weight, self.weight[rows])

        # Sentences share most features: each used row of the table is read once.
        seen = np.zeros(len(self.table), dtype=bool)
        seen[rows] = True
        used = np.flatnonzero(seen)
        place = np.cumsum(seen)[rows] - 1 + len(used) * np.repeat(np.arange(len(texts)), lengths)
        bags = np.bincount(place, weights, minlength=len(texts) * len(used))
        vectors = bags.reshape(len(texts), -1).astype(np.float32) @ self.table[used]  # [B, dim]

        vectors[lengths == 0, 0] = 1.0
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def load_static(folder: Path) -> StaticEncoder:
    """Read an encoder folder. Raises CheckpointError when a file is missing or damaged."""
    config = read_config(folder)
    weights, tokenizer_file = folder / WEIGHTS, folder / TOKENIZER
    for path in (weights, tokenizer_file):
        if not path.is_file():
            raise CheckpointError(
                path,
                "the sentence encoder lacks this file: install ohlora-embedded again",
                "문장 인코더 파일이 없어요. ohlora-embedded를 다시 설치해 주세요",
            )
    try:
        tensors = load_file(weights)
        tokenizer = Tokenizer.from_str(tokenizer_file.read_text("utf-8"))
        featurizer = Featurizer(tokenizer, config["buckets"], tuple(config["runs"]))
        table = tensors["table"].astype(np.float32)
        weight = np.exp(tensors["log_weight"].astype(np.float32))
        value_weight = float(np.exp(tensors["log_value_weight"].astype(np.float32)[0]))
        thresholds = float(config["recall_threshold"]), float(config["lines_threshold"])
    # tokenizers raises a bare Exception on a damaged file, safetensors one of its own.
    except Exception as error:
        raise CheckpointError(
            folder,
            f"the sentence encoder is damaged ({error}): install ohlora-embedded again",
            f"문장 인코더가 손상됐어요({error}). ohlora-embedded를 다시 설치해 주세요",
        ) from error
    if table.shape != (featurizer.rows, config["dim"]) or weight.shape != (featurizer.rows,):
        raise CheckpointError(
            weights,
            f"want a table [{featurizer.rows}, {config['dim']}], got {list(table.shape)}: "
            "the files of this folder belong to different encoders",
            f"표의 크기가 [{featurizer.rows}, {config['dim']}]이어야 하는데 "
            f"{list(table.shape)}예요. 서로 다른 인코더의 파일이 섞였어요",
        )
    name = f"{config['name']}@{content_hash(folder)}"
    return StaticEncoder(featurizer, table, weight, value_weight, *thresholds, id=name)


def write_encoder(
    folder: Path,
    featurizer: Featurizer,
    table: Vectors,
    log_weight: Vectors,
    log_value_weight: float,
    config: dict[str, Any],
) -> None:
    """Write weights as fp16, the tokenizer and config.json; MODEL_CARD.md is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "table": table.astype(np.float16),
        "log_weight": log_weight.astype(np.float16),
        "log_value_weight": np.array([log_value_weight], np.float16),
    }
    (folder / WEIGHTS).write_bytes(save(tensors))
    (folder / TOKENIZER).write_text(featurizer.tokenizer.to_str(), "utf-8")
    (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", "utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            path,
            "no sentence encoder here: install ohlora-embedded or name another folder",
            "문장 인코더가 없어요. ohlora-embedded를 설치하거나 다른 폴더를 지정해 주세요",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            path, f"not readable as JSON ({error})", f"JSON으로 읽을 수 없어요({error})"
        ) from error
    if not isinstance(config, dict):
        raise CheckpointError(path, "want a JSON object", "JSON 객체여야 해요")
    return config


def content_hash(folder: Path) -> str:
    """Eight hex digits over weights and tokenizer: what decides a vector."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, TOKENIZER):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:8]
