"""Small files that look like the published ones: same names, keys, dtypes; narrow networks.

    make_original(folder)        the whole v1 project layout, every row of the catalog
    state_of_net(net)            tensors of one network at reduced width
    write_row(row, folder)       one row's files below folder, in the original's places

Weights are seeded, so two runs give the same bytes. The generators share their synthesis tensors,
as the published ones do.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from ohlora.checkpoints.catalog import File, Net, Row, load_catalog
from ohlora.checkpoints.shapes import expected_tensors

SMALL: dict[str, dict[str, int]] = {
    "stylegan-generator": {"width": 8, "cap": 4},
    "stylegan-discriminator": {"cap": 4},
    "gender-cnn": {"unit": 1},
    "quality-cnn": {"unit": 1},
    "property-cnn": {"unit": 1},
    "merged-property-cnn": {"unit": 1},
    "facexformer": {"swin": 32, "middle_depth": 2, "width": 32},
    "gpt-neox": {"layers": 2, "hidden": 16, "intermediate": 32, "vocabulary": 64},
    "gpt-neox-lora": {"layers": 2, "hidden": 16, "rank": 4},
    "gemma2": {
        "layers": 2, "hidden": 16, "intermediate": 32, "heads": 4, "kv_heads": 2, "head_size": 8,
        "vocabulary": 64,
    },
    "roberta": {
        "layers": 2, "hidden": 16, "intermediate": 32, "vocabulary": 64, "positions": 34,
    },
}  # fmt: skip
DTYPES = {"gpt-neox": torch.float16, "gemma2": torch.bfloat16}  # the others are float32
IMAGES = 12  # instead of 10,000 and 4,703; catalogs in tests ask for as many
WORDS = ["<|endoftext|>", "[UNK]", "[PAD]", "안녕", "나", "는", "오로라", "너", "오늘"]


def small(net: Net) -> dict[str, int]:
    return {**net.numbers, **SMALL.get(net.name, {})}


def state_of_net(net: Net) -> dict[str, torch.Tensor]:
    """Tensors in the published order; values depend on the key, and for generators on it alone."""
    state = {}
    for key, shape in expected_tensors(net.name, **small(net)).items():
        seed = zlib.crc32(key.encode())
        if key.endswith("relative_position_index"):
            state[key] = torch.arange(int(np.prod(shape))).reshape(shape)
            continue
        values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        state[key] = torch.from_numpy(np.asarray(0.1 * values, np.float32)).reshape(shape)
    return {key: value.to(DTYPES.get(net.name, value.dtype)) for key, value in state.items()}


def buffers(net: Net) -> dict[str, torch.Tensor]:
    """What the published files hold beside the weights, and no one needs."""
    numbers = small(net)
    if net.name == "roberta":
        hidden = numbers["hidden"]
        return {
            "pooler.dense.weight": torch.zeros(hidden, hidden),
            "pooler.dense.bias": torch.zeros(hidden),
        }
    extra = {}
    if net.name == "gpt-neox":
        for i in range(numbers["layers"]):
            attention = f"gpt_neox.layers.{i}.attention"
            extra[f"{attention}.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool).tril()
            extra[f"{attention}.masked_bias"] = torch.tensor(-1e9)
            extra[f"{attention}.rotary_emb.inv_freq"] = torch.ones(2)
    return extra


def write_row(row: Row, folder: Path) -> list[Path]:
    """Write a row's files below folder / row.place; returns them."""
    place = folder / row.place
    if row.images:
        return write_images(row, place)
    for file in row.files:
        path = place / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if row.kind == "vector":
            path.write_text(vector())
        elif file.weights and not file.sealed:
            write_weights(row, file, path)
        else:
            path.write_bytes(plain_content(row, file))
    return [place / file.name for file in row.files]


def vector() -> str:
    """A z for the small generators: a header and one row."""
    width = SMALL["stylegan-generator"]["width"]
    numbers = np.random.default_rng(21).standard_normal(width).astype(np.float32)
    return "\n".join([",".join(map(str, range(width))), ",".join(map(str, numbers)), ""])


def write_weights(row: Row, file: File, path: Path) -> None:
    nets = file.nets or (Net("mtcnn-p"),)  # rows without known keys: any tensors will do
    if path.suffix == ".safetensors":
        state = state_of_net(nets[0]) | buffers(nets[0])
        save_file(shard(row, file, state), path, metadata={"format": "pt"})
    elif nets[0].part:
        extra = {"epoch": 3, "step": 12}
        torch.save({**{net.part: state_of_net(net) for net in nets}, **extra}, path)
    else:
        torch.save(state_of_net(nets[0]), path)


