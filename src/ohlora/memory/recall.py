"""Which memories belong to what was just said: one encoding, then one matrix product.

All vectors of one user and persona lie in one matrix; a turn encodes its prompt, multiplies,
and leaves out what has expired or is about another day. The matrix follows the store's history, so
a memory is encoded once and again only when its text changes ("내일 일정" becomes "오늘 일정").

Two kinds of memory also come by their words, whatever the cosine: what the user cannot have or
does not like ("땅콩 먹어도 될까?" -> [알레르기: 땅콩]), and a plan that is asked about ("시험
언제라고 했지?" -> [내일 일정: 시험]).

    matrix   [N, D]   one unit vector per memory
    scores   [N]      cosine with the prompt
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import StoreError
from ohlora.memory.dates import When, mentions, spoken
from ohlora.memory.records import MemoryRecord
from ohlora.memory.store import Store
from ohlora.memory.vectors import content_hash

if TYPE_CHECKING:
    from ohlora.embedding import Encoder

log = logging.getLogger(__name__)

Vector = NDArray[np.float32]
ENCODED_AT_ONCE = 1_024
PROMPT_CHARACTERS = 2_000


@dataclass(frozen=True)
class Recalled:
    record: MemoryRecord
    score: float  # cosine, -1..1


class Recall:
    """Thread-safe. One per Store view and encoder."""

    def __init__(self, store: Store, encoder: Encoder) -> None:
        self.store, self.encoder = store, encoder
        self._lock = threading.Lock()
        self._table = Table(encoder.dim)
        self._change = 0  # the last change of the store's history that is in the table
        self._today: date | None = None  # the day its texts were written for

    def best(
        self,
        prompt: str,
        k: int = 2,
        threshold: float | None = None,
        *,
        by_day: bool = True,
        without: Collection[str] = (),
    ) -> Sequence[Recalled]:
        """Up to k memories with a score of at least threshold (default: the encoder's), best first.

        A prompt that names a day ("토요일에 뭐 하지?") recalls no memory of another day; v1 knew
        no days and no words (by_day False). Those that share a word come first. Memories with a key
        in `without` ("내일 일정", as it reads today) take no place: a message that tells a plan
        asks for no other.
        """
        now, days = self.store.clock(), list[When]()
        prompt = prompt[:PROMPT_CHARACTERS]
        names = words_of(prompt) if by_day else Words()
        if by_day:
            prompt, days = name_days(prompt, now.date())
        with self._lock:
            self._follow(now)
            if not self._table.records:
                return []
        query = self.encoder.encode([prompt])[0]  # [D]
        floor = self.encoder.recall_threshold if threshold is None else threshold
        with self._lock:
            while True:
                found = self._table.best(query, days, now, k, floor, names, without)
                # As the store has them now: a deleted conversation leaves no source behind.
                ids = [one.record.id for one in found]
                kept = {record.id: record for record in self.store.memories.some(ids)}
                gone = [memory_id for memory_id in ids if memory_id not in kept]
                if not gone:
                    return [Recalled(kept[one.record.id], one.score) for one in found]
                for memory_id in gone:
                    self._table.drop(memory_id)

    def _follow(self, now: datetime) -> None:
        """Bring the table to the state of the store and to today's texts."""
        memories, today, table = self.store.memories, now.date(), self._table
        change, changed = memories.changes_after(self._change)
        known: dict[int, tuple[str, bytes]] = {}
        if self._today is None or 2 * table.dropped > len(table.records):
            table = Table(self.encoder.dim)
            known = self.store.vectors.load(self.encoder.id)
            records = memories.all()
        else:
            ids = set(changed)
            if today != self._today:
                ids |= {record.id for record in table.records if record.when is not None}
            records = memories.some(sorted(ids)) if ids else []
            for memory_id in ids:
                table.drop(memory_id)
        for start in range(0, len(records), ENCODED_AT_ONCE):
            part = records[start : start + ENCODED_AT_ONCE]
            for record, vector in zip(part, self._vectors(part, known), strict=True):
                table.append(record, vector)
        self._table, self._change, self._today = table, change, today

    def _vectors(self, records: list[MemoryRecord], known: dict[int, tuple[str, bytes]]) -> Vector:
        """One vector per record [N, D]: the known one where its text is the same, else encoded."""
        hashes = [content_hash(record.text) for record in records]
        vectors = np.zeros((len(records), self.encoder.dim), "f4")
        missing = []
        for row, (record, digest) in enumerate(zip(records, hashes, strict=True)):
            of, data = known.get(record.id, ("", b""))
            if of == digest and len(data) == vectors[row].nbytes:
                vectors[row] = np.frombuffer(data, "<f4")
            else:
                missing.append(row)
        if missing:
            vectors[missing] = self.encoder.encode([records[row].text for row in missing])
            fresh = [
                (records[row].id, hashes[row], vectors[row].astype("<f4").tobytes())
                for row in missing
            ]
            try:
                self.store.vectors.keep(self.encoder.id, fresh)
            except StoreError as error:  # a cache only: this turn can go on without it
                log.warning("memory vectors were not kept: %s", error)
        return vectors


class Table:
    """The rows that recall looks at: vectors, and until when and for which days each holds."""

    def __init__(self, dim: int) -> None:
        self.records: list[MemoryRecord] = []
        self.dropped = 0  # rows out of use
        self._matrix: NDArray[np.float32] = np.zeros((64, dim), "f4")
        self._until: NDArray[np.float64] = np.zeros(64)  # seconds since 1970; -inf: dropped
        self._first: NDArray[np.int32] = np.zeros(64, "i4")  # days since year 1; -1: of no day
        self._last: NDArray[np.int32] = np.zeros(64, "i4")
        self._rows: dict[int, int] = {}  # memory id -> row
        self._named: dict[int, str] = {}  # row -> what its words may recall; see Words

    def append(self, record: MemoryRecord, vector: Vector) -> None:
        row, when = len(self.records), record.when
        if row == len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
            self._until = np.concatenate([self._until, np.zeros_like(self._until)])
            self._first = np.concatenate([self._first, np.zeros_like(self._first)])
            self._last = np.concatenate([self._last, np.zeros_like(self._last)])
        self._matrix[row] = vector
        self._until[row] = (
            datetime.fromisoformat(record.expires).timestamp() if record.expires else np.inf
        )
        self._first[row] = when.first.toordinal() if when else -1
        self._last[row] = when.last.toordinal() if when else -1
        self._rows[record.id] = row
        if GUARDED.search(record.key) or PLANNED.search(record.key):
            self._named[row] = record.value
        self.records.append(replace(record, source_text=None))  # the store alone knows it

    def drop(self, memory_id: int) -> None:
        row = self._rows.pop(memory_id, None)
        if row is not None:
            self._until[row] = -np.inf
            self._named.pop(row, None)
            self.dropped += 1

    def best(
        self,
        query: Vector,
        days: list[When],
        now: datetime,
        k: int,
        threshold: float,
        words: Words,
        without: Collection[str] = (),
    ) -> list[Recalled]:
        count = len(self.records)
        scores = self._matrix[:count] @ query  # [N]
        named = [
            row
            for row, value in self._named.items()
            if words.name(value, plan=PLANNED.search(self.records[row].key) is not None)
        ]
        fit = scores >= threshold
        fit[named] = True
        fit &= self._until[:count] > now.timestamp()
        if days:
            first, last = self._first[:count], self._last[:count]
            on_day = first < 0  # memories of no day fit every day
            for day in days:
                on_day |= (first <= day.last.toordinal()) & (last >= day.first.toordinal())
            fit &= on_day
        if without:
            keys = (self.records[row].key for row in np.flatnonzero(fit))
            fit[np.flatnonzero(fit)] = [key not in without for key in keys]
        first_named = scores + 4.0 * np.isin(np.arange(count), named)  # above any cosine
        found = np.flatnonzero(fit)
        if len(found) > 2 * k:  # all that can be among the k best, ties included
            edge = np.partition(first_named[found], len(found) - k)[len(found) - k]
            found = found[first_named[found] >= edge]
        order = sorted(found.tolist(), key=lambda row: (-first_named[row], self.records[row].id))
        return [Recalled(self.records[row], float(scores[row])) for row in order[:k]]


GUARDED = re.compile(r"^(?:알레르기$|싫어하는 |못 먹는 |못 마시는 |안 먹는 |안 마시는 |끊은 것$)")
PLANNED = re.compile(r"(?:^| )(?:일정|한 일)$")
ASKS_PLAN = re.compile(r"언제|어디|뭐|뭘|무슨|누구|몇\s?시|며칠")
PARTICLE = re.compile(
    r"(?<=[가-힣A-Za-z0-9]{2})(?:은|는|이|가|을|를|도|에|에서|랑|이랑|하고|와|과|만|로|으로|의|야|인데)$"
)
COMMON = frozenset(
    "오늘 내일 모레 어제 지금 요즘 우리 나는 너는 내가 네가 진짜 정말 그냥 제일 가장 아주 "
    "너무 사람 생각 언제 어디 누구 무슨 뭐야 일정 약속 계획 보기 가기 먹기 하기 좋아 싫어 "
    "같이 혼자 친구".split()
)


@dataclass(frozen=True)
class Words:
    """The content words of a prompt, and whether it asks about a plan."""

    words: frozenset[str] = frozenset()
    asks: bool = False

    def name(self, value: str, plan: bool) -> bool:
        """The value holds one of the words: 땅콩 of "땅콩, 새우", 시험 of "기말시험 보기"."""
        if plan and not self.asks:
            return False
        return any(
            word in part or (not plan and len(part) > 1 and word.startswith(part))
            for part in value.replace(",", " ").split()
            if not (plan and part.endswith("기") and part != value)  # 보기, 가기
            for word in self.words
        )


def words_of(prompt: str) -> Words:
    found = set()
    for word in re.findall(r"[가-힣A-Za-z0-9]{2,}", prompt):
        found |= {word, PARTICLE.sub("", word)}
    return Words(frozenset(found - COMMON), ASKS_PLAN.search(prompt) is not None)


def name_days(prompt: str, today: date) -> tuple[str, list[When]]:
    """The prompt with its days named as memories name them, and those days.

    On Tuesday the 24th "토요일에 뭐 하지?" -> "11월 28일에 뭐 하지?", [28 November].
    """
    found = list(mentions(prompt, today, "near"))
    for mention in reversed(found):
        prompt = prompt[: mention.start] + spoken(mention.when, today) + prompt[mention.end :]
    return prompt, [mention.when for mention in found]
