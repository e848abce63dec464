"""Lasting facts: who the user is, what they like, whom they know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.dates import mentions
from ohlora.memory.extract.clauses import Clause, Fact
from ohlora.memory.extract.doings import SCHOOL, doings
from ohlora.memory.extract.korean import (
    COPULA,
    OWN_I,
    final,
    noun_form,
    plain_stem,
    without_copula,
)
from ohlora.memory.extract.tastes import LIKED, kind_of, liked_thing, pets, tastes
from ohlora.memory.extract.words import (
    CALLED,
    FILLERS,
    FIRST_PERSON,
    GIVEN,
    JOBS,
    KNOWN,
    NO_VALUES,
    NOT_NAMES,
    NUMERALS,
    PEOPLE,
    SURNAMES,
    TASTES,
    YOU,
)

OWN = r"(?:(?:내|제|나의|저의|우리|나는|난|저는|전|나|저|내가|제가|나도|저도)\s)?"
KEYS = {  # how it is called in a memory, and what people say
    "이름": "이름 성함 본명",
    "별명": "별명",
    "나이": "나이",
    "생일": "생일",
    "직업": "직업 하는_일",
    "회사": "회사 직장 다니는_회사",
    "학교": "학교 대학교 다니는_학교",
    "학년": "학년",
    "전공": "전공 학과 과",
    "고향": "고향",
    "사는 곳": "사는_곳 집",
    "취미": "취미",
    "특기": "특기",
    "혈액형": "혈액형",
    "키": "키",
    "MBTI": "MBTI mbti Mbti 엠비티아이",
    "목표": "목표 올해_목표",
    "꿈": "꿈 장래희망 장래_희망",
    "성격": "성격",
    "고민": "고민",
    "롤 티어": "롤_티어",
    "최애": "최애",
    "가고 싶은 곳": "가고_싶은_곳 가고_싶은_나라 여행_가고_싶은_곳",
}
THING = {said.replace("_", " "): key for key, names in KEYS.items() for said in names.split()}
ATTRIBUTE = re.compile(
    rf"^{OWN}(?:(?:진짜|제일|가장|요즘|현재|지금|참고로)\s)*"
    rf"(?P<thing>{'|'.join(sorted(THING, key=len, reverse=True))}"
    r"|(?:제일\s|가장\s)?(?P<taste>좋아하는|싫어하는|최애|인생)\s(?P<kind>\S{1,6}))"
    r"(?:은|는|이|가|\s?건|(?=\s\d))(?<=\S)\s(?P<value>\S.{0,40})$"
)
PERSON = (
    rf"(?P<person>(?:{'|'.join(sorted(PEOPLE, key=len, reverse=True))}))"
    r"(?:\s(?P<name>[가-힣]{2,4}?))?"
)
OTHERS_THING = re.compile(
    rf"^(?:(?:내|제|우리|나의)\s)?{PERSON}(?:의)?\s"
    r"(?P<thing>이름|생일|생신|나이|직업|MBTI|mbti|엠비티아이|별명)(?:은|는|이|가)\s(?P<value>\S.{0,30})$"
)
OTHERS_SELF = re.compile(
    rf"^(?:(?:내|제|우리|나의)\s)?{PERSON}(?:은|는|이|가|도)\s(?P<said>\S.{{0,40}})$"
)
OTHERS_DAY = re.compile(
    rf"^(?P<when>\S+(?:\s\S+)?)\s(?:(?:내|제|우리)\s)?{PERSON}\s(?:생일|생신)(?:이야|이에요|임|인데|이다)$"
)
VERB_END = re.compile(
    r"(?:다|요|어|해|했|지|네|까|죠|니|냐|면|서|을|를|은|는|만|에|에서|한테|랑|하고|려고|싶어|같아|거|데)$"
)
NAMED = re.compile(r"^(?P<name>[가-힣A-Za-z]{1,8}?)(?:이?라고|이?라구)$")
NAME_TOLD = re.compile(
    r"^(?:나|저|내|제|난|전)\s(?P<thing>이름|별명)\s(?P<value>\S{1,6}(?:이야|야|인데요?|입니다|이에요|예요|임|이고))$"
)
CALL = re.compile(r"^(?:해요?|합니다|불러|불러줘|불러줘요|불러주세요|불러도|부르면|함)$")
MBTI = re.compile(r"^[IEie][NSns][TFtf][JPjp]$")
AGE = re.compile(rf"^(?:\d{{1,2}}\s?(?:살|세)|{NUMERALS}(?:\s?살)?)$")
MAJOR = re.compile(r"(?:학과|공학과|교육과|경영|과)$")
GRADE = re.compile(
    r"^(?:[초중고][1-6]|(?:초등학교|중학교|고등학교|대학교|대학)\s[1-6]학년|[1-6]학년)$"
)


def traits(clause: Clause, today: date, alone: bool) -> list[Fact]:
    """Facts that last. `alone`: the message speaks of no other person or pet."""
    for rule in (_others, pets, _named, _attribute, _self, tastes, doings):
        facts = list(rule(clause, today, alone))
        if facts:
            return facts
    return []


def value_of(text: str, name: bool = False) -> str | None:
    """The noun phrase of "V이야" or a bare "V"; None when it is a verb, a dodge or about her."""
    words = text.split()
    if not words or len(words) > 5 or any(word in YOU for word in words):
        return None
    last, ending = words[-1], COPULA.search(words[-1])
    if ending and ending.start() > 0:
        base = last[: ending.start()]
        mark = ending[0]
        own_i = not final(base) or OWN_I.search(base + "이")
        if mark[0] == "이" and own_i:
            base += "이"  # 떡볶이야, 아이야
        elif mark in ("야", "에요", "예요", "거든", "거든요", "라서"):
            base = without_copula(base)
        last = base
    elif ending or (last not in KNOWN and not name and (VERB_END.search(last) or plain_stem(last))):
        return None
    value = " ".join([*words[:-1], last]).strip()
    if not value or last in NO_VALUES or words[0] in NO_VALUES or len(value) > 30:
        return None
    if re.search(r"(?:모르|없|아니|비밀|말고|아직|안\s|못\s|[두세네]\s개|\d\s?개)", value):
        return None
    return value


def _attribute(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """내 취미는 등산이야, 내가 좋아하는 가수는 아이유야, 생일은 3월 2일이야."""
    match = ATTRIBUTE.match(clause.text)
    if match is None:
        yield from _birthday(clause, today)
        return
    value = value_of(match["value"], name=match["thing"] in ("이름", "별명"))
    if value is None:
        return
    if match["taste"]:
        if (kind := match["kind"]) in TASTES:
            liked = "싫어하는" if match["taste"] == "싫어하는" else "좋아하는"
            yield Fact(f"{liked} {'색' if kind == '색깔' else kind}", value)
        return
    owned = re.match(r"(?:내|제|나의|저의|우리|나는|난|저는|전|나|저)\s", clause.text)
    if not owned and (not alone or match["thing"] in ("집", "과", "회사", "학교", "성격")):
        return
    key = THING[match["thing"]]
    if fitting := _fitting(key, value, today):
        yield Fact(key, fitting, merge=key in ("취미", "특기", "가고 싶은 곳"))


def _fitting(key: str, value: str, today: date) -> str | None:
    """The value as this key keeps it; None when it cannot be one."""
    if key == "생일":
        return _month_day(value, today)
    if key == "MBTI":
        return value.upper() if MBTI.match(value) else None
    if key == "나이":
        return value if re.search(r"\d", value) or AGE.match(value) else None
    if key == "이름":
        whole = re.fullmatch(r"[가-힣]{1,5}|[A-Za-z]{2,20}", value)
        return value if whole and not re.search(r"(?:해|싶어|[다요네까냐])$", value) else None
    return value


def _birthday(clause: Clause, today: date) -> Iterator[Fact]:
    """3월 2일이 내 생일이야, 나 내일 생일이야."""
    match = re.match(r"^(?P<value>\S.{0,20}?)(?:이|가)\s(?:내|제)\s생일\S{0,4}$", clause.text)
    if match is None and (clause.first_person or "내 생일" in clause.text):
        match = re.match(
            rf"^{OWN}(?P<value>\S+)\s(?:내\s|제\s)?생일(?:이야|이에요|임|인데|이다)$", clause.text
        )
    if match and (day := _month_day(match["value"], today)):
        yield Fact("생일", day)


def _month_day(text: str, today: date) -> str | None:
    found = next(iter(mentions(text, today)), None)
    if found is None or found.start > 4 or found.when.span != "day":
        return None
    return f"{found.when.first.month}월 {found.when.first.day}일"


def _named(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """나는 민수라고 해, 지은이라고 불러줘, 제 이름은 지은이라고 합니다."""
    casually = ("앞으로", "그냥", "편하게", "이제", "줘")
    words = [word for word in clause.words if word not in casually]
    bare = NAME_TOLD.match(clause.text)  # 나 이름 지훈인데
    name = value_of(bare["value"], name=True) if bare else None
    if bare and name and _fitting("이름", name, today):
        yield Fact(bare["thing"], name)
        return
    if len(words) < 2 or not CALL.match(words[-1]):
        return
    before = words[:-2]
    aged = re.search(rf"(?:^|\s)((?:\d{{1,2}}|{NUMERALS})\s?(?:살|세))$", " ".join(before))
    if aged and before[0] in FIRST_PERSON:  # 저는 서른두 살 박민호라고 합니다
        yield Fact("나이", aged[1].strip())
        before = before[:1]
    told = before in ([], ["이름은"], ["내", "이름은"], ["제", "이름은"])
    if not told and not (len(before) == 1 and before[0] in FIRST_PERSON | {"날", "나를", "저를"}):
        return
    if not before and words[-1] in ("해", "해요", "함"):
        return  # "가라고 해" is no name
    match = NAMED.match(words[-2])
    if not match:
        return
    name = match["name"]
    if words[-2].endswith(("이라고", "이라구")) and not final(name):
        return
    if not name.endswith(("하", "가", "오", "보", "되")) or words[-1].startswith("불러"):
        yield Fact("이름", name)


def _self(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """나 25살이야, 나는 개발자야, 나 INFP야, 나 고2야."""
    said = [word for word in clause.rest if word not in FILLERS and word not in AT_PRESENT]
    if not said or len(said) > 5:
        return
    first = clause.first_person
    if mbti := _mbti(said, first):
        yield Fact("MBTI", mbti)
        return
    ended = COPULA.search(said[-1]) is not None
    value = value_of(" ".join(said), name=True)
    if value is None or not (ended or first):
        return
    if AGE.match(value):
        if first or (alone and re.search(r"살|세", value)):
            yield Fact("나이", value)
    elif GRADE.match(value):
        if first or value[0] in "초중고":
            yield Fact("학년", value)
    elif not (first and ended):
        yield from _goal(value)
    elif FULL_NAME.match(value) and value not in NOT_NAMES | KNOWN:
        yield Fact("이름", value)
    elif BLOOD.match(value):
        yield Fact("혈액형", value.upper())
    elif fan := re.fullmatch(r"(\S{1,10}(?:\s\S{1,6})?)\s팬", value):
        yield Fact(f"좋아하는 {kind_of(fan[1])}", fan[1], merge=True)
    elif value == "외동":
        yield Fact("가족", "외동")
    elif student := re.fullmatch(r"(\S{2,12})\s학생", value):
        if SCHOOL.search(student[1]):
            yield Fact("학교", student[1])
        elif MAJOR.search(student[1]):
            yield Fact("전공", student[1])
    elif (
        studied := re.fullmatch(r"(\S+과) (?:대학원생|대학생|재학생|휴학생|\d학년)", value)
    ) and first:
        yield Fact("전공", studied[1])
        yield Fact("직업", value)
    elif re.fullmatch(r"\S{2,10}\s?출신", value):
        yield Fact("고향", value.removesuffix("출신").strip())
    elif major := re.fullmatch(r"(\S{2,10}(?:\s\S{1,6})?)\s?전공|(\S{1,10}학과|\S+교육과)", value):
        yield Fact("전공", major[1] or major[2])
    elif _is_job(value.split()):
        yield Fact("직업", value)
    else:
        yield from _goal(value)


AT_PRESENT = frozenset(("올해", "현재", "지금", "만으로"))
FULL_NAME = re.compile(rf"^[{SURNAMES}][{GIVEN[0]}][{GIVEN[1]}]$")
BLOOD = re.compile(r"^(?:RH\+?\s?)?(?:A|B|O|AB|a|b|o|ab)형$")
SPOKEN_MBTI = re.compile(r"^(?:mbti|엠비티아이|인프피|엔프피|잇티제|엔팁)")


def _mbti(said: list[str], first: bool) -> str | None:
    """The type, when the clause says nothing else: 나 INFP야, mbti는 infp."""
    types = [word for word in said if MBTI.match(COPULA.sub("", word))]
    around = [word for word in said if word not in types]
    if not types or not (first or len(said) == 1):
        return None
    if all(SPOKEN_MBTI.match(word.lower()) for word in around):
        return COPULA.sub("", types[-1]).upper()
    return None


def _is_job(noun: list[str]) -> bool:
    """개발자, 초등학교 선생님; not 집에서 개발자."""
    if noun[-1] not in JOBS or len(noun) > 3:
        return False
    return not any(
        word.endswith(("는", "이", "가", "의", "을", "를", "서", "고")) for word in noun[:-1]
    )


def _goal(value: str) -> Iterator[Fact]:
    """토익 900점 넘기가 목표야, 의사 되는 게 꿈이야."""
    match = re.fullmatch(
        r"(?P<what>.{2,25}?)(?:이|가|는 게|는 것이)\s(?:내\s|올해\s)?(?P<key>목표|꿈)", value
    )
    if match:
        what = match["what"]
        yield Fact(match["key"], noun_form(what) if "는 " in value[len(what) :] else what)


def _others(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """Facts of people the user knows: "내 친구 민지는 의사야"."""
    if clause.first_person:
        return
    if match := OTHERS_THING.match(clause.text):
        value = value_of(match["value"], name=match["thing"] in ("이름", "별명"))
        if value and match["thing"] in ("생일", "생신"):
            value = _month_day(value, today)
        if value:
            yield Fact(
                f"{_who(match)} {match['thing'].replace('mbti', 'MBTI').replace('생신', '생일')}",
                value,
                "other",
            )
        return
    if (match := OTHERS_DAY.match(clause.text)) and (day := _month_day(match["when"], today)):
        yield Fact(f"{_who(match)} 생일", day, "other")
        return
    match = OTHERS_SELF.match(clause.text)
    if not match or match["name"] in PEOPLE:
        return
    words = [word for word in match["said"].split() if word not in FILLERS]
    if not words or len(words) > 5:
        return
    said = " ".join(words)
    value = value_of(said) if COPULA.search(words[-1]) else None
    if value and (
        value.split()[-1] in JOBS or AGE.match(value) or GRADE.match(value) or MBTI.match(value)
    ):
        yield Fact(_who(match), value, "other", merge=True)
    elif (taste := LIKED.match(words[-1])) and len(words) >= 2:
        thing = liked_thing(words[:-1], first_person=True)
        if thing:
            liked = "싫어함" if taste[1] in ("싫어", "극혐") else "좋아함"
            yield Fact(_who(match), f"{thing} {liked}", "other", merge=True)
    elif place := re.match(r"^(\S{2,10})(?:에서|에)\s(?:살아|산다|살고\s?있어)(?:요)?$", said):
        yield Fact(_who(match), f"{place[1]} 살아", "other", merge=True)


def _who(match: re.Match[str]) -> str:
    person = CALLED.get(match["person"], match["person"])
    return f"{person} {match['name']}" if match["name"] else person
