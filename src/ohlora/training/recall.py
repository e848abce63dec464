"""Fit what recall weighs (memory/recall.json) on talks, for one family of encoders: seconds.

    python -m ohlora.training.recall tests/data/talks tests/data/memory_development.json \\
        --encoder embedded --out src/ohlora/memory/recall.json

Each talk is played through extraction, the store and recall. A turn that asks is one example: of
the N memories that may come, the right ones are those that match its pattern; when nothing is to
be recalled the right answer is silence. What extraction has not kept cannot be learned from and
is left out. The weights maximise the likelihood of the conditional logit (memory/scorer.py):

    measures   [N, F]   of each memory, turn [T] of the message; each divided by its deviation
    loss       -sum log P(right) + l2/2 |w|^2      Newton's method, a dozen steps

What is reported comes from leaving one file out: each file is one writer or one way of writing,
and is scored by weights that never saw it.

Talks are JSON as `ohlora eval memory` reads them, or text:

    == name      a user of their own         @ 2026-11-24 10:00   the clock; a new conversation
    > said       what the user tells         x pattern            the user deletes that memory
    ? asked | pattern of the memory that must come first; nothing: none may come
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.dialogue.prompt import without_tags
from ohlora.embedding import Encoder, load_encoder
from ohlora.errors import BadInput
from ohlora.evaluation.sets import Script, Step, step
from ohlora.evaluation.talk import Clock
from ohlora.files import write_whole
from ohlora.memory.extract import Fact, extract
from ohlora.memory.findings import apply
from ohlora.memory.matching import NAMES, TURN
from ohlora.memory.recall import Recall
from ohlora.memory.scorer import WEIGHTS, Scorer, family_of, recalls
from ohlora.memory.store import open_store

Numbers = NDArray[np.float64]
L2 = 16.0
STEPS = 12  # of Newton; the last change no weight by a thousandth


@dataclass(frozen=True)
class Example:
    """One turn that asks."""

    file: str
    asked: str
    want: str  # "" when nothing is to be recalled
    texts: tuple[str, ...]  # of the memories that may come
    measures: Numbers  # [N, F]
    turn: Numbers  # [T]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which of the memories are wanted [N]."""
        return np.array(
            [bool(self.want) and re.search(self.want, text) is not None for text in self.texts],
            bool,
        )

    @property
    def teaches(self) -> bool:
        return len(self.texts) > 0 and (not self.want or bool(self.right.any()))


def read_talks(path: Path) -> list[Script]:
    """Raises BadInput on a line that is none of the five kinds."""
    if path.suffix == ".json":
        raw = json.loads(path.read_text("utf-8"))
        return [Script(one["name"], tuple(map(step, one["steps"]))) for one in raw]
    talks: list[tuple[str, list[Step]]] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        mark, _, text = line.partition(" ")
        if not line or mark == "#":
            continue
        if mark == "==":
            talks.append((text, []))
            continue
        asked, _, want = (part.strip() for part in text.partition("|"))
        raw_step = {
            "@": {"at": text},
            ">": {"say": text},
            "x": {"forget": text},
            "?": {"ask": asked, "want": want},
        }.get(mark)
        if raw_step is None or not talks:
            raise BadInput(
                f"{path}, line {number}: begin a line with ==, @, >, x or ?",
                f"{path} {number}번째 줄은 ==, @, >, x, ? 가운데 하나로 시작해야 해요",
            )
        talks[-1][1].append(step(raw_step))
    return [Script(name, tuple(steps)) for name, steps in talks]


def play(scripts: Sequence[Script], encoder: Encoder, file: str = "") -> Iterator[Example]:
    """Every turn of the scripts that asks, with what recall measures."""
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="ohlora-recall-") as folder:
        whole = open_store(Path(folder) / "talks.db", clock)
        for number, script in enumerate(scripts):
            store, before = whole.of(f"user-{number}", "ohlora"), ""
            recall = Recall(store, encoder)
            for one in script.steps:
                if one.at:
                    clock.now, before = one.at, ""
                elif one.forget:
                    for record in store.memories.all():
                        if re.search(one.forget, record.text):
                            store.memories.delete(record.id)
                else:
                    told = extract(one.say or one.ask, clock.now, before)
                    if one.ask:
                        keys = {fact.key for fact in told if isinstance(fact, Fact)}
                        yield example(file, one, recall, keys)
                    apply(store, told, clock.now)
                    before = one.say or one.ask
        whole.close()


def example(file: str, asked: Step, recall: Recall, without: set[str]) -> Example:
    found = recall.measured(without_tags(asked.ask))
    if found is None:
        return Example(
            file, asked.ask, asked.want, (), np.zeros((0, len(NAMES))), np.zeros(len(TURN))
        )
    kept = [at for at, record in enumerate(found.records) if record.key not in without]
    texts = tuple(found.records[at].text for at in kept)
    return Example(file, asked.ask, asked.want, texts, found.numbers[kept], found.turn)


