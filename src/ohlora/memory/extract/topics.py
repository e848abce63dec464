"""What no other rule knows, kept under its own topic: something owned, met, done, or of others.

"내 차는 흰색 아반떼야"   -> 차: 흰색 아반떼
"나 운전면허 땄어"        -> 운전면허: 땄음
"화요일마다 수영 가"      -> 습관: 화요일마다 수영 가기
"할머니가 입원하셨어"     -> 할머니: 입원했음
"오늘 회사에서 혼났어"    -> 오늘 한 일: 회사에서 혼나기
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.dates import When, mentions, spoken
from ohlora.memory.extract.clauses import Clause, Fact, reported
from ohlora.memory.extract.korean import noun_form, plain_stem
from ohlora.memory.extract.moods import BODY
from ohlora.memory.extract.plain import (
    IDLE_ENDS,
    IDLE_VERBS,
    dated_year,
    listed,
    noted,
    plain,
    without_days,
)
from ohlora.memory.extract.table import MINE, sound, topical
from ohlora.memory.extract.tastes import SWORN_OFF
from ohlora.memory.extract.words import (
    ANIMALS,
    CALLED,
    DRINKS,
    EVENTS,
    FOODS,
    KNOWN,
    NO_VALUES,
    PEOPLE,
    words,
)

OWN_THINGS, OTHERS_THINGS = listed("own_things"), listed("others_things")
MET, DAILY, REFUSED = listed("met"), listed("daily"), listed("refused")
IDLE_WORDS, DAILY_TOPICS = listed("idle_words"), listed("daily_topics")


def _any(said: frozenset[str]) -> str:
    return "|".join(sorted(said, key=len, reverse=True))


CLOSE = _any(PEOPLE | {pet for pet in ANIMALS if len(pet) > 1} | words("애 아이"))
COUNT = r"(?:하나|둘|셋|넷|한 명|두 명|세 명|네 명|한 분|두 분|한명|두명|세명|\d명)"
SIBLINGS = re.compile(
    rf"^(?:{MINE} )?(?P<k>{CLOSE})(?:이|가|은|는|도)? (?P<v>{COUNT})(?:이|가)? (?:있|=)$"
)
OF_OTHER = re.compile(
    rf"^(?:{MINE} )?(?P<k>(?:{CLOSE})(?: [가-힣]{{2,4}}(?=[은는이가] ))?)"
    r"(?:은|는|이|가|도|께서)? (?P<v>\S.*)$"
)
BARE_OWNED = re.compile(
    rf"^(?P<k>(?:(?:발|신발|옷|반지|모자) 사이즈|(?:{_any(OWN_THINGS)})))"
    r"(?:은|는|이|가)? (?P<v>\S+(?: \S+){0,3}) =$"
)
OWNED = re.compile(
    rf"^{MINE} (?P<k>\S+?(?: \S+?){{0,2}}?)(?:은|는|이|가) (?P<v>\S+(?: \S+){{0,4}}) =$"
)
PLACED = re.compile(rf"^{MINE} (?P<k>\S+?(?: \S+?)?)(?:은|는|이|가) (?P<v>\S+(?: \S+)?)에 있$")
AT_HOME = re.compile(
    rf"^{MINE} (?P<k>집|방|학교|회사|동네|반|팀)에(?:는|도)? "
    r"(?P<v>\S+?(?: \S+){0,3}?)(?:이|가)? 있$"
)
SKILL = re.compile(r"^(?P<k>\S+(?: \S+)?) (?P<can>\S+ 줄) (?P<stem>알|모르)$")
OFTEN = re.compile(
    r"(?:^|\s)(?:자주|항상|매일|맨날|늘|보통|주로|매번|잘|못|안|즐겨|꼭|아예|절대|전혀|하루에|일주일에"
    r"|한 달에|\d+년|\d+년째|\S+째|\S+마다|매주|매달|\S+ 줄)(?=\s|$)"
)
EVERY = re.compile(
    r"^(?:일주일에|하루에|한달에|일년에|\S+마다|매일|매주|매달|주말엔|주말에는|평일엔|평일에는|쉬는|보통)$"
)
ABOUT = re.compile(r"(?:을|를|이|가|은|는|도|에|에서|로|으로)$")
MANNER = re.compile(r"(?:게|히|이나|마다|서|고|면서|느라|려고)$|^\d+(?:년|달|번|시간)")
UNSURE = re.compile(r"같[아애은]|듯|아마|[을를]까|싶|겠|려나|것 같|뻔|척")
SOMEDAY = re.compile(r"내년|내후년|올해|나중에|언젠가|앞으로|꼭")


def kept_topics(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """`alone`: the message speaks of no other person or pet."""
    if reported(clause):
        return
    if match := OWNED.match(plain(clause.words)):  # 우리 결혼기념일은 5월 20일이야
        day = next(iter(mentions(match["v"], today)), None)
        if day and day.start == 0 and day.when.span == "day" and topical(match["k"]):
            yield Fact(match["k"], f"{day.when.first.month}월 {day.when.first.day}일")
            return
    said = without_days(clause, today)
    if said and next(
        (m for m in mentions(clause.text, today, "near") if m.when.first > today), None
    ):
        said = ""  # "12월 27일 콘서트 예매 성공했어": of that day
    if not said and alone and len(clause.rest) > 1 and not plain(clause.rest):
        bare = BARE_OWNED.match(" ".join([*clause.rest, "="]))  # 주량은 소주 한 병
        said = bare[0] if bare else ""
    if not said or len(said.split()) > 8 or UNSURE.search(clause.text):
        return
    if match := SIBLINGS.match(said):
        person = CALLED.get(match["k"], match["k"])
        yield Fact(person, f"{match['v']} 있음", "other", merge=True)
    elif not clause.first_person and (match := OF_OTHER.match(said)):
        yield from _of_other(match)
    elif match := PLACED.match(said):
        if topical(match["k"]):
            yield Fact(match["k"], match["v"])
    elif match := AT_HOME.match(said):
        if match["v"].split()[0] in ANIMALS:
            yield Fact("반려동물", match["v"], merge=True)
        else:
            yield Fact(match["k"], f"{match['v']} 있음")
    elif match := OWNED.match(said) or (alone and BARE_OWNED.match(said) or None):
        if topical(match["k"]) and sound(match["v"], clause):
            yield Fact(match["k"], match["v"])
    elif said.endswith(" ="):
        return
    elif said.endswith("~"):
        *before, verb = said.removesuffix("~").split()
        if before and (clause.first_person or SOMEDAY.search(clause.text)) and not _doer(said):
            yield Fact("계획", dated_year(" ".join([*before, noun_form(verb)]), today), merge=True)
    elif clause.first_person or (alone and not _doer(said)):
        yield from _met(re.sub(rf"^{MINE} ", "", said), today, clause)


def refuses(clause: Clause) -> bool:
    """ "버섯은 절대 안 먹어" denies nothing told; it tells."""
    said = clause.words
    if len(said) < 3 or said[-2] != "안" or not {"절대", "아예", "전혀", "원래", "잘"} & set(said):
        return False
    told = plain_stem(said[-1])
    return told is not None and told[0] in REFUSED


def _of_other(match: re.Match[str]) -> Iterator[Fact]:
    person = " ".join(CALLED.get(word, word) for word in match["k"].split())
    *before, verb = match["v"].split()
    if before and before[0].startswith(("때문", "덕분", "땜")):
        return
    if verb == "=":
        value = " ".join(before)
        if len(value) < 2 or value in NO_VALUES or not topical(before[-1]):
            return
    elif _tells(person, before, verb):
        value = " ".join([*before, noted(verb)])
    else:
        return
    owned = re.match(r"^(?P<thing>\S{1,5})(?:은|는|이|가) (?P<value>\S.*)$", value)
    if owned and owned["thing"] in OTHERS_THINGS:
        yield Fact(f"{person} {owned['thing']}", owned["value"], "other")
    else:
        yield Fact(person, value, "other", merge=True)


def _tells(person: str, before: list[str], verb: str) -> bool:
    """What someone close does is worth keeping: an event, or anything said with its matter."""
    stem = verb.rstrip("+~")
    if stem in MET:
        return True
    close = verb.endswith("+") or any(word in PEOPLE for word in person.split())
    idle = stem in IDLE_VERBS - {"살", "오", "가"} or stem.endswith(IDLE_ENDS)
    return close and bool(before) and not idle


def _doer(said: str) -> bool:
    """Someone or something else does it: 비가, 그 가수는; not one's own 다리가."""
    return any(
        word.endswith(("이", "가", "은", "는"))
        and word not in KNOWN
        and word[:-1] not in BODY | OWN_THINGS
        and not (word[-1] in "은는" and word[:-1] in EVENTS | FOODS | DRINKS | SWORN_OFF)
        for word in said.split()[:-1]
    )


