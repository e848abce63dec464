"""Train the transformer sentence encoder: from eight layers of multilingual-e5-small to 10 MB.

    ohlora train encoder --kind transformer --run RUN_DIR --data corpora/ --out my-encoder/

The tasks are those of encoder.py, in smaller batches, and

    answer   a turn and what she answers, beside the answers of turns that look alike
    meant    a turn and the memory it means, beside turns that only sound like it     meant.jsonl
    topic    two turns that ask her the same, beside everyday turns                   turns.tsv

What is published is the mean of the weights over the last steps, roughly 1 / (1 - average) of them.

The run folder holds config.json, log.jsonl and step_NNNNNN.pt (the newest two). Called again with
the same folder the run goes on where it stopped, with the batches it would have drawn.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save
from scipy.stats import spearmanr
from torch import Tensor, nn

from ohlora.embedding.static import load_static
from ohlora.embedding.transformer import (
    STATIC,
    TOKENIZER,
    WEIGHTS,
    load_transformer,
    write_config,
)
from ohlora.embedding.transformer_weights import packed
from ohlora.files import beside, write_whole
from ohlora.intent import NONE, TURNS, read_turns
from ohlora.paths import embedded
from ohlora.training import e5_base, encoder_data, encoder_measure
from ohlora.training.encoder import (
    LINES_PRECISION,
    RECALL_PRECISION,
    EncoderConfig,
    Losses,
)
from ohlora.training.encoder_tasks import line_rows
from ohlora.training.encoder_transformer_network import SentenceTransformer, from_base
from ohlora.training.faults import diverged

log = logging.getLogger(__name__)

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class TransformerConfig:
    layers: tuple[int, ...] = (0, 1, 2, 4, 6, 7, 9, 11)  # of the base's twelve
    total_steps: int = 1_000
    batch_size: int = 96  # sentence pairs of the task "contrast"
    pairs: int = 64  # of the tasks "sts", "entailment" and "answer"
    lr: float = 7e-5
    warmup_steps: int = 40
    rounded: float = 0.35  # share of the steps, the last ones, that see 4-bit weights
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    average: float = 0.99  # of the published weights, what a step keeps
    least: int = 3  # times that a piece of the vocabulary must occur
    log_every: int = 10  # steps
    check_every: int = 100  # steps between looks at KorSTS dev
    save_every: int = 50  # steps
    threads: int = 2
    seed: int = 7


TASKS = {  # share of the steps
    "sts": 0.48, "contrast": 0.06, "entailment": 0.05, "recall": 0.05, "repeat": 0.04,
    "answer": 0.10, "meant": 0.13, "topic": 0.09,
}  # fmt: skip
MEANT = embedded() / "encoder" / "meant.jsonl"
REVIEWS = 20_000  # of films, as text
NEAR = 3  # look-alikes of each turn in a batch of "answer"


class TransformerLosses(Losses):
    """The losses of encoder.py, with smaller batches, and three more."""

    def __init__(
        self, data: encoder_data.EncoderData, lines: Path, config: TransformerConfig
    ) -> None:
        super().__init__(data, lines, EncoderConfig(batch_size=config.batch_size))
        self.pairs = config.pairs
        rows = [r for r in line_rows(lines) if not r["topic"].startswith("memory/")]
        self.answers = list({(r["q"], r["a"]) for r in rows if "[" not in r["q"]})
        self.answers.sort()
        self.near = look_alikes([q for q, _ in self.answers])  # [rows, at most NEAR]
        self.meant_rows = [json.loads(line) for line in MEANT.read_text("utf-8").splitlines()]
        self.turns: dict[str, list[str]] = defaultdict(list)
        if (lines / TURNS).exists():
            for topic, turn in read_turns(lines / TURNS):
                self.turns[topic].append(turn)
        self.none = self.turns.pop(NONE, [])
        self.topics = [topic for topic, turns in sorted(self.turns.items()) if len(turns) > 1]
        # A persona need not have topics, nor many lines: what cannot be fed is left out.
        fed = {"answer": len(self.answers) > NEAR, "topic": len(self.topics) > 1}
        self.tasks = {task: share for task, share in TASKS.items() if fed.get(task, True)}

    def sts(self, model: SentenceTransformer, rng: random.Random) -> Tensor:  # type: ignore[override]
        rows = rng.sample(self.data.sts_train, self.pairs)
        vectors = model([row[i] for i in (0, 1) for row in rows])
        cosine = (vectors[: len(rows)] * vectors[len(rows) :]).sum(1)
        score = torch.tensor([row[2] for row in rows])
        return self.cosent(cosine, score) + 10 * F.mse_loss(cosine, score)

    def entailment(self, model: SentenceTransformer, rng: random.Random) -> Tensor:  # type: ignore[override]
        rows = rng.sample(self.data.triples, self.pairs)
        vectors = model([row[i] for i in range(3) for row in rows])
        return self.info_nce(vectors[: len(rows)], vectors[len(rows) :])

    def answer(self, model: SentenceTransformer, rng: random.Random) -> Tensor:
        """Her reply to a turn against her replies to turns that look alike."""
        count = min(self.pairs // (NEAR + 1), len(self.answers))
        first = rng.sample(range(len(self.answers)), count)
        chosen = list(dict.fromkeys(i for f in first for i in (f, *self.near[f])))
        rows = [self.answers[i] for i in chosen]
        turns, replies = model([q for q, _ in rows]), model([a for _, a in rows], replies=True)
        cosine = turns @ replies.T * self.config.scale
        right = torch.arange(len(rows))
        return (F.cross_entropy(cosine, right) + F.cross_entropy(cosine.T, right)) / 2

    def meant(self, model: SentenceTransformer, rng: random.Random) -> Tensor:
        """Turns that mean a memory, above those that only sound like it."""
        rows = rng.sample(self.meant_rows, self.pairs // 2)
        count = len(rows)
        texts = [f"[{row['memory']}]" for row in rows]
        texts += [text for row in rows for text in rng.sample(row["asks"], 2)]
        texts += [text for row in rows for text in rng.sample(row["not"], 2)]
        vectors = model(texts)
        memories, asks, misses = vectors[:count], vectors[count : 3 * count], vectors[3 * count :]
        own = torch.arange(count).repeat_interleave(2)
        cosine = asks @ memories.T  # [2 count, count]
        beside_it = (misses * memories[own]).sum(1)  # a near miss and the memory it misses
        logits = torch.cat([cosine, beside_it[:, None]], dim=1) * self.config.scale
        hits = cosine[torch.arange(2 * count), own]
        # Of the near misses the same memory's two, for each of its turns.
        order = F.softplus((beside_it - hits) * self.config.scale).mean()
        return F.cross_entropy(logits, own) + order

    def topic(self, model: SentenceTransformer, rng: random.Random) -> Tensor:
        """Two turns of a topic, against turns of other topics and of none."""
        topics = rng.sample(self.topics, min(64, len(self.topics)))
        pairs = [rng.sample(self.turns[topic], 2) for topic in topics]
        others = rng.sample(self.none, min(64, len(self.none)))
        vectors = model([pair[i] for i in (0, 1) for pair in pairs] + others)
        return self.info_nce(vectors[: len(pairs)], vectors[len(pairs) :])


def look_alikes(questions: Sequence[str]) -> np.ndarray:
    """For each question the NEAR others nearest to it by letters and words, [N, NEAR]."""
    if len(questions) <= NEAR:
        return np.zeros((len(questions), 0), int)
    vectors = load_static(embedded() / "encoder" / STATIC).encode(questions)
    found = np.zeros((len(questions), NEAR), int)
    for start in range(0, len(questions), 2_000):
        cosine = vectors[start : start + 2_000] @ vectors.T
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -1
        found[start : start + len(cosine)] = np.argpartition(-cosine, NEAR)[:, :NEAR]
    return found


MIXES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # weights of its own cosine to look at


def train(config: TransformerConfig, base: Path, corpora: Path, lines: Path, run_dir: Path) -> None:
    """Train; called again with the same run_dir, resumes."""
    data = encoder_data.load(corpora, reviews=REVIEWS)
    model = load_model(config, base, data)
    fit(model, TransformerLosses(data, lines, config), config, run_dir)


def fit(
    model: SentenceTransformer, losses: TransformerLosses, config: TransformerConfig, run_dir: Path
) -> None:
    """Train the model in place, resuming from run_dir; at the end it has the averaged weights,
    rounded."""
    write_whole(run_dir / "config.json", (json.dumps(asdict(config), indent=2) + "\n").encode())
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    mean = {name: p.detach().clone() for name, p in model.named_parameters()}
    static = load_static(embedded() / "encoder" / STATIC)
    data = losses.data
    start = load_latest(run_dir, model, optimizer, mean)
    since, recent = time.monotonic(), []
    for step in range(start, config.total_steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * schedule(step, config)
        model.round(step >= (1 - config.rounded) * config.total_steps)
        rng = random.Random(f"{config.seed} {step}")
        task = rng.choices(list(losses.tasks), list(losses.tasks.values()))[0]
        loss: Tensor = getattr(losses, task)(model, rng)
        if not torch.isfinite(loss):
            raise diverged(step, task)
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
    model.round(True)


def by_task(recent: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Mean loss of each task."""
    names = sorted({task for task, _ in recent})
    return {n: round(float(np.mean([v for t, v in recent if t == n])), 3) for n in names}


