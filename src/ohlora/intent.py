"""Which of her topics a turn is about, told by a linear classifier.

    topics.toml          what she says on each topic
    turns.tsv            labelled turns: topic <tab> turn; "none" is everything else
    intent.safetensors   the weights that `ohlora train intent` fits to turns.tsv

A turn is read as the set of its letter runs (1 to 6 jamo, across spaces, because people leave them
out) and its words, hashed into BUCKETS, weighted by rarity, brought to length one; beside them
stands the vector of the sentence encoder. Each topic has one column of weights, from ridge
regression on 1 for its turns and 0 for all others, so a score near 1 is sure.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from ohlora.embedding import Encoder
from ohlora.errors import CheckpointError

log = logging.getLogger(__name__)

TOPICS, TURNS, WEIGHTS = "topics.toml", "turns.tsv", "intent.safetensors"
NONE = "none"
BUCKETS = 1 << 17
LONGEST_RUN = 6  # jamo
LEAN = 0.05  # taken off the score of "none": a question left unanswered costs more than it
FLOOR = 0.2  # a turn that scores less on every topic is of none
DANGER = 0.3  # score from which a danger to life answers unless another topic is surer by DOUBT
DOUBT = 0.1

Floats = NDArray[np.float32]

# A greeting or call in front of the matter itself, never all of a turn.
CALL = re.compile(
    r"^(?:안녕(?:하세요)?|하이|반가워|저기요?|있잖아|(?:오로|로)라야|오로라|근데|그런데|혹시|야|음+|아|그럼)[\s,.!~?]+(?=\S)"
)


def matter(text: str) -> str:
    """The turn without greetings and calls in front: "안녕! 로라야, 뭐 해?" -> "뭐 해?"."""
    while found := CALL.match(text):
        text = text[found.end() :]
    return text


def squeeze(text: str) -> str:
    """The matter in small letters, without spaces and marks but ?."""
    return re.sub(r"[^\w?]|_", "", matter(text).lower())


def buckets(text: str) -> list[int]:
    """The hashed letter runs and words of a turn, each once, in order."""
    jamo = "<" + unicodedata.normalize("NFD", squeeze(text)) + ">"
    found = {
        jamo[at : at + length]
        for length in range(1, LONGEST_RUN + 1)
        for at in range(len(jamo) - length + 1)
    }
    found |= {f"w:{word}" for word in re.findall(r"\w+", text.lower())}
    return sorted({crc32(run.encode("utf-8", "replace")) % BUCKETS for run in found})


@dataclass(frozen=True)
class Topic:
    name: str
    say: tuple[str, ...]
    danger: bool = False  # to life: answered at a lower score


def read_topics(path: Path) -> dict[str, Topic]:
    """The topics of `path`, none when there is no such file. Raises CheckpointError."""
    if not path.exists():
        return {}
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        topics = {name: read_topic(name, row) for name, row in raw.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(
            path, f"not readable ({error}).", f"읽을 수 없어요({error})."
        ) from error
    return topics


def read_topic(name: str, row: object) -> Topic:
    say = row.get("say") if isinstance(row, dict) else None
    if not isinstance(say, list) or not say or not all(isinstance(one, str) for one in say):
        raise ValueError(f"[{name}]: `say` must be a list of answers")
    assert isinstance(row, dict)
    return Topic(name, tuple(say), bool(row.get("danger", False)))


def read_turns(path: Path) -> list[tuple[str, str]]:
    """(topic, turn) of each line of turns.tsv. Raises CheckpointError naming the line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            path, f"not readable ({error}).", f"읽을 수 없어요({error})."
        ) from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        topic, tab, turn = line.partition("\t")
        if not (topic and tab and turn.strip()) or "\t" in turn:
            raise CheckpointError(
                path,
                f"line {number} must be a topic, a tab and a turn.",
                f"{number}번째 줄은 주제, 탭, 말의 순서여야 해요.",
            )
        found.append((topic, turn.strip()))
    return found


