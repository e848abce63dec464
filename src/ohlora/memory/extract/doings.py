"""What the user does for long: lives, studies, works, learns; and what they cannot eat.

"나 부산에서 혼자 살아" -> 사는 곳: 부산        "편의점에서 알바하고 있어" -> 직업: 편의점 알바
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.dates import mentions
from ohlora.memory.extract.clauses import Clause, Fact
from ohlora.memory.extract.tastes import VAGUE
from ohlora.memory.extract.words import (
    CALLED,
    FILLERS,
    FIRST_PERSON,
    KNOWN,
    PEOPLE,
    REGIONS,
    YOU,
    words,
)


def _forms(stem: str, polite: str, plain: str, linked: str) -> dict[str, str]:
    """The ways to end a statement with a verb: 살아, 산다, 사는데, 살고 있어, ..."""
    going_on = [
        stem + "고있" + end for end in "어 어요 음 다 는데 는데요 거든 거든요 습니다".split()
    ]
    others = [stem + "거든", stem + "거든요", linked + "중이야", linked + "중이에요", linked + "중"]
    return {
        form: stem
        for form in (
            polite,
            polite + "요",
            plain,
            linked + "데",
            linked + "데요",
            *going_on,
            *others,
        )
    }


VERBS = {
    **_forms("살", "살아", "산다", "사는"),
    **_forms("다니", "다녀", "다닌다", "다니는"),
    **_forms("배우", "배워", "배운다", "배우는"),
    **{
        noun + form: noun
        for noun in ("전공", "일", "근무", "알바", "준비", "공부", "자취", "거주")
        for form in _forms("하", "해", "한다", "하는") | {"중이야": "", "중이에요": "", "중": ""}
    },
}
SCHOOL = re.compile(r"(?:학교|대|여대|고|여고|외고|과고|중|여중)$")
COMPANY = re.compile(
    r"(?:회사|전자|은행|병원|그룹|스타트업|기업|공사|증권|카카오|네이버|쿠팡|연구소|방송국|출판사)$"
)
ALLERGY = re.compile(
    r"^(?P<what>\S{1,8}?(?:\s\S{1,4}?)?)(?:에)?\s?(?:알레르기|알러지)(?:가|도)?"
    r"(?:\s(?:있(?:어|어요|음|다|는데|거든|거든요|습니다)|심해|심해요)|야|예요|임|인데)$"
)
BECOMING = re.compile(
    r"^(?P<what>[가-힣]{2,8}(?:\s[가-힣]{2,6})?)(?:이|가)\s되고\s?싶(?:어|어요|다|음)$"
)
MOVED = re.compile(r"^(?P<what>\S{2,10}?)(?:으로|로)\s이사\s?(?:왔어|갔어|했어|했다|왔다)(?:요)?$")
MOVED_TO = re.compile(
    r"^이사\s?(?:왔어|갔어|했어|했다|왔다)(?:요)?\s(?P<what>\S{2,10}?)(?:으로|로)$"
)
HOBBY = re.compile(r"^취미로\s(?P<what>\S{1,10})\s(?:쳐|해|배워|그려|찍어)(?:요)?$")
PARTNER = re.compile(
    r"^(?P<who>여자친구|여친|남자친구|남친|애인)(?:가|이|랑|이랑|하고)?\s"
    r"(?P<state>생겼|있|헤어졌)(?:어|어요|다|음|는데)$"
)
SPACED = re.compile(r"(?<=고)\s(?=있)|(?<=는)\s(?=중)|(?<=[비공무일바부])\s(?=중|하)")
MANNERS = words(
    "혼자 같이 잘 오래 열심히 행복하게 그럭저럭 대충 막 바쁘게 여기 거기 따로 자취 지금 현재"
)


def doings(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """Facts from what the user does; none when it may be someone else who does it."""
    said = [word for word in clause.rest if word not in FILLERS and word not in MANNERS]
    text = " ".join(said)
    if partner := PARTNER.match(text):
        state = "헤어짐" if partner["state"] == "헤어졌" else "있음"
        yield Fact(CALLED.get(partner["who"], partner["who"]), state)
        return
    for pattern, key in (
        (ALLERGY, "알레르기"),
        (BECOMING, "꿈"),
        (MOVED, "사는 곳"),
        (MOVED_TO, "사는 곳"),
        (HOBBY, "취미"),
    ):
        match = pattern.match(text)
        if match and _plain(match["what"]):
            yield Fact(key, match["what"], merge=key in ("알레르기", "취미"))
            return
    said = re.sub(
        r"(?<=고)\s(?=있)|(?<=는)\s(?=중)|(?<=[비공무일바부])\s(?=중|하)", "", text
    ).split()
    verb = VERBS.get(said[-1]) if said else None
    if verb is None or not 2 <= len(said) <= 4:
        return
    subject = said[0].endswith(("은", "는", "이", "가")) and said[0] not in KNOWN
    if subject and not clause.first_person:
        return
    *_, marked = said[:-1]
    what = " ".join(said[:-1])
    bare = re.sub(r"(?<=\S)(?:에서|에|을|를|으로|로)$", "", what)
    if _plain(bare) and not any(True for _ in mentions(bare, today)):
        yield from _told(verb, bare, marked[len(bare.split()[-1]) :])


def _told(verb: str, what: str, particle: str) -> Iterator[Fact]:
    if verb in ("살", "자취", "거주"):
        if particle in ("에서", "에") or any(_is_place(word) for word in what.split()):
            yield Fact("사는 곳", what)
    elif verb == "다니":
        if SCHOOL.search(what) and len(what) > 1 and what not in ("학교", "대학교"):
            yield Fact("학교", what)
        elif COMPANY.search(what) and what != "회사":
            yield Fact("회사", what)
    elif verb == "배우" and particle in ("", "을", "를"):
        yield Fact("배우는 것", what, merge=True)
    elif verb == "전공":
        yield Fact("전공", what)
    elif verb == "준비" and what not in ("이별", "마음"):
        yield Fact("준비하는 것", what)
    elif verb == "공부" and particle in ("", "을", "를"):
        yield Fact("공부하는 것", what, merge=True)
    elif verb == "알바":
        yield Fact("직업", f"{what} 알바")
    elif verb == "일" and particle in ("으로", "로"):
        yield Fact("직업", what)
    elif verb in ("일", "근무") and particle == "에서" and what not in ("집", "회사"):
        yield Fact("회사", what)


def _plain(what: str) -> bool:
    """No person, nothing vague, no manner or negation in it."""
    if any(word in FIRST_PERSON | PEOPLE | YOU | VAGUE for word in what.split()):
        return False
    if any(re.sub(r"(?:은|는|이|가)$", "", word) in PEOPLE for word in what.split()):
        return False
    return not re.search(r"(?:랑|하고|게|히|안|못|없이|로서|려고|위주)\b", what)


def _is_place(word: str) -> bool:
    return word in REGIONS or re.search(r"[가-힣](?:시|구|동|군|도|읍|면|리)$", word) is not None
