"""A Gemma 3 of 60 thousand numbers, whole: GGUF bytes, tokenizer, adapter, prepared folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors.numpy import save_file

from ohlora.llm import gguf_base
from ohlora.llm.gguf_base import GemmaShape, to_sentencepiece
from ohlora.training.vocabulary import BYTES, CONTROL

WORDS = ["안", "녕", "안녕", " 나", " 로", "라", "로라", "야", "!", "?", " ", "답", "변", "(", ")"]
WORDS += [" (", "시", "작", " 시작", "종", "료", " 종료", "나", "로", "너", "는", "가", "고", " 가"]
TOKENS = [*CONTROL, *BYTES, *WORDS]
SHAPE = GemmaShape(
    layers=7, width=32, heads=4, kv_heads=1, head_size=16, hidden=64, vocabulary=len(TOKENS)
)


@dataclass(frozen=True)
class Tiny:
    """`tensors` are what the GGUF holds after its Q8_0 rounding, named as Hugging Face does."""

    shape: GemmaShape
    tokens: list[str]
    tensors: dict[str, np.ndarray]
    gguf: Path
    tokenizer: Path
    adapter: Path

    @property
    def config(self) -> dict[str, object]:
        """What transformers' Gemma3TextConfig needs to be the same network."""
        s = self.shape
        return {
            "vocab_size": s.vocabulary,
            "hidden_size": s.width,
            "intermediate_size": s.hidden,
            "num_hidden_layers": s.layers,
            "num_attention_heads": s.heads,
            "num_key_value_heads": s.kv_heads,
            "head_dim": s.head_size,
            "query_pre_attn_scalar": s.head_size,
            "sliding_window": s.window,
            "tie_word_embeddings": True,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "bos_token_id": 2,
        }


def random_tensors(seed: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    width, heads, size, hidden = SHAPE.width, SHAPE.heads, SHAPE.head_size, SHAPE.hidden
    shapes = {"model.embed_tokens.weight": (SHAPE.vocabulary, width), "model.norm.weight": (width,)}
    for n in range(SHAPE.layers):
        own = {
            "self_attn.q_proj.weight": (heads * size, width),
            "self_attn.k_proj.weight": (size, width),
            "self_attn.v_proj.weight": (size, width),
            "self_attn.o_proj.weight": (width, heads * size),
            "self_attn.q_norm.weight": (size,),
            "self_attn.k_norm.weight": (size,),
            "mlp.gate_proj.weight": (hidden, width),
            "mlp.up_proj.weight": (hidden, width),
            "mlp.down_proj.weight": (width, hidden),
            "input_layernorm.weight": (width,),
            "post_attention_layernorm.weight": (width,),
            "pre_feedforward_layernorm.weight": (width,),
            "post_feedforward_layernorm.weight": (width,),
        }
        shapes |= {f"model.layers.{n}.{name}": shape for name, shape in own.items()}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(path: Path, tensors: dict[str, np.ndarray], architecture: str = "gemma3") -> None:
    to_gguf = {hf: own for own, hf in {**gguf_base.MODULES, **gguf_base.TOP_LEVEL}.items()}
    writer = GGUFWriter(path, architecture)
    writer.add_block_count(SHAPE.layers)
    writer.add_context_length(SHAPE.context)
    writer.add_feed_forward_length(SHAPE.hidden)
    writer.add_head_count(SHAPE.heads)
    writer.add_head_count_kv(SHAPE.kv_heads)
    writer.add_key_length(SHAPE.head_size)
    writer.add_sliding_window(SHAPE.window)
    writer.add_rope_freq_base(SHAPE.rope_global)
    writer.add_layer_norm_rms_eps(SHAPE.norm_eps)
    writer.add_token_list([to_sentencepiece(token) for token in TOKENS])
    writer.add_token_types([1] * len(TOKENS))
    for name, tensor in tensors.items():
        if name.startswith("model.layers."):
            _, _, n, module = name.split(".", 3)
            gguf_name = f"blk.{n}.{to_gguf[module]}"
        else:
            gguf_name = to_gguf[name]
        if tensor.ndim == 1:
            writer.add_tensor(gguf_name, tensor + 1.0)  # llama.cpp stores the gain
        else:
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name, quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(
    folder: Path, rank: int = 2, seed: int = 9, stated_rank: int | None = None, width: int = 32
) -> Path:
    """A LoRA adapter on q_proj and down_proj of every layer, in PEFT's layout."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for n in range(SHAPE.layers):
        for module, (wide, narrow) in {
            "self_attn.q_proj": (SHAPE.heads * SHAPE.head_size, width),
            "mlp.down_proj": (width, SHAPE.hidden),
        }.items():
            path = f"base_model.model.model.layers.{n}.{module}"
            state[f"{path}.lora_A.weight"] = rng.normal(0, 0.2, (rank, narrow)).astype(np.float16)
            state[f"{path}.lora_B.weight"] = rng.normal(0, 0.2, (wide, rank)).astype(np.float16)
    save_file(state, folder / "adapter_model.safetensors")
    settings = {
        "base_model_name_or_path": "/content/drive/on/another/machine",
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": stated_rank or rank,
        "lora_alpha": 4,
        "target_modules": ["q_proj", "down_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder
