"""Days and how they are spoken. Tuesday 24 November 2026."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from memory.fakes import KST, TUESDAY
from ohlora.memory.dates import (
    Look,
    Span,
    When,
    expiry,
    mentions,
    split_key,
    spoken,
    spoken_key,
)

TODAY = TUESDAY.date()


def found(text: str, look: Look = "ahead") -> list[tuple[str, str]]:
    return [
        (mention.when.first.isoformat()[5:], mention.when.span)
        for mention in mentions(text, TODAY, look)
    ]


@pytest.mark.parametrize(
    ("text", "day", "span"),
    [
        ("오늘", "11-24", "day"),
        ("내일", "11-25", "day"),
        ("낼", "11-25", "day"),
        ("모레", "11-26", "day"),
        ("내일 모레", "11-26", "day"),
        ("글피", "11-27", "day"),
        ("어제", "11-23", "day"),
        ("그저께", "11-22", "day"),
        ("3일 뒤", "11-27", "day"),
        ("이틀 전", "11-22", "day"),
        ("일주일 뒤", "12-01", "day"),
        ("2주 뒤", "12-08", "day"),
        ("금요일", "11-27", "day"),
        ("화요일", "12-01", "day"),
        ("이번 주 금요일", "11-27", "day"),
        ("다음 주 월요일", "11-30", "day"),
        ("담주 금욜", "12-04", "day"),
        ("지난주 토요일", "11-21", "day"),
        ("이번 주말", "11-28", "weekend"),
        ("주말", "11-28", "weekend"),
        ("다음 주말", "12-05", "weekend"),
        ("다음 주", "11-30", "week"),
        ("다음 달", "12-01", "month"),
        ("12월에", "12-01", "month"),
        ("11월 28일", "11-28", "day"),
        ("3월 2일", "03-02", "day"),
        ("2027년 3월 1일", "03-01", "day"),
        ("28일에", "11-28", "day"),
        ("3일에", "12-03", "day"),
        ("크리스마스", "12-25", "day"),
    ],
)
def test_a_time_word_names_its_day(text: str, day: str, span: Span) -> None:
    assert found(f"나 {text} 뭐 해") == [(day, span)]


@pytest.mark.parametrize(
    "text",
    ["2월 30일", "13월 1일", "3일 동안", "5일", "내일이 없다", "100일 기념", "오늘날", "한오늘"],
)
def test_what_only_looks_like_a_day_names_none(text: str) -> None:
    assert found(text) == []


def test_a_bare_weekday_of_the_past_is_the_last_one() -> None:
    assert found("금요일", "back") == [("11-20", "day")]
    assert found("화요일", "back") == [("11-17", "day")]
    assert found("10월 3일", "back") == [("10-03", "day")]


def test_a_plan_reads_by_its_distance() -> None:
    when = When(date(2026, 11, 25))
    read = {day: spoken_key("일정", when, date(2026, 11, day)) for day in (20, 23, 24, 25, 26, 30)}
    assert read == {
        20: "11월 25일 일정",
        23: "모레 일정",
        24: "내일 일정",
        25: "오늘 일정",
        26: "어제 일정",
        30: "11월 25일 일정",
    }


@pytest.mark.parametrize("span", ["day", "weekend", "week", "month"])
def test_what_is_spoken_can_be_read_back(span: Span) -> None:
    for distance in range(-400, 400):
        first = TODAY + timedelta(days=distance)
        if span == "weekend":
            first += timedelta(days=5 - first.weekday())
        elif span == "week":
            first -= timedelta(days=first.weekday())
        elif span == "month":
            first = first.replace(day=1)
        when = When(first, span)
        assert split_key(spoken_key("일정", when, TODAY), TODAY) == ("일정", when), spoken(
            when, TODAY
        )


def test_a_key_keeps_time_words_that_are_not_in_front() -> None:
    assert split_key("좋아하는 요일", TODAY) == ("좋아하는 요일", None)
    assert split_key("첫 오늘", TODAY) == ("첫 오늘", None)
    assert split_key("내일", TODAY) == ("일정", When(date(2026, 11, 25)))


def test_plans_end_with_their_day_and_facts_do_not() -> None:
    tomorrow = When(date(2026, 11, 25))
    weekend = When(date(2026, 11, 28), "weekend")
    assert expiry("일정", tomorrow, TUESDAY) == datetime(2026, 11, 26, tzinfo=KST)
    assert expiry("일정", weekend, TUESDAY) == datetime(2026, 11, 30, tzinfo=KST)
    assert expiry("상태", None, TUESDAY) == TUESDAY + timedelta(days=3)
    assert expiry("지금 있는 곳", None, TUESDAY) == datetime(2026, 11, 25, tzinfo=KST)
    assert expiry("날씨", When(TODAY), TUESDAY) == datetime(2026, 11, 25, tzinfo=KST)
    assert expiry("좋아하는 가수", None, TUESDAY) is None
    yesterday = expiry("한 일", When(date(2026, 11, 23)), TUESDAY)
    assert yesterday is not None and yesterday > TUESDAY


def test_days_stay_within_the_calendar() -> None:
    last = date(9999, 12, 31)
    assert list(mentions("다음 주에 999일 뒤 12월 31일", last))[-1].when.first == last
    assert expiry("일정", When(last), datetime(9999, 12, 31, tzinfo=KST)) is not None
