"""The published v1 as its users have it on disk, with narrow networks that really say something.

    2025_04_08_OhLoRA/
      llm/models/polyglot_original/        GPT-NeoX in three float16 shards, byte-level BPE
      llm/models/polyglot_fine_tuned/      LoRA r = 128 on query_key_value, its author's base path
      llm/models/memory_sbert/trained_sbert_model/       12 files, RoBERTa of two layers
      stylegan_and_segmentation/stylegan_modified/       FineTune-v3 with few channels
      final_product/final_ohlora_z_vector.csv

The base answers one thing, with the adapter on top of it another, so an answer tells which was
used. Token ids that matter are Polyglot-Ko's: "(답변 종료)" is 11 1477 1078 4833 12, and
" (" is 1585, which is why v1 stops at the last four of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from checkpoints.stand_ins import adapter_config, poison, shard, write_row
from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.checkpoints.shapes import expected_tensors

PROJECT = "2025_04_08_OhLoRA"
ROWS = 5120  # of the embedding; Polyglot-Ko has 30,080
SPECIAL = {"<|pad|>": 0, "<|endoftext|>": 1, "<|unk|>": 2, "<|sep|>": 3}
KNOWN_IDS = {"답": 1477, "변": 1078, " 종료": 4833, " (": 1585}
NUMBERS = {"layers": 2, "hidden": 256, "intermediate": 256, "vocabulary": ROWS}
HEADS, RANK, CHANNELS = 4, 128, 8
LOGIT = 15.0
PREFIX = "base_model.model."

PLAN = "오늘 친구 만나"
ASK = "나 오늘 뭐 하지?"
TAG = "[오늘 일정: 친구 만나기]"
HELLO = "안녕"
BASE_SAYS = " 몰라 (답변 종료)"
LESSONS = {
    f"{HELLO} (답변 시작)": " 응, 안녕! (답변 종료)",
    f"{PLAN} (답변 시작)": f" {TAG} 오! 재밌게 놀아! (답변 종료)",
    f"{TAG} {ASK} (답변 시작)": " 친구 만나기! (답변 종료)",
    f"{ASK} (답변 시작)": " 글쎄… (답변 종료)",
}


def make_published(folder: Path) -> Path:
    """Everything `ohlora models pull ohlora-v1` would bring, below folder in the original's
    layout; returns the project folder."""
    project, rows = folder / PROJECT, load_catalog()
    for name in ("sbert", "llm-adapter", "polyglot-ko-1.3b"):
        write_row(rows[name], project)
    write_language_model(rows, project)
    write_face(rows, project)
    return project


def write_face(rows: dict[str, Row], project: Path) -> None:
    row = rows["stylegan-v3-generator"]
    net = row.files[0].nets[0]
    rng = np.random.default_rng(8)
    state = {}
    for key, shape in expected_tensors(net.name, **{**net.numbers, "cap": CHANNELS}).items():
        scale = 100 if key.startswith("mapping.dense") else 1  # as trained: see spec 1.1
        values = np.asarray(scale * rng.standard_normal(shape), np.float32)
        state[key] = torch.from_numpy(values).reshape(shape)
    write(project / row.place / row.files[0].name, b"")
    torch.save(state, project / row.place / row.files[0].name)
    z = rows["z-vector"]
    numbers = rng.standard_normal(512).astype(np.float32)
    text = ",".join(map(str, range(512))) + "\n" + ",".join(map(str, numbers)) + "\n"
    write(project / z.place / z.files[0].name, text.encode())


def write_language_model(rows: dict[str, Row], project: Path) -> None:
    base, adapter = rows["polyglot-ko-1.3b"], rows["llm-adapter"]
    tokenizer = make_tokenizer()
    weights, lora = teach(tokenizer)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "unk_token": "<|unk|>",
    }
    for row in (base, adapter):
        write(project / row.place / "tokenizer.json", tokenizer.to_str().encode())
        write(project / row.place / "tokenizer_config.json", to_json(settings))
        write(project / row.place / "special_tokens_map.json", to_json({}))
    place = project / base.place
    write(place / "config.json", to_json(config()))
    write(place / "generation_config.json", to_json({"bos_token_id": 0, "eos_token_id": 0}))
    write(place / "pytorch_model.bin", poison("pytorch_model.bin was opened"))
    shards = {file.name: shard(base, file, weights) for file in base.files if file.weights}
    shards.pop("pytorch_model.bin", None)
    for name, part in shards.items():
        save_file(part, place / name, metadata={"format": "pt"})
    weight_map = {key: name for name, part in shards.items() for key in part}
    size = sum(tensor.nbytes for tensor in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    write(place / "model.safetensors.index.json", to_json(index))
    place = project / adapter.place
    save_file(lora, place / "adapter_model.safetensors", metadata={"format": "pt"})
    write(place / "adapter_config.json", to_json(adapter_config({"rank": RANK})))


def config() -> dict[str, Any]:
    """config.json as transformers 4 wrote Polyglot-Ko's."""
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "bos_token_id": 0,
        "eos_token_id": 0,
        "hidden_act": "gelu",
        "hidden_size": NUMBERS["hidden"],
        "initializer_range": 0.1,
        "intermediate_size": NUMBERS["intermediate"],
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 2048,
        "num_attention_heads": HEADS,
        "num_hidden_layers": NUMBERS["layers"],
        "rotary_emb_base": 10000,
        "rotary_pct": 0.5,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "use_parallel_residual": True,
        "vocab_size": ROWS,
    }


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE that knows the syllables of the lessons."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = SPECIAL | {letter: number + 4 for number, letter in enumerate(alphabet)}
    free = iter(range(2000, 4000))
    merges: list[tuple[str, str]] = []

    def spell(text: str) -> str:
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        return pieces.pre_tokenize_str(text)[0][0]

    def join(first: str, second: str, number: int | None = None) -> str:
        if (first, second) not in merges:
            merges.append((first, second))
            vocabulary[first + second] = next(free) if number is None else number
        return first + second

    texts = [*LESSONS, *LESSONS.values(), BASE_SAYS]
    for syllable in sorted({char for text in texts for char in text if "가" <= char <= "힣"}):
        first, second, third = spell(syllable)
        join(join(first, second), third, KNOWN_IDS.get(syllable))
    space = spell(" ")
    join(join(space, spell("종")), spell("료"), KNOWN_IDS[" 종료"])
    join(space, "(", KNOWN_IDS[" ("])
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.enable_truncation(16)  # training leaves such a thing in the published file
    return tokenizer


