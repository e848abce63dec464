"""The layers of the Gemma encoder as an int8 CTranslate2 encoder, made once in the data folder.

    home()/models/encoder-<hash>/   model.bin, config.json, vocabulary.json, manifest.json

CTranslate2's encoder has no causal mask: its tokens look both ways. Its last norm, with gain 1, is
the norm of each token before the mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.llm.adapter import adapter_digest, merge, read_adapter
from ohlora.llm.convert import fill_layers, layer_options, no_torch
from ohlora.llm.ct2 import fitting_threads
from ohlora.llm.engine import Progress
from ohlora.llm.gguf_base import (
    GGUF_SHA256,
    GemmaShape,
    load_parts,
    read_base,
    to_sentencepiece,
)
from ohlora.llm.prepare import TERMS, make_once, read_tokens
from ohlora.paths import home

Array = NDArray[np.float32]

RECIPE = "1"  # raise it when the written network changes
NEEDED_BYTES = 60_000_000


class CT2Network:
    """Satisfies ohlora.embedding.gemma.Network."""

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
        self.width = self.hidden([[0]]).shape[-1]

    def hidden(self, lines: Sequence[Sequence[int]]) -> Array:
        """Token ids of B sentences to [B, T, D] float32."""
        output = self.encoder.forward_batch([list(line) for line in lines])
        return np.array(output.last_hidden_state, np.float32)


def load_network(
    folder: Path,
    tokenizer: Path,
    layers: int,
    progress: Progress,
    parts: Sequence[Path] | None = None,
) -> CT2Network:
    """The network of an adapter's folder; makes it when it is missing or damaged.

    Raises CheckpointError and StoreError.
    """

    def write(target: Path) -> dict[str, object]:
        progress(TERMS, 0.0)
        lora, tokens = read_adapter(folder), read_tokens(tokenizer)
        data = load_parts(lambda what, part: progress(what, 0.5 * part), parts)
        progress("unpacking the sentence encoder", 0.5)
        base = read_base(data, [to_sentencepiece(token) for token in tokens], layers)
        del data
        progress("writing the sentence encoder", 0.8)
        write_network(target, base.shape, tokens, merge(base.tensors, lora))
        return {"recipe": RECIPE, "adapter": lora.digest}

    target = home() / "models" / f"encoder-{network_digest(folder, tokenizer, layers)}"
    return CT2Network(make_once(target, NEEDED_BYTES, write, progress))


def network_digest(folder: Path, tokenizer: Path, layers: int) -> str:
    """Sixteen hex digits that change with whatever the network depends on."""
    what = f"{RECIPE} {GGUF_SHA256} {adapter_digest(folder)} {read_tokens(tokenizer)} {layers}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def write_network(
    folder: Path,
    shape: GemmaShape,
    tokens: Sequence[str],
    tensors: Mapping[str, Array],
    quantization: str | None = "int8",
) -> None:
    """Write the CTranslate2 files of shape.layers layers into an existing folder.

    quantization None keeps float32. Raises OSError when the disk is full.
    """
    with no_torch():
        from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(
        shape.layers,
        shape.heads,
        activation=common_spec.Activation.GELUTanh,
        **layer_options(shape),
    )
    encoder.scale_embeddings = True
    encoder.embeddings[0].weight = tensors["model.embed_tokens.weight"]
    del encoder.position_encodings  # rotary positions live in the layers
    encoder.layer_norm.gamma = np.ones(shape.width, np.float32)
    fill_layers(encoder.layer, shape, tensors)
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.register_vocabulary(list(tokens))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = "<unk>", "<bos>", "<eos>"
    spec.config.layer_norm_epsilon = shape.norm_eps
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(folder))
