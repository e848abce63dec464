"""Kept facts: one live memory per subject, key and day, with every change on record."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from sqlite3 import Connection, Row
from typing import Any, Literal

from ohlora.errors import BadInput, UnknownMemory
from ohlora.memory.database import Database
from ohlora.memory.dates import Clock, expiry, mentions, split_key, spoken_key
from ohlora.memory.records import (
    LIVE,
    SAME,
    SELECT,
    STATE,
    VALUE_CHARACTERS,
    Change,
    MemoryRecord,
    Subject,
    Undone,
    clean_key,
    clean_value,
    merged,
    record_of,
    state_of,
    when_of,
)
from ohlora.memory.sessions import Owner, instant
from ohlora.memory.told import empty_events

OPPOSITES = {"좋아하는": "싫어하는", "싫어하는": "좋아하는"}


class Memories:
    def __init__(self, db: Database, owner: Owner, clock: Clock) -> None:
        self._db, self.owner, self._clock = db, owner, clock
        self._own = (owner.user, owner.persona)

    def at(self, moment: datetime) -> Memories:
        """The same memories, with `moment` as now."""
        return Memories(self._db, self.owner, lambda: moment)

    def remember(
        self,
        key: str,
        value: str,
        *,
        subject: Subject = "user",
        merge: bool = False,
        source_message_id: int | None = None,
        now: datetime | None = None,
    ) -> tuple[MemoryRecord, Literal["stored", "updated", "unchanged"]]:
        """Keep a fact. A time word in front of the key is resolved to its day.

        `now` (default: the clock) is when it was told: a turn begun at 23:59:59 means its own
        "내일", however long the turn takes.

        A live memory with the same subject, key and day takes the new value; with `merge` the
        value joins those it has. "unchanged" when that value was known already.
        Raises BadInput when key or value is empty after cleaning.
        """
        if now is not None:
            return self.at(now).remember(
                key, value, subject=subject, merge=merge, source_message_id=source_message_id
            )
        now = self._clock()
        key, when = split_key(clean_key(key), now.date())
        value = clean_value(value)
        ends = expiry(key, when, now)
        state: dict[str, Any] = {
            "subject": subject,
            "key": key,
            "value": value,
            "date": when and when.first.isoformat(),
            "span": when and when.span,
            "expires": ends and instant(ends),
            "source_message_id": source_message_id,
            "deleted": 0,
        }
        with self._db.write() as db:
            self.owner.ensure(db, instant(now))
            change = self._next_change(db)
            if merge:
                self._withdraw_opposite(db, state, change, now)
            known = self._twin(db, state, now)
            if known is None:
                memory_id = self._insert(db, state, change, now)
                return self._get(db, memory_id), "stored"
            if merge:
                state["value"] = merged(known["value"], value)
            if state["value"] == known["value"] and state["expires"] == known["expires"]:
                return self._get(db, known["id"]), "unchanged"
            self._change(db, known, state, "updated", change, now)
            return self._get(db, known["id"]), "updated"

    def edit(
        self, memory_id: int, key: str | None = None, value: str | None = None
    ) -> MemoryRecord:
        """Change what a memory says. One that had the new key before is replaced by it."""
        now = self._clock()
        with self._db.write() as db:
            row = self._row(db, memory_id)
            if row["deleted"]:
                raise UnknownMemory(memory_id)
            state = state_of(row)
            when = when_of(row)
            if key is not None and clean_key(key) != spoken_key(row["key"], when, now.date()):
                state["key"], when = split_key(clean_key(key), now.date())
                state["date"] = when and when.first.isoformat()
                state["span"] = when and when.span
            if value is not None:
                state["value"] = clean_value(value)
            if state != state_of(row):
                ends = expiry(state["key"], when, now)
                state["expires"] = ends and instant(ends)
                change = self._next_change(db)
                self._retire_twin(db, memory_id, state, change, now)
                self._change(db, row, state, "edited", change, now)
            return self._get(db, memory_id)

    def delete(self, memory_id: int) -> MemoryRecord:
        """Take a memory out of use; undo brings it back, purge makes it final.

        A note of the whole message, kept beside it, says it again and goes with it.
        """
        gone = self.get(memory_id)
        beside = [one.id for one in self.all() if one.id != memory_id and notes(one, gone)]
        return self.forget({memory_id: None, **dict.fromkeys(beside)})[0]

    def undo(self, memory_id: int | None = None) -> Undone:
        """Undo the last change, or the last change of one memory; again undoes the one before.

        Raises UnknownMemory, and BadInput when nothing is left to undo.
        """
        now = self._clock()
        with self._db.write() as db:
            if memory_id is not None:
                self._row(db, memory_id)
            last = db.execute(
                "select * from memory_history where user_id = ? and persona_id = ? "
                "and (? is null or memory_id = ?) and not undone and action <> 'undone' "
                "order by id desc limit 1",
                (*self._own, memory_id, memory_id),
            ).fetchone()
            if last is None:
                raise BadInput("There is no change to undo.", "되돌릴 변경이 없어요.")
            change = self._next_change(db)
            for row in db.execute(
                "select * from memory_history where user_id = ? and persona_id = ? "
                "and change_id = ? order by id desc",
                (*self._own, last["change_id"]),
            ).fetchall():
                current = self._row(db, row["memory_id"])
                before = json.loads(row["before"]) if row["before"] else None
                state = before or state_of(current) | {"deleted": 1}
                if not state["deleted"]:
                    self._retire_twin(db, row["memory_id"], state, change + 1, now)
                self._change(db, current, state, "undone", change, now)
            db.execute(
                "update memory_history set undone = 1 "
                "where user_id = ? and persona_id = ? and change_id = ?",
                (*self._own, last["change_id"]),
            )
            return Undone(last["action"], self._get(db, last["memory_id"]))

    def purge(self) -> int:
        """Erase deleted and expired memories for good; returns how many.

        With them go their history and what memory events say of them.
        """
        with self._db.write() as db:
            gone = db.execute(
                f"delete from memories as m where m.user_id = ? and m.persona_id = ? "
                f"and not ({LIVE}) returning id",
                (*self._own, instant(self._clock())),
            ).fetchall()
            empty_events(db, (row["id"] for row in gone))
        self._db.checkpoint()
        return len(gone)

    def forget(self, left: Mapping[int, str | None]) -> list[MemoryRecord]:
        """Give memories the value that is left of theirs (None: delete them), in one change."""
        now = self._clock()
        with self._db.write() as db:
            change = self._next_change(db)
            for memory_id, value in left.items():
                row = self._row(db, memory_id)
                if row["deleted"]:
                    raise UnknownMemory(memory_id)
                changed = {"deleted": 1} if value is None else {"value": clean_value(value)}
                action = "deleted" if value is None else "updated"
                self._change(db, row, state_of(row) | changed, action, change, now)
            return [self._get(db, memory_id) for memory_id in left]

    def get(self, memory_id: int) -> MemoryRecord:
        with self._db.read() as db:
            return self._get(db, memory_id)

    def all(self, include_deleted: bool = False) -> list[MemoryRecord]:
        """Memories that hold now, last changed first; with include_deleted also the gone ones."""
        return self._select("1" if include_deleted else LIVE, include_deleted, order=True)

    def some(self, ids: list[int]) -> list[MemoryRecord]:
        """Those of these memories that hold now."""
        found: list[MemoryRecord] = []
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            found += self._select(f"{LIVE} and m.id in ({','.join('?' * len(part))})", False, part)
        return found

    def search(self, query: str, include_deleted: bool = False) -> list[MemoryRecord]:
        """Memories whose key or value has every word of the query; time words match their day."""
        query = unicodedata.normalize("NFC", query)[:VALUE_CHARACTERS]
        condition, values = ("1" if include_deleted else LIVE), []
        days = list(mentions(query, self._clock().date(), "near"))
        for mention in reversed(days):
            query = query[: mention.start] + " " + query[mention.end :]
        for word in re.sub(r"[\[\]:]", " ", query).split():
            condition += r" and (m.key like ? escape '\' or m.value like ? escape '\')"
            values += ["%" + re.sub(r"([\\%_])", r"\\\1", word) + "%"] * 2
        found = self._select(condition, include_deleted, values, order=True)
        return [
            record
            for record in found
            if all(record.when and record.when.touches(day.when) for day in days)
        ]

    def history(self, memory_id: int | None = None) -> list[Change]:
        """Every change, or those of one memory, oldest first."""
        with self._db.read() as db:
            rows = db.execute(
                "select * from memory_history where user_id = ? and persona_id = ? "
                "and (? is null or memory_id = ?) order by id",
                (*self._own, memory_id, memory_id),
            ).fetchall()
        return [
            Change(
                id=row["id"],
                memory_id=row["memory_id"],
                action=row["action"],
                before=json.loads(row["before"]) if row["before"] else None,
                after=json.loads(row["after"]),
                undone=bool(row["undone"]),
                created=row["created"],
            )
            for row in rows
        ]

    def changes_after(self, change: int) -> tuple[int, list[int]]:
        """The number of the last change, and the ids of memories changed after change `change`."""
        with self._db.read() as db:
            rows = db.execute(
                "select id, memory_id from memory_history "
                "where user_id = ? and persona_id = ? and id > ? order by id",
                (*self._own, change),
            ).fetchall()
        return (rows[-1]["id"] if rows else change), list({row["memory_id"]: 1 for row in rows})

    def _select(
        self,
        condition: str,
        include_deleted: bool,
        values: list[Any] | None = None,
        order: bool = False,
    ) -> list[MemoryRecord]:
        now = self._clock()
        live = [] if include_deleted else [instant(now)]
        with self._db.read() as db:
            rows = db.execute(
                f"{SELECT} where m.user_id = ? and m.persona_id = ? and {condition}"
                + (" order by m.updated desc, m.id desc" if order else ""),
                (*self._own, *live, *(values or [])),
            ).fetchall()
        return [record_of(row, now.date()) for row in rows]

    def _get(self, db: Connection, memory_id: int) -> MemoryRecord:
        return record_of(self._row(db, memory_id), self._clock().date())

    def _row(self, db: Connection, memory_id: int) -> Row:
        row: Row | None = None
        if abs(memory_id) < 2**63:
            row = db.execute(
                f"{SELECT} where m.user_id = ? and m.persona_id = ? and m.id = ?",
                (*self._own, memory_id),
            ).fetchone()
        if row is None:
            raise UnknownMemory(memory_id)
        return row

    def _twin(
        self, db: Connection, state: dict[str, Any], now: datetime, but: int = 0
    ) -> Row | None:
        """The live memory with the same subject, key and day."""
        row: Row | None = db.execute(
            f"{SELECT} where m.user_id = ? and m.persona_id = ? and {LIVE} and m.id <> ? "
            "and m.subject = ? and m.key = ? and m.date is ? and m.span is ?",
            (
                *self._own,
                instant(now),
                but,
                *(state[name] for name in SAME),
            ),
        ).fetchone()
        return row

    def _retire_twin(
        self, db: Connection, memory_id: int, state: dict[str, Any], change: int, now: datetime
    ) -> None:
        twin = self._twin(db, state, now, but=memory_id)
        if twin is not None:
            self._change(db, twin, state_of(twin) | {"deleted": 1}, "deleted", change, now)

    def _withdraw_opposite(
        self, db: Connection, state: dict[str, Any], change: int, now: datetime
    ) -> None:
        """Who comes to dislike 마라탕 does not like it any more, and the other way round."""
        verb, _, kind = state["key"].partition(" ")
        if verb not in OPPOSITES:
            return
        other = self._twin(db, state | {"key": f"{OPPOSITES[verb]} {kind}"}, now)
        values = other["value"].split(", ") if other else []
        if other is not None and state["value"] in values:
            values.remove(state["value"])
            if values:
                left = state_of(other) | {"value": ", ".join(values)}
                self._change(db, other, left, "updated", change, now)
            else:
                gone = state_of(other) | {"deleted": 1}
                self._change(db, other, gone, "deleted", change, now)

    def _insert(self, db: Connection, state: dict[str, Any], change: int, now: datetime) -> int:
        memory_id: int = db.execute(
            f"insert into memories (user_id, persona_id, created, updated, {', '.join(STATE)}) "
            f"values (?, ?, ?, ?, {', '.join('?' * len(STATE))}) returning id",
            (*self._own, instant(now), instant(now), *(state[name] for name in STATE)),
        ).fetchone()[0]
        self._log(db, memory_id, None, state, "stored", change, now)
        return memory_id

    def _change(
        self,
        db: Connection,
        row: Row,
        state: dict[str, Any],
        action: str,
        change: int,
        now: datetime,
    ) -> None:
        source = state["source_message_id"]
        if source and not db.execute("select 1 from messages where id = ?", (source,)).fetchone():
            state = state | {"source_message_id": None}  # an undo after its session was deleted
        db.execute(
            f"update memories set updated = ?, {', '.join(f'{name} = ?' for name in STATE)} "
            "where id = ?",
            (instant(now), *(state[name] for name in STATE), row["id"]),
        )
        self._log(db, row["id"], state_of(row), state, action, change, now)

    def _log(
        self,
        db: Connection,
        memory_id: int,
        before: dict[str, Any] | None,
        after: dict[str, Any],
        action: str,
        change: int,
        now: datetime,
    ) -> None:
        states = [state and json.dumps(state, ensure_ascii=False) for state in (before, after)]
        db.execute(
            "insert into memory_history (change_id, user_id, persona_id, memory_id, action, "
            "before, after, created) values (?, ?, ?, ?, ?, ?, ?, ?)",
            (change, *self._own, memory_id, action, *states, instant(now)),
        )

    def _next_change(self, db: Connection) -> int:
        row = db.execute("select coalesce(max(change_id), 0) + 1 from memory_history").fetchone()
        return int(row[0])


def notes(note: MemoryRecord, fact: MemoryRecord) -> bool:
    """Is `note` most of the message that `fact` comes from, with the words of `fact` in it?

    A word counts by its first two letters: what a Korean ending leaves as it is.
    """
    if note.source_message_id is None or note.source_message_id != fact.source_message_id:
        return False
    stems = [word[:2] for word in fact.value.split() if len(word) > 1]
    whole = 2 * len(note.value) > len(note.source_text or "")
    return whole and bool(stems) and all(stem in note.value for stem in stems)
