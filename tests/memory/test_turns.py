"""A turn in the store: text delivered is text stored, events in order, nothing of others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from memory.fakes import Clock
from ohlora.errors import BadInput, OhloraError, StoreError, UnknownSession
from ohlora.memory import Store, open_store


def token(text: str) -> dict[str, str]:
    return {"type": "token", "text": text}


DONE = {"type": "done", "reason": "complete", "text": "안녕!"}


def test_a_turn_is_read_back_as_it_was_said(store: Store) -> None:
    session = store.sessions.create()
    asked, answered = store.begin_turn(session.id, "나 내일 친구랑 카페 가", "r1")
    memory = {"type": "memory", "action": "stored", "memory": {"id": 1}, "score": None}
    for event in (token("안"), token("녕!"), memory):
        store.append_event("r1", event)
    face = {"eyes": 0.8, "mouth": 0.1, "pose": -1.2}
    store.finish_turn("r1", "complete", "llm", face, event=DONE)

    messages, more = store.sessions.messages(session.id)
    assert [message.id for message in messages] == [asked, answered]
    assert messages[0].text == "나 내일 친구랑 카페 가"
    assert messages[1].to_dict() == {
        "id": answered,
        "role": "assistant",
        "text": "안녕!",
        "created": "2026-11-24T01:00:00.000+00:00",
        "status": "complete",
        "source": "llm",
        "response_id": "r1",
        "expression": face,
        "memories": [{"action": "stored", "memory": {"id": 1}, "score": None}],
    }
    assert not more
    assert store.sessions.get(session.id).title == "나 내일 친구랑 카페 가"


def test_events_count_from_zero_and_resume_after_any(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "r1")
    assert [store.append_event("r1", token(text)) for text in "가나다"] == [0, 1, 2]
    assert store.finish_turn("r1", "complete", event=DONE) == 3
    assert [event.seq for event in store.events_after("r1")] == [0, 1, 2, 3]
    assert [event.payload for event in store.events_after("r1", 1)] == [token("다"), DONE]
    assert store.events_after("r1", 3) == []
    assert store.events_after("nobody") == []


def test_an_answer_that_ended_takes_no_more_events(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "r1")
    store.finish_turn("r1", "interrupted")
    with pytest.raises(StoreError, match="has ended"):
        store.append_event("r1", token("늦음"))
    with pytest.raises(StoreError):
        store.finish_turn("r1", "complete")
    assert store.sessions.messages(session.id)[0][1].text == ""


def test_an_answer_id_serves_once(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "r1")
    with pytest.raises(BadInput, match="used before"):
        store.begin_turn(session.id, "또 안녕", "r1")
    assert len(store.sessions.messages(session.id)[0]) == 2


def test_a_session_deleted_in_mid_answer_ends_the_turn_in_one_sentence(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "r1")
    store.append_event("r1", token("안"))
    store.sessions.delete(session.id)
    with pytest.raises(StoreError, match="deleted"):
        store.append_event("r1", token("녕"))
    assert store.events_after("r1") == []
    with pytest.raises(UnknownSession):
        store.sessions.messages(session.id)


def test_pages_of_messages_meet_without_gap_or_overlap(store: Store, clock: Clock) -> None:
    session = store.sessions.create()
    for number in range(7):
        store.begin_turn(session.id, f"말 {number}", f"r{number}")
        store.finish_turn(f"r{number}", "complete")
    seen: list[int] = []
    before, more = None, True
    while more:
        page, more = store.sessions.messages(session.id, before=before, limit=4)
        assert [message.id for message in page] == sorted(message.id for message in page)
        before = page[0].id
        seen = [message.id for message in page] + seen
    assert len(seen) == len(set(seen)) == 14


def test_sessions_are_listed_by_last_talk(store: Store, clock: Clock) -> None:
    first, second = store.sessions.create("처음"), store.sessions.create()
    clock.forward(minutes=1)
    store.begin_turn(first.id, "다시 안녕", "r1")
    assert [session.id for session in store.sessions.list()] == [first.id, second.id]
    assert store.sessions.list()[0].messages == 2
    assert store.sessions.get(first.id).title == "처음"
    assert store.sessions.rename(first.id, "  새\n제목 ").title == "새 제목"


def test_users_and_personas_see_nothing_of_each_other(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "비밀이야", "r1")
    store.append_event("r1", token("응"))
    record, _ = store.memories.remember("이름", "지은")
    store.vectors.keep("e", [(record.id, "h", b"vector")])
    for other in (store.of("you", "ohlora"), store.of("me", "another")):
        assert other.sessions.list() == []
        assert other.memories.all(include_deleted=True) == []
        assert other.memories.search("지은") == []
        assert other.memories.history() == []
        assert other.memories.changes_after(0) == (0, [])
        assert other.events_after("r1") == []
        assert other.vectors.load("e") == {}
        for act in (
            lambda other=other: other.sessions.get(session.id),
            lambda other=other: other.sessions.messages(session.id),
            lambda other=other: other.sessions.rename(session.id, "내 것"),
            lambda other=other: other.sessions.delete(session.id),
            lambda other=other: other.begin_turn(session.id, "나야", "r2"),
            lambda other=other: other.append_event("r1", token("!")),
            lambda other=other: other.finish_turn("r1", "complete"),
            lambda other=other: other.memories.get(record.id),
            lambda other=other: other.memories.edit(record.id, value="철수"),
            lambda other=other: other.memories.delete(record.id),
            lambda other=other: other.memories.undo(record.id),
            lambda other=other: other.memories.undo(),
        ):
            with pytest.raises(OhloraError):
                act()
        assert other.memories.purge() == 0
    assert store.memories.get(record.id).value == "지은"
    assert store.sessions.messages(session.id)[0][1].text == "응"


def test_many_threads_write_one_store_without_loss(store: Store) -> None:
    session = store.sessions.create()

    def talk(name: str) -> None:
        store.begin_turn(session.id, name, name)
        for number in range(50):
            store.append_event(name, token(str(number % 10)))
        store.memories.remember(f"열쇠 {name}", name)
        store.finish_turn(name, "complete")

    threads = [threading.Thread(target=talk, args=(f"t{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages, _ = store.sessions.messages(session.id)
    assert [message.text for message in messages if message.role == "assistant"] == [
        "0123456789" * 5
    ] * 8
    assert len(store.memories.all()) == 8


def test_recovery_ends_what_a_dead_process_left_and_spares_the_living(
    store: Store, tmp_path: Path
) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "살아 있는 턴", "alive")
    program = """
