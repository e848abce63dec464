"""The day in prompts and answers, as v3 judged it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from ohlora.dialogue.weekday import asks_about_time, day_note, names_a_wrong_day

THURSDAY, FRIDAY = datetime(2025, 6, 5, 13), datetime(2025, 6, 6, 13)


def test_wrong_days_are_found_where_the_reference_finds_them(golden_dir: Path) -> None:
    spec = json.loads((golden_dir / "later" / "functions.json").read_text("utf-8"))
    check = spec["weekday_check_v3"]
    for case in check["cases"]:
        now = datetime.fromisoformat(case["datetime"])
        found = [names_a_wrong_day(text, now) for text in check["texts"]]
        assert found == case["flags"], f"{now}: {check['texts']}"


@pytest.mark.parametrize(
    "answer",
    [
        "오늘은 금요일이 아니야, 목요일이지.",
        "오늘 말고 금요일에 보자",
        "어제는 수요일이었고 오늘은 목요일!",
        "내일모레는 토요일이야",
        "모레 주말이다!",
        "금요일까지 기다릴게",
    ],
)
def test_what_holds_on_a_thursday_may_be_said(answer: str) -> None:
    assert not names_a_wrong_day(answer, THURSDAY)


@pytest.mark.parametrize(
    "answer", ["어제는 목요일이었지", "오늘 벌써 금요일이네", "내일모레 금요일", "모레 불금이야"]
)
def test_what_does_not_hold_on_a_thursday_may_not(answer: str) -> None:
    assert names_a_wrong_day(answer, THURSDAY)


@pytest.mark.parametrize(
    ("hour", "note"),
    [
        (3, "(지금은 목요일 저녁)"),
        (4, "(지금은 금요일 오전)"),
        (12, "(지금은 금요일 오후)"),
        (16, "(지금은 금요일 오후)"),
        (17, "(지금은 금요일 저녁)"),
    ],
)
def test_the_note_names_day_and_part_and_friday_evening_comes_early(hour: int, note: str) -> None:
    assert day_note(FRIDAY.replace(hour=hour)) == note


def test_other_evenings_begin_at_six() -> None:
    assert day_note(THURSDAY.replace(hour=17)) == "(지금은 목요일 오후)"
    assert day_note(THURSDAY.replace(hour=18)) == "(지금은 목요일 저녁)"


def test_only_prompts_about_time_get_the_note() -> None:
    assert asks_about_time("오늘 뭐 해?") and asks_about_time("무슨 요일이야?")
    assert not asks_about_time("심심해")
