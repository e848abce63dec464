"""The transformer encoder as an int8 CTranslate2 encoder, made once in the data folder.

home()/models/encoder-<hash>/   model.bin, config.json, vocabulary.json, manifest.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.llm.convert import no_torch
from ohlora.llm.ct2 import fitting_threads
from ohlora.llm.engine import Progress
from ohlora.llm.prepare import make_once
from ohlora.paths import home

Array = NDArray[np.float32]

RECIPE = "1"  # raise it when the written network changes
NEEDED_BYTES = 40_000_000


class CT2Network:
    """Satisfies ohlora.embedding.transformer.Network."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """threads: cores of one call; by default half of them, up to four."""
        import ctranslate2

        try:
            self.encoder = ctranslate2.Encoder(
                str(folder),
                device="cpu",
                compute_type="int8",
                inter_threads=1,
                intra_threads=threads or fitting_threads(),
            )
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(
                folder,
                f"the sentence encoder cannot be loaded ({error}): delete this folder, start again",
                f"문장 인코더를 읽을 수 없어요({error}). 이 폴더를 지우고 다시 시작해 주세요",
            ) from error

    def hidden(self, lines: Sequence[Sequence[int]]) -> Array:
        """Token ids of B sentences to [B, T, D] float32."""
        output = self.encoder.forward_batch([list(line) for line in lines])
        return np.array(output.last_hidden_state, np.float32)


def load_network(
    digest: str, pieces: Sequence[str], tensors: Mapping[str, Array], heads: int, progress: Progress
) -> CT2Network:
    """The network of these weights; makes it when it is missing or damaged.

    digest: hex digits that change with the weights. Raises CheckpointError and StoreError.
    """

    def write(target: Path) -> dict[str, object]:
        progress("writing the sentence encoder", 0.5)
        write_network(target, pieces, tensors, heads)
        return {"recipe": RECIPE}

    target = home() / "models" / f"encoder-{RECIPE}{digest}"
    return CT2Network(make_once(target, NEEDED_BYTES, write, progress))


def write_network(
    folder: Path,
    pieces: Sequence[str],
    tensors: Mapping[str, Array],
    heads: int,
    quantization: str | None = "int8",
) -> None:
    """Write the CTranslate2 files into an existing folder.

    quantization None keeps float32. Raises KeyError for a missing tensor, OSError when the disk
    is full.
    """
    with no_torch():
        from ctranslate2.specs import common_spec, transformer_spec

    layers = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("layers."))
    encoder = transformer_spec.TransformerEncoderSpec(
        layers,
        heads,
        pre_norm=False,
        activation=common_spec.Activation.GELU,
        layernorm_embedding=True,
    )
    encoder.embeddings[0].weight = tensors["word"]
    encoder.position_encodings.encodings = tensors["pos"]
    encoder.scale_embeddings = False
    _norm(encoder.layernorm_embedding, tensors, "norm")
    for number, layer in enumerate(encoder.layer):
        at = f"layers.{number}"
        attention = layer.self_attention
        fused = [tensors[f"{at}.{name}.weight"] for name in "qkv"]
        attention.linear[0].weight = np.concatenate(fused)
        fused = [tensors[f"{at}.{name}.bias"] for name in "qkv"]
        attention.linear[0].bias = np.concatenate(fused)
        _linear(attention.linear[1], tensors, f"{at}.ao")
        _norm(attention.layer_norm, tensors, f"{at}.aln")
        _linear(layer.ffn.linear_0, tensors, f"{at}.fi")
        _linear(layer.ffn.linear_1, tensors, f"{at}.fo")
        _norm(layer.ffn.layer_norm, tensors, f"{at}.oln")
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary(list(pieces))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = "<unk>", "<s>", "</s>"
    spec.config.layer_norm_epsilon = 1e-12
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(folder))


def _linear(spec: Any, tensors: Mapping[str, Array], name: str) -> None:
    spec.weight, spec.bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _norm(spec: Any, tensors: Mapping[str, Array], name: str) -> None:
    spec.gamma, spec.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