def _met(said: str, today: date, clause: Clause) -> Iterator[Fact]:
    """운전면허 따+ -> 운전면허: 땄음; 재즈 자주 듣 -> 재즈: 자주 들음; 혼나+ -> 오늘 한 일."""
    if skill := SKILL.match(said):
        end = {"알": "앎", "모르": "모름"}[skill["stem"]]
        yield Fact(ABOUT.sub("", skill["k"]), f"{skill['can']} {end}")
        return
    *before, verb = said.split()
    stem, past = verb.rstrip("+"), verb.endswith("+")
    if any(EVERY.match(word) for word in before) and stem not in ("있", "없"):
        yield Fact("습관", " ".join([*before, noun_form(stem)]), merge=True)
        return
    cannot = len(before) > 1 and before[-1] == "못"
    known = cannot or stem in MET or (stem == "하" and bool(before) and before[-1] + "하" in MET)
    often = OFTEN.search(f"{said} {clause.text}") is not None
    idle = stem in IDLE_VERBS or stem.endswith(IDLE_ENDS)
    if not stem or (idle and not known and not often):
        return
    if not before and stem.endswith("하") and len(stem) > 1:  # 라식했어
        before, stem = [stem[:-1]], "하"
    topic = _topic(before)
    if topic is None or ("안" in before and stem not in REFUSED):
        return
    if known or not past:
        worth = known or (clause.first_person and (often or stem not in DAILY))
        rest = before[: before.index(topic[0])] + before[before.index(topic[0]) + len(topic) :]
        if worth and (rest or stem not in ("있", "없")):
            note = noted(stem + "+" * past)
            yield Fact(" ".join(map(_bare, topic)), " ".join([*rest, note]))
    elif (
        len(before) <= 5
        and stem not in ("있", "없")
        and len(_bare(topic[0])) > 1
        and any(mentions(clause.text, today))  # without a day it need not be today's
    ):
        day = spoken(When(today), today)
        yield Fact(f"{day} 한 일", " ".join([*before, noun_form(stem)]), merge=True)


def _topic(before: list[str]) -> list[str] | None:
    """The one or two words that the statement is about; None when it is about nothing."""
    if any(word in IDLE_WORDS for word in before):
        return None
    said = [word for word in before if not OFTEN.fullmatch(word) and not MANNER.search(word)]
    if not said:
        return None
    two = len(said) > 1 and not ABOUT.search(said[0]) and not said[1].endswith(("에", "로", "째"))
    topic = said[:2] if two and before.index(said[1]) == before.index(said[0]) + 1 else said[:1]
    key = " ".join(map(_bare, topic))
    vague = key in DAILY_TOPICS or re.search(r"\d시|^\d+$", key)
    return topic if topical(key) and not vague else None


def _bare(word: str) -> str:
    return word if word in KNOWN else ABOUT.sub("", word)
