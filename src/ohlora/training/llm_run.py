"""What every training of an adapter does beside its steps, whatever trains it.

held-out loss, sample answers, and after the last step: is the saved adapter, loaded and folded
into the base, the network that was trained?

A network is seen through `Logits`: ids [B, T] and wanted [B, T] bool -> logits [N, V] at the N
wanted places, row by row. Padding stands on the right, where a causal model never looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F
from torch.optim import AdamW

from ohlora.errors import OhloraError
from ohlora.files import write_whole
from ohlora.llm.decode import StopText
from ohlora.llm.jobs import JOBS
from ohlora.training.llm_config import TrainConfig
from ohlora.training.llm_data import Row
from ohlora.training.llm_tokens import Coder, encode

Logits = Callable[[Tensor, Tensor], Tensor]
Told = Sequence[tuple[Row, str]]  # a question and what the model answered
HELD_ROWS, CHECKED_ROWS = 160, 4
SHOWN_TOKENS = 48  # of an answer
ROUNDING = 0.02  # of the logits' standard deviation; what an adapter in float16 may change


class AdapterCheck(OhloraError):
    """The saved adapter is not the network that was trained."""

    code = "adapter-check"


def some(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` rows, from all of them evenly."""
    return [rows[at * len(rows) // count] for at in range(count)] if len(rows) > count else [*rows]


@torch.no_grad()
def held_loss(logits: Logits, coder: Coder, rows: Sequence[Row], limit: int = HELD_ROWS) -> float:
    """Mean cross-entropy of an answer token in nats, over at most `limit` rows."""
    rows = sorted(some(rows, limit), key=lambda row: len(row.user) + len(row.answer))
    total, count = 0.0, 0
    for start in range(0, len(rows), 16):
        ids, wanted, targets = encode(coder, rows[start : start + 16])
        loss = F.cross_entropy(logits(ids, wanted).cpu(), targets)
        total += loss.item() * len(targets)
        count += len(targets)
    return round(total / max(count, 1), 4)


@torch.no_grad()
def answers(logits: Logits, coder: Coder, rows: Sequence[Row]) -> list[str]:
    """The beginning of what the model answers to each row, greedily; rows are of one job. Nothing
    is cached, which is dear for long answers and needs nothing of the network but its logits."""
    lines = [coder.prompt(row.prompt_text()) for row in rows]
    starts = [len(line) for line in lines]
    job = JOBS[rows[0].job]
    told = [""] * len(rows)
    live = list(range(len(rows)))
    for _ in range(min(job.longest, SHOWN_TOKENS)):
        T = max(len(lines[at]) for at in live)
        ids = torch.full((len(live), T), coder.pad)
        wanted = torch.zeros_like(ids, dtype=torch.bool)
        for place, at in enumerate(live):
            ids[place, : len(lines[at])] = torch.tensor(lines[at])
            wanted[place, len(lines[at]) - 1] = True
        drawn = logits(ids, wanted).argmax(-1).tolist()
        going = []
        for at, token in zip(live, drawn, strict=True):
            lines[at].append(token)
            text = StopText([job.stop])
            told[at] = text.feed(coder.text(lines[at][starts[at] :])) + text.finish()
            if token != coder.end and not text.ended and len(lines[at]) < coder.context:
                going.append(at)
        if not (live := going):
            break
    return [text.replace("\ufffd", "").strip() for text in told]


def make_optimizer(parameters: Iterable[Parameter], config: TrainConfig) -> AdamW:
    return AdamW(
        parameters, lr=config.lr, betas=(0.9, config.beta2), weight_decay=config.weight_decay
    )


def schedule(step: int, steps: int, config: TrainConfig) -> float:
    """Learning rate over its peak: linear up, then down, linear to 0 or by a cosine to 2 %."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    part = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    if config.schedule == "linear":
        return 1.0 - part
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part))


def write_samples(path: Path, step: int, told: Told) -> None:
    """path/samples/000500.txt: questions, what was written, what the model says. StoreError."""
    blocks = [
        f"> {row.prompt_text()}\n  want  {row.answer}\n  said  {text}\n" for row, text in told
    ]
    write_whole(path / "samples" / f"{step:06d}.txt", "\n".join(blocks).encode("utf-8", "replace"))


@torch.no_grad()
def check_saved(trained: Logits, merged: Logits, coder: Coder, rows: Sequence[Row]) -> float:
    """Greatest difference of their logits over the standard deviation of the logits.

    trained: the network in memory; merged: the base with the saved adapter folded in.
    Raises AdapterCheck when they differ by more than rounding.
    """
    ids, wanted, _ = encode(coder, some(rows, CHECKED_ROWS))
    want, got = trained(ids, wanted).float().cpu(), merged(ids, wanted).float().cpu()
    found = float((want - got).abs().max() / want.std())
    if not found <= ROUNDING:
        raise AdapterCheck(
            f"The saved adapter, loaded and merged, differs from what was trained by {found:.3g} "
            f"of its logits' deviation (at most {ROUNDING}): train again and report this.",
            f"저장한 어댑터를 다시 합치니 학습한 것과 {found:.3g}만큼 달라요(허용 {ROUNDING}). "
            "다시 학습하고 알려 주세요.",
        )
    return round(found, 5)


def write_card(folder: Path, about: Mapping[str, object], told: Told) -> None:
    """folder/README.md: what the adapter is, for whoever meets it without its run folder."""
    lines = ["# LoRA adapter", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {str(value).replace('|', '/')} |" for name, value in about.items()]
    if told:
        lines += ["", "After the last step it says (held-out questions, greedy):", ""]
        lines += [f"- {row.prompt_text()} → {text}" for row, text in told]
    lines += [
        "",
        "It answers in text it was not checked for: not for advice on health, law or money, and "
        "not to be passed off as a person. The base model's licence holds for the adapter too.",
    ]
    write_whole(folder / "README.md", ("\n".join(lines) + "\n").encode("utf-8", "replace"))