class Intent:
    """The fitted classifier. Safe to use from several threads.

    rarity  [BUCKETS]           weight of a letter run
    counts  [BUCKETS]           how many of the entries below belong to it
    column, value  [entries]    topic and weight of each entry; all others are zero
    scale   [topics]            a column's weight is value * scale
    dense   [dim + 1, topics]   weights of the encoder's vector, and a constant
    """

    def __init__(
        self,
        encoder: Encoder,
        topics: Sequence[str],
        rarity: Floats,
        counts: NDArray[np.uint8],
        column: NDArray[np.uint8],
        value: NDArray[np.int8],
        scale: Floats,
        dense: Floats,
        danger: Sequence[str] = (),
    ) -> None:
        self.encoder, self.topics, self.rarity = encoder, tuple(topics), rarity
        self.ends = np.cumsum(counts, dtype=np.int64)
        self.counts, self.column, self.value, self.scale = counts, column, value, scale
        self.dense = dense
        self.none = self.topics.index(NONE)
        self.danger = np.isin(self.topics, list(danger))  # [topics]

    def scores(self, text: str) -> Floats:
        """One score a topic, about 1 for the topic of the turn and 0 for the others."""
        rows = np.array(buckets(text), np.int64)
        weight = self.rarity[rows]
        weight = weight / max(float(np.linalg.norm(weight)), 1e-6)
        entries = np.concatenate(
            [np.arange(self.ends[row] - self.counts[row], self.ends[row]) for row in rows]
        ).astype(np.int64)
        each = np.repeat(weight, self.counts[rows]) * self.value[entries]
        sparse = np.bincount(self.column[entries], each, minlength=len(self.topics)) * self.scale
        vector = self.encoder.encode([text])[0]
        return np.asarray(sparse + vector @ self.dense[:-1] + self.dense[-1], np.float32)

    def topic(self, text: str) -> tuple[str, float]:
        """The topic of a turn, or "none", and its score."""
        scores = self.scores(text)
        scores[self.none] -= LEAN
        best = int(scores.argmax())
        worst = int(np.where(self.danger, scores, -np.inf).argmax())
        if scores[worst] >= max(DANGER, scores[best] - DOUBT):
            best = worst
        score = float(scores[best])
        return (self.topics[best], score) if score >= FLOOR else (NONE, score)


def load_intent(folder: Path, encoder: Encoder, topics: dict[str, Topic]) -> Intent | None:
    """The classifier of a folder of lines; None where there is none for this encoder.

    Raises CheckpointError when the file is damaged or knows topics that topics.toml lacks.
    """
    path = folder / WEIGHTS
    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()["intent"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        names, fitted_for = list(about["topics"]), str(about["encoder"])
        counts, dense = tensors["counts"], tensors["dense"].astype(np.float32)
        whole = (
            counts.shape == (BUCKETS,)
            and int(counts.sum(dtype=np.int64)) == len(tensors["column"]) == len(tensors["value"])
            and dense.shape[1] == len(names) == len(tensors["scale"])
        )
        if not whole:
            raise ValueError("its tables do not fit each other")
    # safetensors raises an exception of its own.
    except Exception as error:
        raise CheckpointError(
            path,
            f"damaged ({error}): fit it again with ohlora train intent",
            f"손상됐어요({error}). ohlora train intent로 다시 만들어 주세요",
        ) from error
    if unknown := set(names) - set(topics) - {NONE}:
        raise CheckpointError(
            path,
            f"knows the topic {min(unknown)!r}, which {TOPICS} lacks: fit it again",
            f"{TOPICS}에 없는 주제 {min(unknown)!r}가 들어 있어요. 다시 만들어 주세요",
        )
    if fitted_for != encoder.id:
        log.warning("%s is for the encoder %s, not %s: unused", path, fitted_for, encoder.id)
        return None
    return Intent(
        encoder,
        names,
        tensors["rarity"].astype(np.float32),
        counts,
        tensors["column"],
        tensors["value"],
        tensors["scale"].astype(np.float32),
        dense,
        danger=[topic.name for topic in topics.values() if topic.danger],
    )
