"""Gemma 3 weights in numpy to a CTranslate2 int8 model, through CTranslate2's own specs.

No torch and no transformers: the specs only look for torch, and that look is turned away here, so
preparing the model costs neither its seconds nor its memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.llm.gguf_base import GemmaShape

Array = NDArray[np.float32]


def write_ct2(
    folder: Path,
    shape: GemmaShape,
    tokens: Sequence[str],
    tensors: Mapping[str, Array],
    quantization: str | None = "int8",
) -> None:
    """Write model.bin, config.json and vocabulary.json into an existing folder.

    `tokens` name the embedding's rows; "<bos>", "<eos>" and "<unk>" must be among them.
    quantization None keeps float32. Raises OSError when the disk is full.
    """
    with no_torch():
        from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=common_spec.Activation.GELUTanh,
        sliding_window=shape.window,
        **layer_options(shape),
    )
    decoder = spec.decoder
    decoder.scale_embeddings = True
    decoder.start_from_zero_embedding = False
    decoder.embeddings.weight = tensors["model.embed_tokens.weight"]
    decoder.projection.weight = tensors["model.embed_tokens.weight"]
    _norm(decoder.layer_norm, tensors["model.norm.weight"])
    fill_layers(decoder.layer, shape, tensors)
    for number, layer in enumerate(decoder.layer):
        if shape.is_global(number):
            layer.self_attention.sliding_window = np.dtype("int32").type(0)

    spec.register_vocabulary(list(tokens))
    spec.config.bos_token, spec.config.eos_token = "<bos>", "<eos>"
    spec.config.unk_token = "<unk>"
    spec.config.layer_norm_epsilon = shape.norm_eps
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(folder))


def layer_options(shape: GemmaShape) -> dict[str, Any]:
    """What a CTranslate2 spec, decoder or encoder, must know of Gemma 3's layers."""
    return {
        "pre_norm": True,
        "ffn_glu": True,
        "rms_norm": True,
        "rotary_dim": shape.head_size,
        "rotary_interleave": False,
        "rotary_base": shape.rope_local,
        "num_heads_kv": None if shape.kv_heads == shape.heads else shape.kv_heads,
        "head_dim": shape.head_size,
        "pre_post_layer_norm": True,
        "qk_norm": True,
    }


def fill_layers(layers: Sequence[Any], shape: GemmaShape, tensors: Mapping[str, Array]) -> None:
    """Put "model.layers.N...." into the layers of a spec; the global ones turn more slowly."""
    for number, layer in enumerate(layers):
        prefix = f"model.layers.{number}."
        own = {
            name.removeprefix(prefix): array
            for name, array in tensors.items()
            if name.startswith(prefix)
        }
        fill_layer(layer, own)
        if shape.is_global(number):
            layer.self_attention.rotary_base = np.dtype("float32").type(shape.rope_global)


def fill_layer(layer: Any, own: Mapping[str, Array]) -> None:
    """Put one layer's weights, named without their prefix, into CTranslate2's spec of it."""
    for name in (
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ):
        _norm(getattr(layer, name.replace("layernorm", "layer_norm")), own[f"{name}.weight"])
    attention = layer.self_attention
    _norm(attention.q_norm, own["self_attn.q_norm.weight"])
    _norm(attention.k_norm, own["self_attn.k_norm.weight"])
    q, k, v = (own[f"self_attn.{name}_proj.weight"] for name in "qkv")
    attention.linear[0].weight = np.concatenate([q, k, v])  # [H*K + 2*K, D]
    attention.linear[1].weight = own["self_attn.o_proj.weight"]
    layer.ffn.linear_0.weight = own["mlp.gate_proj.weight"]
    layer.ffn.linear_0_noact.weight = own["mlp.up_proj.weight"]
    layer.ffn.linear_1.weight = own["mlp.down_proj.weight"]


def _norm(spec: Any, weight: Array) -> None:
    spec.gamma = weight
    spec.layer_norm_use_residual = True  # the gain is 1 + weight


@contextmanager
def no_torch() -> Iterator[None]:
    """While this is open, `import torch` finds nothing (unless it was imported before)."""
    hidden = [name for name in ("torch", "transformers") if name not in sys.modules]
    sys.modules.update({name: None for name in hidden})  # type: ignore[misc]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
