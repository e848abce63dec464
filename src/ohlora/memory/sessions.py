"""Conversations and what was said in them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Any

from ohlora.errors import UnknownSession
from ohlora.memory.database import Database
from ohlora.memory.dates import Clock
from ohlora.memory.told import served

TITLE_CHARACTERS = 30
PAGE_LIMIT = 500


def instant(moment: datetime) -> str:
    """UTC, ISO 8601 with milliseconds: text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Owner:
    """Whose data: every query names both."""

    user: str
    persona: str

    def ensure(self, db: Connection, now: str) -> None:
        db.execute("insert or ignore into users values (?, ?)", (self.user, now))
        db.execute("insert or ignore into personas values (?, ?)", (self.persona, now))


@dataclass(frozen=True)
class Session:
    id: str
    title: str
    created: str
    updated: str
    messages: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Message:
    id: int
    role: str  # user | assistant
    text: str
    created: str
    status: str  # complete | streaming | interrupted | crashed
    source: str | None  # llm | lines; None for the user and for a turn without a reply
    response_id: str
    expression: dict[str, float] | None
    memories: list[dict[str, Any]] = field(default_factory=list)  # {action, memory, score}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Sessions:
    def __init__(self, db: Database, owner: Owner, clock: Clock) -> None:
        self._db, self.owner, self._clock = db, owner, clock

    def create(self, title: str = "") -> Session:
        """A new conversation; without a title it takes the first message as its title."""
        now = instant(self._clock())
        session = Session(uuid.uuid4().hex, one_line(title, 200), now, now)
        with self._db.write() as db:
            self.owner.ensure(db, now)
            db.execute(
                "insert into sessions values (?, ?, ?, ?, ?, ?)",
                (session.id, self.owner.user, self.owner.persona, session.title, now, now),
            )
        return session

    def list(self) -> list[Session]:
        """Newest talk first."""
        with self._db.read() as db:
            rows = db.execute(
                f"{SELECT_SESSION} where s.user_id = ? and s.persona_id = ? "
                "order by s.updated desc, s.rowid desc",
                (self.owner.user, self.owner.persona),
            ).fetchall()
        return [Session(**dict(row)) for row in rows]

    def get(self, session_id: str) -> Session:
        """Raises UnknownSession, also for a session of someone else."""
        with self._db.read() as db:
            row = db.execute(
                f"{SELECT_SESSION} where s.user_id = ? and s.persona_id = ? and s.id = ?",
                (self.owner.user, self.owner.persona, session_id),
            ).fetchone()
        if row is None:
            raise UnknownSession(session_id)
        return Session(**dict(row))

    def rename(self, session_id: str, title: str) -> Session:
        with self._db.write() as db:
            self._check(db, session_id)
            db.execute(
                "update sessions set title = ? where id = ?", (one_line(title, 200), session_id)
            )
        return self.get(session_id)

    def delete(self, session_id: str) -> None:
        """Erase a conversation, on disk too. Memories taken from it stay, without their source."""
        with self._db.write() as db:
            self._check(db, session_id)
            db.execute("delete from sessions where id = ?", (session_id,))
        self._db.checkpoint()

    def messages(
        self, session_id: str, before: int | None = None, limit: int = 50
    ) -> tuple[Sequence[Message], bool]:
        """The `limit` newest messages older than message id `before`, oldest first; more left?"""
        limit = max(1, min(limit, PAGE_LIMIT))
        before = 2**63 - 1 if before is None else max(-(2**63), min(before, 2**63 - 1))
        with self._db.read() as db:
            self._check(db, session_id)
            rows = db.execute(
                "select * from messages where session_id = ? and id < ? order by id desc limit ?",
                (session_id, before, limit + 1),
            ).fetchall()
            shown = rows[:limit][::-1]
            told = _memories_told(db, shown)
        return [_message(row, told.get(row["id"], [])) for row in shown], len(rows) > limit

    def _check(self, db: Connection, session_id: str) -> None:
        check_session(db, self.owner, session_id)


SELECT_SESSION = (
    "select s.id, s.title, s.created, s.updated,"
    " (select count(*) from messages m where m.session_id = s.id) as messages from sessions s"
)


def check_session(db: Connection, owner: Owner, session_id: str) -> None:
    """Raises UnknownSession unless the session is the owner's."""
    row = db.execute(
        "select 1 from sessions where id = ? and user_id = ? and persona_id = ?",
        (session_id, owner.user, owner.persona),
    ).fetchone()
    if row is None:
        raise UnknownSession(session_id)


def one_line(text: str, limit: int) -> str:
    return " ".join(text.split())[:limit]


def _memories_told(db: Connection, rows: list[Row]) -> dict[int, list[dict[str, Any]]]:
    """The memory events of these messages, by message id."""
    told: dict[int, list[dict[str, Any]]] = {}
    marks = ",".join("?" * len(rows))
    found = db.execute(
        f"select message_id, payload from events where message_id in ({marks}) "
        "and type = 'memory' order by message_id, seq",
        [row["id"] for row in rows],
    ).fetchall()
    events = served(db, [json.loads(row["payload"]) for row in found])
    for row, event in zip(found, events, strict=True):
        told.setdefault(row["message_id"], []).append(
            {name: event.get(name) for name in ("action", "memory", "score")}
        )
    return told


def _message(row: Row, memories: list[dict[str, Any]]) -> Message:
    return Message(
        id=row["id"],
        role=row["role"],
        text=row["text"],
        created=row["created"],
        status=row["status"],
        source=row["source"],
        response_id=row["response_id"],
        expression=json.loads(row["expression"]) if row["expression"] else None,
        memories=memories,
    )
