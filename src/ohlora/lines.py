"""Her own written lines as a retriever: the surest answer where the facts of her life are asked.

A turn is answered by a line only when

    1. the nearest question lies above the encoder's lines_threshold,
    2. its topic is one she may answer by line (answers.toml: facts and boundaries),
    3. the neighbours agree on that topic,
    4. the turn does not speak of the user ("내 생일 언제야?") where the topic never does.

A turn that matches a pattern of [always] in answers.toml (talk of suicide) is answered from that
topic without these checks. Everything else goes to the language model. Several answers to one
question are all hers; the seed of the turn decides which one is said.

    lines/*.jsonl       {"q": turn, "a": answer, "topic": str, "split": "train"}; "[key: value] "
                        rows need a memory and are left out
    lines/answers.toml  for each file the topics that may answer: facts = ["name", ...];
                        without it every topic of every file may;
                        [always] gives topics a regular expression
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.embedding import Encoder
from ohlora.errors import CheckpointError
from ohlora.paths import home
from ohlora.smalltalk import Table, about_user, choose, read_table

log = logging.getLogger(__name__)

NEIGHBOURS = 8
AGREEMENT = 0.5  # share of the neighbours' weight that the winning topic needs
SHARPNESS = 10.0  # a neighbour 0.1 farther counts e times less
SAME_QUESTION = 0.7  # cosine of the mean questions of two answers that may stand for each other

# A greeting or call in front of the question itself: "안녕! 너는 누구야?"
OPENING = re.compile(
    r"^(?:(?:안녕(?:하세요)?|하이|반가워|저기|있잖아|(?:오로|로)라야|근데|그런데|혹시)[\s,.!~?]+)+(?=\S)"
)


@dataclass(frozen=True)
class Line:
    question: str
    answer: str
    topic: str


class Lines:
    """All questions embedded once; best() is one encoding and one matrix product."""

    def __init__(
        self,
        lines: Sequence[Line],
        encoder: Encoder,
        answering: Collection[str] | None = None,
        always: Mapping[str, re.Pattern[str]] | None = None,
        vectors: NDArray[np.float32] | None = None,
        edges: Table | None = None,
        asked: Table | None = None,
        smalltalk: Table | None = None,
    ) -> None:
        """`vectors` [N, dim] of the questions, when they are known already."""
        self.edges, self.asked = edges or Table(), asked or Table()
        self.smalltalk = smalltalk or Table()
        self.lines, self.encoder = list(lines), encoder
        self.always = dict(always or {})
        self.answering = set(answering or {ln.topic for ln in lines})
        questions = [ln.question for ln in self.lines]
        self.vectors = encoder.encode(questions) if vectors is None else vectors
        by_answer: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, line in enumerate(self.lines):
            by_answer[line.topic, line.answer].append(i)
        self.by_answer = by_answer
        speaks_of_user: dict[str, bool] = defaultdict(bool)
        for line in self.lines:
            speaks_of_user[line.topic] |= about_user(line.question)
        self.speaks_of_user = speaks_of_user

    def best(self, text: str, seed: int = 0) -> tuple[Line, float] | None:
        """The line that answers `text` and its cosine, or None when no line is sure to."""
        if found := self.due(text):
            return random.Random(seed).choice(self.equals(found[0])), found[1]
        if rule := self.edges.first(text) or self.asked.about_her(text):
            answer = choose(rule, text, seed)
            return (Line(text, answer, rule.topic), 1.0) if answer else None
        found = self._sure(text) or self._sure(OPENING.sub("", text))
        if found is None:
            return None
        line, score = found
        return random.Random(seed).choice(self.equals(line)), score

    def chat(self, text: str, seed: int = 0, said: Collection[str] = ()) -> Line | None:
        """What she says to an everyday turn by its subject, a like turn or its kind.

        None where no rule fits: the language model's turn. Nothing of `said` is said again while
        there is another answer.
        """
        if "[" in text:  # a memory written by hand is the model's to use
            return None
        rule = self.smalltalk.first(text)
        if rule is None and (pair := self._pair(text)):
            return pair
        if rule is None:
            rule = self.smalltalk.by_kind(text)
        answer = rule and choose(rule, text, seed, said)
        return Line(text, answer, rule.topic) if rule and answer else None

    def _pair(self, text: str) -> Line | None:
        """The nearest written everyday line, when it is as near as smalltalk.toml asks."""
        if self.smalltalk.pairs >= 1 or not self.lines:
            return None
        cosine = self.vectors @ self.encoder.encode([text])[0]  # [N]
        best = int(cosine.argmax())
        line = self.lines[best]
        near = cosine[best] >= self.smalltalk.pairs and line.topic not in self.answering
        return line if near else None

    def _sure(self, text: str) -> tuple[Line, float] | None:
        found = self.nearest(text)
        return found if found and found[1] >= self.encoder.lines_threshold else None

    def equals(self, line: Line) -> list[Line]:
        """The line and those of its topic whose answers are given to the same questions."""
        groups = [rows for (topic, _), rows in self.by_answer.items() if topic == line.topic]
        means = np.stack([self.vectors[rows].mean(axis=0) for rows in groups])  # [answers, dim]
        means /= np.linalg.norm(means, axis=1, keepdims=True) + 1e-12
        own = next(i for i, rows in enumerate(groups) if self.lines[rows[0]].answer == line.answer)
        alike = means @ means[own] >= SAME_QUESTION
        alike[own] = True
        return [self.lines[rows[0]] for rows, same in zip(groups, alike, strict=True) if same]

    def due(self, text: str) -> tuple[Line, float] | None:
        """A line of the first topic whose pattern the turn matches, and its cosine.

        The nearest line, or the topic's first (its most general) when none is near.
        """
        for topic, pattern in self.always.items():
            rows = [i for i, line in enumerate(self.lines) if line.topic == topic]
            if rows and pattern.search(text):
                cosine = self.vectors[rows] @ self.encoder.encode([text])[0]
                best = int(cosine.argmax())
                if cosine[best] < self.encoder.lines_threshold:
                    best = 0
                return self.lines[rows[best]], float(cosine[best])
        return None

    def nearest(self, text: str) -> tuple[Line, float] | None:
        """Checks 2 to 4: the nearest line of the agreed topic and its cosine."""
        if not self.lines or not text.strip():
            return None
        cosine = self.vectors @ self.encoder.encode([text])[0]  # [N]
        count = min(NEIGHBOURS, len(cosine))
        nearest = np.argpartition(-cosine, count - 1)[:count]
        top = float(cosine[nearest].max())
        votes: dict[str, float] = defaultdict(float)
        for i in nearest:
            votes[self.lines[i].topic] += float(np.exp((cosine[i] - top) * SHARPNESS))
        topic = max(votes, key=lambda t: votes[t])
        if topic not in self.answering or votes[topic] < AGREEMENT * sum(votes.values()):
            return None
        if about_user(text) and not self.speaks_of_user[topic]:
            return None
        of_topic = [i for i in nearest if self.lines[i].topic == topic]
        best = max(of_topic, key=lambda i: cosine[i])
        return self.lines[best], float(cosine[best])


def load_lines(persona_dir: Path, encoder: Encoder, smalltalk: bool = False) -> Lines:
    """Read persona_dir/lines; embeddings are kept under home()/models by content.

    With `smalltalk` everyday turns are answered by rule too, which a small model needs.
    Raises CheckpointError, naming file and line, when a row cannot be read.
    """
    folder = persona_dir / "lines"
    lines, answering, always = read_folder(folder)
    return Lines(
        lines,
        encoder,
        answering,
        always,
        cached_vectors(lines, encoder),
        read_table(folder / "boundaries.toml"),
        read_table(folder / "asked.toml"),
        read_table(folder / "smalltalk.toml") if smalltalk else None,
    )


def read_folder(folder: Path) -> tuple[list[Line], set[str], dict[str, re.Pattern[str]]]:
    """All lines that need no memory, the topics that may answer, the patterns that always do.

    A topic that may not answer is renamed "file/topic": two files may use one name.
    """
    rules = read_answering(folder)
    lines: list[Line] = []
    answering: set[str] = set()
    for path in sorted(folder.glob("*.jsonl")):
        for line in read_lines(path):
            if line.question.startswith("["):
                continue
            if rules is None or line.topic in rules.topics.get(path.stem, ()):
                answering.add(line.topic)
            else:
                line = replace(line, topic=f"{path.stem}/{line.topic}")
            lines.append(line)
    return lines, answering, rules.always if rules else {}


def read_lines(path: Path) -> list[Line]:
    found: list[Line] = []
    for number, row in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not row.strip():
            continue
        try:
            data = json.loads(row)
            found.append(Line(str(data["q"]), str(data["a"]), str(data["topic"])))
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                path,
                f'line {number} must be {{"q": ..., "a": ..., "topic": ...}} ({error!r})',
                f'{number}번째 줄은 {{"q": ..., "a": ..., "topic": ...}} 꼴이어야 해요({error!r})',
            ) from error
    return found


@dataclass(frozen=True)
class Rules:
    topics: dict[str, list[str]]  # file stem -> topics that may answer
    always: dict[str, re.Pattern[str]]  # topic -> turns it always answers


def read_answering(folder: Path) -> Rules | None:
    path = folder / "answers.toml"
    if not path.exists():
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        always = {topic: re.compile(text) for topic, text in table.pop("always", {}).items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, re.error) as error:
        raise CheckpointError(
            path, f"not readable ({error})", f"읽을 수 없어요({error})"
        ) from error
    return Rules(table, always)


def cached_vectors(lines: Sequence[Line], encoder: Encoder) -> NDArray[np.float32]:
    """Vectors of all questions, from disk when encoder and questions are the same as then."""
    digest = hashlib.sha256(encoder.id.encode())
    for line in lines:
        digest.update(b"\0" + line.question.encode("utf-8", "replace"))
    path = home() / "models" / f"lines-{digest.hexdigest()[:16]}.npy"
    try:
        vectors = np.load(path, allow_pickle=False)
        if vectors.shape == (len(lines), encoder.dim) and vectors.dtype == np.float32:
            return np.asarray(vectors)
    except (OSError, ValueError, EOFError):
        pass  # not there, or cut off: made again
    vectors = encoder.encode([ln.question for ln in lines])
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        log.warning("her lines are embedded anew at every start: %s (%s)", path, error.strerror)
    return vectors