def fit(examples: Iterable[Example], l2: float = L2) -> Scorer:
    """The most likely weights; those of measures that never differ stay 0."""
    lessons = [one for one in examples if one.teaches]
    wide, size = len(NAMES) + len(TURN), max(len(one.texts) for one in lessons) + 1
    rows = np.zeros((len(lessons), size, wide))  # the last row of each is silence
    there, good = np.zeros(rows.shape[:2], bool), np.zeros(rows.shape[:2], bool)
    for at, one in enumerate(lessons):
        count = len(one.texts)
        rows[at, :count, : len(NAMES)], rows[at, -1, len(NAMES) :] = one.measures, one.turn
        there[at, :count] = there[at, -1] = True
        good[at, :count] = one.right
        good[at, -1] = not one.right.any()
    deviation = np.concatenate(
        [rows[:, :-1, : len(NAMES)][there[:, :-1]].std(0), rows[:, -1, len(NAMES) :].std(0)]
    )
    deviation[deviation < 1e-6] = 1.0  # the bias, and what never differs
    rows /= deviation
    ridge = np.full(wide, l2)
    ridge[-1] = 1e-3  # the bias is free
    w = np.zeros(wide)
    flat = rows.reshape(-1, wide)
    for _ in range(STEPS):
        score = np.where(there, rows @ w, -np.inf)
        likely = np.exp(score - score.max(1, keepdims=True))
        likely /= likely.sum(1, keepdims=True)  # P of each row
        right = likely * good
        right /= right.sum(1, keepdims=True)  # P of each row, given that a right one is meant
        gradient = (right - likely).reshape(-1) @ flat - ridge * w
        mean = (likely[:, None, :] @ rows)[:, 0]
        root = flat * np.sqrt(likely).reshape(-1, 1)
        w += np.linalg.solve(root.T @ root - mean.T @ mean + np.diag(ridge), gradient)
    w /= deviation
    return Scorer(w[: len(NAMES)], w[len(NAMES) :])


@dataclass
class Count:
    """What came of examples: of `wanted` and of `idle` turns."""

    wanted: int = 0
    idle: int = 0
    first: int = 0  # the right memory recalled, first
    ranked: int = 0  # the right memory ranked first, recalled or not
    kept: int = 0
    silent: int = 0
    rightly: int = 0  # silent, and nothing to recall

    def add(self, one: Example, scorer: Scorer) -> None:
        scores = scorer.scores(one.measures, one.turn)
        used = recalls(scores)
        right = len(scores) > 0 and bool(one.right[int(scores.argmax())])
        self.wanted += bool(one.want)
        self.idle += not one.want
        self.first += right and used
        self.ranked += right
        self.kept += bool(one.want) and bool(one.right.any())
        self.silent += not used
        self.rightly += not used and not one.want

    def measured(self) -> dict[str, float]:
        def of(count: int, total: int) -> float:
            return round(count / max(1, total), 3)

        return {
            "wanted": self.wanted,
            "idle": self.idle,
            "recall@1": of(self.first, self.wanted),
            "ranking": of(self.ranked, self.wanted),
            "kept": of(self.kept, self.wanted),
            "abstention precision": of(self.rightly, self.silent),
            "abstention recall": of(self.rightly, self.idle),
        }


def leave_one_out(examples: Sequence[Example], l2: float = L2) -> dict[str, Count]:
    """Each file scored by weights fitted on the others; "all" adds them up."""
    counts = {"all": Count()}
    for file in sorted({one.file for one in examples}):
        scorer = fit((one for one in examples if one.file != file), l2)
        counts[file] = Count()
        for one in examples:
            if one.file == file:
                counts[file].add(one, scorer)
                counts["all"].add(one, scorer)
    return counts


def write(scorer: Scorer, encoder: Encoder, measured: dict[str, float], out: Path) -> None:
    """Put the weights of this family into `out`, beside those of other families."""
    table = json.loads(out.read_text("utf-8")) if out.is_file() else {}
    table[family_of(encoder.id)] = {
        "encoder": encoder.id,
        "left one file out": measured,
        "memory": dict(zip(NAMES, np.round(scorer.memory, 3).tolist(), strict=True)),
        "silence": dict(zip(TURN, np.round(scorer.silence, 3).tolist(), strict=True)),
    }
    write_whole(out, (json.dumps(table, ensure_ascii=False, indent=1) + "\n").encode())


def main() -> None:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("talks", nargs="+", type=Path, help="files, or folders of .txt files")
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    paths = [
        path
        for given in options.talks
        for path in (sorted(given.glob("*.txt")) if given.is_dir() else [given])
    ]
    examples = [one for path in paths for one in play(read_talks(path), encoder, str(path))]
    counts = leave_one_out(examples)
    for file, count in counts.items():
        print(file, json.dumps(count.measured()))
    write(fit(examples), encoder, counts["all"].measured(), options.out)


if __name__ == "__main__":
    main()
