"""Time words of Korean chat: resolved to days when a memory is stored, spoken again when shown.

On 24 November "내일 일정" is kept as key 일정 and day 2026-11-25. It reads "내일 일정" on the
24th, "오늘 일정" on the 25th and "11월 25일 일정" from further away. Everything is computed from
the `today` or `now` passed in. A date is written without its year when it is the nearest of
its name, so what is shown can be read back.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

Look = Literal["ahead", "back", "near"]  # which of the days that a bare "금요일" or "3월 2일" names
Span = Literal["day", "weekend", "week", "month"]
Clock = Callable[[], datetime]  # gives an aware datetime in the user's time zone


def system_clock() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True)
class When:
    """A stretch of days; `first` is its Saturday for a weekend, its Monday for a week."""

    first: date
    span: Span = "day"

    @property
    def last(self) -> date:
        if self.span == "weekend":
            return self.first + timedelta(days=1)
        if self.span == "week":
            return self.first + timedelta(days=6)
        if self.span == "month":
            return self.first.replace(day=calendar.monthrange(*self.first.timetuple()[:2])[1])
        return self.first

    def touches(self, other: When) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Mention:
    """A time expression at text[start:end]."""

    start: int
    end: int
    when: When


DAYS = {
    "그저께": -2,
    "그제": -2,
    "어제": -1,
    "어저께": -1,
    "오늘": 0,
    "내일": 1,
    "낼": 1,
    "모레": 2,
    "내일모레": 2,
    "내일 모레": 2,
    "낼모레": 2,
    "낼 모레": 2,
    "글피": 3,
}
COUNTS = {
    "하루": 1,
    "이틀": 2,
    "사흘": 3,
    "나흘": 4,
    "닷새": 5,
    "열흘": 10,
    "보름": 15,
    "일주일": 7,
}
WEEKS = {
    "지지난": -2,
    "저저번": -2,
    "지난": -1,
    "저번": -1,
    "이번": 0,
    "다음": 1,
    "담": 1,
    "다다음": 2,
}
WEEKDAYS = "월화수목금토일"
HOLIDAYS = {"크리스마스이브": (12, 24), "크리스마스": (12, 25), "성탄절": (12, 25)}


def _any(words: dict[str, int] | dict[str, tuple[int, int]]) -> str:
    return "|".join(sorted(words, key=len, reverse=True)).replace(" ", r"\ ")


# Each alternative is a bounded run of literals and short numbers, so a scan is linear.
TIME = re.compile(
    rf"""(?<![가-힣\d])(?:
      (?:(?P<year>20\d\d)년\ ?)?(?P<month>1[0-2]|0?[1-9])월\ ?(?P<mday>[12]\d|3[01]|0?[1-9])일
          (?:\ (?P<mspan>주말|주)(?=\s|$))?
    | (?P<count>\d{{1,3}})일\ ?(?P<countway>뒤|후|있다가|전)(?!반)
    | (?P<named>{_any(COUNTS)})\ ?(?P<namedway>뒤|후|있다가|전)(?!반)
    | (?P<weeks>\d)주일?\ ?(?P<weeksway>뒤|후|전)(?!반)
    | (?P<week>{_any(WEEKS)})\ ?주(?:\ ?(?P<wday>[{WEEKDAYS}])(?:요일|욜)|\ ?(?P<wend>말))?
    | (?P<turn>이번|다음|지난|저번|담)\ ?(?P<tday>[{WEEKDAYS}])(?:요일|욜)
    | (?P<bday>[{WEEKDAYS}])(?:요일|욜)(?!마다)
    | (?P<end>주말)(?!마다|농장|부부)
    | (?P<moon>이번|다음|지난|저번|담)\ ?달(?:\ ?(?P<moonday>[12]\d|3[01]|[1-9])일)?
    | (?:(?P<myear>20\d\d)년\ ?)?(?P<onlymonth>1[0-2]|[1-9])월
          (?=\ ?(?:달|중|말|초|쯤)?에(?:\s|$)|\ (?:일정|한\ 일|날씨))
    | (?P<onlyday>[12]\d|3[01]|[1-9])일(?=에(?:\s|는|도|$)|날|\ 날)
    | (?P<holiday>{_any(HOLIDAYS)})
    | (?P<day>{_any(DAYS)})(?!이\ 없|의\ 집|날|도시)
    )""",
    re.VERBOSE,
)
STATE_KEPT = timedelta(days=3)  # "어제 아프다더니 괜찮아?"
PAST_KEPT = timedelta(days=30)  # what was done on a day gone by
NEAR_DAYS, NEAR_MONTHS = 180, 5  # within half a year a date needs no year
SCAN_CHARACTERS = 2_000  # a time word further on is not looked for


def mentions(text: str, today: date, look: Look = "ahead") -> Iterator[Mention]:
    """Every time expression in text."""
    for match in TIME.finditer(text[:SCAN_CHARACTERS]):
        try:
            when = _resolve(match, today, look)
        except (ValueError, OverflowError):  # 2월 30일
            continue
        yield Mention(match.start(), match.end(), when)


def _resolve(match: re.Match[str], today: date, look: Look) -> When:
    past = look == "back"
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    monday = today - timedelta(days=today.weekday())
    if "mday" in found:
        day = _calendar_day(
            int(found["month"]), int(found["mday"]), int(found.get("year", 0)), today, look
        )
        span = found.get("mspan")
        if span == "주":
            return When(day - timedelta(days=day.weekday()), "week")
        return When(day, "weekend" if span else "day")
    if "count" in found:
        return When(today + timedelta(days=_signed(int(found["count"]), found["countway"])))
    if "named" in found:
        return When(today + timedelta(days=_signed(COUNTS[found["named"]], found["namedway"])))
    if "weeks" in found:
        return When(today + timedelta(weeks=_signed(int(found["weeks"]), found["weeksway"])))
    if "week" in found:
        start = monday + timedelta(weeks=WEEKS[found["week"]])
        if "wday" in found:
            return When(start + timedelta(days=WEEKDAYS.index(found["wday"])))
        return (
            When(start + timedelta(days=5), "weekend") if "wend" in found else When(start, "week")
        )
    if "turn" in found:
        start = monday + timedelta(weeks=WEEKS[found["turn"]])
        return When(start + timedelta(days=WEEKDAYS.index(found["tday"])))
    if "bday" in found:
        days = WEEKDAYS.index(found["bday"]) - today.weekday()
        if past:
            return When(today - timedelta(days=-days % 7 or 7))
        return When(today + timedelta(days=days % 7 or (0 if look == "near" else 7)))
    if "end" in found:
        return When(monday + timedelta(days=5 - 7 * (past and today.weekday() < 5)), "weekend")
    if "moon" in found:
        months = today.year * 12 + today.month - 1 + WEEKS[found["moon"]]
        if "moonday" in found:
            return When(date(months // 12, months % 12 + 1, int(found["moonday"])))
        return When(date(months // 12, months % 12 + 1, 1), "month")
    if "onlymonth" in found:
        month, year = int(found["onlymonth"]), int(found.get("myear", today.year))
        if "myear" not in found:
            ahead = (month - today.month) % 12  # months
            back = ahead > NEAR_MONTHS if look == "near" else past and ahead > 0
            months = today.year * 12 + today.month - 1 + ahead - 12 * back
            year = months // 12
        return When(date(year, month, 1), "month")
    if "onlyday" in found:
        return When(_month_day(int(found["onlyday"]), today, past))
    if "holiday" in found:
        return When(_calendar_day(*HOLIDAYS[found["holiday"]], 0, today, look))
    return When(today + timedelta(days=DAYS[found["day"]]))


def _signed(count: int, way: str) -> int:
    return -count if way == "전" else count


def _calendar_day(month: int, day: int, year: int, today: date, look: Look) -> date:
    if year:
        return date(year, month, day)
    found = [
        date(guess, month, day)
        for guess in range(max(today.year - 8, 1), min(today.year + 8, 9999) + 1)
        if day <= calendar.monthrange(guess, month)[1]  # 2월 29일 is in one year of four
    ]
    if look == "ahead":
        found = [near for near in found if near >= today]
    elif look == "back":
        found = [near for near in found if near <= today]
    return min(found, key=lambda near: abs(near - today))  # ValueError when there is none


def _month_day(day: int, today: date, past: bool) -> date:
    for step in range(13):
        months = today.year * 12 + today.month - 1 + (-step if past else step)
        year, month = months // 12, months % 12 + 1
        if day <= calendar.monthrange(year, month)[1]:
            found = date(year, month, day)
            if found <= today if past else found >= today:
                return found
    raise ValueError(f"no day {day}")


def split_key(key: str, today: date) -> tuple[str, When | None]:
    """("내일 일정") -> ("일정", tomorrow). A key that is a time word alone is about 일정."""
    for mention in mentions(key, today, "near"):
        rest = key[mention.end :]
        if mention.start == 0 and (not rest or rest.startswith((" ", "의 "))):
            return rest.removeprefix("의").strip() or "일정", mention.when
        break
    return key, None


def spoken_key(key: str, when: When | None, today: date) -> str:
    """How the key reads today: the other way round of split_key."""
    return key if when is None else f"{spoken(when, today)} {key}"


def spoken(when: When, today: date) -> str:
    first = when.first
    if when.span == "day":
        near = {-1: "어제", 0: "오늘", 1: "내일", 2: "모레"}.get((first - today).days)
        return near or _written(first, today)
    if when.span == "month":
        months = (first.year - today.year) * 12 + first.month - today.month
        near = {-1: "지난달", 0: "이번 달", 1: "다음 달"}.get(months)
        far = not -NEAR_MONTHS <= months <= NEAR_MONTHS
        return near or (f"{first.year}년 " if far else "") + f"{first.month}월"
    week = first - timedelta(days=first.weekday()) - (today - timedelta(days=today.weekday()))
    ending = "주말" if when.span == "weekend" else "주"
    near = {-7: "지난", 0: "이번", 7: "다음"}.get(week.days)
    return f"{near} {ending}" if near else f"{_written(first, today)} {ending}"


def written_on(when: When, today: date) -> str:
    """The same days in words that stay true: 11월 25일, 11월 28일 주말, 12월."""
    if when.span == "month":
        return (f"{when.first.year}년 " if when.first.year != today.year else "") + (
            f"{when.first.month}월"
        )
    ending = {"day": "", "weekend": " 주말", "week": " 주"}[when.span]
    return _written(when.first, today) + ending


def _written(day: date, today: date) -> str:
    far = abs((day - today).days) > NEAR_DAYS
    return (f"{day.year}년 " if far else "") + f"{day.month}월 {day.day}일"


def expiry(key: str, when: When | None, now: datetime) -> datetime | None:
    """When a memory with this key (time word split off) stops being true; None: it lasts."""
    if when is not None:
        told_later = key.endswith("한 일") or when.last < now.date()
        return _midnight_after(now.date() + PAST_KEPT if told_later else when.last, now)
    if key in ("상태", "기분", "컨디션"):
        return now + STATE_KEPT
    if key.startswith("지금") or key == "날씨":
        return _midnight_after(now.date(), now)
    return None


def _midnight_after(day: date, now: datetime) -> datetime:
    try:
        return datetime.combine(day + timedelta(days=1), time.min, tzinfo=now.tzinfo)
    except OverflowError:
        return datetime.max.replace(tzinfo=now.tzinfo)
