"""What is told changes what is kept: updates, denials, plans called off, words taken back."""

from __future__ import annotations

import pytest

from memory.fakes import TUESDAY, Clock
from ohlora.memory import Store
from ohlora.memory.extract import Fact, Forget, extract
from ohlora.memory.findings import apply


def tell(store: Store, said: str, clock: Clock, source: int | None = None) -> list[str]:
    done = apply(store, extract(said, clock.now), clock.now, source)
    return [f"{action} {record.text}" for action, record in done]


def kept(store: Store) -> set[str]:
    return {record.text for record in store.memories.all()}


@pytest.mark.parametrize(
    ("before", "said", "done", "after"),
    [
        (
            "나 마라탕 좋아해. 나 초밥 좋아해",
            "나 이제 마라탕 안 좋아해",
            ["updated [좋아하는 음식: 초밥]", "stored [싫어하는 음식: 마라탕]"],
            {"[좋아하는 음식: 초밥]", "[싫어하는 음식: 마라탕]"},
        ),
        (
            "나 마라탕 좋아해",
            "나 이제 마라탕 싫어졌어",
            ["stored [싫어하는 음식: 마라탕]"],
            {"[싫어하는 음식: 마라탕]"},
        ),
        (
            "토요일에 친구랑 영화 보기로 했어. 일요일에 영화 보러 가",
            "토요일 영화 취소됐어",
            ["forgotten [11월 28일 일정: 친구랑 영화 보기]"],
            {"[11월 29일 일정: 영화 보러 가기]"},
        ),
        (
            "나 내일 부산 여행 가. 내일 시험 봐",
            "내일 여행 안 가기로 했어",
            ["updated [내일 일정: 시험 보기]"],
            {"[내일 일정: 시험 보기]"},
        ),
        (
            "내일 친구랑 카페 가기로 했어",
            "내일 약속 취소됐어",
            ["forgotten [내일 일정: 친구랑 카페 가기]"],
            set(),
        ),
        ("나 23살이야", "나 23살 아니고 25살이야", ["updated [나이: 25살]"], {"[나이: 25살]"}),
        (
            "나 학생이야",
            "나 학생 아니고 회사원이야",
            ["updated [직업: 회사원]"],
            {"[직업: 회사원]"},
        ),
        ("나 부산에 살아", "나 부산에 안 살아", ["forgotten [사는 곳: 부산]"], set()),
        ("나 대구에 살아", "나 부산에 안 살아", [], {"[사는 곳: 대구]"}),
        ("내 이름은 지은이야", "내 이름 잊어줘", ["forgotten [이름: 지은]"], set()),
        (
            "내 친구 민지는 의사야. 나 25살이야",
            "민지 얘기는 잊어줘",
            ["forgotten [친구 민지: 의사]"],
            {"[나이: 25살]"},
        ),
        ("나 내일 시험 봐", "나 내일 카페 안 가", [], {"[내일 일정: 시험 보기]"}),
    ],
)
def test_what_is_said_later_holds(
    store: Store, clock: Clock, before: str, said: str, done: list[str], after: set[str]
) -> None:
    tell(store, before, clock)
    assert tell(store, said, clock) == done
    assert kept(store) == after


def test_that_which_was_just_told_is_taken_back_and_nothing_else(
    store: Store, clock: Clock
) -> None:
    session = store.sessions.create()
    tell(store, "나 초밥 좋아해. 내 이름은 지은이야", clock)
    said = "나 마라탕 좋아해. 나 부산에 살아"
    asked, _ = store.begin_turn(session.id, said, "r")
    tell(store, said, clock, asked)
    assert sorted(tell(store, "그거 기억하지 마", clock)) == [
        "forgotten [사는 곳: 부산]",
        "updated [좋아하는 음식: 초밥]",
    ]
    assert kept(store) == {"[좋아하는 음식: 초밥]", "[이름: 지은]"}


def test_taking_back_reaches_no_further_than_an_hour(store: Store, clock: Clock) -> None:
    tell(store, "내 이름은 지은이야", clock)
    clock.forward(hours=2)
    assert tell(store, "그거 기억하지 마", clock) == []
    assert kept(store) == {"[이름: 지은]"}


def test_all_that_was_said_is_forgotten_in_one_change_that_undo_brings_back(
    store: Store, clock: Clock
) -> None:
    tell(store, "내 이름은 지은이야. 나 25살이야. 우리 형은 경찰이야", clock)
    done = tell(store, "내가 한 말 다 잊어 줘", clock)
    assert len(done) == 3 and all(one.startswith("forgotten") for one in done)
    assert kept(store) == set()
    store.memories.undo()
    assert len(kept(store)) == 3


def test_a_fact_told_again_is_no_change(store: Store, clock: Clock) -> None:
    assert tell(store, "내 이름은 지은이야", clock) == ["stored [이름: 지은]"]
    assert tell(store, "내 이름은 지은이야", clock) == []


def test_findings_of_one_message_are_kept_together_or_not_at_all(store: Store) -> None:
    with pytest.raises(Exception, match="value"):
        apply(store, [Fact("이름", "지은"), Forget("나이"), Fact("직업", " ")], TUESDAY)
    assert kept(store) == set()
