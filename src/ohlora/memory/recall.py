"""Which memories belong to what was just said: one encoding, then one matrix product.

All vectors of one user and persona lie in one matrix; a turn encodes its prompt, multiplies,
and leaves out what has expired or is about another day. The matrix follows the store's history, so
a memory is encoded once and again only when its text changes ("내일 일정" becomes "오늘 일정").

Words decide where vectors cannot (asking.py): a memory that is named or asked for comes whatever
its cosine ("땅콩 먹어도 될까?" -> [알레르기: 땅콩], "나 어디 산다고 했지?" -> [사는 곳: 부산]), and
one about another person or another thing does not come ("아빠 생일" -> not [엄마 생일: 5월 8일]).

    matrix   [N, D]   one unit vector per memory
    scores   [N]      cosine with the prompt
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import StoreError
from ohlora.memory.asking import Ask, Topic, ask, topic_of
from ohlora.memory.dates import When, mentions, spoken
from ohlora.memory.extract.plain import dated_year
from ohlora.memory.records import MemoryRecord
from ohlora.memory.store import Store
from ohlora.memory.vectors import content_hash

if TYPE_CHECKING:
    from ohlora.embedding import Encoder

log = logging.getLogger(__name__)

Vector = NDArray[np.float32]
ENCODED_AT_ONCE = 1_024
PROMPT_CHARACTERS = 2_000
LOOKED_AT = 100  # rows, the nearest, whose words are compared with those of the message
TOLD_MARGIN = 0.15  # cosine; "...라고 했지?" says that there is something to recall


@dataclass(frozen=True)
class Recalled:
    record: MemoryRecord
    score: float  # cosine, -1..1
    asked: bool = False  # the message asks for just this, in its words


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
        asked = ask(prompt) if by_day else Ask()
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
                found = self._table.best(query, days, now, k, floor, asked, without)
                # As the store has them now: a deleted conversation leaves no source behind.
                ids = [one.record.id for one in found]
                kept = {record.id: record for record in self.store.memories.some(ids)}
                gone = [memory_id for memory_id in ids if memory_id not in kept]
                if not gone:
                    return [replace(one, record=kept[one.record.id]) for one in found]
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
        self._topics: dict[int, Topic] = {}  # row -> what words may ask for it
        self._index: dict[str, set[int]] = {}  # word -> rows whose topic has it

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
        topic = topic_of(record)
        self._topics[row] = topic
        for word in topic.names:
            self._index.setdefault(word, set()).add(row)
        self.records.append(replace(record, source_text=None))  # the store alone knows it

    def drop(self, memory_id: int) -> None:
        row = self._rows.pop(memory_id, None)
        if row is not None:
            self._until[row] = -np.inf
            for word in self._topics.pop(row).names:
                self._index[word].discard(row)
            self.dropped += 1

    def best(
        self,
        query: Vector,
        days: list[When],
        now: datetime,
        k: int,
        threshold: float,
        asked: Ask,
        without: Collection[str] = (),
    ) -> list[Recalled]:
        """The k best rows: those that the message names, then by cosine.

        Words are compared for the LOOKED_AT nearest rows only, which bounds the time.
        """
        count = len(self.records)
        scores = self._matrix[:count] @ query  # [N]
        holds = self._until[:count] > now.timestamp()
        if days:
            holds &= self._meant(days) | (self._first[:count] < 0)  # those of no day fit every day
        near = self._near(asked, days, now.date()) & holds
        named = [row for row in nearest(scores, near) if self._named(row, asked, bool(days))]
        place = scores.copy()  # above any cosine: what is named, and first what may harm
        place[named] += 4.0
        place[[row for row in named if self._topics[row].guarded]] += 4.0
        fit = scores >= (threshold - TOLD_MARGIN if asked.told else threshold)
        fit[named] = True
        order = sorted(
            nearest(place, fit & holds, k), key=lambda row: (-place[row], self.records[row].id)
        )
        found = [
            Recalled(self.records[row], float(scores[row]), asked.asks and place[row] > 2.0)
            for row in order
            if self.records[row].key not in without
            and not (asked.narrow and asked.excludes(self._topics[row]))
        ]
        return found[:k]

    def _near(self, asked: Ask, days: list[When], today: date) -> NDArray[np.bool_]:
        """Rows that share a word with the message, and those of a day or plan it asks about."""
        rows = np.zeros(len(self.records), bool)
        for word in {word[:size] for word in asked.names for size in range(1, len(word) + 1)}:
            rows[list(self._index.get(word, ()))] = True
        if days and (asked.plans or asked.asks):
            rows |= self._meant(days)
        elif asked.plans:
            rows |= self._first[: len(rows)] >= today.toordinal()
        return rows

    def _named(self, row: int, asked: Ask, day: bool) -> bool:
        return row in self._topics and asked.names_topic(self._topics[row], day)

    def _meant(self, days: list[When]) -> NDArray[np.bool_]:
        """Rows that are about one of the days."""
        first, last = self._first[: len(self.records)], self._last[: len(self.records)]
        found = np.zeros(len(first), bool)
        for day in days:
            found |= (first <= day.last.toordinal()) & (last >= day.first.toordinal())
        return found


def nearest(scores: Vector, rows: NDArray[np.bool_], k: int = 0) -> list[int]:
    """The highest of these rows: at least k where there are so many, ties included."""
    found, most = np.flatnonzero(rows), max(k, LOOKED_AT)
    if len(found) > most:
        edge = np.partition(scores[found], len(found) - most)[len(found) - most]
        found = found[scores[found] >= edge]
        if len(found) > 4 * most:  # all alike
            found = found[: 4 * most]
    return [int(row) for row in found]


def name_days(prompt: str, today: date) -> tuple[str, list[When]]:
    """The prompt with its days named as memories name them, and those days.

    On Tuesday the 24th "토요일에 뭐 하지?" -> "11월 28일에 뭐 하지?", [28 November].
    """
    prompt = dated_year(prompt, today)
    found = list(mentions(prompt, today, "near"))
    for mention in reversed(found):
        prompt = prompt[: mention.start] + spoken(mention.when, today) + prompt[mention.end :]
    return prompt, [mention.when for mention in found]
