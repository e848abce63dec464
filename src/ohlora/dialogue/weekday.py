"""Which day it is, for prompts and answers.

From Oh-LoRA v3: a question about the day gets the day put in front of it, and an answer that names
a wrong one is not said (golden/later/functions.json, weekday_check_v3). People who are still up at
three in the night call that the evening before, so until 04:00 the day before counts.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6  # as datetime.weekday() counts
NAMES = "월화수목금토일"
NIGHT_ENDS = 4  # o'clock
NOON, EVENING, FRIDAY_EVENING = 12, 18, 17
ABOUT_TIME = ("오늘", "내일", "지금", "요일", "이따", "휴일")

OFFSETS = {"어제": -1, "오늘": 0, "내일": 1, "모레": 2, "내일모레": 2}
# What may be said of a day, and the days that it may be said of. A weekend begins on Friday for
# whoever looks forward to it, a week on Sunday.
PHRASES: dict[str, AbstractSet[int]] = {
    **{f"{name}요일": {day} for day, name in enumerate(NAMES)},
    "불금": {FRIDAY},
    "부터주말": {FRIDAY, SATURDAY},
    "주말": {FRIDAY, SATURDAY, SUNDAY},
    "부터한주시작": {SUNDAY, MONDAY},
}
# Only what directly follows the day is said of it: "오늘은 벌써 금요일", not "오늘 말고 금요일".
CLAIM = re.compile(
    rf"(?P<day>{'|'.join(sorted(OFFSETS, key=len, reverse=True))})"
    r"(?:은|는|이|도|이면)?(?:벌써|이제|드디어|바로|또)?"
    rf"(?P<phrase>{'|'.join(PHRASES)})(?!이?은?아니)"
)


def day_of(now: datetime) -> int:
    """The weekday people would name, Monday 0: until 04:00 the day before."""
    return (now - timedelta(hours=NIGHT_ENDS)).weekday()


def asks_about_time(prompt: str) -> bool:
    """Whether a prompt should carry `day_note`."""
    return any(word in prompt for word in ABOUT_TIME)


def day_note(now: datetime) -> str:
    """What v3 puts in front of a prompt, as "(지금은 월요일 오전)"."""
    day = day_of(now)
    evening = FRIDAY_EVENING if day == FRIDAY else EVENING
    if now.hour >= evening or now.hour < NIGHT_ENDS:
        part = "저녁"
    else:
        part = "오전" if now.hour < NOON else "오후"
    return f"(지금은 {NAMES[day]}요일 {part})"


def names_a_wrong_day(answer: str, now: datetime) -> bool:
    """Whether an answer says of yesterday, today or tomorrow what holds for another day."""
    return any(
        (day_of(now) + OFFSETS[claim["day"]]) % 7 not in PHRASES[claim["phrase"]]
        for claim in CLAIM.finditer(re.sub(r"\s", "", answer))
    )