def shard(row: Row, file: File, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The part of the tensors that one of several files holds."""
    names = [f.name for f in row.files if f.weights]
    if len(names) == 1:
        return state
    keys = list(state)[names.index(file.name) :: len(names)]
    return {key: state[key] for key in keys}


def plain_content(row: Row, file: File) -> bytes:
    """JSON and text that transformers and sentence-transformers can really read."""
    net = next((net for one in row.files for net in one.nets), None)
    numbers = small(net) if net else {}
    contents: dict[str, object] = {
        "config.json": config(net.name if net else "", numbers),
        "generation_config.json": {"eos_token_id": 0},
        "model.safetensors.index.json": index(row),
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "eos_token": "<|endoftext|>",
            "model_max_length": 32,
        },
        "special_tokens_map.json": {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "eos_token": "<|endoftext|>",
        },
        "adapter_config.json": adapter_config(numbers),
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {
                "idx": 1,
                "name": "1",
                "path": "1_Pooling",
                "type": "sentence_transformers.models.Pooling",
            },
        ],
        "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": True},
        "config_sentence_transformers.json": {"__version__": {"sentence_transformers": "4.0.2"}},
        "1_Pooling/config.json": {
            "word_embedding_dimension": numbers.get("hidden", 16),
            "pooling_mode_mean_tokens": True,
        },
    }
    if file.name in contents:
        return json.dumps(contents[file.name], ensure_ascii=False).encode()
    if file.name == "vocab.txt":
        return "\n".join(WORDS).encode()
    if file.name == "training_args.bin":
        return poison("training_args.bin was opened")
    return f"# {file.name}\n".encode()


def config(net: str, numbers: dict[str, int]) -> dict[str, object]:
    sizes = {
        "num_hidden_layers": numbers.get("layers"),
        "hidden_size": numbers.get("hidden"),
        "intermediate_size": numbers.get("intermediate"),
        "vocab_size": numbers.get("vocabulary"),
    }
    kinds: dict[str, dict[str, object]] = {
        "gpt-neox": {
            "model_type": "gpt_neox",
            "architectures": ["GPTNeoXForCausalLM"],
            "num_attention_heads": 2,
            "rotary_pct": 0.5,
            "max_position_embeddings": 64,
            "tie_word_embeddings": False,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        "roberta": {
            "model_type": "roberta",
            "architectures": ["RobertaModel"],
            "num_attention_heads": 2,
            "max_position_embeddings": numbers.get("positions"),
            "type_vocab_size": 1,
            "pad_token_id": 2,
        },
        "gemma2": {
            "model_type": "gemma2",
            "architectures": ["Gemma2ForCausalLM"],
            "num_attention_heads": numbers.get("heads"),
            "num_key_value_heads": numbers.get("kv_heads"),
            "head_dim": numbers.get("head_size"),
        },
    }
    return {**kinds.get(net, {}), **{k: v for k, v in sizes.items() if v}}


def adapter_config(numbers: dict[str, int]) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "C:\\Users\\author\\OhLoRA\\llm\\models\\polyglot_original",
        "r": numbers.get("rank", 4),
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "target_modules": ["query_key_value"],
        "init_lora_weights": "gaussian",
        "inference_mode": True,
    }


def index(row: Row) -> dict[str, object]:
    files = [file for file in row.files if file.weights]
    if not files or not files[0].nets:
        return {}
    state = state_of_net(files[0].nets[0]) | buffers(files[0].nets[0])
    shards = {file.name: shard(row, file, state) for file in files}
    size = sum(tensor.nbytes for tensor in state.values())
    weight_map = {key: name for name, part in shards.items() for key in part}
    return {"metadata": {"total_size": size}, "weight_map": weight_map}


def tokenizer() -> dict[str, object]:
    special = [
        {"id": i, "content": WORDS[i], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i in range(3)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(WORDS)},
            "unk_token": "[UNK]",
        },
    }


def write_images(row: Row, place: Path) -> list[Path]:
    assert row.images is not None
    place.mkdir(parents=True, exist_ok=True)
    first, last = int(row.images.first[:6]), int(row.images.last[:6])
    numbers = [*range(first, first + IMAGES - 1), last]
    picture = Image.effect_noise((256, 256), 20).convert("RGB")
    paths = [place / f"{number:06d}.jpg" for number in numbers]
    for path in paths:
        picture.save(path, quality=30)
    return paths


class Poison:
    """Unpickling it would raise SystemExit in whoever opens the file."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, (f"raise SystemExit({self.message!r})",))


def poison(message: str) -> bytes:
    import pickle

    return pickle.dumps(Poison(message))


def make_original(folder: Path, rows: list[Row] | None = None) -> Path:
    """Every v1 row below folder, laid out as the original project."""
    chosen = rows or [row for row in load_catalog().values() if row.kind != "embedded"]
    for row in chosen:
        if row.edition == "v1" and not row.placed_by_us:
            write_row(row, folder)
    return folder
