"""What the clock alone can answer: the hour, the weekday, the date, and a greeting that fits.

    by_clock("지금 몇 시야?", now)   "지금 오후 2시 5분이야!"
    by_clock("안녕", now, first=True)  at eight in the morning: "좋은 아침! 잘 잤어?"

Only a message that asks for nothing else is answered; a plan's hour is for memory.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ohlora.dialogue.weekday import NAMES

CALL = r"(?:(?:오로라|로라)야\s?|혹시\s?|근데\s?|지금\s?|현재\s?)*"
END = (
    r"(?:이야|야|이지|지|인지\s?알아|인가|일까|이더라|더라|이었지|였지|예요|이에요|인가요"
    r"|된\s?거야|됐어|됐지)?"
)
HOUR = re.compile(
    rf"^{CALL}(?:시간이?\s?)?몇\s?시(?:쯤)?\s?{END}$|^{CALL}시간\s?(?:좀\s)?알려\s?줘$"
)
WHICH = r"(?P<day>오늘|내일|모레|어제|그저께)?(?:은|는|이)?\s?"
WEEKDAY = re.compile(rf"^{CALL}{WHICH}무슨\s?요일\s?{END}$")
DATE = re.compile(rf"^{CALL}{WHICH}(?:몇\s?월\s?)?(?:며칠|몇\s?일|날짜(?:가)?(?:\s?뭐)?)\s?{END}$")
YEAR = re.compile(rf"^{CALL}(?:올해|지금|오늘)?(?:가|는|은|이)?\s?몇\s?년도?\s?{END}$")
DAYS = {"그저께": -2, "어제": -1, "오늘": 0, "내일": 1, "모레": 2}
HER = r"(?:오로라|로라)야?"
HELLO = re.compile(rf"^(?:{HER}\s?)?(?:안녕(?:하세요)?|하이|ㅎㅇ|헬로|hello|hi)(?:\s?{HER})?$")
MORNING = re.compile(r"^(?:(?:오로라|로라)야\s?)?(?:좋은\s?아침(?:이야)?|굿\s?모닝)$")
GREETINGS = (  # from this hour on
    (5, "좋은 아침! 잘 잤어? ☀️"),
    (11, "안녕! 점심은 먹었어?"),
    (14, "안녕! 오늘 하루 어떻게 보내고 있어?"),
    (18, "안녕, 좋은 저녁! 오늘 하루 어땠어?"),
    (22, "안녕! 아직 안 자고 있었네, 무슨 일 있어?"),
)
NOON, MORNING_STARTS, MORNING_ENDS = 12, 4, 12  # o'clock


def by_clock(text: str, now: datetime, first: bool = False) -> str | None:
    """The answer, or None. `first`: nothing was said before in this conversation."""
    said = re.sub(r"[?!~.…^ㅋㅎㅠㅜ\s]+$", "", text.strip())
    if HOUR.match(said):
        return f"지금 {spoken_hour(now)}{'이' if now.minute else ''}야!"
    if match := WEEKDAY.match(said):
        day = match["day"] or "오늘"
        name = NAMES[(now + timedelta(days=DAYS[day])).weekday()]
        return f"{day}{_is(day)} {name}요일{_ends(day)}"
    if match := DATE.match(said):
        day = match["day"] or "오늘"
        that = now + timedelta(days=DAYS[day])
        date = f"{that.month}월 {that.day}일 {NAMES[that.weekday()]}요일"
        return f"{day}{_is(day)} {date}{_ends(day)}"
    if YEAR.match(said):
        return f"올해는 {now.year}년이야!"
    if MORNING.match(said):
        if MORNING_STARTS <= now.hour < MORNING_ENDS:
            return "좋은 아침! 오늘도 좋은 하루 보내자 ☀️"
        return f"지금 {spoken_hour(now)}인데 좋은 아침이라니 ㅎㅎ 그래도 반가워!"
    if first and HELLO.match(said):
        return [words for hour, words in GREETINGS if (now.hour - 5) % 24 >= hour - 5][-1]
    return None


def spoken_hour(now: datetime) -> str:
    """오후 2시 5분; midnight is 오전 12시."""
    part = "오전" if now.hour < NOON else "오후"
    hour = (now.hour - 1) % 12 + 1
    return f"{part} {hour}시" + (f" {now.minute}분" if now.minute else "")


def _is(day: str) -> str:
    return "은" if day in ("오늘", "내일") else "는"


def _ends(day: str) -> str:
    return "이었어!" if DAYS[day] < 0 else "이야!"
