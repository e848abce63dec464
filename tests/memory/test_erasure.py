"""What was deleted is gone: from answers, from logs and from the disk."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from memory.fakes import Clock, NgramEncoder
from ohlora.memory import Store, open_store
from ohlora.memory.extract import Forget
from ohlora.memory.findings import apply
from ohlora.memory.recall import Recall

SAID = "나 내일 비밀병원에 가기로 했어"


def told_in_one_and_shown_in_another(store: Store) -> tuple[str, str, int]:
    """Sessions A (tells) and B (shows), and the memory."""
    first, second = store.sessions.create(), store.sessions.create()
    asked, _ = store.begin_turn(first.id, SAID, "a")
    record, _ = store.memories.remember("내일 일정", "병원 가기", source_message_id=asked)
    event = {"type": "memory", "action": "stored", "memory": record.to_dict(), "score": None}
    store.append_event("a", event)
    store.finish_turn("a", "complete")
    store.begin_turn(second.id, "나 내일 뭐 하지?", "b")
    store.append_event("b", event | {"action": "recalled", "score": 0.9})
    store.finish_turn("b", "complete")
    return first.id, second.id, record.id


def on_disk(folder: Path, text: str) -> bool:
    files = [path for path in folder.iterdir() if path.is_file()]
    return any(text.encode() in path.read_bytes() for path in files)


def test_a_memory_event_shows_its_source_only_while_that_conversation_exists(
    store: Store, tmp_path: Path
) -> None:
    first, second, _ = told_in_one_and_shown_in_another(store)
    (event,) = store.events_after("b")
    assert event.payload["memory"]["source_text"] == SAID
    shown = store.sessions.messages(second)[0][1].memories[0]
    assert (shown["action"], shown["memory"]["source_text"]) == ("recalled", SAID)
    logged = store.db._db.execute("select payload from events where type = 'memory'").fetchall()
    assert len(logged) == 2 and not any(SAID in row["payload"] for row in logged)

    store.sessions.delete(first)
    (event,) = store.events_after("b")
    assert event.payload["memory"]["value"] == "병원 가기"
    assert event.payload["memory"]["source_text"] is None
    shown = store.sessions.messages(second)[0][1].memories[0]
    assert shown["memory"]["source_text"] is None and shown["memory"]["source_message_id"] is None
    assert not on_disk(tmp_path, "비밀병원")


def test_recall_knows_no_source_of_a_deleted_conversation(store: Store) -> None:
    first, _, memory_id = told_in_one_and_shown_in_another(store)
    recall = Recall(store, NgramEncoder())
    (found,) = recall.best("내일 일정 병원")
    assert found.record.source_text == SAID
    store.sessions.delete(first)
    (found,) = recall.best("내일 일정 병원")
    assert (found.record.id, found.record.source_text) == (memory_id, None)
    assert found.record.source_message_id is None


def test_a_purged_memory_is_in_no_conversation_and_no_recall(store: Store, tmp_path: Path) -> None:
    _, second, memory_id = told_in_one_and_shown_in_another(store)
    recall = Recall(store, NgramEncoder())
    assert recall.best("내일 일정 병원")
    store.memories.delete(memory_id)
    assert store.memories.purge() == 1
    assert recall.best("내일 일정 병원") == []
    assert store.sessions.messages(second)[0][1].memories == []
    assert store.events_after("b") == []
    assert not on_disk(tmp_path, "병원 가기")


def test_an_answer_under_way_counts_on_after_a_purge(store: Store) -> None:
    session = store.sessions.create()
    record, _ = store.memories.remember("이름", "지은")
    store.begin_turn(session.id, "안녕", "r")
    event = {"type": "memory", "action": "recalled", "memory": record.to_dict(), "score": 0.9}
    assert store.append_event("r", event) == 0
    store.memories.delete(record.id)
    store.memories.purge()
    assert store.append_event("r", {"type": "token", "text": "응"}) == 1


def test_a_log_of_an_earlier_version_loses_its_sources_and_its_purged_memories(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    _, second, memory_id = told_in_one_and_shown_in_another(store)
    with sqlite3.connect(tmp_path / "ohlora.db") as db:
        old = {"id": memory_id, "value": "병원 가기", "source_text": SAID, "source_message_id": 1}
        for name, memory in (("a", old), ("b", old | {"id": 99})):
            payload = {"type": "memory", "action": "stored", "memory": memory, "score": None}
            db.execute(
                "update events set payload = ? where response_id = ?", (json.dumps(payload), name)
            )
        db.execute("drop table summaries")
        db.execute("pragma user_version = 3")
    db.close()
    again = open_store(tmp_path / "ohlora.db", clock)
    rows = again.db._db.execute("select type, payload from events order by response_id").fetchall()
    assert [row["type"] for row in rows] == ["memory", "purged"]
    assert "source_text" not in rows[0]["payload"] and "병원" not in rows[1]["payload"]
    assert again.sessions.messages(second)[0][1].memories == []
    again.close()


def test_a_conversation_reports_what_it_forgot_until_that_is_purged(
    store: Store, clock: Clock
) -> None:
    session = store.sessions.create()
    store.memories.remember("이름", "지은")
    asked, _ = store.begin_turn(session.id, "내 이름 잊어줘", "r")
    ((action, record),) = apply(store, [Forget("이름")], clock.now, asked)
    event = {"type": "memory", "action": action, "memory": record.to_dict(), "score": None}
    store.append_event("r", event)
    (told,) = store.sessions.messages(session.id)[0][1].memories
    assert (told["action"], told["memory"]["text"]) == ("forgotten", "[이름: 지은]")
    store.memories.purge()
    assert store.sessions.messages(session.id)[0][1].memories == []


def test_a_deleted_memory_takes_what_repeats_it_along_and_undo_brings_both(store: Store) -> None:
    said = store.sessions.create().id
    asked, _ = store.begin_turn(said, "여자친구랑 헤어졌어 3년 만났는데", "r1")
    fact, _ = store.memories.remember("여자친구", "헤어짐", source_message_id=asked)
    store.memories.remember("3년", "여자친구랑 헤어졌어 3년 만났음", source_message_id=asked)
    store.memories.remember("동생", "헤어짐", source_message_id=asked)
    store.memories.delete(fact.id)
    assert [record.key for record in store.memories.all()] == ["동생"]
    store.memories.undo()
    assert {record.key for record in store.memories.all()} == {"여자친구", "3년", "동생"}
