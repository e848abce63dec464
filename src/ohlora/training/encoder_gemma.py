"""Train the Gemma sentence encoder: from the tasks of encoder.py to a folder of 3 MB.

    python -m ohlora.training.encoder_gemma RUN_DIR --data ../shared/data --out my_encoder

The tasks are those of encoder.py, in smaller batches. What is published is the mean of the weights
over the last steps, roughly 1 / (1 - average) of them.

The run folder holds config.json, log.jsonl and step_NNNNNN.pt (the newest two). Called again with
the same folder the run goes on where it stopped, with the batches it would have drawn.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from torch import Tensor, nn

from ohlora.embedding.gemma import HEAD, load_gemma, write_config
from ohlora.embedding.static import load_static
from ohlora.files import beside, write_whole
from ohlora.llm.gguf_base import load_parts, read_base, to_sentencepiece
from ohlora.llm.prepare import read_tokens
from ohlora.paths import embedded
from ohlora.training import encoder_data, encoder_measure
from ohlora.training.encoder import (
    LINES_PRECISION,
    RECALL_PRECISION,
    EncoderConfig,
    Losses,
)
from ohlora.training.encoder_gemma_network import SentenceGemma
from ohlora.training.gemma3 import LINEARS

log = logging.getLogger(__name__)


Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class GemmaConfig:
    layers: int = 6  # of the base's 18
    rank: int = 16
    alpha: float = 32.0
    dim: int = 256
    total_steps: int = 750
    batch_size: int = 96  # sentence pairs of the task "contrast"
    pairs: int = 64  # of the tasks "sts" and "entailment"
    lr: float = 6e-4
    head_lr: float = 0.5  # the head's rate, as a share of lr
    warmup_steps: int = 30
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    average: float = 0.99  # of the published weights, what a step keeps
    log_every: int = 10  # steps
    check_every: int = 100  # steps between looks at KorSTS dev
    save_every: int = 50  # steps
    threads: int = 1
    seed: int = 7


TASKS = {  # share of the steps
    "sts": 0.66, "contrast": 0.12, "entailment": 0.06, "recall": 0.09, "repeat": 0.07,
}  # fmt: skip
MIXES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # weights of the Gemma cosine to choose from


class GemmaLosses(Losses):
    """The losses of encoder.py, with smaller batches."""

    def __init__(self, data: encoder_data.EncoderData, lines: Path, config: GemmaConfig) -> None:
        super().__init__(data, lines, EncoderConfig(batch_size=config.batch_size))
        self.pairs = config.pairs

    def sts(self, model: SentenceGemma, rng: random.Random) -> Tensor:  # type: ignore[override]
        rows = rng.sample(self.data.sts_train, self.pairs)
        vectors = model([row[i] for i in (0, 1) for row in rows])
        cosine = (vectors[: len(rows)] * vectors[len(rows) :]).sum(1)
        score = torch.tensor([row[2] for row in rows])
        return self.cosent(cosine, score) + 10 * F.mse_loss(cosine, score)

    def entailment(self, model: SentenceGemma, rng: random.Random) -> Tensor:  # type: ignore[override]
        rows = rng.sample(self.data.triples, self.pairs)
        vectors = model([row[i] for i in range(3) for row in rows])
        return self.info_nce(vectors[: len(rows)], vectors[len(rows) :])


def train(config: GemmaConfig, corpora: Path, lines: Path, run_dir: Path) -> None:
    """Train; called again with the same run_dir, resumes."""
    data = encoder_data.load(corpora, reviews=20_000)
    fit(load_model(config), GemmaLosses(data, lines, config), config, run_dir)


def fit(model: SentenceGemma, losses: GemmaLosses, config: GemmaConfig, run_dir: Path) -> None:
    """Train the model in place, resuming from run_dir; at the end it has the averaged weights."""
    write_whole(run_dir / "config.json", (json.dumps(asdict(config), indent=2) + "\n").encode())
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    rng = random.Random(config.seed)
    data = losses.data
    texts = sorted({text for a, b, _ in data.sts_train for text in (a, b)})
    model.whiten(
        [t for pool in (texts, data.text) for t in rng.sample(pool, min(2_000, len(pool)))]
    )
    rates = {model.layers: 1.0, model.head: config.head_lr}
    optimizer = torch.optim.AdamW(
        [{"params": list(part.parameters()), "rate": rate} for part, rate in rates.items()],
        betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
    )
    mean = {name: p.detach().clone() for name, p in model.named_parameters()}
    static = load_static(embedded() / "encoder")
    start = load_latest(run_dir, model, optimizer, mean)
    since, recent = time.monotonic(), []
    for step in range(start, config.total_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * group["rate"] * schedule(step, config)
        rng = random.Random(f"{config.seed} {step}")
        task = rng.choices(list(TASKS), list(TASKS.values()))[0]
        loss: Tensor = getattr(losses, task)(model, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        keep = min(config.average, step / (step + 10))  # the start is soon forgotten
        for name, p in model.named_parameters():
            mean[name].lerp_(p.detach(), 1 - keep)

        done, last = step + 1, step + 1 == config.total_steps
        recent.append((task, loss.item()))
        if done % config.log_every == 0:
            seconds = round((time.monotonic() - since) / len(recent), 2)
            note(run_dir, step=done, s=seconds, **by_task(recent))
            since, recent = time.monotonic(), []
        if done % config.check_every == 0 or last:
            with using(model, mean):
                note(run_dir, step=done, **by_mix(model.encode, static.encode, data.sts_dev))
        if done % config.save_every == 0 or last:
            save_run(run_dir, done, model, optimizer, mean)
    put(model, mean)


def by_task(recent: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Mean loss of each task."""
    names = sorted({task for task, _ in recent})
    return {n: round(float(np.mean([v for t, v in recent if t == n])), 3) for n in names}


