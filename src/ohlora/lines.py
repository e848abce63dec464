"""Her own written lines as a retriever: the surest answer where the facts of her life are asked.

A turn is answered by a line only when

    1. the nearest question lies above the encoder's lines_threshold,
    2. its topic is one she may answer by line (answers.toml: facts and boundaries),
    3. the neighbours agree on that topic,
    4. the turn does not speak of the user ("내 생일 언제야?") where the topic never does.

Everything else goes to the language model. Several answers to one question are all hers; the
seed of the turn decides which one is said.

    lines/*.jsonl       {"q": turn, "a": answer, "topic": str, "split": "train"}; "[key: value] "
                        rows need a memory and are left out
    lines/answers.toml  lists of topics that may answer; without the file every topic may
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
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.embedding import Encoder
from ohlora.errors import CheckpointError
from ohlora.paths import home

log = logging.getLogger(__name__)

NEIGHBOURS = 5
AGREEMENT = 0.5  # share of the neighbours' weight that the winning topic needs
SHARPNESS = 20.0  # a neighbour 0.05 farther counts e times less
SAME_QUESTION = 0.08  # questions this much farther still ask the same thing

USER_WORDS = frozenset(
    "나 난 나는 나도 나의 내 내가 나를 날 나한테 나랑 저 전 저는 저도 제 제가 저의 저를 저한테".split()
)
HER_WORDS = frozenset(
    "너 넌 너는 너도 너의 네 네가 니 니가 널 너를 너랑 너한테 로라 로라야 로라는 로라의 오로라 "
    "오로라야 오로라는 오로라의 당신 당신은 언니 누나 그대".split()
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
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """`vectors` [N, dim] of the questions, when they are known already."""
        self.lines, self.encoder = list(lines), encoder
        self.answering = {ln.topic for ln in lines} if answering is None else set(answering)
        questions = [ln.question for ln in self.lines]
        self.vectors = encoder.encode(questions) if vectors is None else vectors
        speaks_of_user: dict[str, bool] = defaultdict(bool)
        for line in self.lines:
            speaks_of_user[line.topic] |= about_user(line.question)
        self.speaks_of_user = speaks_of_user

    def best(self, text: str, seed: int = 0) -> tuple[Line, float] | None:
        """The line that answers `text` and its cosine, or None when no line is sure to."""
        found = self.nearest(text)
        if found is None or found[1] < self.encoder.lines_threshold:
            return None
        topic, score, near = found
        choices = sorted({ln.answer: ln for ln in near}.values(), key=lambda ln: ln.answer)
        return random.Random(seed).choice(choices), score

    def nearest(self, text: str) -> tuple[str, float, list[Line]] | None:
        """Checks 2 to 4: topic, cosine and the lines that answer, whatever the threshold."""
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
        own = [i for i, ln in enumerate(self.lines) if ln.topic == topic]
        score = float(cosine[own].max())
        return topic, score, [self.lines[i] for i in own if cosine[i] >= score - SAME_QUESTION]


def about_user(text: str) -> bool:
    """True when the turn says "I" or "my" and never "you"."""
    words = set(re.findall(r"\w+", text))
    return bool(words & USER_WORDS) and not words & HER_WORDS


def load_lines(persona_dir: Path, encoder: Encoder) -> Lines:
    """Read persona_dir/lines; embeddings are kept under home()/models by content.

    Raises CheckpointError, naming file and line, when a row cannot be read.
    """
    folder = persona_dir / "lines"
    lines = [
        line
        for path in sorted(folder.glob("*.jsonl"))
        for line in read_lines(path)
        if not line.question.startswith("[")
    ]
    return Lines(lines, encoder, read_answering(folder), cached_vectors(lines, encoder))


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


def read_answering(folder: Path) -> set[str] | None:
    path = folder / "answers.toml"
    if not path.exists():
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            path, f"not readable as TOML ({error})", f"TOML로 읽을 수 없어요({error})"
        ) from error
    return {topic for topics in table.values() for topic in topics}


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
