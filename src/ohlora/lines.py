"""Her own written lines: the surest answer where the facts of her life are asked, and small talk.

    topics.toml, turns.tsv    what a turn asks of her, and what she says to it (ohlora.intent)
    lines/*.jsonl             {"q": turn, "a": answer, "topic": str, "split": "train"};
                              "[key: value] " rows need a memory and are left out
    lines/answers.toml        for each file the topics that speak of her: facts = ["name", ...];
                              near: cosine from which any other line answers; [always]: a regular
                              expression for a topic. Without the file every line speaks of her

`best` answers what is asked of her: a turn that matches a pattern of [always] (talk of suicide)
from that topic; else the topic that the classifier names; else a line when

    1. the nearest question lies above the encoder's lines_threshold,
    2. its topic speaks of her,
    3. the neighbours agree on that topic,
    4. the turn does not speak of the user ("내 생일 언제야?") where the topic never does.

`chat` finds lines for small talk. Everything else goes to the language model. Several answers to
one question are all hers; the seed of the turn decides which one is said.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.embedding import Encoder, Progress
from ohlora.errors import CheckpointError, Unwritable
from ohlora.files import beside
from ohlora.intent import Intent, Topic, load_intent, matter, read_topics
from ohlora.paths import home

log = logging.getLogger(__name__)

NEIGHBOURS = 8
READ_AT_ONCE = 1_024  # lines, between two words on how far it is
AGREEMENT = 0.5  # share of the neighbours' weight that the winning topic needs
SHARPNESS = 10.0  # a neighbour 0.1 farther counts e times less
LIKE_TURN = 0.7  # cosine from which small talk may take a turn from an unsure topic,
SURER = 0.35  # namely where its cosine lies above the topic's score by more than this
SAME_QUESTION = 0.7  # cosine of the mean questions of two answers that may stand for each other

USER_WORDS = frozenset(
    "나 난 나는 나도 나의 내 내가 나를 날 나한테 나랑 "
    "저 전 저는 저도 제 제가 저의 저를 저한테".split()
)
# "우리" alone may be the two of us; "우리 엄마" is the user's. "뭐게?" and "어디로 가게?" ask what
# one knows oneself.
MINE = re.compile(
    r"우리 ?(집|엄마|아빠|부모|가족|할머니|할아버지|동생|형|오빠|강아지|고양이|학교|회사|반|동네)"
    r"|(뭐|누구|어디|언제|살이|몇이|명이|얼마)게(?!\w)"
    r"|게\?+$"
    r"|(?:^|\s)(내|제)(이름|나이|생일|전공|취미|학교|친구|꿈|직업|집|가족|고향|별명|mbti|MBTI)"
)
# What only the user's own memories tell: "내 생일 언제더라", "나 몇 살이게?", "우리 집이 어디게".
USERS = re.compile(
    r"(?:^|\s)(내|제|나의|저의) ?(이름|나이|생일|전공|취미|학교|꿈|직업|가족|고향|별명|mbti|MBTI)"
    r"|(?:^|\s)(나|난|나는|저|전|저는) ?(몇 ?살|누구)|(뭐|누구|어디|언제|살이|몇이|명이)게\?*$"
)
HER_WORDS = frozenset(
    """
    너 넌 너는 너도 너의 네 네가 니 니가 널 너를 너랑 너한테 로라 로라야 로라는 로라의
    로라도 로라님 오로라 오로라야 오로라는 오로라의 오로라도 오로라님 당신 당신은 당신의
    당신도 언니 누나 그대 너네 너희 너보고 너처럼 그쪽 넌데 너만의 너만 너같은 너에 너에게
    니네
    """.split()
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
        topics: Mapping[str, Topic] | None = None,
        intent: Intent | None = None,
        near: float = 1.0,
    ) -> None:
        """`vectors` [N, dim] of the questions, when they are known already."""
        self.lines, self.encoder = list(lines), encoder
        self.always = dict(always or {})
        self.topics, self.intent, self.near = dict(topics or {}), intent, near
        self.answering = {ln.topic for ln in lines} if answering is None else set(answering)
        questions = [ln.question for ln in self.lines]
        self.vectors = encoder.encode(questions) if vectors is None else vectors
        by_answer: dict[tuple[str, str], list[int]] = defaultdict(list)
        speaks_of_user: dict[str, bool] = defaultdict(bool)
        for i, line in enumerate(self.lines):
            by_answer[line.topic, line.answer].append(i)
            speaks_of_user[line.topic] |= about_user(line.question)
        self.by_answer, self.speaks_of_user = by_answer, speaks_of_user
        self.small_talk = np.array([ln.topic not in self.answering for ln in self.lines], bool)
        # `best` and `chat` are asked about the same turn, one after the other.
        self._cosines = lru_cache(maxsize=2)(self._measure)

    def best(self, text: str, seed: int = 0) -> tuple[Line, float] | None:
        """Her answer to what is asked of her and its cosine, or None when no line is sure."""
        if found := self.due(text):
            return random.Random(seed).choice(self.equals(found[0])), found[1]
        topic, sure = self.topic(text)
        if topic and sure >= self._nearest_small_talk(text) - SURER:
            return Line(text, random.Random(seed).choice(topic.say), topic.name), sure
        found = self._sure(text) or self._sure(matter(text))
        if found is None:
            return None
        line, score = found
        return random.Random(seed).choice(self.equals(line)), score

    def topic(self, text: str) -> tuple[Topic | None, float]:
        """What the turn asks of her, by the classifier, and its score; None when nothing.

        "내 생일 언제게?" asks what only the user's own memories tell.
        """
        if self.intent is None or (USERS.search(text) and not names_her(text)):
            return None, 0.0
        name, score = self.intent.topic(text)
        return self.topics.get(name), score

    def _nearest_small_talk(self, text: str) -> float:
        """The cosine of the nearest line of small talk where that is a like turn, else 0."""
        return next((cosine for _, cosine in self.chat(text) if cosine >= LIKE_TURN), 0.0)

    def chat(self, text: str, said: Collection[str] = ()) -> list[tuple[Line, float]]:
        """Lines of small talk and their cosines, nearest first; none below `near` or in `said`."""
        if self.near >= 1 or not self.small_talk.any() or not text.strip():
            return []
        cosine = np.where(self.small_talk, self._cosines(text), -1.0)  # [N]
        near = (int(i) for i in np.argsort(-cosine) if cosine[i] >= self.near)
        new = (i for i in near if self.lines[i].answer not in said)
        return [(self.lines[i], float(cosine[i])) for i in islice(new, NEIGHBOURS)]

    def _measure(self, text: str) -> NDArray[np.float32]:
        """Cosine of each line with the turn or, where higher, with its matter [N]."""
        # One by one: the encoder knows a turn that it was asked for just now.
        turns = [self.encoder.encode([one])[0] for one in {text, matter(text)}]
        return np.asarray((self.vectors @ np.stack(turns, axis=1)).max(axis=1))

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


def names_her(text: str) -> bool:
    """True when the turn says "you" or her name."""
    return bool(set(re.findall(r"\w+", text)) & HER_WORDS)


def about_user(text: str) -> bool:
    """True when the turn says "I" or "my" and never "you", or is a quiz ("이름 뭐게?")."""
    words = set(re.findall(r"\w+", text))
    mine = bool(words & USER_WORDS) or MINE.search(text) is not None
    return mine and not names_her(text)


def load_lines(
    persona_dir: Path,
    encoder: Encoder,
    small_talk: bool = False,
    progress: Progress = lambda what, part: None,
) -> Lines:
    """Read persona_dir/lines; embeddings are kept under home()/models by content.

    With `small_talk` near lines answer everyday turns too, which a small model needs; without it
    the files everyday_*.jsonl are not read.

    Raises CheckpointError, naming file and line, when a row cannot be read.
    """
    folder = persona_dir / "lines"
    lines, rules = read_folder(folder, everyday=small_talk)
    topics = read_topics(folder / "topics.toml")
    return Lines(
        lines,
        encoder,
        rules.answering,
        rules.always,
        cached_vectors(lines, encoder, progress),
        topics,
        load_intent(folder, encoder, topics),
        rules.near if small_talk else 1.0,
    )


@dataclass(frozen=True)
class Rules:
    """What answers.toml says; without it every topic of every file speaks of her."""

    topics: dict[str, list[str]] | None = None  # file stem -> topics that speak of her
    always: dict[str, re.Pattern[str]] = field(default_factory=dict)  # topic -> turns it answers
    near: float = 1.0  # cosine from which any other line answers; 1: never
    answering: frozenset[str] = frozenset()  # the topics that do, over all files


def read_folder(folder: Path, everyday: bool = True) -> tuple[list[Line], Rules]:
    """All lines that need no memory, and who may answer what; `everyday`: everyday_*.jsonl too.

    A topic that does not speak of her is renamed "file/topic": two files may use one name.
    """
    rules = read_answering(folder) or Rules()
    lines: list[Line] = []
    answering: set[str] = set()
    for path in sorted(folder.glob("*.jsonl")):
        if path.name.startswith("everyday_") and not everyday:
            continue
        for line in read_lines(path):
            if line.question.startswith("["):
                continue
            if rules.topics is None or line.topic in rules.topics.get(path.stem, ()):
                answering.add(line.topic)
            else:
                line = replace(line, topic=f"{path.stem}/{line.topic}")
            lines.append(line)
    return lines, replace(rules, answering=frozenset(answering))


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


def read_answering(folder: Path) -> Rules | None:
    path = folder / "answers.toml"
    if not path.exists():
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        always = {topic: re.compile(text) for topic, text in table.pop("always", {}).items()}
        near = float(table.pop("near", 1.0))
    except (
        tomllib.TOMLDecodeError, UnicodeDecodeError, re.error, TypeError, ValueError
    ) as error:  # fmt: skip
        raise CheckpointError(
            path, f"not readable ({error})", f"읽을 수 없어요({error})"
        ) from error
    return Rules(table, always, near)


def cached_vectors(
    lines: Sequence[Line], encoder: Encoder, progress: Progress = lambda what, part: None
) -> NDArray[np.float32]:
    """Vectors of all questions, from disk when encoder and questions are the same as then."""
    digest = hashlib.sha256(encoder.id.encode())
    for line in lines:
        digest.update(b"\0" + line.question.encode("utf-8", "replace"))
    path = home() / "models" / f"lines-{digest.hexdigest()[:16]}.npy"
    try:
        vectors = np.load(path, allow_pickle=False)
        if vectors.shape == (len(lines), encoder.dim) and vectors.dtype == np.float16:
            return np.asarray(vectors, np.float32)
    except (OSError, ValueError, EOFError):
        pass  # not there, or cut off: made again
    found = np.zeros((len(lines), encoder.dim), np.float16)
    for start in range(0, len(lines), READ_AT_ONCE):
        part = lines[start : start + READ_AT_ONCE]
        found[start : start + len(part)] = encoder.encode([line.question for line in part])
        progress("reading her lines", min(1.0, (start + len(part)) / len(lines)))
    try:
        with beside(path) as partial, partial.open("wb") as file:
            np.save(file, found, allow_pickle=False)
    except Unwritable as error:
        log.warning("her lines are read anew at every start: %s (%s)", path, error)
    return found.astype(np.float32)
