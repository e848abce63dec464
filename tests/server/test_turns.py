"""The hub: the server owns a generation, listeners come and go."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ohlora.companion import Companion
from ohlora.errors import BadInput, Busy, EngineError, StoreError, TextTooLong, UnknownSession
from ohlora.server.faults import Refused
from ohlora.server.turns import Turn, TurnHub, client_id_of, response_id_of
from server.small import Teller


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))


async def heard(turn: Turn, after: int = -1) -> list[dict[str, Any]]:
    return [event async for event in turn.listen(after)]


def tokens(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "token")


def session_of(companion: Companion) -> str:
    return companion.store.sessions.create().id


def test_a_turn_is_heard_by_any_number_of_listeners_alike(companion: Companion) -> None:
    async def test() -> None:
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        first, second = await asyncio.gather(heard(turn), heard(turn))
        assert first == second
        assert [event["seq"] for event in first] == list(range(len(first)))
        assert tokens(first) == "오! 그래, 좋아!" and first[-1]["reason"] == "complete"
        assert companion.store.sessions.messages(turn.session_id)[0][0].id == turn.user_message_id

    run(test)


def test_resuming_anywhere_at_any_moment_loses_and_doubles_nothing(
    companion: Companion, engine: Teller
) -> None:
    """Brute force: listeners join at random moments and places, from the hub and the store."""
    dice = random.Random(7)
    engine.answer = " " + "가나다라마바사아자차" * 6

    async def listener(hub: TurnHub, response_id: str, results: list[Any]) -> None:
        await asyncio.sleep(dice.random() * 0.06)
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != "done":
            after = seen[-1]["seq"] if seen else -1
            turn = await hub.find(response_id)
            hops = dice.randint(1, 25)
            async for event in turn.listen(after):
                seen.append(event)
                hops -= 1
                if hops == 0:
                    break  # the line drops here
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * 0.01)
        results.append(seen)

    async def test() -> None:
        hub = TurnHub(companion)
        for _ in range(6):
            engine.pause = dice.choice([0.0, 0.0005])
            turn = await hub.start(session_of(companion), "길게 말해 줘")
            results: list[Any] = []
            joining = [listener(hub, turn.response_id, results) for _ in range(25)]
            await asyncio.gather(*joining)
            truth = await heard(turn)
            stored = companion.store.events_after(turn.response_id)
            assert [event["seq"] for event in truth] == [event.seq for event in stored]
            assert tokens(truth) == engine.answer.strip()
            assert all(seen == truth for seen in results)

    run(test)


def test_a_turn_goes_on_when_nobody_listens(companion: Companion, engine: Teller) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(3)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        async for event in turn.listen():
            if event["type"] == "token":
                break
        engine.gate.release(100)
        await turn.over.wait()
        again = await hub.find(turn.response_id)
        assert again is not turn and await heard(again) == turn.items
        assert companion.store.sessions.messages(turn.session_id)[0][1].status == "complete"

    run(test)


def test_an_interrupted_turn_keeps_what_was_said(companion: Companion, engine: Teller) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(4)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        said = ""
        async for event in turn.listen():
            if event["type"] == "token":
                said += event["text"]
                if len(said) >= 2:
                    assert hub.interrupt(turn.response_id)
        assert event["type"] == "done" and event["reason"] == "interrupted"
        message = companion.store.sessions.messages(turn.session_id)[0][1]
        assert (message.text, message.status) == (said, "interrupted")
        assert not hub.interrupt(turn.response_id)

    run(test)


def test_a_new_message_stops_the_reply_before_it_and_is_then_answered(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(3)
        hub = TurnHub(companion)
        session = session_of(companion)
        first = await hub.start(session, "첫째")
        engine.gate.release(2)
        second = await hub.start(session, "둘째")
        assert (await heard(first))[-1]["reason"] == "interrupted"
        engine.gate.release(100)
        assert (await heard(second))[-1]["reason"] == "complete"
        roles = [(m.role, m.status) for m in companion.store.sessions.messages(session)[0]]
        assert roles == [
            ("user", "complete"),
            ("assistant", "interrupted"),
            ("user", "complete"),
            ("assistant", "complete"),
        ]
        assert engine.most_running == 1

    run(test)


def test_unusable_input_stops_nothing(companion: Companion, engine: Teller) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(0)
        hub = TurnHub(companion)
        session = session_of(companion)
        turn = await hub.start(session, "첫째")
        for text, kind in [("", BadInput), (" \u200b\n", BadInput), ("가" * 100_000, TextTooLong)]:
            with pytest.raises(kind):
                await hub.start(session, text)
        with pytest.raises(UnknownSession):
            await hub.start("nowhere", "안녕")
        assert not turn.over.is_set() and not turn.stop.is_set()
        engine.gate.release(100)
        assert (await heard(turn))[-1]["reason"] == "complete"

    run(test)


def test_a_third_message_during_the_change_is_refused(companion: Companion, engine: Teller) -> None:
    async def test() -> None:
        engine.gate, engine.deaf = threading.Semaphore(0), True
        hub = TurnHub(companion)
        session = session_of(companion)
        first = await hub.start(session, "첫째")
        second = asyncio.create_task(hub.start(session, "둘째"))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await hub.start(session, "셋째")
        engine.gate.release(100)
        assert (await heard(await second))[-1]["reason"] == "complete"
        assert first.over.is_set()
        assert len(companion.store.sessions.messages(session)[0]) == 4

    run(test)


def test_only_so_many_run_at_once_and_only_so_many_wait(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(0)
        hub = TurnHub(companion, running=2, waiting=3)
        starts = [
            asyncio.create_task(hub.start(session_of(companion), f"말 {number}"))
            for number in range(5)
        ]
        await asyncio.sleep(0.1)
        with pytest.raises(Busy):
            await hub.start(session_of(companion), "하나 더")
        engine.gate.release(1_000)
        for turn in await asyncio.gather(*starts):
            assert (await heard(turn))[-1]["reason"] == "complete"
        assert engine.most_running == 2
        assert (await heard(await hub.start(session_of(companion), "이제")))[-1]["type"] == "done"

    run(test)


def test_a_message_sent_twice_is_answered_once_even_after_a_restart(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        engine.pause = 0.002
        hub, session = TurnHub(companion), session_of(companion)
        first, second = await asyncio.gather(
            hub.start(session, "안녕", "c-1"), hub.start(session, "안녕", "c-1")
        )
        assert first is second
        events = await heard(first)
        later = await TurnHub(companion).start(session, "안녕", "c-1")
        assert await heard(later) == events
        assert later.user_message_id == first.user_message_id
        assert len(companion.store.sessions.messages(session)[0]) == 2
        await heard(await hub.start(session, "안녕", "c-2"))
        assert len(companion.store.sessions.messages(session)[0]) == 4

    run(test)


def test_a_repeated_message_does_not_disturb_the_reply_that_runs(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        hub, session = TurnHub(companion), session_of(companion)
        await heard(await hub.start(session, "첫째", "c-1"))
        engine.gate = threading.Semaphore(0)
        running = await hub.start(session, "둘째", "c-2")
        await heard(await hub.start(session, "첫째", "c-1"))
        assert not running.stop.is_set()
        engine.gate.release(100)
        assert (await heard(running))[-1]["reason"] == "complete"

    run(test)


def test_client_ids_lie_inside_response_ids() -> None:
    assert client_id_of(response_id_of("s", "abc-1")) == "abc-1"
    assert client_id_of(response_id_of("s", None)) is None
    assert response_id_of("s", "abc") != response_id_of("t", "abc")
    for bad in ("", "a b", "가", "x" * 65, "a@b"):
        with pytest.raises(BadInput, match="client_id must be"):
            response_id_of("s", bad)


def test_an_unknown_reply_is_one_sentence(companion: Companion) -> None:
    async def test() -> None:
        with pytest.raises(Refused, match="not here any more"):
            await TurnHub(companion).find("nothing")

    run(test)


def test_an_engine_that_fails_ends_the_turn_with_its_sentence(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        engine.answer = EngineError("The model is gone.", "모델이 없어요.")
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        events = await heard(turn)
        assert (events[-1]["type"], events[-1]["message"]) == ("error", "The model is gone.")
        assert await heard(await hub.find(turn.response_id)) == events

    run(test)


def test_a_full_disk_in_mid_reply_is_told_to_who_listens_and_to_who_resumes(
    companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        append, count = companion.store.append_event, 0

        def full(response_id: str, payload: dict[str, Any]) -> int:
            nonlocal count
            count += 1
            if count > 3:
                raise StoreError("The disk is full.", "디스크가 가득 찼어요.")
            return append(response_id, payload)

        def no_end(*_: Any, **__: Any) -> int:
            raise StoreError("The disk is full.", "디스크가 가득 찼어요.")

        monkeypatch.setattr(companion.store, "append_event", full)
        monkeypatch.setattr(companion.store, "finish_turn", no_end)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        events = await heard(turn)
        assert [event["type"] for event in events] == ["token", "token", "token", "error"]
        assert events[-1]["message"] == "The disk is full."
        resumed = await heard(await hub.find(turn.response_id))
        assert resumed[:3] == events[:3] and resumed[3]["code"] == "crashed"

    run(test)


def test_a_bug_in_mid_reply_is_told_alike_to_who_listens_and_to_who_resumes(
    companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    async def test() -> None:
        monkeypatch.setattr("ohlora.companion.v1_expression", broken)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        events = await heard(turn)
        assert tokens(events) == "오! 그래, 좋아!" and turn.closed
        assert await heard(await hub.find(turn.response_id)) == events

    run(test)


def test_closing_stores_running_turns_as_interrupted(companion: Companion, engine: Teller) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(3)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        listening = asyncio.create_task(heard(turn))
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        await hub.close(2.0)
        assert time.perf_counter() - started < 2.0
        events = await listening
        assert events[-1]["reason"] == "interrupted"
        message = companion.store.sessions.messages(turn.session_id)[0][1]
        assert (message.status, message.text) == ("interrupted", tokens(events))
        with pytest.raises(Refused, match="stopping"):
            await hub.start(turn.session_id, "또")

    run(test)


def test_closing_does_not_wait_for_an_engine_that_hangs(
    companion: Companion, engine: Teller
) -> None:
    async def test() -> None:
        engine.gate, engine.deaf = threading.Semaphore(3), True
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        listening = asyncio.create_task(heard(turn))
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        await hub.close(0.2)
        assert time.perf_counter() - started < 2.0
        events = await listening
        assert events[-1]["reason"] == "interrupted"
        message = companion.store.sessions.messages(turn.session_id)[0][1]
        assert (message.status, message.text) == ("interrupted", tokens(events))
        engine.gate.release(100)  # the late thread ends without harm
        while engine.running:
            await asyncio.sleep(0.01)

    run(test)


def test_a_message_that_waits_for_a_place_does_not_hold_up_the_one_after_it(
    companion: Companion, engine: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.setattr("ohlora.server.turns.PREDECESSOR_SECONDS", 0.05)
        engine.gate = threading.Semaphore(0)
        hub, session = TurnHub(companion, running=1), session_of(companion)
        other = await hub.start(session_of(companion), "다른 대화")
        waiting = asyncio.create_task(hub.start(session, "둘째"))
        await asyncio.sleep(0.01)
        newest = asyncio.create_task(hub.start(session, "셋째"))
        await asyncio.sleep(0.2)  # far longer than the wait for a reply that runs
        assert not waiting.done() and not newest.done()
        engine.gate.release(100)
        assert (await heard(other))[-1]["reason"] == "complete"
        assert (await heard(await waiting))[-1]["reason"] == "interrupted"
        assert tokens(await heard(await newest)) == "오! 그래, 좋아!"
        said = [(m.text, m.status) for m in companion.store.sessions.messages(session)[0]]
        assert [text for text, _ in said if text] == ["둘째", "셋째", "오! 그래, 좋아!"]

    run(test)


def test_memory_events_are_served_alike_live_on_resume_and_with_the_messages(
    companion: Companion,
) -> None:
    async def test() -> None:
        hub, session = TurnHub(companion), session_of(companion)
        actions = []
        for text in ("나 부산에 살아", "나 부산에 안 살아"):
            turn = await hub.start(session, text)
            live = [event for event in await heard(turn) if event["type"] == "memory"]
            again = [e for e in await heard(await hub.find(turn.response_id))]
            resumed = [event for event in again if event["type"] == "memory"]
            assert live == resumed
            shown = companion.store.sessions.messages(session)[0][-1].to_dict()["memories"]
            assert [m["action"] for m in shown] == [e["action"] for e in live]
            assert [m["memory"] for m in shown] == [e["memory"] for e in live]
            assert all(m["memory"]["source_text"] for m in shown)
            actions += [event["action"] for event in live]
        assert actions[0] == "stored" and actions[-1] == "forgotten"

    run(test)


def test_a_session_is_deleted_only_after_its_reply_ended(
    companion: Companion, engine: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        engine.gate = threading.Semaphore(2)
        hub = TurnHub(companion)
        turn = await hub.start(session_of(companion), "안녕")
        await hub.stop_session(turn.session_id)
        assert turn.closed and turn.items[-1]["reason"] == "interrupted"
        await hub.stop_session("nothing runs here")
        monkeypatch.setattr("ohlora.server.turns.PREDECESSOR_SECONDS", 0.05)
        engine.deaf = True
        turn = await hub.start(turn.session_id, "다시")
        with pytest.raises(Busy):
            await hub.stop_session(turn.session_id)
        engine.gate.release(100)
        await turn.over.wait()

    run(test)


def test_outcomes_tokens_and_first_tokens_are_counted(companion: Companion) -> None:
    async def test() -> None:
        hub = TurnHub(companion)
        await heard(await hub.start(session_of(companion), "안녕"))
        text = hub.metrics.text().decode()
        assert 'ohlora_turns_total{outcome="complete"} 1.0' in text
        assert "ohlora_tokens_total 10.0" in text
        assert "ohlora_first_token_seconds_count 1.0" in text
        assert "ohlora_active_turns 0.0" in text

    run(test)
