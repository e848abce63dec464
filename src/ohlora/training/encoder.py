"""Train the embedded sentence encoder: a weighted bag of features, from text to fp16 weights.

    python -m ohlora.training.encoder --data ../shared/data

    1. a tokenizer and start vectors from co-occurrence           encoder_start.py
    2. steps on sentence pairs, one task drawn for each step      this file
         sts          order of similarities (CoSENT) and their values
         contrast     paraphrases against the rest of the batch
         entailment   a premise nearer to what follows than to what contradicts
         noise        a sentence and itself with features dropped
         recall       a turn and the memory it asks for             encoder_tasks.py
         repeat       two wordings of one question to her           encoder_tasks.py
    3. thresholds on held-out turns, then the folder is written   encoder_measure.py

One thread, about five minutes, the same weights for the same seed and data on one machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ohlora.embedding.features import Featurizer
from ohlora.embedding.static import StaticEncoder, load_static, write_encoder
from ohlora.paths import embedded
from ohlora.training import encoder_data, encoder_measure
from ohlora.training.encoder_start import start_vectors, train_tokenizer
from ohlora.training.encoder_tasks import (
    TO_HER,
    TO_USER,
    LineTask,
    MemoryTask,
    address,
    exchange,
    memory_lines,
    own_data,
    reword,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderConfig:
    pieces: int = 6_000  # subwords
    buckets: int = 5_600  # hashed letter runs
    runs: tuple[int, int] = (1, 4)  # shortest and longest letter run, jamo
    dim: int = 256
    words: int = 200_000  # words in the co-occurrence counts
    tokenizer_sample: int = 400_000  # sentences
    steps: int = 3_500
    batch_size: int = 192  # sentence pairs
    lr: float = 3e-3
    pull: float = 1.0  # decay towards the start vectors instead of towards zero
    warm_up: int = 50  # steps
    drop: float = 0.1  # share of features left out while training
    scale: float = 20.0  # inverse temperature of a cosine
    seed: int = 7


TASKS = {  # share of the steps
    "sts": 0.36, "contrast": 0.20, "entailment": 0.06,
    "noise": 0.04, "recall": 0.18, "repeat": 0.16,
}  # fmt: skip
SOURCES = {
    "parakqc": 1.0, "stylekqc": 1.0, "question_pair": 0.5, "chatbot": 1.5,
    "sae4k": 1.0, "sts": 1.0, "entailment": 1.0,
}  # fmt: skip


RECALL_PRECISION, LINES_PRECISION = 0.92, 0.96  # wanted on the held-out turns


class BagEncoder(nn.Module):
    """The network that StaticEncoder runs without torch.

    features   rows of the table and value flags of B sentences
    vector     [B, dim], unit length: sum of weight * row
    """

    def __init__(
        self, featurizer: Featurizer, vectors: np.ndarray, log_weights: np.ndarray
    ) -> None:
        super().__init__()
        self.featurizer = featurizer
        self.table = nn.Parameter(torch.from_numpy(vectors))  # [rows, dim]
        self.log_weight = nn.Parameter(torch.from_numpy(log_weights))  # [rows]
        self.log_value_weight = nn.Parameter(torch.tensor(-1.0))  # of a memory's value
        self.known: dict[str, tuple[Tensor, Tensor]] = {}

    def features(self, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        if len(self.known) > 300_000:
            self.known.clear()
        new = list(dict.fromkeys(t for t in texts if t not in self.known))
        for text, (rows, flags) in zip(new, self.featurizer(new), strict=True):
            self.known[text] = (
                torch.tensor(rows or [0], dtype=torch.long),
                torch.tensor(flags or [False], dtype=torch.float32),
            )
        return [self.known[t] for t in texts]

    def forward(self, texts: Sequence[str], drop: float = 0.0) -> Tensor:
        features = self.features(texts)
        rows = torch.cat([r for r, _ in features])
        flags = torch.cat([f for _, f in features])
        lengths = torch.tensor([len(r) for r, _ in features])
        weights = torch.exp(self.log_weight[rows] + flags * self.log_value_weight)
        if drop:
            weights = weights * (torch.rand(len(weights)) >= drop)
        starts = torch.cumsum(lengths, dim=0) - lengths
        bags = F.embedding_bag(rows, self.table, starts, mode="sum", per_sample_weights=weights)
        return F.normalize(bags, dim=-1)


class Losses:
    """One loss per task; each call draws its own batch."""

    def __init__(self, data: encoder_data.EncoderData, lines: Path, config: EncoderConfig) -> None:
        self.data, self.config = data, config
        self.memory, self.lines = MemoryTask("train"), LineTask(lines)
        self.written_asks = memory_lines(lines, self.memory)
        self.user_turns = self.memory.user_turns() + [a.text for a in self.written_asks]
        self.about_user = [t for q in self.lines.questions if (t := exchange(q, TO_USER))]
        self.about_her = [t for q in self.user_turns if (t := exchange(q, TO_HER))]
        self.vague: list[str] = own_data("encoder_persona.toml")["vague"]["train"]
        self.noise_text = [t for t in data.text if 10 < len(t) < 90]

    def own_text(self) -> list[str]:
        """Our own phrases, so that their words are known to the tokenizer and the counts."""
        turns = [*self.user_turns, *self.lines.questions, *self.memory.nothing]
        return turns + [v for e in self.memory.entries for v in (*e["names"], *e["values"])]

    def sts(self, model: BagEncoder, rng: random.Random) -> Tensor:
        rows = rng.sample(self.data.sts_train, 128)
        left, right = (self.encode(model, [r[i] for r in rows]) for i in (0, 1))
        cosine, score = (left * right).sum(1), torch.tensor([r[2] for r in rows])
        return self.cosent(cosine, score) + 10 * F.mse_loss(cosine, score)

    def cosent(self, cosine: Tensor, score: Tensor) -> Tensor:
        """Cosines [N] should be in the order of the scores [N]."""
        order = (cosine[:, None] - cosine[None]) * self.config.scale  # [N, N]
        wrong = order[score[:, None] < score[None] - 1e-4]
        return torch.logsumexp(torch.cat([torch.zeros(1), wrong]), 0)

    def contrast(self, model: BagEncoder, rng: random.Random) -> Tensor:
        source = rng.choices(list(SOURCES), list(SOURCES.values()))[0]
        groups = self.data.groups[source]
        chosen = rng.sample(groups, min(self.config.batch_size, len(groups)))
        pairs = [rng.sample(g, 2) for g in chosen]
        left, right = (self.encode(model, [p[i] for p in pairs]) for i in (0, 1))
        return self.info_nce(left, right)

    def entailment(self, model: BagEncoder, rng: random.Random) -> Tensor:
        rows = rng.sample(self.data.triples, 96)
        premise, follows, contradicts = (self.encode(model, [r[i] for r in rows]) for i in range(3))
        return self.info_nce(premise, torch.cat([follows, contradicts]))

    def noise(self, model: BagEncoder, rng: random.Random) -> Tensor:
        texts = rng.sample(self.noise_text, self.config.batch_size)
        return self.info_nce(model(texts, 0.3), model(texts, 0.3))

    def recall(self, model: BagEncoder, rng: random.Random) -> Tensor:
        asks = [self.memory.draw(rng) for _ in range(72)] + rng.sample(self.written_asks, 24)
        nothing = rng.sample(self.memory.nothing, 32) + rng.sample(self.about_her, 32)
        nothing += rng.sample(self.lines.questions, 32)
        turns = self.encode(model, [self.reworded(a.text, rng) for a in asks])
        memories = self.encode(model, [a.memory for a in asks])
        cosine = turns @ memories.T  # [asks, memories]
        fits = torch.tensor([[a.fits(b) for b in asks] for a in asks])
        rank = -torch.log((F.softmax(cosine * self.config.scale, 1) * fits).sum(1) + 1e-9).mean()
        idle = self.encode(model, nothing) @ memories.T
        misses = torch.cat([cosine[~fits], idle.flatten()])
        return rank + 0.5 * self.apart(cosine[fits], misses, self.config.scale)

    def repeat(self, model: BagEncoder, rng: random.Random) -> Tensor:
        pairs = self.lines.draw(rng, 96)
        left = self.encode(model, [self.asked(a, may, rng) for a, _, may in pairs])
        right = self.encode(model, [self.asked(b, may, rng) for _, b, may in pairs])
        others = rng.sample(self.user_turns, 48) + rng.sample(self.about_user, 48)
        others += rng.sample(self.data.small_talk, 112) + rng.sample(self.vague, 24)
        other = left @ self.encode(model, others).T  # [left, others]
        # A turn that no line answers may be near to a question about the user.
        answering = torch.tensor([may for _, _, may in pairs])
        other = other.masked_fill(~answering[:, None], -1.0)
        same = left @ right.T
        logits = torch.cat([same, other], dim=1) * self.config.scale
        rank = F.cross_entropy(logits, torch.arange(len(left)))
        misses = torch.cat([other.flatten(), same[~torch.eye(len(left), dtype=torch.bool)]])
        return rank + 0.5 * self.apart(same.diagonal(), misses, self.config.scale)

    def asked(self, question: str, may_answer: bool, rng: random.Random) -> str:
        if may_answer and question.endswith("?") and rng.random() < 0.5:
            question = address(question, rng)
        return self.reworded(question, rng)

    @staticmethod
    def reworded(text: str, rng: random.Random) -> str:
        return reword(text, rng) if rng.random() < 0.5 else text

    def encode(self, model: BagEncoder, texts: Sequence[str]) -> Tensor:
        return model(texts, self.config.drop)

    def info_nce(self, left: Tensor, right: Tensor) -> Tensor:
        """Row i of left belongs to row i of right; further rows of right belong to none."""
        return F.cross_entropy(left @ right.T * self.config.scale, torch.arange(len(left)))

    @staticmethod
    def apart(hits: Tensor, misses: Tensor, scale: float) -> Tensor:
        """Hits above a cosine of 0.65, misses below 0.4, so that one threshold can part them."""
        hard = misses.topk(min(len(misses), 4 * len(hits))).values
        return F.softplus((0.65 - hits) * scale).mean() + F.softplus((hard - 0.40) * scale).mean()


def train(model: BagEncoder, losses: Losses, config: EncoderConfig) -> None:
    """Train in place: one task a step, the rate falling linearly to a twentieth."""
    torch.manual_seed(config.seed)
    rng = random.Random(config.seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    start = model.table.detach().clone()
    started = time.monotonic()
    for step in range(config.steps):
        left = 1 - 0.95 * step / config.steps
        lr = config.lr * min(1.0, (step + 1) / config.warm_up) * left
        optimizer.param_groups[0]["lr"] = lr
        task = rng.choices(list(TASKS), list(TASKS.values()))[0]
        loss: Tensor = getattr(losses, task)(model, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        # What few pairs touch stays where co-occurrence put it.
        model.table.data.lerp_(start, lr * config.pull)

        if (step + 1) % 500 == 0:
            dev = encoder_measure.similarity(frozen(model), losses.data.sts_dev)
            log.info("step %d, %.0f s, KorSTS dev %s", step + 1, time.monotonic() - started, dev)


def frozen(model: BagEncoder) -> StaticEncoder:
    """The numpy encoder with the model's present weights."""
    return StaticEncoder(
        model.featurizer,
        model.table.detach().numpy().copy(),
        np.exp(model.log_weight.detach().numpy()),
        float(model.log_value_weight.detach().exp()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=embedded() / "encoder")
    lines = embedded() / "personas" / "ohlora" / "lines"
    parser.add_argument("--lines", type=Path, default=lines, help="folder of her written lines")
    parser.add_argument("--steps", type=int, default=EncoderConfig.steps)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fit(EncoderConfig(steps=options.steps), options.data, options.lines, options.out)


def fit(config: EncoderConfig, corpora: Path, lines: Path, out: Path) -> None:
    """Train from the start and write the encoder's folder `out`."""
    torch.set_num_threads(1)
    data = encoder_data.load(corpora)
    losses = Losses(data, lines, config)
    text = [*data.text, *losses.own_text() * 3]
    tokenizer = train_tokenizer(text, config.pieces, config.tokenizer_sample, config.seed)
    featurizer = Featurizer(tokenizer, config.buckets, config.runs)
    vectors, weights = start_vectors(text, featurizer, config.dim, config.words, config.seed)
    log.info("start vectors %s", list(vectors.shape))
    model = BagEncoder(featurizer, vectors, weights)
    train(model, losses, config)
    publish(model, config, out, corpora, lines)


def publish(model: BagEncoder, config: EncoderConfig, out: Path, data: Path, lines: Path) -> None:
    """Write the folder twice: to measure the fp16 weights as shipped, then with the thresholds."""
    facts = {"name": "static-ko", "dim": config.dim, "buckets": config.buckets, "runs": config.runs}
    weights = (
        model.table.detach().numpy(),
        model.log_weight.detach().numpy(),
        float(model.log_value_weight.detach()),
    )
    write_encoder(
        out, model.featurizer, *weights, facts | {"recall_threshold": 1.0, "lines_threshold": 1.0}
    )
    encoder = load_static(out)
    memory, answers = (
        encoder_measure.memory_guesses(encoder),
        encoder_measure.line_guesses(encoder, lines, encoder_data.small_talk(data, "dev")),
    )
    recall_at = encoder_measure.calibrate(memory, RECALL_PRECISION)
    lines_at = encoder_measure.calibrate(answers, LINES_PRECISION)
    measured = {
        "korsts_dev": encoder_measure.similarity(encoder, encoder_data.korsts(data, "dev")),
        "memory": encoder_measure.at_threshold(memory, recall_at),
        "lines": encoder_measure.at_threshold(answers, lines_at),
    }
    thresholds = {"recall_threshold": recall_at, "lines_threshold": lines_at}
    training = {"measured": measured, "training": asdict(config) | {"tasks": TASKS}}
    write_encoder(out, model.featurizer, *weights, facts | thresholds | training)
    log.info("%s", json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
