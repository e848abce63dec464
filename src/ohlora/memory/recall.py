"""Which memories belong to what was just said: one encoding, then one matrix product.

All vectors of one user and persona lie in one matrix; a turn encodes its prompt, multiplies,
and leaves out what has expired or is about another day. The matrix follows the store's history, so
a memory is encoded once and again only when its text changes ("내일 일정" becomes "오늘 일정").

The nearest and those that share a word with the message are measured (matching.py): cosines, words
in common and missing, the kind of answer, whose it is, of which day, how old. A small learned model
weighs that and says which is meant, or that none is (scorer.py).

    matrix   [N, D]   one unit vector per memory
    values   [N, D]   one of its value alone
    cosine   [N]      with the prompt
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import StoreError
from ohlora.memory.asking import Ask, Topic, ask, topic_of
from ohlora.memory.dates import When, mentions, spoken
from ohlora.memory.extract.plain import dated_year
from ohlora.memory.matching import (
    NAMES,
    Look,
    Seen,
    look,
    measures,
    of_turn,
    seen,
    turns,
)
from ohlora.memory.records import MemoryRecord
from ohlora.memory.scorer import Scorer, family_of, recalls, scorer_for
from ohlora.memory.store import Store
from ohlora.memory.vectors import content_hash

if TYPE_CHECKING:
    from ohlora.embedding import Encoder

log = logging.getLogger(__name__)

Vector = NDArray[np.float32]
ENCODED_AT_ONCE = 1_024
PROMPT_CHARACTERS = 2_000
CHANGES = 20  # newest memories of something that ended or turned, looked at
LOOKED_AT = 100  # rows, the nearest, whose words are compared with those of the message


@dataclass(frozen=True)
class Recalled:
    record: MemoryRecord
    score: float  # cosine, -1..1
    asked: bool = False  # the message asks for just this, in its words


@dataclass(frozen=True)
class Turn:
    """A message as recall reads it."""

    prompt: str  # its days named as memories name them
    now: datetime
    days: list[When]
    asked: Ask
    found: Look


@dataclass(frozen=True)
class Measured:
    records: list[MemoryRecord]
    cosines: Vector  # [N]
    numbers: NDArray[np.float64]  # [N, F], order NAMES
    turn: NDArray[np.float64]  # [T], order TURN


def read_turn(prompt: str, now: datetime) -> Turn:
    prompt = prompt[:PROMPT_CHARACTERS]
    named, days = name_days(prompt, now.date())
    return Turn(named, now, days, ask(prompt), look(timeless(prompt, now.date())))


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
        """Up to k memories that the prompt means, best first; [] when it means none.

        With a `threshold` instead every memory of at least that cosine may come. A prompt that
        names a day ("토요일에 뭐 하지?") recalls no memory of another day; v1 knew no days and no
        words (by_day False: cosine alone). Memories with a key in `without` ("내일 일정", as it
        reads today) take no place: a message that tells a plan asks for no other.
        """
        now = self.store.clock()
        read = read_turn(prompt, now) if by_day else None
        query = self._query(read.prompt if read else prompt[:PROMPT_CHARACTERS], now)
        if query is None:
            return []
        with self._lock:
            while True:
                if read is None:
                    floor = self._anchor if threshold is None else threshold
                    best = self._table.nearest(query, now, k, floor)
                else:
                    best = self._meant(query, read, k, threshold, without)
                # As the store has them now: a deleted conversation leaves no source behind.
                ids = [one.record.id for one in best]
                kept = {record.id: record for record in self.store.memories.some(ids)}
                gone = [memory_id for memory_id in ids if memory_id not in kept]
                if not gone:
                    return [replace(one, record=kept[one.record.id]) for one in best]
                for memory_id in gone:
                    self._table.drop(memory_id)

    def measured(self, prompt: str) -> Measured | None:
        """What the prompt and every memory that may come measure; None when none may."""
        now = self.store.clock()
        read = read_turn(prompt, now)
        query = self._query(read.prompt, now)
        if query is None:
            return None
        with self._lock:
            return self._table.measured(query, read, self._anchor)

    def _meant(
        self, query: Vector, read: Turn, k: int, threshold: float | None, without: Collection[str]
    ) -> list[Recalled]:
        found = self._table.measured(query, read, self._anchor, k)
        if found is None:
            return []
        may = np.array([record.key not in without for record in found.records])
        scores = self._scorer.scores(found.numbers, found.turn)
        harms = np.all(found.numbers[:, HARMS] > 0, axis=1)  # comes, and first
        if threshold is not None:
            may &= found.cosines >= threshold
        elif recalls(scores[may]) or harms.any():
            best = max(scores[may], default=0.0)
            may &= (scores >= min(best, 0.0)) | harms
        else:
            return []
        order = sorted(
            np.flatnonzero(may),
            key=lambda at: (not harms[at], -scores[at], -found.records[at].id),
        )
        return [
            Recalled(found.records[at], float(found.cosines[at]), read.asked.asks)
            for at in order[:k]
        ]

    @property
    def _anchor(self) -> float:
        return self.encoder.recall_threshold

    @property
    def _scorer(self) -> Scorer:
        return scorer_for(family_of(self.encoder.id))

    def _query(self, prompt: str, now: datetime) -> Vector | None:
        """The vector of the prompt [D]; None when there are no memories."""
        with self._lock:
            self._follow(now)
            if not self._table.records:
                return None
        vector: Vector = self.encoder.encode([prompt])[0]
        return vector

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
        """Vectors of each record [N, 2, D], of its text and value: the known ones where its text is
        the same, else encoded."""
        hashes = [content_hash(record.text) for record in records]
        vectors = np.zeros((len(records), 2, self.encoder.dim), "f4")
        missing = []
        for row, (record, digest) in enumerate(zip(records, hashes, strict=True)):
            of, data = known.get(record.id, ("", b""))
            if of == digest and len(data) == vectors[row].nbytes:
                vectors[row] = np.frombuffer(data, "<f4").reshape(2, -1)
            else:
                missing.append(row)
        if missing:
            said = [(one.text, one.value) for one in (records[row] for row in missing)]
            found = self.encoder.encode([text for texts in said for text in texts])
            vectors[missing] = found.reshape(len(missing), 2, -1)
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
        self._values: NDArray[np.float32] = np.zeros((64, dim), "f4")
        self._until: NDArray[np.float64] = np.zeros(64)  # seconds since 1970; -inf: dropped
        self._first: NDArray[np.int32] = np.zeros(64, "i4")  # days since year 1; -1: of no day
        self._last: NDArray[np.int32] = np.zeros(64, "i4")
        self._rows: dict[int, int] = {}  # memory id -> row
        self._topics: dict[int, Topic] = {}  # row -> what words may ask for it
        self._seen: dict[int, Seen] = {}  # row -> its words
        self._index: dict[str, set[int]] = {}  # word -> rows whose topic has it

    def append(self, record: MemoryRecord, vectors: Vector) -> None:
        row, when = len(self.records), record.when
        if row == len(self._matrix):
            self._matrix, self._values = doubled(self._matrix), doubled(self._values)
            self._until = doubled(self._until)
            self._first, self._last = doubled(self._first), doubled(self._last)
        self._matrix[row], self._values[row] = vectors
        self._until[row] = (
            datetime.fromisoformat(record.expires).timestamp() if record.expires else np.inf
        )
        self._first[row] = when.first.toordinal() if when else -1
        self._last[row] = when.last.toordinal() if when else -1
        self._rows[record.id] = row
        topic = topic_of(record)
        self._topics[row], self._seen[row] = topic, seen(record)
        for word in self._words(row):
            self._index.setdefault(word, set()).add(row)
        self.records.append(replace(record, source_text=None))  # the store alone knows it

    def drop(self, memory_id: int) -> None:
        row = self._rows.pop(memory_id, None)
        if row is not None:
            self._until[row] = -np.inf
            for word in self._words(row):
                self._index[word].discard(row)
            del self._topics[row], self._seen[row]
            self.dropped += 1

    def _words(self, row: int) -> frozenset[str]:
        return self._topics[row].names | self._seen[row].words | self._seen[row].parts

    def nearest(self, query: Vector, now: datetime, k: int, threshold: float) -> list[Recalled]:
        """The k rows of the highest cosine, of at least the threshold."""
        cosines = self.cosines(query)
        rows = nearest(cosines, self._holds([], now), k)
        rows = [row for row in rows if cosines[row] >= threshold]
        rows.sort(key=lambda row: (-cosines[row], self.records[row].id))
        return [Recalled(self.records[row], float(cosines[row])) for row in rows[:k]]

    def cosines(self, query: Vector) -> Vector:
        """Cosine of each row with the query [N]."""
        return self._matrix[: len(self.records)] @ query

    def measured(self, query: Vector, read: Turn, anchor: float, k: int = 0) -> Measured | None:
        """Rows that may come, oldest change first: the nearest, and those with a word in common.

        Only LOOKED_AT (or k) of each are compared, which bounds the time.
        """
        cosines, days, found = self.cosines(query), read.days, read.found
        holds = self._holds(days, read.now)
        near = self._near(read.asked, found, days, read.now.date()) & holds
        rows = {*nearest(cosines, holds, k), *nearest(cosines, near, k)}
        ordered = sorted(rows, key=lambda row: (self.records[row].updated, self.records[row].id))
        if not ordered:
            return None
        meant = self._meant(days)
        last = max(len(ordered) - 1, 1)
        stale = self._stale(ordered)
        of_value = self._values[ordered] @ query  # [rows]
        numbers = [
            measures(
                found,
                read.asked,
                self._seen[row],
                self._topics[row],
                float(cosines[row]) - anchor,
                float(of_value[at]),
                bool(days) and bool(meant[row]),
                at / last,
                row in stale,
            )
            for at, row in enumerate(ordered)
        ]
        highest = float(cosines[ordered].max()) - anchor
        return Measured(
            [self.records[row] for row in ordered],
            cosines[ordered],
            np.array(numbers),
            np.array(of_turn(found, read.asked, len(ordered), highest)),
        )

    def _stale(self, ordered: list[int]) -> set[int]:
        """Rows, oldest change first, that a newer one says ended or turned."""
        changes = [(at, row) for at, row in enumerate(ordered) if self._seen[row].change]
        return {
            older
            for at, row in changes[-CHANGES:]
            for older in ordered[:at]
            if turns(self._seen[row], self._seen[older])
        }

    def _holds(self, days: list[When], now: datetime) -> NDArray[np.bool_]:
        """Rows that hold now and are of no other day than those."""
        holds = self._until[: len(self.records)] > now.timestamp()
        if days:
            holds &= self._meant(days) | (self._first[: len(holds)] < 0)
        return holds

    def _near(self, asked: Ask, found: Look, days: list[When], today: date) -> NDArray[np.bool_]:
        """Rows that share a word with the message, and those of a day or plan it asks about."""
        rows = np.zeros(len(self.records), bool)
        names = asked.names | set(found.nouns)
        for word in {word[:size] for word in names for size in range(1, len(word) + 1)}:
            rows[list(self._index.get(word, ()))] = True
        if days and (asked.plans or asked.asks):
            rows |= self._meant(days)
        elif asked.plans:
            rows |= self._first[: len(rows)] >= today.toordinal()
        return rows

    def _meant(self, days: list[When]) -> NDArray[np.bool_]:
        """Rows that are about one of the days."""
        first, last = self._first[: len(self.records)], self._last[: len(self.records)]
        found = np.zeros(len(first), bool)
        for day in days:
            found |= (first <= day.last.toordinal()) & (last >= day.first.toordinal())
        return found


HARMS = [NAMES.index(name) for name in ("guarded", "named", "in_value")]  # all of them at once


def doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)])


def nearest(scores: Vector, rows: NDArray[np.bool_], k: int = 0) -> list[int]:
    """The highest of these rows: at least k where there are so many, ties included."""
    found, most = np.flatnonzero(rows), max(k, LOOKED_AT)
    if len(found) > most:
        edge = np.partition(scores[found], len(found) - most)[len(found) - most]
        found = found[scores[found] >= edge]
        if len(found) > 4 * most:  # all alike
            found = found[: 4 * most]
    return [int(row) for row in found]


def timeless(prompt: str, today: date) -> str:
    """The prompt without the days it names: they choose memories by themselves."""
    for mention in reversed(list(mentions(prompt, today, "near"))):
        prompt = prompt[: mention.start] + " " + PARTICLE_OF_DAY.sub("", prompt[mention.end :])
    return prompt


PARTICLE_OF_DAY = re.compile(r"^(?:에는|에도|에|은|는|엔|도|까지|부터|날)(?=\s)")


def name_days(prompt: str, today: date) -> tuple[str, list[When]]:
    """The prompt with its days named as memories name them, and those days.

    On Tuesday the 24th "토요일에 뭐 하지?" -> "11월 28일에 뭐 하지?", [28 November].
    """
    prompt = dated_year(prompt, today)
    found = list(mentions(prompt, today, "near"))
    for mention in reversed(found):
        prompt = prompt[: mention.start] + spoken(mention.when, today) + prompt[mention.end :]
    return prompt, [mention.when for mention in found]
