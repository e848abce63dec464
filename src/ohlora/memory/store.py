"""Everything kept of the talks with one persona, and the durable log of a turn.

    store = open_store(home() / "ohlora.db")
    session = store.sessions.create()
    asked, answer = store.begin_turn(session.id, "안녕", response_id)
    store.append_event(response_id, Token("안녕!").fields())        # durable when it returns
    store.finish_turn(response_id, "complete", "llm", {"eyes": 0.8, "mouth": 0.1, "pose": -1.2})

A turn is a user message, an assistant message and a log of events. A token is appended to the
log and to the message's text in one transaction, so text delivered is text stored, whenever
the process dies. A memory event is logged without what the user said; that is read from its
message when the event is served, so it is gone with its conversation (told.py). A Store may be
used from any thread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, Literal

from ohlora.errors import BadInput, StoreError
from ohlora.memory.database import Database, Writers
from ohlora.memory.dates import Clock, system_clock
from ohlora.memory.memories import Memories
from ohlora.memory.sessions import (
    TITLE_CHARACTERS,
    Owner,
    Sessions,
    check_session,
    instant,
    one_line,
)
from ohlora.memory.told import PURGED, served, unsourced
from ohlora.memory.vectors import Vectors

TOKENS_KEPT = timedelta(days=1)  # single tokens of an answer; its text and other events stay
PRUNED_AT_ONCE = 500  # rows, so that no turn waits for a long delete


@dataclass(frozen=True)
class LoggedEvent:
    seq: int
    payload: dict[str, Any]


def open_store(
    path: Path,
    clock: Clock = system_clock,
    *,
    user: str = "me",
    persona: str = "ohlora",
    busy_s: float = 5.0,
) -> Store:
    """Open or make the database. Raises StoreError, StoreTooNew."""
    path = Path(path)
    return Store(
        Database(path, busy_s), Writers(path.parent / "writers"), Owner(user, persona), clock
    )


class Store:
    def __init__(self, db: Database, writers: Writers, owner: Owner, clock: Clock) -> None:
        self.db, self.writers, self.owner, self.clock = db, writers, owner, clock
        self.sessions = Sessions(db, owner, clock)
        self.memories = Memories(db, owner, clock)
        self.vectors = Vectors(db, owner)

    def of(self, user: str, persona: str) -> Store:
        """The same file seen as another user or with another persona; nothing is shared."""
        return Store(self.db, self.writers, Owner(user, persona), self.clock)

    def close(self) -> None:
        self.db.close()
        self.writers.close()

    def begin_turn(self, session_id: str, text: str, response_id: str) -> tuple[int, int]:
        """Store what the user said and an empty answer. Returns both message ids.

        Raises UnknownSession; BadInput when the response_id was used before.
        """
        writer = self.writers.token()
        now = instant(self.clock())
        with self.db.write() as db:
            check_session(db, self.owner, session_id)
            if db.execute(
                "select 1 from messages where response_id = ?", (response_id,)
            ).fetchone():
                raise BadInput(
                    f"The response_id {response_id!r} was used before: make a new one per turn.",
                    f"response_id {response_id!r}는 이미 쓰였어요. 턴마다 새로 만들어 주세요.",
                )
            db.execute(
                "update sessions set updated = ?, title = case title when '' then ? else title end "
                "where id = ?",
                (now, one_line(text, TITLE_CHARACTERS), session_id),
            )
            insert = (
                "insert into messages "
                "(session_id, role, text, status, response_id, writer, created) "
                "values (?, ?, ?, ?, ?, ?, ?) returning id"
            )
            asked = db.execute(
                insert, (session_id, "user", text, "complete", response_id, None, now)
            ).fetchone()
            answer = db.execute(
                insert, (session_id, "assistant", "", "streaming", response_id, writer, now)
            ).fetchone()
        return asked["id"], answer["id"]

    def append_event(self, response_id: str, payload: dict[str, Any]) -> int:
        """Log one event of a running turn; durable when it returns. Returns its seq, from 0.

        The text of a "token" event is appended to the answer in the same transaction.
        """
        with self.db.write() as db:
            return self._append(db, self._streaming(db, response_id), payload)

    def finish_turn(
        self,
        response_id: str,
        status: Literal["complete", "interrupted", "crashed"],
        source: str | None = None,
        expression: dict[str, float] | None = None,
        event: dict[str, Any] | None = None,
    ) -> int | None:
        """End a running turn, with its last event in the same transaction; returns its seq."""
        with self.db.write() as db:
            message = self._streaming(db, response_id)
            seq = None if event is None else self._append(db, message, event)
            _finish(db, message["id"], status, source, expression)
            self._prune(db)
        return seq

    def events_after(self, response_id: str, seq: int = -1) -> list[LoggedEvent]:
        """Events of one answer that come after `seq`, in order; [] for an unknown answer."""
        with self.db.read() as db:
            rows = db.execute(
                "select e.seq, e.payload from events e "
                "join messages m on m.id = e.message_id join sessions s on s.id = m.session_id "
                "where e.response_id = ? and e.seq > ? and s.user_id = ? and s.persona_id = ? "
                f"and e.type <> '{PURGED}' order by e.seq",
                (response_id, seq, self.owner.user, self.owner.persona),
            ).fetchall()
            payloads = served(db, [json.loads(row["payload"]) for row in rows])
        return [LoggedEvent(row["seq"], said) for row, said in zip(rows, payloads, strict=True)]

    def recover(self) -> list[str]:
        """End the answers that dead processes left streaming; returns their response_ids.

        Each keeps the text delivered so far and, unless its last event ended it already, gets a
        done event with reason "crashed". Answers of living processes are left alone.
        """
        with self.db.read() as db:
            rows = db.execute(
                "select id, response_id, writer from messages where status = 'streaming'"
            ).fetchall()
        dead = {writer for writer in {row["writer"] for row in rows} if self.writers.dead(writer)}
        ended = []
        for row in rows:
            if row["writer"] not in dead:
                continue
            with self.db.write() as db:
                message = db.execute(
                    "select * from messages where id = ? and status = 'streaming'", (row["id"],)
                ).fetchone()
                if message is None:
                    continue  # another start was faster
                self._end_crashed(db, message)
            ended.append(row["response_id"])
        return ended

    def _end_crashed(self, db: Connection, message: Row) -> None:
        """Finish a message from what its log says."""
        log: dict[str, dict[str, Any]] = {
            row["type"]: json.loads(row["payload"])
            for row in db.execute(
                "select type, payload from events where message_id = ? and type <> 'token' "
                "order by seq",
                (message["id"],),
            )
        }
        status = "crashed"
        if "done" in log:
            status = log["done"]["reason"]
        elif "error" not in log:
            done = {"type": "done", "reason": "crashed", "text": message["text"]}
            done |= {"prompt_tokens": 0, "completion_tokens": 0, "first_token_s": None}
            self._append(db, message, {**done, "total_s": 0.0})
        face = log.get("expression")
        expression = {axis: face[axis] for axis in ("eyes", "mouth", "pose")} if face else None
        _finish(db, message["id"], status, log.get("reply", {}).get("source"), expression)

    def _streaming(self, db: Connection, response_id: str) -> Row:
        row: Row | None = db.execute(
            "select m.id, m.response_id, m.text from messages m "
            "join sessions s on s.id = m.session_id where m.response_id = ? "
            "and m.role = 'assistant' and m.status = 'streaming' "
            "and s.user_id = ? and s.persona_id = ?",
            (response_id, self.owner.user, self.owner.persona),
        ).fetchone()
        if row is None:
            raise StoreError(
                f"The answer {response_id!r} has ended or its conversation was deleted: "
                "send the message again.",
                f"{response_id!r} 답변은 이미 끝났거나 대화가 지워졌어요. "
                "메시지를 다시 보내 주세요.",
            )
        return row

    def _append(self, db: Connection, message: Row, payload: dict[str, Any]) -> int:
        seq: int = db.execute(
            "insert into events (response_id, seq, message_id, type, payload, created) "
            "values (?, (select coalesce(max(seq) + 1, 0) from events where response_id = ?), "
            "?, ?, ?, ?) returning seq",
            (
                message["response_id"],
                message["response_id"],
                message["id"],
                payload["type"],
                json.dumps(unsourced(payload), ensure_ascii=False),
                instant(self.clock()),
            ),
        ).fetchone()[0]
        if payload["type"] == "token":
            db.execute(
                "update messages set text = text || ? where id = ?",
                (payload["text"], message["id"]),
            )
        return seq

    def _prune(self, db: Connection) -> None:
        """Drop single tokens of old answers: their text is in the message and the reply event."""
        old = instant(self.clock() - TOKENS_KEPT)
        db.execute(
            "delete from events where (response_id, seq) in "
            "(select e.response_id, e.seq from events e join messages m on m.id = e.message_id "
            "where e.type = 'token' and e.created < ? and m.status <> 'streaming' limit ?)",
            (old, PRUNED_AT_ONCE),
        )


def _finish(
    db: Connection,
    message_id: int,
    status: str,
    source: str | None,
    expression: dict[str, float] | None,
) -> None:
    db.execute(
        "update messages set status = ?, source = ?, expression = ?, writer = null where id = ?",
        (status, source, json.dumps(expression) if expression else None, message_id),
    )
