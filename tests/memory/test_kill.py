"""kill -9 at any moment: nothing delivered is lost or doubled, no half row.

One child process talks and remembers as fast as it can, and prints each thing only after the
store has accepted it, as the server sends an event only then. It is killed and restarted 50
times on the same file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ohlora.memory import open_store

KILLS = 50
CHILD = """
import json, os, sys
from pathlib import Path
from ohlora.memory import open_store

def deliver(*thing):
    os.write(1, (json.dumps(thing) + "\\n").encode())

store = open_store(Path(sys.argv[1]))
run, turn = sys.argv[2], 0
store.recover()
session = store.sessions.create().id
deliver("session", session)
while True:
    response = f"{run}-{turn}"
    asked, answered = store.begin_turn(session, f"말 {response}", response)
    deliver("turn", response, asked, answered)
    for number in range(6):
        event = {"type": "token", "text": f"{number}조각 "}
        deliver("event", response, store.append_event(response, event), event)
    record, action = store.memories.remember("기억", response, source_message_id=asked)
    deliver("memory", record.id, record.value, action)
    event = {"type": "memory", "action": action, "memory": record.to_dict(), "score": None}
    deliver("event", response, store.append_event(response, event), event)
    event = {"type": "done", "reason": "complete", "text": ""}
    deliver("event", response, store.finish_turn(response, "complete", "llm", event=event), event)
    turn += 1
"""


def test_fifty_kills_lose_nothing_delivered_and_leave_no_half_row(tmp_path: Path) -> None:
    dice = random.Random(50)
    database = tmp_path / "ohlora.db"
    delivered: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    remembered: list[str] = []
    interrupted = 0
    for run in range(KILLS):
        lines = killed_after(database, run, dice.uniform(0, 0.04))
        for kind, *thing in lines:
            if kind == "turn":
                delivered[thing[0]] = []
            elif kind == "event":
                delivered[thing[0]].append((thing[1], thing[2]))
            elif kind == "memory":
                remembered.append(thing[1])
        interrupted += check(database, delivered, remembered)
    assert len(delivered) > KILLS
    assert interrupted > KILLS / 4  # the kills did fall into turns


def killed_after(database: Path, run: int, seconds: float) -> list[list[Any]]:
    """Run the child, kill it `seconds` after it is ready; what it said it had delivered."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-S", "-c", CHILD, str(database), str(run)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    with child.stdout as said:
        first = said.readline()
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        rest = said.read()
    assert child.wait() == -signal.SIGKILL
    whole, _, _ = (first + rest).rpartition(b"\n")  # a line cut by the kill was not delivered
    return [json.loads(line) for line in whole.splitlines()]


def check(
    database: Path, delivered: dict[str, list[tuple[int, dict[str, Any]]]], remembered: list[str]
) -> int:
    """The file is sound, holds what was delivered exactly once, and recovers; crashed turns."""
    db = sqlite3.connect(database)
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert db.execute("pragma foreign_key_check").fetchall() == []
    # Both messages of a turn or neither, and the text is what the tokens say.
    for _, count in db.execute("select response_id, count(*) from messages group by response_id"):
        assert count == 2
    texts = "select response_id, text from messages where role = 'assistant'"
    for response, text in db.execute(texts).fetchall():
        tokens = db.execute(
            "select payload from events where response_id = ? and type = 'token' order by seq",
            (response,),
        )
        assert text == "".join(json.loads(payload)["text"] for (payload,) in tokens)
    db.close()

    store = open_store(database)
    try:
        crashed = store.recover()
        for response, events in delivered.items():
            logged = {event.seq: event.payload for event in store.events_after(response)}
            assert list(logged) == list(range(len(logged)))
            for seq, event in events:
                assert logged[seq] == event
            endings = [seq for seq, event in logged.items() if event["type"] == "done"]
            assert endings == [len(logged) - 1]
            assert len(logged) <= len(events) + 2  # one stored but not yet said, and the ending
        history = [change.after["value"] for change in store.memories.history()]
        assert len(history) == len(set(history))
        assert set(remembered) <= set(history)
        assert len(store.memories.all()) <= 1
        (open_turns,) = store.db._db.execute(
            "select count(*) from messages where status = 'streaming'"
        ).fetchone()
        assert open_turns == 0
        return len(crashed)
    finally:
        store.close()
