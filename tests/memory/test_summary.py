"""What stays of a long conversation when its older turns no longer fit."""

from __future__ import annotations

from memory.fakes import Clock
from ohlora.memory import Store
from ohlora.memory.extract import extract
from ohlora.memory.findings import apply
from ohlora.memory.summary import said_before, summary_before


def say(store: Store, session: str, number: int, text: str, answer: str = "응!") -> int:
    asked, _ = store.begin_turn(session, text, f"{session}-{number}")
    apply(store, extract(text, store.clock()), store.clock(), source_message_id=asked)
    if answer:
        store.append_event(f"{session}-{number}", {"type": "token", "text": answer})
    store.finish_turn(f"{session}-{number}", "complete" if answer else "crashed")
    return asked


def test_two_hundred_turns_leave_a_short_line_of_what_was_told(store: Store, clock: Clock) -> None:
    session = store.sessions.create().id
    for number in range(200):
        told = {
            20: "나 왼손잡이야",
            150: "우리 강아지 이름은 초코야",
            160: "이사 비용 얼마나 들까?",
        }
        answer = "" if number == 160 else "응!"
        last = say(store, session, number, told.get(number, f"이사 이야기 {number} ㅋㅋ"), answer)
    line = summary_before(store, session, last)
    assert "나 왼손잡이야" in line and "초코" in line
    assert "답 못 들은 것: 이사 비용 얼마나 들까?" in line
    assert "화제: 이사" in line
    assert len(line) < 600


def test_a_deleted_memory_takes_its_sentence_along(store: Store) -> None:
    session = store.sessions.create().id
    say(store, session, 0, "나 왼손잡이야")
    last = say(store, session, 1, "우리 강아지 이름은 초코야")
    assert "왼손잡이" in summary_before(store, session, last + 2)
    (record,) = store.memories.search("왼손잡이")
    store.memories.delete(record.id)
    assert "왼손잡이" not in summary_before(store, session, last + 2)
    store.sessions.delete(session)
    with store.db.read() as db:
        assert db.execute("select count(*) from summaries").fetchone()[0] == 0


def test_what_did_i_say_is_answered_within_and_across_conversations(
    store: Store, clock: Clock
) -> None:
    first = store.sessions.create().id
    say(store, first, 0, "나 내일 치과 가")
    clock.forward(days=1)
    second = store.sessions.create().id
    assert said_before(store, second, "저번에 내가 뭐라고 했지?", 2**40) == "나 내일 치과 가"
    assert said_before(store, second, "아까 내가 뭐라고 했지?", 2**40) == ""
    last = say(store, second, 0, "치과 무서웠어")
    say(store, second, 1, "너는 치과 가 봤어?")
    assert said_before(store, second, "내가 아까 무슨 말 했지?", last + 99) == "치과 무서웠어"
    assert said_before(store, second, "치과 언제라고 했지?", last + 99) is None
