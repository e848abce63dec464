"""What she answers from the clock, and what she leaves to memory and the model."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ohlora.dialogue.clock import by_clock

NOW = datetime(2026, 11, 24, 14, 5, tzinfo=timezone(timedelta(hours=9)))  # a Tuesday


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("지금 몇 시야?", "지금 오후 2시 5분이야!"),
        ("로라야 몇시야", "지금 오후 2시 5분이야!"),
        ("오늘 무슨 요일이야?", "오늘은 화요일이야!"),
        ("내일 무슨 요일이지?", "내일은 수요일이야!"),
        ("어제 무슨 요일이었지?", "어제는 월요일이었어!"),
        ("오늘 며칠이야?", "오늘은 11월 24일 화요일이야!"),
        ("모레는 몇 월 며칠이야?", "모레는 11월 26일 목요일이야!"),
        ("올해 몇 년도야?", "올해는 2026년이야!"),
        ("시험 며칠이더라?", None),
        ("약속 몇 시라고 했지?", None),
        ("내일 몇 시에 만나?", None),
        ("몇 시에 자?", None),
        ("오늘 무슨 요일인지 알면 용돈 줄게", None),
    ],
)
def test_questions_about_now_are_answered_by_the_clock(asked: str, answer: str | None) -> None:
    assert by_clock(asked, NOW) == answer


@pytest.mark.parametrize(
    ("hour", "words"),
    [
        (5, "아침"),
        (10, "아침"),
        (12, "점심"),
        (16, "하루"),
        (20, "저녁"),
        (23, "안 자고"),
        (3, "안 자고"),
    ],
)
def test_a_first_greeting_fits_the_hour(hour: int, words: str) -> None:
    now = NOW.replace(hour=hour)
    assert words in (by_clock("안녕!", now, first=True) or "")
    assert by_clock("안녕!", now) is None
    assert by_clock("안녕, 나 오늘 시험 봤어", now, first=True) is None


def test_good_morning_in_the_afternoon_is_noticed() -> None:
    assert "오후 2시 5분" in (by_clock("좋은 아침!", NOW) or "")
    assert "오후" not in (by_clock("좋은 아침!", NOW.replace(hour=8)) or "")
