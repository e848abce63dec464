"""GPT-NeoX (Polyglot-Ko 1.3B) with a LoRA adapter to a CTranslate2 int8 model, without torch.

One matrix at a time: read from the safetensors files, joined with its adapter in float32, rounded
to int8 per row. The whole model never lies in memory in any wider form, so writing it takes
little more memory than running it.

    W_int8 = round(W * 127 / max |row|)     the scale of each row is kept beside it
    query_key_value [H*3*K, D] is stored head by head; CTranslate2 wants all q, then k, then v
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints.load import read_array
from ohlora.checkpoints.tensors import TensorFile, open_tensors
from ohlora.errors import CheckpointError
from ohlora.llm.adapter import Adapter, join
from ohlora.llm.convert import no_torch

Array = NDArray[np.float32]

ACTIVATIONS = {
    "gelu": "GELU",
    "gelu_new": "GELUTanh",
    "gelu_fast": "GELUTanh",
    "gelu_pytorch_tanh": "GELUTanh",
    "relu": "RELU",
}
EMBEDDING = "gpt_neox.embed_in.weight"


@dataclass(frozen=True)
class NeoxShape:
    """What config.json says of a GPT-NeoX."""

    layers: int
    heads: int
    head_size: int
    rotary_size: int  # numbers of each head that turn with the position
    rotary_base: float
    parallel: bool  # attention and MLP read the same input
    activation: str
    norm_eps: float
    context: int  # tokens
    tied: bool  # the last matrix is the embedding


def read_shape(config: dict[str, Any], path: Path) -> NeoxShape:
    """Raises CheckpointError when `config` (of the file at path) is of another kind of model."""
    try:
        if config["model_type"] != "gpt_neox":
            raise ValueError(f"a {config['model_type']} model")
        rope = config.get("rope_parameters") or {}  # transformers 5 writes these, 4 the others
        size = config["hidden_size"] // config["num_attention_heads"]
        part = rope.get("partial_rotary_factor", config.get("rotary_pct", 0.25))
        return NeoxShape(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            head_size=size,
            rotary_size=int(part * size),
            rotary_base=float(rope.get("rope_theta", config.get("rotary_emb_base", 10_000))),
            parallel=bool(config.get("use_parallel_residual", True)),
            activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
            norm_eps=float(config.get("layer_norm_eps", 1e-5)),
            context=int(config.get("max_position_embeddings", 2048)),
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            path,
            f"int8 wants a GPT-NeoX model, found {error}: use hf:FOLDER for other models.",
            f"int8은 GPT-NeoX 모델만 돼요({error}). 다른 모델은 hf:폴더로 써 주세요.",
        ) from error


class Weights:
    """The tensors of a model folder by name, each read when it is asked for, adapter joined in."""

    def __init__(self, folder: Path, adapter: Adapter | None = None) -> None:
        """Raises CheckpointError without safetensors files or on an adapter that does not fit."""
        self.folder, self._adapter = folder, adapter
        self._files: dict[str, TensorFile] = {}
        for path in sorted(folder.glob("*.safetensors")):
            opened = open_tensors(path)
            self._files |= dict.fromkeys(opened.tensors, opened)
        for name in adapter.pairs if adapter else ():
            if adapter and name not in self._files:
                join(name, None, adapter)  # raises, saying what the base lacks
        if EMBEDDING not in self._files:
            raise CheckpointError(
                folder,
                f"no safetensors file in it has {EMBEDDING}: fetch the model again.",
                f"{EMBEDDING}이 든 safetensors 파일이 없어요. 모델을 다시 받아 주세요.",
            )

    def __getitem__(self, name: str) -> Array:
        if name not in self._files:
            raise CheckpointError(
                self.folder,
                f"{name} is missing: fetch the model again.",
                f"{name}이(가) 없어요. 모델을 다시 받아 주세요.",
            )
        array = np.asarray(read_array(self._files[name], name), np.float32)
        if self._adapter and name in self._adapter.pairs:
            return join(name, array, self._adapter)
        return array

    @property
    def last(self) -> str:
        """The name of the last matrix: transformers 5 writes another than 4 did."""
        return "lm_head.weight" if "lm_head.weight" in self._files else "embed_out.weight"

    @property
    def rows(self) -> int:
        """How many tokens the model knows."""
        return self._files[EMBEDDING].tensors[EMBEDDING].shape[0]


def write_neox(
    folder: Path,
    shape: NeoxShape,
    weights: Weights,
    tokens: Sequence[str],
    special: dict[str, str],
    done: Callable[[float], None],
    quantize: bool = True,
) -> None:
    """Write model.bin, config.json and vocabulary.json into an existing folder.

    special: the tokens called "bos", "eos" and "unk"; done: told the share that is read. quantize
    False keeps float32. Raises CheckpointError, OSError.
    """
    with no_torch():
        from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=getattr(common_spec.Activation, shape.activation),
        pre_norm=True,
        rotary_dim=shape.rotary_size,
        rotary_interleave=False,
        rotary_base=shape.rotary_base,
        parallel_residual=shape.parallel,
        shared_layer_norm=False,
    )
    fill = _Filler(weights, quantize)
    decoder = spec.decoder
    decoder.scale_embeddings = False
    fill.matrix(decoder.embeddings, EMBEDDING)
    fill.matrix(decoder.projection, EMBEDDING if shape.tied else weights.last)
    fill.norm(decoder.layer_norm, "gpt_neox.final_layer_norm")
    for number, layer in enumerate(decoder.layer):
        done(number / shape.layers)
        _layer(fill, layer, f"gpt_neox.layers.{number}", shape)

    spec.register_vocabulary(list(tokens))
    spec.config.bos_token, spec.config.eos_token = special["bos"], special["eos"]
    spec.config.unk_token = special["unk"]
    spec.config.layer_norm_epsilon = shape.norm_eps
    spec.validate()
    spec.save(str(folder))  # optimize() would round again and hold all of it in float32


def _layer(fill: _Filler, layer: Any, name: str, shape: NeoxShape) -> None:
    if shape.parallel:
        first, second = layer.input_layer_norm, layer.post_attention_layer_norm
    else:
        first, second = layer.self_attention.layer_norm, layer.ffn.layer_norm
    fill.norm(first, f"{name}.input_layernorm")
    fill.norm(second, f"{name}.post_attention_layernorm")

    def by_kind(array: Array) -> Array:
        """[H*3*K, ...], each head's q, k, v together, to all q, all k, all v."""
        split = array.reshape(shape.heads, 3, shape.head_size, *array.shape[1:])
        return np.ascontiguousarray(split.swapaxes(0, 1)).reshape(array.shape)

    attention = layer.self_attention
    fill.linear(attention.linear[0], f"{name}.attention.query_key_value", by_kind)
    fill.linear(attention.linear[1], f"{name}.attention.dense")
    fill.linear(layer.ffn.linear_0, f"{name}.mlp.dense_h_to_4h")
    fill.linear(layer.ffn.linear_1, f"{name}.mlp.dense_4h_to_h")


class _Filler:
    """Puts weights into CTranslate2's specs, rounded where they are matrices."""

    def __init__(self, weights: Weights, quantize: bool) -> None:
        self.weights, self.quantize = weights, quantize

    def linear(
        self, spec: Any, name: str, order: Callable[[Array], Array] = lambda array: array
    ) -> None:
        self.matrix(spec, f"{name}.weight", order)
        spec.bias = order(self.weights[f"{name}.bias"])

    def matrix(
        self, spec: Any, name: str, order: Callable[[Array], Array] = lambda array: array
    ) -> None:
        weight = order(self.weights[name])
        if not self.quantize:
            spec.weight = weight
            return
        largest = np.abs(weight).max(axis=1)  # [rows]
        largest[largest == 0] = 127.0
        scale = np.float32(127.0) / largest
        weight *= scale[:, None]
        spec.weight, spec.weight_scale = np.rint(weight).astype(np.int8), scale

    def norm(self, spec: Any, name: str) -> None:
        spec.gamma, spec.beta = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