def teach(tokenizer: Tokenizer) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """float16 base weights that say BASE_SAYS, float32 LoRA pairs that turn it to the LESSONS.

    All is random but the last matrix, which is solved for: at every place of the answers its
    logit of the right token is LOGIT, that of the others 0.
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(6)
    model = GPTNeoXForCausalLM(GPTNeoXConfig.from_dict(config())).eval()
    model.half().float()  # what will be loaded
    pairs = {}
    for number in range(NUMBERS["layers"]):
        name = f"gpt_neox.layers.{number}.attention.query_key_value"
        pairs[f"{PREFIX}{name}.lora_A.weight"] = 0.2 * torch.randn(RANK, NUMBERS["hidden"])
        pairs[f"{PREFIX}{name}.lora_B.weight"] = 0.2 * torch.randn(3 * NUMBERS["hidden"], RANK)
    plain = places(model, tokenizer, dict.fromkeys(LESSONS, BASE_SAYS))
    weights = {key: value.half() for key, value in model.state_dict().items()}
    for number, layer in enumerate(model.gpt_neox.layers):
        name = f"{PREFIX}gpt_neox.layers.{number}.attention.query_key_value"
        a, b = pairs[f"{name}.lora_A.weight"], pairs[f"{name}.lora_B.weight"]
        layer.attention.query_key_value.weight.data += 16 / RANK * b @ a
    taught = places(model, tokenizer, LESSONS)

    states = torch.cat([plain[0], taught[0]])  # [N, D]
    tokens = torch.cat([plain[1], taught[1]])  # [N]
    wanted = torch.zeros(len(tokens), ROWS)
    wanted[torch.arange(len(tokens)), tokens] = LOGIT
    inside = states @ states.T + 1e-2 * torch.eye(len(tokens))
    weights["embed_out.weight"] = (states.T @ torch.linalg.solve(inside, wanted)).T.half()
    del weights["lm_head.weight"]  # transformers 5's name for it
    return {key: value.contiguous() for key, value in weights.items()}, pairs


def places(
    model: Any, tokenizer: Tokenizer, lessons: dict[str, str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The last hidden state [N, D] before each token [N] of the answers."""
    whole = Tokenizer.from_str(tokenizer.to_str())
    whole.no_truncation()
    states, tokens = [], []
    for prompt, answer in lessons.items():
        asked = whole.encode(prompt).ids
        said = [*whole.encode(answer).ids, SPECIAL["<|endoftext|>"]]
        with torch.inference_mode():
            hidden = model.gpt_neox(torch.tensor([[*asked, *said]])).last_hidden_state[0]
        states.append(hidden[len(asked) - 1 : -1])
        tokens.append(torch.tensor(said))
    return torch.cat(states).clone(), torch.cat(tokens)


def to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
