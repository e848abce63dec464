"""Train her adapter: LoRA on Gemma 3 270M, answers only, resumable.

    python -m ohlora.training.llm RUN_DIR --chatbot-data ChatbotData.csv.xz

The run folder holds config.json, log.jsonl (one row per logged step), step_NNNNNN.pt (the newest
two checkpoints) and adapter/ (PEFT layout, float16, rewritten with every checkpoint). Called again
with the same folder the run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from ohlora.files import beside
from ohlora.llm.gguf_base import load_parts, read_base, to_sentencepiece
from ohlora.paths import embedded
from ohlora.training.gemma3 import LINEARS, Gemma3
from ohlora.training.llm_data import Mix, Row, read_chatbot_data, read_persona, split

log = logging.getLogger(__name__)

PAD, EOS, BOS = 0, 1, 2


@dataclass(frozen=True)
class TrainConfig:
    chatbot_data: str  # path of ChatbotData.csv.xz
    lines: str  # folder of her written lines
    tokenizer: str  # the pruned tokenizer.json
    total_steps: int = 1_000
    batch_size: int = 32  # rows per step
    own_share: float = 0.62  # of the rows that are her lines; the rest is Chatbot_data
    facts_times: int = 2  # how often an epoch sees each line about who she is
    rank: int = 16
    alpha: float = 32.0
    noise: float = 2.0  # NEFTune; 0 for none
    lr: float = 4e-4
    warmup_steps: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    log_every: int = 10  # steps
    check_every: int = 150  # steps between held-out losses
    save_every: int = 150  # steps
    threads: int = 2
    device: str = "cpu"
    seed: int = 7


def train(config: TrainConfig, run_dir: Path) -> Path:
    """Train; called again with the same run_dir, resumes. Returns the adapter's folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)

    tokenizer = Tokenizer.from_file(config.tokenizer)
    persona, persona_held = split(read_persona(Path(config.lines), config.facts_times))
    small_talk, small_talk_held = split(read_chatbot_data(Path(config.chatbot_data), config.seed))
    mix = Mix(persona, small_talk, config.own_share, config.batch_size, config.seed)
    held = {"persona": persona_held, "small_talk": small_talk_held}
    model = load_model(tokenizer, config).to(config.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    start = load_latest(run_dir, model, optimizer)
    note(run_dir, step=start, persona=len(persona), small_talk=len(small_talk),
         trained=sum(p.numel() for p in model.parameters()))  # fmt: skip

    tokens, since = 0, time.monotonic()
    for step in range(start, config.total_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * schedule(step, config)
        ids, wanted, targets = encode(tokenizer, mix.rows(step))
        loss = answer_loss(model, ids, wanted, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()

        done = step + 1
        tokens += int((ids != PAD).sum())
        if done % config.log_every == 0:
            speed = tokens / (time.monotonic() - since)
            note(run_dir, step=done, loss=round(loss.item(), 4), tokens_per_s=round(speed, 1))
            tokens, since = 0, time.monotonic()
        if done % config.check_every == 0 or done == config.total_steps:
            losses = {name: held_loss(model, tokenizer, rows) for name, rows in held.items()}
            note(run_dir, step=done, **{f"held_{name}": loss for name, loss in losses.items()})
        if done % config.save_every == 0 or done == config.total_steps:
            save(run_dir, done, model, optimizer)
            export_adapter(run_dir / "adapter", model, config)
    return run_dir / "adapter"


def load_model(tokenizer: Tokenizer, config: TrainConfig) -> Gemma3:
    """The dequantised base with the tokenizer's rows of the embedding, and a fresh adapter."""
    order = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    keep = [to_sentencepiece(token) for token, _ in order]
    base = read_base(load_parts(lambda what, part: None), keep)
    return Gemma3(base.shape, base.tensors, config.rank, config.alpha, noise=config.noise)


def encode(tokenizer: Tokenizer, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows -> ids [B, T], wanted [B, T] (where an answer token comes next), targets [N]."""
    prompts = tokenizer.encode_batch([row.prompt_text() for row in rows])
    answers = tokenizer.encode_batch([row.answer_text() for row in rows])
    starts = [1 + len(prompt.ids) for prompt in prompts]
    lines = [
        [BOS, *prompt.ids, *answer.ids, EOS]
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    T = max(len(line) for line in lines) - 1
    ids = torch.full((len(lines), T), PAD)
    wanted = torch.zeros((len(lines), T), dtype=torch.bool)
    targets = []
    for at, (line, start) in enumerate(zip(lines, starts, strict=True)):
        ids[at, : len(line) - 1] = torch.tensor(line[:-1])
        wanted[at, start - 1 : len(line) - 1] = True
        targets += line[start:]
    return ids, wanted, torch.tensor(targets)


def answer_loss(model: Gemma3, ids: Tensor, wanted: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the answers' tokens, in nats."""
    device = model.embedding.device
    logits = model(ids.to(device), wanted.to(device))
    return F.cross_entropy(logits, targets.to(device))


@torch.no_grad()
def held_loss(model: Gemma3, tokenizer: Tokenizer, rows: Sequence[Row], limit: int = 160) -> float:
    """Loss per answer token over at most `limit` held-out rows, from all of them evenly."""
    model.eval()
    rows = [rows[at * len(rows) // limit] for at in range(limit)] if len(rows) > limit else rows
    rows = sorted(rows, key=lambda row: len(row.user) + len(row.answer))
    total, count = 0.0, 0
    for start in range(0, len(rows), 32):
        ids, wanted, targets = encode(tokenizer, rows[start : start + 32])
        total += answer_loss(model, ids, wanted, targets).item() * len(targets)
        count += len(targets)
    model.train()
    return round(total / max(count, 1), 4)


def schedule(step: int, config: TrainConfig) -> float:
    """Learning rate over its peak: linear up, cosine down to 2 %."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    part = (step - config.warmup_steps) / max(1, config.total_steps - config.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def save(run_dir: Path, step: int, model: Gemma3, optimizer: torch.optim.Optimizer) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda_rng"] = torch.cuda.get_rng_state_all()
    path = run_dir / f"step_{step:06d}.pt"
    with beside(path) as part:
        torch.save(state, part)
    for old in sorted(run_dir.glob("step_*.pt"))[:-2]:
        old.unlink()


def load_latest(run_dir: Path, model: Gemma3, optimizer: torch.optim.Optimizer) -> int:
    """Restore the newest checkpoint; 0 when there is none."""
    checkpoints = sorted(run_dir.glob("step_*.pt"))
    if not checkpoints:
        return 0
    state = torch.load(checkpoints[-1], weights_only=True, map_location=model.embedding.device)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"].cpu())
    if "cuda_rng" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
    return int(state["step"])


def export_adapter(folder: Path, model: Gemma3, config: TrainConfig) -> None:
    """Write the adapter as PEFT reads it, in float16, without embeddings."""
    folder.mkdir(exist_ok=True)
    state = {name: t.half().cpu().contiguous() for name, t in model.adapter_state().items()}
    settings = {
        "base_model_name_or_path": "google/gemma-3-270m",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": config.rank,
        "target_modules": sorted(LINEARS),
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    with beside(folder / "adapter_model.safetensors") as part:
        save_file(state, part, metadata={"format": "pt"})
        part.chmod(0o644)  # safetensors makes it readable to its owner only


def note(run_dir: Path, **row: float) -> None:
    row = {"time": round(time.time(), 1), **row}
    with (run_dir / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)


def main() -> None:
    defaults = TrainConfig("", "", "")
    parser = argparse.ArgumentParser(description="Train her adapter on Gemma 3 270M.")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--chatbot-data", required=True, help="ChatbotData.csv.xz")
    parser.add_argument("--lines", default=str(embedded() / "personas" / "ohlora" / "lines"))
    parser.add_argument("--tokenizer", default=str(embedded() / "llm" / "tokenizer.json"))
    for name, value in asdict(defaults).items():
        if value != "":
            flags = [f"--{name.replace('_', '-')}"]
            if name == "own_share":
                flags.append("--persona-share")  # its name until 30 November 2026
            parser.add_argument(*flags, type=type(value), default=value, help=f"default {value}")
    options = vars(parser.parse_args())
    run_dir = options.pop("run_dir")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(TrainConfig(**options), run_dir)


if __name__ == "__main__":
    main()
