"""What holds no longer: plans called off, facts denied, and "그거 기억하지 마".

"토요일 영화 취소됐어" -> Forget("11월 28일 일정", "영화")
"나 부산에 안 살아"     -> the statement without its 안 gives 사는 곳: 부산, which is forgotten
"내 이름 잊어줘"        -> Forget("이름")
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from ohlora.memory.dates import mentions, spoken
from ohlora.memory.extract.clauses import Amend, Clause, Fact, Forget
from ohlora.memory.extract.korean import final
from ohlora.memory.extract.traits import THING
from ohlora.memory.extract.words import FILLERS, FIRST_PERSON, words

PLEASE = r"(?:\s?(?:줘|줘요|줄래|주라|주세요|버려줘|버려\s줘|주면\s돼))"
FORGETTING = re.compile(
    rf"^(?P<what>.*?)\s?(?:(?:잊어|까먹어|지워|삭제해|잊어버려){PLEASE}"
    r"|기억(?:은|을)?\s?(?:하지\s?(?:마|마요|말아|말아줘|마세요|말고)|안\s?해도\s?(?:돼|돼요|괜찮아))"
    r"|기억에서\s(?:지워|삭제해)\s?(?:줘|줘요|주세요))$"
)
JUST_SAID = re.compile(
    r"^(?:(?:방금|아까|지금|금방|이번에?)\s)?(?:(?:내가|나의|내|그|이)\s)?(?:(?:방금|아까|지금|금방)\s)?"
    r"(?:그거|그건|이거|이건|그것|그걸|이걸|그말|그\s말|그\s얘기|이\s얘기|말|얘기|이야기"
    r"|(?:한|말한|얘기한|알려준)\s?(?:거|건|것|걸|말|얘기))(?:은|는|을|를)?$"
)
ALL_SAID = re.compile(
    r"^(?:지금까지\s|여태\s|이제까지\s)?(?:나에?\s?(?:대해|대한|관한)\s?|(?:내가|나의|내)\s)?"
    r"(?:지금까지\s|여태\s)?(?:(?:한|말한|얘기한|알려준)\s?(?:말|얘기|이야기|거|것|건|걸)|말|얘기|기억|거|건|걸)?"
    r"(?:은|는|을|를|들)?\s?(?:다|전부|모두|싹|전부\s다|모두\s다|싹\s다)$"
)
VAGUE = words("나 나를 날 저 너 걔 그 사람 그사람 것 거 말 다 전부 모두 이제 그냥 오늘 내일")


def forgotten(clause: Clause, today: date) -> Iterator[Forget]:
    """ "내 이름 잊어줘", "그거 기억하지 마", "내가 한 말 다 잊어 줘"."""
    text = " ".join(word for word in clause.words if word not in POLITE)
    if NO_ALLERGY.match(text):
        yield Forget("알레르기", subject="user")
    match = FORGETTING.match(text)
    if match is None:
        return
    what = re.sub(r"(?<=^[나걔그])[는은]$", "", match["what"])
    if ALL_SAID.match(what):
        yield Forget()
    elif not what or JUST_SAID.match(what):
        if what or clause.text.startswith("기억"):
            yield Forget(last=True)
    else:
        yield from _named(what, today)


NO_ALLERGY = re.compile(
    r"^(?:나|난|나는|저는)\s(?:알레르기|알러지)(?:는|가|도)?\s없(?:어|어요|다|음|어졌어)$"
)
POLITE = words("제발 그냥 이제 좀 부탁인데 미안한데 혹시")


def _named(what: str, today: date) -> Iterator[Forget]:
    """The key of "내 이름", "내일 일정", "좋아하는 가수"; else whatever speaks of it."""
    what = re.sub(r"^(?:내|제|나의|저의|내가|나)\s", "", what)
    what = re.sub(
        r"\s?(?:얘기|이야기|말한\s?거|말한\s?건|에\s대한\s거|라는\s거|에\s대해서?)", "", what
    )
    what = re.sub(r"(?<=\S\S)(?:은|는|을|를|도|이랑|랑)$", "", what).strip()
    day = next(iter(mentions(what, today, "near")), None)
    if day is not None and day.start == 0:
        thing = re.sub(r"^(?:에|의|은)?\s?", "", what[day.end :])
        named = thing in ("", "일정", "약속", "계획", "스케줄")
        yield Forget(f"{spoken(day.when, today)} 일정", None if named else thing)
    elif what in THING:
        yield Forget(THING[what], subject="user")
    elif re.fullmatch(r"(?:좋아하는|싫어하는|못 먹는|못 마시는)\s\S+|알레르기|반려동물|상태", what):
        yield Forget(what, subject="user")
    elif len(what) > 1 and len(what.split()) <= 3 and what not in VAGUE:
        yield Forget(value=what)


CALLED_OFF = re.compile(
    r"^(?:(?:취소|무산|파토|파투|캔슬|연기)(?:됐|되었|했|났|냈|함|됨|돼|하기로|되서|돼서|인데|야|임)"
    r"|취소$|미뤄졌|미루기로|밀렸|없어졌|엎어졌)"
)


def called_off(clause: Clause, today: date) -> Iterator[Forget]:
    """ "토요일 영화 취소됐어", "여행 취소하기로 했어"."""
    at = next((at for at, word in enumerate(clause.words) if CALLED_OFF.match(word)), None)
    if not at or len(clause.words) - at > 2:
        return
    text = " ".join(w for w in clause.words[:at] if w not in FIRST_PERSON and w not in FILLERS)
    day = next(iter(mentions(text, today)), None)
    if day is not None:
        after = re.sub(r"^(?:에|의|은|날)(?=\s)", "", text[day.end :])
        text = f"{text[: day.start]} {after}"
    what = [
        word for word in text.split() if word not in ("다", "전부", "모두", "하기로", "한", "거")
    ]
    what = [re.sub(r"(?<=\S)(?:이|가|은|는|도|을|를)$", "", word) for word in what]
    plainly = re.match(r"취소|무산|파토|파투|캔슬", clause.words[at])  # not "입맛이 없어졌어"
    if len(what) > 3 or not (day or (what and plainly)):
        return
    key = f"{spoken(day.when, today)} 일정" if day else "일정"
    yield Forget(key, " ".join(what) or None)


POSITIVE = {  # of V지 않아
    "좋아하": "좋아해",
    "싫어하": "싫어해",
    "살": "살아",
    "다니": "다녀",
    "키우": "키워",
    "가": "가",
    "배우": "배워",
    "하": "해",
}
NEGATING = re.compile(r"^않(?:아|아요|는다|음|습니다|는데|기로)$")


def affirmed(clause: Clause) -> Clause | None:
    """The statement that this one denies: "나 부산에 안 살아" -> "나 부산에 살아"."""
    said = [word for word in clause.words if word not in ("별로", "전혀", "더", "이상", "더이상")]
    if len(said) < 2:
        return None
    *before, last = said
    if NEGATING.match(last) and before[-1].endswith("지"):
        verb = POSITIVE.get(before[-1][:-1])
        return verb and replace(clause, words=(*before[:-1], verb)) or None
    if re.match(r"^없(?:어|어요|다|음|는데|습니다|어졌어)$", last):
        return replace(clause, words=(*before, "있어"))
    if re.match(r"^아니(?:야|에요|예요|거든|다|고|ㅁ)$", last):
        noun = re.sub(r"(?<=\S)(?:이|가)$", "", before[-1])
        return replace(clause, words=(*before[:-1], noun + ("이야" if final(noun) else "야")))
    at = next((at for at in range(len(said) - 2, -1, -1) if said[at] in ("안", "못")), None)
    if at is None or len(said) - at > 3:
        return None
    left = said[:at] + said[at + 1 :]
    if any(
        re.search(r"(?:[아어여]서|해서|자서|니까|는데|고)$", word) for word in said[at + 1 : -1]
    ):
        return None  # 잠을 못 자서 피곤해: its cause is denied, not the statement
    if re.match(r"^됐|^되었", left[-1]) and left[-2].endswith("게"):
        left[-2:] = [left[-2][:-1] + "기로", "했어"]  # "못 가게 됐어"
    return replace(clause, words=tuple(left))


def denied(fact: Fact, clause: Clause) -> Iterator[Fact | Forget]:
    """What the denial of this fact takes away, and what it tells."""
    value: str | None = fact.value
    if fact.key.endswith("일정"):
        *content, verb = fact.value.split()
        value = " ".join(content) if content and verb.endswith("기") else fact.value
        value = re.sub(r"(?<=\S)(?:을|를|에|로|으로)$", "", value)
    yield Forget(fact.key, value, fact.subject)
    liked = fact.key.startswith("좋아하는 ") and fact.subject == "user"
    if liked and "이제" in clause.words and not {"별로", "그닥", "그다지"} & set(clause.words):
        yield Fact(fact.key.replace("좋아하는", "싫어하는", 1), fact.value, merge=True)


AMENDED = re.compile(
    r"^(?P<thing>\S+(?:\s\S+)?)\s(?P<new>(?:(?:오전|오후|아침|점심|저녁|밤|새벽)\s?)?\d{1,2}시(?:\s?반|\s?\d{1,2}분)?"
    r"|\S{2,10}?)(?:으로|로)\s"
    r"(?:바뀌었|바꼈|바뀜|바꿨|변경됐|변경했|미뤄졌|미뤘|밀렸|당겨졌|당겼|옮겼|옮겨졌|연기됐)(?:어|어요|다|음|는데)?$"
)


def amended(clause: Clause) -> Iterator[Amend]:
    """ "약속 7시로 미뤘어", "동창회 장소 홍대로 바뀌었어"."""
    if match := AMENDED.match(" ".join(word for word in clause.rest if word not in FILLERS)):
        said = re.sub(r"(?<=\S)(?:은|는|이|가|을|를)$", "", match["thing"])
        thing = re.sub(r"\s?(?:시간|날짜|장소)$", "", said)
        if re.search(r"\d시", match["new"]) or said.endswith("장소"):
            yield Amend(match["new"], thing=thing)


def corrected(clause: Clause) -> Iterator[Amend]:
    """ "여행 부산 말고 강릉으로 바꿨어", "아니 대리가 아니라 과장이라니까"."""
    if clause.instead:
        old, new = clause.instead
        if len(new) > 1 and old != new:
            yield Amend(new, old)


TURNED = re.compile(
    r"^(?:(?:내|제|우리)\s)?(?:(?:제일|가장)\s)?(?P<thing>\S+(?:\s\S+)?)(?:이|가|은|는|을|를)?\s"
    r"(?:바뀌었|바꼈|바꿨|달라졌|개명했)(?:어|어요|다|음|는데|습니다)$"
)


def turning(clause: Clause) -> str:
    """The key that is about to be told anew: "가수 바뀌었어. 이제 뉴진스야"; "" for none."""
    text = " ".join(clause.rest)
    match = TURNED.match(text)
    if match is None:
        return ""
    thing = re.sub(r"(?<=\S)(?:이|가|은|는|을|를)$", "", match["thing"])
    if thing in THING:
        return THING[thing]
    return thing if re.match(r"^(?:좋아하는|싫어하는)\s\S+$", thing) else ""
