"""Memory events in the log: kept without what the user said, served with it while it exists.

An event of one conversation may show a memory taken from another. So its stored payload never
holds source_text: the sentence lives in its message alone and goes with it. Purging a memory
empties the events that show it; their seq stays taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

PURGED = "purged"  # the type of an emptied event
AT_ONCE = 500  # values bound in one statement


def unsourced(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as the log keeps it."""
    memory = payload.get("memory")
    if payload["type"] != "memory" or not isinstance(memory, dict):
        return payload
    kept = {name: value for name, value in memory.items() if name != "source_text"}
    return payload | {"memory": kept}


def served(db: Connection, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The payloads with the source_text of those memory events whose message still exists."""
    ids = {
        payload["memory"].get("source_message_id")
        for payload in payloads
        if payload["type"] == "memory"
    } - {None}
    said: dict[int, str] = {}
    for part in parts(sorted(ids)):
        marks = ",".join("?" * len(part))
        for row in db.execute(f"select id, text from messages where id in ({marks})", part):
            said[row["id"]] = row["text"]
    shown = []
    for payload in payloads:
        if payload["type"] == "memory" and "source_message_id" in payload["memory"]:
            memory = payload["memory"]
            text = said.get(memory["source_message_id"])
            if text is None:
                memory = memory | {"source_message_id": None}
            payload = payload | {"memory": memory | {"source_text": text}}
        shown.append(payload)
    return shown


def empty_events(db: Connection, memory_ids: Iterable[int]) -> None:
    """Take these memories out of every memory event that shows them."""
    gone = set(memory_ids)
    if not gone:
        return
    found = [
        (row["response_id"], row["seq"])
        for row in db.execute("select response_id, seq, payload from events where type = 'memory'")
        if json.loads(row["payload"])["memory"].get("id") in gone
    ]
    db.executemany(
        "update events set type = ?, payload = ? where response_id = ? and seq = ?",
        [(PURGED, json.dumps({"type": PURGED}), *event) for event in found],
    )


def parts(ids: list[int]) -> Iterable[list[int]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
