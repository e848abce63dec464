"""The tables of ohlora.db and how they grow.

    users, personas               who talks, and to whom
    sessions                      one conversation of one user with one persona
    messages                      what was said; an answer is 'streaming' until its turn ends
    events                        the durable log of a turn, one row per event
    memories, memory_history      kept facts, and every change ever made to one
    embeddings                    sentence vectors with the encoder and the text they belong to
    summaries                     what a long conversation was about
    v1_lines                      lines of an imported v1 file, byte for byte

Instants are UTC in ISO 8601 with milliseconds, so text order is time order; days are
ISO days of the user's calendar.
"""

from __future__ import annotations

import json
from sqlite3 import Connection

from ohlora.errors import StoreTooNew


def m001_conversations(db: Connection) -> None:
    db.execute("create table users (id text primary key, created text not null)")
    db.execute("create table personas (id text primary key, created text not null)")
    db.execute("""
        create table sessions (
            id text primary key,
            user_id text not null references users,
            persona_id text not null references personas,
            title text not null,
            created text not null,
            updated text not null
        )""")
    db.execute("create index sessions_by_owner on sessions (user_id, persona_id, updated)")
    db.execute("""
        create table messages (
            id integer primary key autoincrement,
            session_id text not null references sessions on delete cascade,
            role text not null check (role in ('user', 'assistant')),
            text text not null,
            status text not null
                check (status in ('complete', 'streaming', 'interrupted', 'crashed')),
            source text,
            response_id text not null,
            expression text,    -- JSON {eyes, mouth, pose}
            writer text,        -- the process that is writing it, while streaming
            created text not null,
            unique (response_id, role)
        )""")
    db.execute("create index messages_by_session on messages (session_id, id)")
    db.execute("create index messages_streaming on messages (status) where status = 'streaming'")
    db.execute("""
        create table events (
            response_id text not null,
            seq integer not null,
            message_id integer not null references messages on delete cascade,
            type text not null,
            payload text not null,
            created text not null,
            primary key (response_id, seq)
        ) without rowid""")
    db.execute("create index events_by_message on events (message_id, type)")
    db.execute("create index events_to_prune on events (created) where type = 'token'")


def m002_memories(db: Connection) -> None:
    db.execute("""
        create table memories (
            id integer primary key autoincrement,
            user_id text not null references users,
            persona_id text not null references personas,
            subject text not null check (subject in ('user', 'persona', 'other')),
            key text not null,      -- without its time word
            value text not null,
            date text,              -- first day of what it is about
            span text check (span in ('day', 'weekend', 'week', 'month')),
            created text not null,
            updated text not null,
            expires text,
            source_message_id integer references messages on delete set null,
            deleted integer not null default 0,
            check ((date is null) = (span is null))
        )""")
    db.execute("create index memories_by_key on memories (user_id, persona_id, key)")
    db.execute("create index memories_by_source on memories (source_message_id)")
    db.execute("""
        create table memory_history (
            id integer primary key autoincrement,
            change_id integer not null,     -- rows of one change are undone together
            user_id text not null references users,
            persona_id text not null references personas,
            memory_id integer not null references memories on delete cascade,
            action text not null
                check (action in ('stored', 'updated', 'edited', 'deleted', 'undone')),
            before text,                    -- JSON of the row, null when it was not there
            after text not null,
            undone integer not null default 0,
            created text not null
        )""")
    db.execute("create index history_by_owner on memory_history (user_id, persona_id, id)")
    db.execute("create index history_by_memory on memory_history (memory_id, id)")
    db.execute("create index history_by_change on memory_history (change_id)")
    db.execute("""
        create table embeddings (
            memory_id integer not null references memories on delete cascade,
            encoder_id text not null,
            content_hash text not null,
            vector blob not null,           -- float32, little-endian
            primary key (memory_id, encoder_id)
        ) without rowid""")


def m003_v1_lines(db: Connection) -> None:
    db.execute("""
        create table v1_lines (
            user_id text not null references users,
            persona_id text not null references personas,
            position integer not null,
            raw blob not null,              -- the line with its own line end
            memory_id integer references memories on delete cascade,
            state text,                     -- JSON of the memory as the import left it
            primary key (user_id, persona_id, position)
        ) without rowid""")
    db.execute("create index v1_lines_by_memory on v1_lines (memory_id)")


def m004_events_without_sources(db: Connection) -> None:
    """Earlier versions logged the user's sentence, and kept showing purged memories."""
    kept = {row[0] for row in db.execute("select id from memories")}
    rows = db.execute("select response_id, seq, payload from events where type = 'memory'")
    for response_id, seq, data in rows.fetchall():
        payload = json.loads(data)
        memory = payload["memory"]
        memory.pop("source_text", None)
        if memory.get("id") not in kept:
            payload = {"type": "purged"}
        db.execute(
            "update events set type = ?, payload = ? where response_id = ? and seq = ?",
            (payload["type"], json.dumps(payload, ensure_ascii=False), response_id, seq),
        )


def m005_summaries(db: Connection) -> None:
    db.execute("""
        create table summaries (
            session_id text primary key references sessions on delete cascade,
            upto integer not null,          -- id of the last message read
            content text not null,          -- JSON {said, asked, topics}
            updated text not null
        ) without rowid""")


MIGRATIONS = (  # append only
    m001_conversations,
    m002_memories,
    m003_v1_lines,
    m004_events_without_sources,
    m005_summaries,
)


def migrate(db: Connection) -> None:
    """Bring db to the latest schema; safe at every start. Raises StoreTooNew."""
    while _version(db) < len(MIGRATIONS):
        db.execute("begin immediate")  # two first starts at once: the second waits, then agrees
        try:
            version = _version(db)
            if version < len(MIGRATIONS):
                MIGRATIONS[version](db)
                db.execute(f"pragma user_version = {version + 1}")
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise


def _version(db: Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"The data was written by a newer Oh-LoRA (schema {version}, this one knows "
            f"{len(MIGRATIONS)}): update the program or set OHLORA_HOME to another folder.",
            f"더 새로운 버전의 Oh-LoRA가 저장한 데이터예요(스키마 {version}, 이 버전은 "
            f"{len(MIGRATIONS)}). 프로그램을 업데이트하거나 OHLORA_HOME을 다른 폴더로 정해 주세요.",
        )
    return version
