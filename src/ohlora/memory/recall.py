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
import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import StoreError
from ohlora.memory.asking import Ask, Topic, ask, table, topic_of
from ohlora.memory.dates import When, mentions, spoken
from ohlora.memory.extract.plain import dated_year
from ohlora.memory.matching import NAMES, Look, Seen, coverage, look, measures, seen, turns
from ohlora.memory.records import MemoryRecord
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
        now, days, asked, found = self._read(prompt, by_day)
        prompt = name_days(prompt[:PROMPT_CHARACTERS], now.date())[0] if by_day else prompt
        query = self._query(prompt, now)
        if query is None:
            return []
        with self._lock:
            while True:
                best = self._table.best(
                    query, days, now, k, threshold, asked, found, without, self._anchor
                )
                # As the store has them now: a deleted conversation leaves no source behind.
                ids = [one.record.id for one in best]
                kept = {record.id: record for record in self.store.memories.some(ids)}
                gone = [memory_id for memory_id in ids if memory_id not in kept]
                if not gone:
                    return [replace(one, record=kept[one.record.id]) for one in best]
                for memory_id in gone:
                    self._table.drop(memory_id)

    def measured(self, prompt: str) -> list[tuple[MemoryRecord, list[float]]]:
        """Every memory that may come, with its measures: what weights are fitted to."""
        now, days, asked, found = self._read(prompt, True)
        assert found is not None  # read with its words
        query = self._query(name_days(prompt[:PROMPT_CHARACTERS], now.date())[0], now)
        if query is None:
            return []
        with self._lock:
            scores = self._table.scores(query)
            rows, numbers = self._table.measured(scores, days, now, asked, found, self._anchor)
            return [
                (self._table.records[row], list(map(float, one)))
                for row, one in zip(rows, numbers, strict=True)
            ]

    @property
    def _anchor(self) -> float:
        return self.encoder.recall_threshold

    def _read(self, prompt: str, by_day: bool) -> tuple[datetime, list[When], Ask, Look | None]:
        now, prompt = self.store.clock(), prompt[:PROMPT_CHARACTERS]
        if not by_day:
            return now, [], Ask(), None
        return (
            now,
            name_days(prompt, now.date())[1],
            ask(prompt),
            look(timeless(prompt, now.date())),
        )

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
        self._seen: dict[int, Seen] = {}  # row -> its words
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

    def best(
        self,
        query: Vector,
        days: list[When],
        now: datetime,
        k: int,
        threshold: float | None,
        asked: Ask,
        found: Look | None,
        without: Collection[str] = (),
        anchor: float = 0.0,
    ) -> list[Recalled]:
        """The k best rows: by how well they match, or by cosine alone without a Look.

        At a threshold of cosine, also those that the message names. Only the LOOKED_AT nearest
        rows and those with a word in common are compared, which bounds the time.
        """
        scores = self.scores(query)
        if found is None:
            rows = nearest(scores, self._holds(days, now), k)
            rows.sort(key=lambda row: (-scores[row], self.records[row].id))
            floor = anchor if threshold is None else threshold
            best = [
                Recalled(self.records[row], float(scores[row]))
                for row in rows
                if scores[row] >= floor
            ]
            return best[:k]
        rows, numbers = self.measured(scores, days, now, asked, found, anchor, k)
        place = numbers @ weights() if rows else np.zeros(0)
        named, harms = numbers[:, NAMED] > 0, numbers[:, GUARDED] * numbers[:, NAMED] > 0
        harms &= numbers[:, IN_VALUE] > 0
        if threshold is None:
            fits = (place >= cutoff()) | harms
        else:
            fits = (numbers[:, COSINE] + anchor >= threshold) | named
        if asked.narrow:
            fits &= numbers[:, EXCLUDED] == 0  # of someone else, or another thing
        place = place + 100.0 * harms  # first what may harm
        order = sorted(
            np.flatnonzero(fits), key=lambda at: (-place[at], -self.records[rows[at]].id)
        )
        return [
            Recalled(self.records[rows[at]], float(scores[rows[at]]), asked.asks)
            for at in order
            if self.records[rows[at]].key not in without
        ][:k]

    def scores(self, query: Vector) -> Vector:
        """Cosine of each row with the query [N]."""
        return self._matrix[: len(self.records)] @ query

    def measured(
        self,
        scores: Vector,
        days: list[When],
        now: datetime,
        asked: Ask,
        found: Look,
        anchor: float,
        k: int = 0,
    ) -> tuple[list[int], NDArray[np.float64]]:
        """Rows that may come, oldest change first, and their measures [rows, F]."""
        holds = self._holds(days, now)
        near = self._near(asked, found, days, now.date()) & holds
        rows = {*nearest(scores, holds, k), *nearest(scores, near, k)}
        ordered = sorted(rows, key=lambda row: (self.records[row].updated, self.records[row].id))
        meant = self._meant(days)
        last = max(len(ordered) - 1, 1)
        stale, follows = self._turned(ordered, found)
        numbers = [
            measures(
                found,
                asked,
                self._seen[row],
                self._topics[row],
                float(scores[row]) - anchor,
                bool(days),
                bool(days) and bool(meant[row]),
                at / last,
                row in stale,
                follows.get(row, 0.0),
            )
            for at, row in enumerate(ordered)
        ]
        return ordered, np.array(numbers).reshape(len(ordered), len(NAMES))

    def _turned(self, ordered: list[int], found: Look) -> tuple[set[int], dict[int, float]]:
        """Rows that a newer one makes stale, and how well what those tell is covered."""
        stale, follows = set[int](), dict[int, float]()
        changes = [(at, row) for at, row in enumerate(ordered) if self._seen[row].change]
        for at, row in changes[-CHANGES:]:
            for older in ordered[:at]:
                if turns(self._seen[row], self._seen[older]):
                    stale.add(older)
                    covered = coverage(found, self._seen[older])
                    follows[row] = max(follows.get(row, 0.0), covered)
        return stale, follows

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


COSINE, NAMED, GUARDED, EXCLUDED, IN_VALUE = (
    NAMES.index(name) for name in ("cosine", "named", "guarded", "excluded", "in_value")
)


@cache
def weights() -> NDArray[np.float64]:
    """What each of the measures NAMES counts [F]."""
    said = table()["weights"]
    return np.array([float(said[name]) for name in NAMES])


def cutoff() -> float:
    """The weighted sum from which a memory comes."""
    return float(table()["weights"]["cutoff"])


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
