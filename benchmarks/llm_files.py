"""Her adapter and her vocabulary as llama.cpp reads them: no weight is quantised a second time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from ohlora.llm.adapter import read_adapter
from ohlora.llm.gguf_base import MODULES, load_parts
from ohlora.llm.gguf_file import read_gguf

_SKIPPED = ("general.", "GGUF.", "tokenizer.")


def write_gguf_adapter(path: Path, folder: Path) -> None:
    """The two matrices of each weight, beside the name the weight has in the GGUF."""
    adapter = read_adapter(folder)
    gguf_names = {hf: own for own, hf in MODULES.items()}
    writer = GGUFWriter(path, "gemma3")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    rank = next(iter(adapter.pairs.values()))[0].shape[0]
    writer.add_float32("adapter.lora.alpha", adapter.scale * rank)
    for name, (a, b) in adapter.pairs.items():
        _, _, layer, module = name.split(".", 3)
        weight = f"blk.{layer}.{gguf_names[module]}"
        writer.add_tensor(f"{weight}.lora_a", np.ascontiguousarray(a))
        writer.add_tensor(f"{weight}.lora_b", np.ascontiguousarray(b))
    _write(writer)


def write_pruned_gguf(path: Path, keep: Sequence[str]) -> None:
    """The base with only the embedding rows of `keep`; every other tensor byte for byte."""
    base = read_gguf(load_parts(lambda what, part: None))
    settings = base.settings
    row_of = {token: row for row, token in enumerate(settings["tokenizer.ggml.tokens"])}
    rows = np.array([row_of[token] for token in keep])
    writer = GGUFWriter(path, "gemma3")
    for key, value in settings.items():
        if key.startswith(_SKIPPED):
            continue
        add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
        add(key, value)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(list(keep))
    writer.add_token_scores([settings["tokenizer.ggml.scores"][row] for row in rows])
    writer.add_token_types([settings["tokenizer.ggml.token_type"][row] for row in rows])
    writer.add_pad_token_id(keep.index("<pad>"))
    writer.add_eos_token_id(keep.index("<eos>"))
    writer.add_bos_token_id(keep.index("<bos>"))
    writer.add_unk_token_id(keep.index("<unk>"))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    for name, (kind, shape, piece) in base.tensors.items():
        if kind == GGMLQuantizationType.F32:
            writer.add_tensor(name, np.frombuffer(piece, np.float32).reshape(shape))
            continue
        quantised = np.frombuffer(piece, np.uint8).reshape(*shape[:-1], -1)
        if name == "token_embd.weight":
            quantised = np.ascontiguousarray(quantised[rows])
        writer.add_tensor(name, quantised, raw_dtype=GGMLQuantizationType(kind))
    _write(writer)


def _write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