import os, sys
from pathlib import Path
from ohlora.memory import open_store
store = open_store(Path(sys.argv[1]))
for name in ("empty", "half", "over"):
    store.begin_turn(sys.argv[2], name, name)
for name in ("half", "over"):
    store.append_event(name, {"type": "token", "text": "반쯤"})
store.append_event("half", {"type": "reply", "text": "반쯤", "source": "llm", "message_id": 1})
store.append_event("half", {"type": "expression", "eyes": 1.0, "mouth": 0.5, "pose": -1.2})
store.append_event("over", {"type": "done", "reason": "complete", "text": "반쯤"})
os._exit(9)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    place = [str(tmp_path / "ohlora.db"), session.id]
    died = subprocess.run([sys.executable, "-c", program, *place], env=environment, check=False)
    assert died.returncode == 9

    again = open_store(tmp_path / "ohlora.db")
    try:
        assert again.recover() == ["empty", "half", "over"]
        assert again.recover() == []
        by_id = {
            message.response_id: message
            for message in again.sessions.messages(session.id)[0]
            if message.role == "assistant"
        }
        assert by_id["alive"].status == "streaming"
        assert (by_id["empty"].status, by_id["empty"].text) == ("crashed", "")
        assert (by_id["half"].status, by_id["half"].text) == ("crashed", "반쯤")
        assert (by_id["half"].source, by_id["half"].expression) == (
            "llm",
            {"eyes": 1.0, "mouth": 0.5, "pose": -1.2},
        )
        assert by_id["over"].status == "complete"
        last = again.events_after("half")[-1]
        assert (last.seq, last.payload["type"], last.payload["reason"]) == (3, "done", "crashed")
        assert last.payload["text"] == "반쯤"
        assert len(again.events_after("over")) == 2
    finally:
        again.close()
    store.append_event("alive", token("끝까지"))


def test_tokens_of_old_answers_are_pruned_and_the_rest_stays(store: Store, clock: Clock) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "old")
    reply = {"type": "reply", "text": "안녕!", "source": "llm", "message_id": 2}
    for event in (token("안"), token("녕!"), reply):
        store.append_event("old", event)
    store.finish_turn("old", "complete", event=DONE)
    clock.forward(days=2)
    store.begin_turn(session.id, "또", "new")
    store.append_event("new", token("응"))
    store.finish_turn("new", "complete", event=DONE)
    assert [event.payload["type"] for event in store.events_after("old")] == ["reply", "done"]
    assert [event.payload["type"] for event in store.events_after("new")] == ["token", "done"]
    assert store.sessions.messages(session.id)[0][1].text == "안녕!"