def by_mix(own: Encode, static: Encode, rows: Sequence[encoder_data.Scored]) -> dict[str, float]:
    """Spearman correlation on these rows by the weight of the first cosine, `own`."""
    score, cosines = [row[2] for row in rows], []
    for encode in (own, static):
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


def load_model(
    config: TransformerConfig, base: Path, data: encoder_data.EncoderData
) -> SentenceTransformer:
    """The base's chosen layers with a Korean vocabulary. Raises CheckpointError."""
    small = e5_base.prune(e5_base.read_base(base), data.text, config.least)
    tokenizer = e5_base.make_tokenizer(small.pieces, small.scores)
    return from_base(small, tokenizer, config.layers)


def schedule(step: int, config: TransformerConfig) -> float:
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


def publish(run_dir: Path, out: Path, base: Path, corpora: Path, lines: Path) -> None:
    """Write the encoder's folder `out` from the newest checkpoint of a run.

    The mix is chosen on KorSTS dev, the thresholds on held-out turns, both with the int8 network.
    """
    raw = json.loads((run_dir / "config.json").read_text("utf-8"))
    config = TransformerConfig(**{**raw, "layers": tuple(raw["layers"])})
    model = load_model(config, base, encoder_data.load(corpora, reviews=REVIEWS))
    state = torch.load(sorted(run_dir.glob("step_*.pt"))[-1], weights_only=True)
    put(model, state["mean"])
    facts = {"name": "e5-ko", "heads": e5_base.HEADS}
    write_weights(out, model, facts)
    encoder = load_transformer(out)
    dev = encoder_data.korsts(corpora, "dev")
    found = by_mix(encoder.encode_own, encoder.static.encode, dev)
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


def write_weights(out: Path, model: SentenceTransformer, facts: dict[str, object]) -> None:
    """Write all of the folder; mix and thresholds stand for themselves until they are measured."""
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_whole(out / WEIGHTS, save(packed(tensors)))
    write_whole(out / TOKENIZER, model.tokenizer.to_str().encode())
    (out / STATIC).mkdir(exist_ok=True)
    for path in (embedded() / "encoder" / STATIC).iterdir():
        write_whole(out / STATIC / path.name, path.read_bytes())
    write_config(out, facts | {"mix": 0.5, "recall_threshold": 1.0, "lines_threshold": 1.0})