def by_mix(gemma: Encode, static: Encode, rows: Sequence[encoder_data.Scored]) -> dict[str, float]:
    """Spearman correlation on these rows by the weight of the Gemma cosine; 0 is static alone."""
    score, cosines = [row[2] for row in rows], []
    for encode in (gemma, static):
        left, right = (encode([row[i] for row in rows]) for i in (0, 1))
        cosines.append((left * right).sum(1))
    return {
        str(mix): round(float(spearmanr(mix * cosines[0] + (1 - mix) * cosines[1], score)[0]), 4)
        for mix in (0.0, *MIXES, 1.0)
    }


@contextmanager
def using(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """While open, the model has these weights."""
    own = {name: p.detach().clone() for name, p in model.named_parameters()}
    put(model, weights)
    try:
        yield
    finally:
        put(model, own)


@torch.no_grad()
def put(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, p in model.named_parameters():
        p.copy_(weights[name])


def load_model(config: GemmaConfig) -> SentenceGemma:
    """The base's first layers with a fresh adapter and head. Raises CheckpointError."""
    path = tokenizer_file()
    keep = [to_sentencepiece(token) for token in read_tokens(path)]
    base = read_base(load_parts(lambda what, part: None), keep, config.layers)
    tokenizer = Tokenizer.from_file(str(path))
    return SentenceGemma(base, tokenizer, config.rank, config.alpha, config.dim)


def tokenizer_file() -> Path:
    return embedded() / "llm" / "tokenizer.json"


def schedule(step: int, config: GemmaConfig) -> float:
    """Learning rate over its peak: linear up, cosine down to 2 %."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    part = (step - config.warmup_steps) / max(1, config.total_steps - config.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def save_run(
    run_dir: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: Mapping[str, Tensor],
) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "mean": dict(mean),
    }
    with beside(run_dir / f"step_{step:06d}.pt") as part:
        torch.save(state, part)
    for old in sorted(run_dir.glob("step_*.pt"))[:-2]:
        old.unlink()


def load_latest(
    run_dir: Path, model: nn.Module, optimizer: torch.optim.Optimizer, mean: dict[str, Tensor]
) -> int:
    """Restore the newest checkpoint; 0 when there is none."""
    checkpoints = sorted(run_dir.glob("step_*.pt"))
    if not checkpoints:
        return 0
    state = torch.load(checkpoints[-1], weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    mean.update(state["mean"])
    return int(state["step"])


def note(run_dir: Path, **row: float) -> None:
    with (run_dir / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": round(time.time(), 1), **row}) + "\n")
    log.info("%s", row)


def publish(run_dir: Path, out: Path, corpora: Path, lines: Path) -> None:
    """Write the encoder's folder `out` from the newest checkpoint of a run.

    The mix is chosen on KorSTS dev, the thresholds on held-out turns, both with the int8 network.
    """
    config = GemmaConfig(**json.loads((run_dir / "config.json").read_text("utf-8")))
    model = load_model(config)
    state = torch.load(sorted(run_dir.glob("step_*.pt"))[-1], weights_only=True)
    put(model, state["mean"])
    write_weights(out, model, config)
    facts = {"name": "gemma-ko", "layers": config.layers, "dim": config.dim}
    unset = {"mix": 0.5, "recall_threshold": 1.0, "lines_threshold": 1.0}
    write_config(out, facts | unset)
    encoder = load_gemma(out, embedded() / "encoder", tokenizer_file())
    dev = encoder_data.korsts(corpora, "dev")
    found = by_mix(encoder.encode_gemma, encoder.static.encode, dev)
    encoder.mix = max(MIXES, key=lambda mix: found[str(mix)])
    memory = encoder_measure.memory_guesses(encoder)
    answers = encoder_measure.line_guesses(encoder, lines, encoder_data.small_talk(corpora, "dev"))
    recall_at = encoder_measure.calibrate(memory, RECALL_PRECISION)
    lines_at = encoder_measure.calibrate(answers, LINES_PRECISION)
    chosen = {"mix": encoder.mix, "recall_threshold": recall_at, "lines_threshold": lines_at}
    measured = {
        "korsts_dev_by_mix": found,
        "memory": encoder_measure.at_threshold(memory, recall_at),
        "lines": encoder_measure.at_threshold(answers, lines_at),
    }
    trained = asdict(config) | {"tasks": TASKS}
    write_config(out, facts | chosen | {"measured": measured, "training": trained})
    log.info("%s", json.dumps(measured, indent=2))


def write_weights(out: Path, model: SentenceGemma, config: GemmaConfig) -> None:
    """Write adapter and head in float16."""
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
        "task_type": "FEATURE_EXTRACTION",
    }
    write_whole(out / "adapter_config.json", (json.dumps(settings, indent=2) + "\n").encode())
    lora = {name: t.half().contiguous() for name, t in model.adapter_state().items()}
    write_whole(out / "adapter_model.safetensors", save(lora, {"format": "pt"}))
    head = {"weight": model.head.weight, "bias": model.head.bias}
    write_whole(out / HEAD, save({n: t.detach().half().contiguous() for n, t in head.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the encoder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    lines = embedded() / "personas" / "ohlora" / "lines"
    parser.add_argument("--lines", type=Path, default=lines, help="folder of her written lines")
    for name, value in asdict(GemmaConfig()).items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, help=f"default {value!r}")
    options = vars(parser.parse_args())
    run_dir, out, data, lines = (options.pop(name) for name in ("run_dir", "out", "data", "lines"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(GemmaConfig(**options), data, lines, run_dir)
    publish(run_dir, out, data, lines)


if __name__ == "__main__":
    main()
