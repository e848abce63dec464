"""Measure an encoder: sentence similarity, memory recall, her own lines; choose the thresholds.

A threshold is the lowest cosine at which the answers given on held-out turns reach a precision.
Held-out turns share neither wordings nor values with the training turns; the thresholds are
chosen on them, so the figures at the threshold are of the same turns.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr, spearmanr

from ohlora.embedding import Encoder
from ohlora.lines import Lines, read_folder
from ohlora.training.encoder_data import Scored
from ohlora.training.encoder_tasks import MemoryTask, own_data

TRIALS = 3_000
POOL = 12  # memories on file in each trial


@dataclass(frozen=True)
class Guess:
    """What would be answered, how surely, and whether that would be right."""

    score: float
    right: bool
    wanted: bool  # the turn should get an answer at all
    text: str = ""
    given: str = ""


def similarity(encoder: Encoder, rows: Sequence[Scored]) -> dict[str, float]:
    """Pearson and Spearman correlation of cosine and human score."""
    left, right = encoder.encode([r[0] for r in rows]), encoder.encode([r[1] for r in rows])
    cosine, score = (left * right).sum(axis=1), [r[2] for r in rows]
    return {
        "pearson": round(float(pearsonr(cosine, score)[0]), 4),
        "spearman": round(float(spearmanr(cosine, score)[0]), 4),
    }


def memory_guesses(encoder: Encoder, seed: int = 11) -> list[Guess]:
    """Trials of a turn against POOL memories of different keys.

    45 % of the turns find their memory on file, 20 % ask for one that is not there,
    35 % ask for none.
    """
    task, rng = MemoryTask("dev"), random.Random(seed)
    guesses = []
    for _ in range(TRIALS):
        kind = rng.random()
        ask = task.draw(rng)
        pool = {(a.family, a.time): a for a in (task.draw(rng) for _ in range(POOL))}
        others = [a for a in pool.values() if not ask.fits(a)]
        if kind < 0.45:
            text, memories = ask.text, [ask.memory, *(a.memory for a in others)]
            right = {ask.memory}
        elif kind < 0.65:
            text, memories, right = ask.text, [a.memory for a in others], set()
        else:
            text, right = rng.choice(task.nothing), set()
            memories = [a.memory for a in pool.values()]
        cosine = encoder.encode(memories) @ encoder.encode([text])[0]
        best = int(cosine.argmax())
        guesses.append(
            Guess(float(cosine[best]), memories[best] in right, bool(right), text, memories[best])
        )
    return guesses


def line_guesses(encoder: Encoder, folder: Path, small_talk: Sequence[str] = ()) -> list[Guess]:
    """Every held-out turn of encoder_persona.toml, and small talk, against the lines in `folder`.

    A turn of small talk counts as wrongly answered whatever line answers it.
    """
    known, rules = read_folder(folder)
    lines = Lines(known, encoder, rules.answering, rules.always)
    seen = {ln.question for ln in known}
    table = own_data("encoder_persona.toml")
    turns = [(text, topic) for topic, texts in table["topics"].items() for text in texts]
    turns += [(text, None) for texts in table["silent"].values() for text in texts]
    named = {text for text, _ in turns}
    turns += [(text, None) for text in small_talk if text not in named]
    guesses = []
    for text, topic in turns:
        if text in seen:
            continue
        found = lines.due(text)
        if found is not None:  # answered whatever the threshold
            found = found[0], 1.0
        else:
            found = lines.nearest(text)
        if found is None:
            guesses.append(Guess(-1.0, False, topic is not None, text))
        else:
            line, score = found
            right = topic is not None and line.topic in (topic, *table["same"].get(topic, ()))
            guesses.append(Guess(score, right, topic is not None, text, line.question))
    return guesses


def at_threshold(guesses: Sequence[Guess], threshold: float) -> dict[str, float]:
    """Precision and recall of the answers at or above the threshold."""
    given = [g for g in guesses if g.score >= threshold]
    right = sum(g.right for g in given)
    return {
        "threshold": round(threshold, 3),
        "precision": round(right / max(1, len(given)), 4),
        "recall": round(right / max(1, sum(g.wanted for g in guesses)), 4),
        "turns": len(guesses),
    }


def calibrate(guesses: Sequence[Guess], precision: float) -> float:
    """The lowest threshold, in hundredths, that reaches the precision; 1 when none does."""
    for threshold in np.arange(0.01, 1.0, 0.01):
        if at_threshold(guesses, float(threshold))["precision"] >= precision:
            return round(float(threshold), 2)
    return 1.0
