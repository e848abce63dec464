"""What the user is going to do, or did: "나 내일 친구랑 카페 가" -> 내일 일정: 친구랑 카페 가기."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.dates import Mention, mentions, spoken
from ohlora.memory.extract.clauses import Clause, Fact, Forget, reported
from ohlora.memory.extract.korean import (
    COPULA,
    OWN_I,
    feeling_form,
    noun_form,
    plain_stem,
    stem_of_future,
    stem_of_polite,
)
from ohlora.memory.extract.moods import DENIED
from ohlora.memory.extract.plain import IDLE_ENDS, IDLE_VERBS
from ohlora.memory.extract.words import (
    EVENTS,
    FILLERS,
    FIRST_PERSON,
    KNOWN,
    NOT_DONE,
    NOT_EVENTS,
    OTHERS,
    PLAN_VERBS,
)

TODAY = re.compile(  # an hour without a day
    r"(?:^|\s)(?:\d{1,2}시(?:\s?\d{1,2}분|\s?반)?(?:에|까지)|(?P<later>이따가?)|(?:오전|오후|아침|점심|저녁|밤|새벽)에)(?=\s|$)"
)
AHEAD = re.compile(r"기로\s?[했하]|[을를]?\s?거[야임예]|예정|야\s?[돼해되]|예약")
HABIT = frozenset("매일 맨날 항상 보통 늘 원래 매주 매번 평소에 주로 가끔 어릴".split())
WITH = re.compile(r"(?:이랑|랑|하고|와|과)$")
PARTICLE = re.compile(r"^(?:에는|에도|에만|에|은|는|엔|도|까지|날에|날은|날|쯤에|쯤)(?=\s|$)")
OTHER_DAY = re.compile(r"^(?:부터|마다|\s?다음\s?날|\s?전\s?날|\s이브|의)")
FUTURE = re.compile(
    r"^(?:거|꺼|예정|계획|생각)(?:야|임|이야|예요|에요|이에요|이다|다|입니다|거든|거든요|인데|인데요|고)?$|^듯$"
)
PROMISED = re.compile(r"^했(?:어|어요|다|음|는데|는데요|거든|거든요|습니다|지)$")
MUST = re.compile(
    r"^(?:돼|돼요|해|해요|됨|함|되는데|하는데|된다|한다|되거든|하거든|되고|합니다|됩니다|할)$"
)
HAS = re.compile(
    r"^(?:있어|있어요|있음|있다|있는데|있는데요|있거든|있거든요|있습니다|있고|잡혔어|잡혔다|잡혀있어|생겼어)$"
)
LONG_PLAN_VERBS = tuple(verb for verb in PLAN_VERBS if len(verb) > 1)
BARE_TALK = frozenset("보 오 가 만나 하 자 오르 놀".split())  # "내일 봐!" is a goodbye
ME = frozenset("나 난 나는 내가 저 저는 제가".split())  # inside a clause; 전 is also "former"
NO = ("없", "말고", "아직", "아닌", "아니")
SKY = frozenset("비 비가 눈 눈이 소나기 태풍 태풍이 날씨 날씨가 해 해가".split())
SPEECH = ("자", "까", "라", "다", "고", "지", "게", "려", "야", "서")  # 헤어지자 했어
NEVER = frozenset("또 다시 꼭 같이 우리 이따".split())


def plans(clause: Clause, today: date) -> Iterator[Fact]:
    """일정 for days to come, 한 일 for days gone by."""
    if reported(clause):
        return
    text = clause.text
    found = list(mentions(text, today))
    if not found and (hour := TODAY.search(text)) and not HABIT & set(clause.words):
        told = clause.words[-1]
        meant = HAS.match(told) or COPULA.sub("", told) in EVENTS or AHEAD.search(text)
        if hour["later"] or meant:
            at = 1 if clause.words[0] in FIRST_PERSON else 0
            text = " ".join([*clause.words[:at], "오늘", *clause.words[at:]])
            found = list(mentions(text, today))[:1]
    if not found or HABIT & set(clause.words):
        return
    if len(found) == 2 and "말고" in text[found[0].end : found[1].start]:
        text = text[found[1].start :]  # "내일 말고 모레"
        found = list(mentions(text, today))
    for number, mention in enumerate(found):
        end = found[number + 1].start if number + 1 < len(found) else len(text)
        before = text[: mention.start].split() if number == 0 else []
        fact = _plan(before, text[mention.end : end], mention, text, today, number + 1 < len(found))
        if fact is not None:
            yield fact


def _plan(
    before: list[str], after: str, mention: Mention, text: str, today: date, more: bool
) -> Fact | None:
    company = [word for word in before if word not in FIRST_PERSON and word not in FILLERS]
    if company and mention.when.last >= today and (told := _event_on(company, after)):
        return Fact(f"{spoken(mention.when, today)} 일정", told, merge=True)
    if mention.when.first > today:
        after = re.sub(r"^부터(?:\s\d{1,2}일까지)?(?=\s)", "", after)
    if OTHER_DAY.match(after) or (after and not after[0].isspace() and not PARTICLE.match(after)):
        return None
    words = PARTICLE.sub("", after).split()
    said_me = bool(before) and before[0] in FIRST_PERSON or any(word in ME for word in words)
    words = [word for word in words if word not in ME and word not in FILLERS]
    if company and mention.when.last >= today:
        if told := _event_of(company, words):
            return Fact(f"{spoken(mention.when, today)} 일정", told, merge=True)
    if company and not WITH.search(company[-1]):
        return None
    if any(word in ("우리", "우리는") for word in company):
        return None
    if not words or any(word in DENIED or word.startswith(NO) for word in words):
        return None
    if words[0] in SKY:
        return None
    done = _done([*company, *words], said_me or bool(company), more)
    if done is None:
        return None
    value, tense = done
    if tense == "past":
        if re.search(r"예약하기$|예매하기$|잡기$", value) and mention.when.first >= today:
            booked = re.sub(r"\s?(?:예약|예매)하기$|\s?(?:약속|날짜)?\s?잡기$", "", value)
            booked = re.sub(r"(?<=\S)[을를]$", "", booked)
            return Fact(f"{spoken(mention.when, today)} 일정", f"{booked} 예약".strip(), merge=True)
        back = next(mentions(text[mention.start : mention.end], today, "back"), mention)
        near = next(mentions(text[mention.start : mention.end], today, "near"), mention)
        if back.when.first > today or (mention.when.span == "day" and near.when.first > today):
            return None  # "12월 27일 콘서트 예매 성공했어" of a day to come
        return Fact(f"{spoken(back.when, today)} 한 일", value, merge=True)
    if mention.when.last < today:
        return None
    return Fact(f"{spoken(mention.when, today)} 일정", value, merge=True)


HOUR = re.compile(
    r"^(?:에|로|으로|날)?\s?(?P<hour>(?:(?:오전|오후|아침|점심|저녁|밤|새벽)(?:에)?\s?)?(?:\d{1,2}시(?:\s?반|\s?\d{1,2}분)?)?)"
    r"(?:에|로|으로)?\s?(?P<end>야|이야|예요|이에요|임|입니다|인데|이래|래|있어|있음|있어요|있는데|있습니다|봐|해|해요"
    r"|(?:잡혔|정해졌|정했|잡았|결정됐|확정됐|바뀌었|바꼈|바뀜|바꿨|변경됐|변경했|미뤄졌|미뤘|밀렸|당겨졌|당겼|옮겼|옮겨졌|연기됐|연기했)(?:어|어요|다|음|는데|대)?)?$"
)
MOVED = re.compile(r"^(?:바뀌|바꼈|바뀜|바꿨|변경|미뤄|미뤘|밀렸|당겨|당겼|옮겼|옮겨|연기)")


def _event_on(company: list[str], after: str) -> str | None:
    """나 면접 목요일 오후 3시야, 회식은 금요일에 있어: the event stands before its day."""
    event = (
        company[-1] if company[-1] in EVENTS else re.sub(r"(?<=\S)[은는이가을를]$", "", company[-1])
    )
    event = re.sub(r"(?<=\S)\s?(?:날짜|일정|시간)$", "", event)
    hour = HOUR.match(after)
    before = company[:-1]
    if event in ("날짜", "일정") and before:
        *before, event = before
    known = event in EVENTS or any(event.endswith(one) for one in EVENTS if len(one) > 1)
    if hour is None or len(before) > 3 or not (known or MOVED.match(hour["end"] or "")):
        return None
    if any(word.endswith(("은", "는", "이", "가")) or word in OTHERS for word in before):
        return None
    before = [word for word in before if word not in ("말한", "그", "원래")]
    return " ".join([*before, event, *hour["hour"].split()])


def moved(clause: Clause, today: date) -> Iterator[Fact | Forget]:
    """시험 12월 5일로 미뤄졌어: the plan leaves its old day and stands on the new one."""
    last = clause.words[-1]
    if not MOVED.match(last):
        return
    text = " ".join(word for word in clause.words if word not in FIRST_PERSON | FILLERS)
    day = next(iter(mentions(text, today)), None)
    before = text[: day.start].split() if day else []
    if day is None or not before:
        return
    if told := _event_on(before, text[day.end :]):
        name = re.sub(r"\s(?:(?:오전|오후|아침|점심|저녁|밤|새벽)\s?)?\d{1,2}시.*$", "", told)
        yield Forget("일정", name.split()[-1])
        yield Fact(f"{spoken(day.when, today)} 일정", told, merge=True)


LIFE = frozenset(
    "결혼 이사 입대 전역 퇴원 입원 수술 졸업 입학 출산 출국 귀국 입국 이민 제대".split()
)


def _event_of(company: list[str], words: list[str]) -> str | None:
    """우리 누나 다음 달에 결혼해: what someone close goes through is a day to remember."""
    person = re.sub(r"(?<=\S)(?:은|는|이|가)$", "", company[-1])
    stem = plain_stem(words[-1]) if len(words) == 1 else None
    if person not in OTHERS or stem is None or stem[0].removesuffix("하") not in LIFE:
        return None
    return f"{person} {noun_form(stem[0])}"


def _done(words: list[str], sure: bool, more: bool) -> tuple[str, str] | None:
    """The plan as a noun phrase, and its tense."""
    if len(words) >= 2 and FUTURE.match(words[-1]) and (stem := stem_of_future(words[-2])):
        return _verb(words[:-2], stem, "now", sure)
    if len(words) >= 3 and " ".join(words[-2:]) in ("것 같아", "거 같아", "듯 해"):
        stem = stem_of_future(words[-3])
        return _verb(words[:-3], stem, "now", sure) if stem else None
    last = words[-1]
    if len(words) >= 2 and PROMISED.match(last) and words[-2].endswith("기로"):
        return _verb(words[:-2], words[-2][:-2], "now", sure)
    if joined := re.match(r"^(\S+)기로(?:했어|했어요|했다|했음|했는데)$", last):
        return _verb(words[:-1], joined[1], "now", sure)
    if joined := re.match(r"^(\S*[가-힣])(?:거야|꺼야|거임|예정이야|거예요|거에요)$", last):
        if stem := stem_of_future(joined[1]):
            return _verb(words[:-1], stem, "now", sure)
    if len(words) >= 2 and MUST.match(last) and words[-2].endswith("야"):
        stem = stem_of_polite(words[-2][:-1])
        return _verb(words[:-2], stem, "now", sure) if stem else None
    if joined := re.match(r"^(\S+)야(?:돼|해|됨|함|돼요|해요|하는데|되는데)$", last):
        stem = stem_of_polite(joined[1])
        return _verb(words[:-1], stem, "now", sure) if stem else None
    if (
        len(words) >= 3
        and re.match(r"^(?:왔|갔다왔)(?:어요?|다|음|는데)$", last)
        and words[-2].endswith("고")
    ):
        return _verb(words[:-2], words[-2][:-1], "past", sure)  # 면접 보고 왔어
    if (
        len(words) >= 2
        and re.match(r"^(?:놨|뒀)(?:어요?|음|다|는데)$", last)
        and re.search(r"(?:예약|예매)해$", words[-2])
    ):
        return _event([*words[:-2], words[-2].removesuffix("해")], named=True)
    if HAS.match(last) and len(words) >= 2:
        return _event(words[:-1], named=False)
    ending = COPULA.search(last)
    if ending and ending.start() > 0:
        noun = last[: ending.start()]
        if noun == "날" and len(words) >= 2 and (made := re.match(r"^(\S+)는$", words[-2])):
            return _verb(words[:-2], made[1], "now", sure)
        if noun == "예정" and len(words) >= 2:
            return _event(words[:-1], named=True)
        return _event([*words[:-1], noun], named=True)
    if more and last.endswith("고") and len(last) > 1:
        return _verb(words[:-1], last[:-1], "now", sure)
    stem_tense = plain_stem(last)
    if stem_tense is None:
        return None
    return _verb(words[:-1], stem_tense[0], stem_tense[1], sure)


def _event(words: list[str], named: bool) -> tuple[str, str] | None:
    """결혼식 있어, 면접이야: the noun is the plan. With 이야 it must be a known event."""
    noun = re.sub(r"(?<=[가-힣])(?:이|가|도)$", "", words[-1]) if not named else words[-1]
    if words[-1] in EVENTS:
        noun = words[-1]
    known = noun in EVENTS or any(noun.endswith(event) for event in EVENTS if len(event) > 1)
    if not known and (named or noun in NOT_EVENTS or noun in OTHERS or len(noun) < 2):
        return None
    if not known and len(words) > 1:
        return None
    if noun.endswith(("에", "에서", "한테", "고", "서", "게")) and not known:
        return None
    before = words[:-1]
    if any(_subject(word) for word in before) or len(before) > 5:
        return None
    return " ".join([*before, noun]), "now"


def _verb(before: list[str], stem: str, tense: str, sure: bool) -> tuple[str, str] | None:
    """카페 가 -> 카페 가기, when the verb is one of plans and nobody else does it."""
    if not stem or len(before) > 8:
        return None
    if stem.endswith("하"):
        doing = stem[:-1]
        done = doing or (before[-1] if before else "")
        doubled = done[: len(done) // 2] * 2 == done  # 꿀꿀, 두근두근
        if not done or done in NOT_DONE or done.endswith(SPEECH) or doubled:
            return None
        if not doing:
            before = [*before[:-1], re.sub(r"(?<=\S)[을를]$", "", done)]
            if before[-1] != done:  # 이별을 했어 -> 이별하기
                before, stem = before[:-1], before[-1] + "하"
    elif stem not in PLAN_VERBS and not stem.endswith(LONG_PLAN_VERBS):
        if tense == "now" or stem in IDLE_VERBS or stem.endswith(IDLE_ENDS):
            return None
    doers = [word for word in before if _subject(word)]
    if doers and not (len(doers) == 1 and stem in ("오", "놀러오") and doers[0][:-1] in OTHERS):
        return None
    if not before and (stem in BARE_TALK or not (sure or stem.endswith("하"))):
        return None
    if before and before[0] in NEVER and not sure:
        return None
    if not sure and before in (["일찍"], ["늦게"], ["꼭"], ["또"], ["다시"]):
        return None
    helping = stem in ("하", "보", "주", "오")  # 먹어 봐, 쓰려고 해
    if before and helping and before[-1].endswith(("고", "어", "아", "려")):
        return None
    ended = feeling_form(stem) if stem.endswith("끝나") else noun_form(stem)
    return " ".join([*before, ended]), tense


def _subject(word: str) -> bool:
    """엄마가, 친구는, 길이: someone or something else does it."""
    person = re.sub(r"(?:이|가|은|는|도|께서)$", "", word)
    if person != word and person in OTHERS:
        return True
    return word.endswith(("이", "가")) and word not in KNOWN and not OWN_I.search(word)
