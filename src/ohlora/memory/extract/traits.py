"""Lasting facts: who the user is, what they like, whom they know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.dates import mentions
from ohlora.memory.extract.clauses import Clause, Fact
from ohlora.memory.extract.korean import OWN_I, final, noun_form, plain_stem, without_copula
from ohlora.memory.extract.words import (
    ANIMALS,
    CALLED,
    FILLERS,
    FIRST_PERSON,
    JOBS,
    KINDS,
    NO_VALUES,
    NUMERALS,
    PEOPLE,
    TIERS,
    YOU,
)

OWN = r"(?:(?:내|제|나의|저의|우리|나는|난|저는|전|나|저|내가|제가|나도|저도)\s)?"
THING = {
    "이름": "이름",
    "성함": "이름",
    "본명": "이름",
    "별명": "별명",
    "나이": "나이",
    "생일": "생일",
    "직업": "직업",
    "하는 일": "직업",
    "직장": "회사",
    "회사": "회사",
    "다니는 회사": "회사",
    "학교": "학교",
    "대학교": "학교",
    "다니는 학교": "학교",
    "학년": "학년",
    "전공": "전공",
    "학과": "전공",
    "과": "전공",
    "고향": "고향",
    "사는 곳": "사는 곳",
    "집": "사는 곳",
    "취미": "취미",
    "특기": "특기",
    "혈액형": "혈액형",
    "키": "키",
    "MBTI": "MBTI",
    "mbti": "MBTI",
    "Mbti": "MBTI",
    "엠비티아이": "MBTI",
    "목표": "목표",
    "올해 목표": "목표",
    "꿈": "꿈",
    "장래희망": "꿈",
    "장래 희망": "꿈",
    "성격": "성격",
    "고민": "고민",
    "롤 티어": "롤 티어",
    "최애": "최애",
    "가고 싶은 곳": "가고 싶은 곳",
    "가고 싶은 나라": "가고 싶은 곳",
    "여행 가고 싶은 곳": "가고 싶은 곳",
}
ATTRIBUTE = re.compile(
    rf"^{OWN}(?:(?:진짜|제일|가장|요즘|현재|지금|참고로)\s)*"
    rf"(?P<thing>{'|'.join(sorted(THING, key=len, reverse=True))}"
    r"|(?:제일\s|가장\s)?(?P<taste>좋아하는|싫어하는|최애|인생)\s(?P<kind>\S{1,8}(?:\s\S{1,6})?))"
    r"(?:은|는|이|가)(?<=\S)\s(?P<value>\S.{0,40})$"
)
PERSON = (
    rf"(?P<person>(?:{'|'.join(sorted(PEOPLE, key=len, reverse=True))}))"
    r"(?:\s(?P<name>[가-힣]{2,4}?))?"
)
OTHERS_THING = re.compile(
    rf"^(?:(?:내|제|우리|나의)\s)?{PERSON}(?:의)?\s"
    r"(?P<thing>이름|생일|나이|직업|MBTI|mbti|엠비티아이|별명)(?:은|는|이|가)\s(?P<value>\S.{0,30})$"
)
OTHERS_SELF = re.compile(
    rf"^(?:(?:내|제|우리|나의)\s)?{PERSON}(?:은|는|이|가|도)\s(?P<said>\S.{{0,40}})$"
)
COPULA = re.compile(
    r"(?:입니다|이에요|이예요|에요|예요|이야|야|임|인데요?|이거든요?|거든요?|이고|이라서|라서|이라구?|이다)$"
)
VERB_END = re.compile(
    r"(?:다|요|어|해|했|지|네|까|죠|니|냐|면|서|을|를|은|는|만|에|에서|한테|랑|하고|려고|싶어|같아|거|데)$"
)
LIKED = re.compile(r"^(좋아|사랑|애정|싫어|극혐)(?:해요?|함|한다|하는데요?|하거든요?|합니다|하지|하는 편이야)$")
NAMED = re.compile(r"^(?P<name>[가-힣A-Za-z]{1,8}?)(?:이?라고|이?라구)$")
CALL = re.compile(r"^(?:해요?|합니다|불러|불러줘|불러줘요|불러주세요|불러도|부르면|함)$")
MBTI = re.compile(r"^[IEie][NSns][TFtf][JPjp]$")
AGE = re.compile(rf"^(?:\d{{1,2}}\s?(?:살|세)|{NUMERALS}(?:\s?살)?)$")
GRADE = re.compile(r"^(?:[초중고][1-6]|(?:초등학교|중학교|고등학교|대학교|대학)\s[1-6]학년|[1-6]학년)$")
SCHOOL = re.compile(r"(?:학교|대|여대|고|여고|외고|과고|중|여중)$")
COMPANY = re.compile(r"(?:회사|전자|은행|병원|그룹|스타트업|기업|공사|증권|카카오|네이버|쿠팡|연구소|방송국|출판사)$")
MAJOR = re.compile(r"(?:학과|공학과|교육과|경영|과)$")


def traits(clause: Clause, today: date, alone: bool) -> list[Fact]:
    """Facts that last. `alone`: the message speaks of no other person or pet."""
    for rule in (_others, _pets, _named, _attribute, _self, _tastes, _doings):
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
        if mark[0] == "이" and mark not in ("임",) and (not final(base) or OWN_I.search(base + "이")):
            base += "이"  # 떡볶이야, 아이야
        elif mark in ("야", "에요", "예요", "거든", "거든요", "라서"):
            base = without_copula(base)
        last = base
    elif ending or (VERB_END.search(last) and not name):
        return None
    value = " ".join([*words[:-1], last]).strip()
    if not value or last in NO_VALUES or words[0] in NO_VALUES or len(value) > 30:
        return None
    if re.search(r"(?:모르|없|아니|비밀|말고|아직|안\s|못\s)", value):
        return None
    return value


def _attribute(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    match = ATTRIBUTE.match(clause.text)
    if not match:
        reverse = re.match(r"^(?P<value>\S.{0,20}?)(?:이|가)\s(?:내|제)\s생일\S{0,4}$", clause.text)
        day = re.match(rf"^{OWN}(?P<value>\S+)\s(?:내\s|제\s)?생일(?:이야|이에요|임|인데|이다)$", clause.text)
        if found := (reverse or day):
            if (reverse or "내 생일" in clause.text or clause.first_person) and (
                spelled := _month_day(found["value"], today)
            ):
                yield Fact("생일", spelled)
        return
    value = value_of(match["value"], name=match["thing"] in ("이름", "별명"))
    if value is None:
        return
    if match["taste"]:
        kind = match["kind"].removesuffix("이").removesuffix("가") if False else match["kind"]
        liked = "싫어하는" if match["taste"] == "싫어하는" else "좋아하는"
        yield Fact(f"{liked} {'색' if kind == '색깔' else kind}", value)
        return
    owned = re.match(r"(?:내|제|나의|저의|우리|나는|난|저는|전|나|저)\s", clause.text)
    key = THING[match["thing"]]
    if not owned and not alone:
        return
    if key == "생일":
        value = _month_day(value, today) or ""
    if key == "MBTI":
        value = value.upper() if MBTI.match(value) else ""
    if key == "나이" and not re.search(r"\d", value) and not AGE.match(value):
        value = ""
    if key == "이름" and not re.fullmatch(r"[가-힣]{1,5}|[A-Za-z]{2,20}", value):
        value = ""
    if key in ("회사", "학교", "전공", "사는 곳") and not owned and match["thing"] in ("집", "과"):
        value = ""
    if value:
        yield Fact(key, value, merge=key in ("취미", "특기", "가고 싶은 곳"))


def _month_day(text: str, today: date) -> str | None:
    found = next(iter(mentions(text, today)), None)
    if found is None or found.start > 4 or found.when.span != "day":
        return None
    return f"{found.when.first.month}월 {found.when.first.day}일"


def _named(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """나는 민수라고 해, 지은이라고 불러줘, 제 이름은 지은이라고 합니다."""
    words = [word for word in clause.words if word not in ("앞으로", "그냥", "편하게", "이제", "줘")]
    if len(words) < 2 or not CALL.match(words[-1]):
        return
    before = words[:-2]
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
    words = [word for word in clause.rest if word not in FILLERS]
    words = [word for word in words if word not in ("올해", "현재", "지금", "내년이면", "만으로")]
    if not words or len(words) > 5:
        return
    first = clause.first_person
    mbti = [word for word in words if MBTI.match(COPULA.sub("", word))]
    if mbti and (first or len(words) == 1) and all(
        word in mbti or re.match(r"(?:mbti|엠비티아이|인프피|엔프피|잇티제|엔팁)", word.lower()) for word in words
    ):
        yield Fact("MBTI", COPULA.sub("", mbti[-1]).upper())
        return
    ended = COPULA.search(words[-1]) is not None
    value = value_of(" ".join(words), name=True)
    if value is None:
        return
    if AGE.match(value) and (first or (ended and re.search(r"살|세", value))):
        yield Fact("나이", re.sub(r"\s(?=살|세)", " ", value))
    elif not ended and not first:
        return
    elif GRADE.match(value) and (first or value[0] in "초중고"):
        yield Fact("학년", value)
    elif first and ended and re.fullmatch(r"(?:RH\+?\s?)?(?:A|B|O|AB|a|b|o|ab)형", value):
        yield Fact("혈액형", value.upper())
    elif first and ended and (school := re.fullmatch(r"(\S{2,12})\s학생", value)):
        if SCHOOL.search(school[1]):
            yield Fact("학교", school[1])
        elif MAJOR.search(school[1]):
            yield Fact("전공", school[1])
    elif first and ended and re.fullmatch(r"\S{2,10}\s?출신", value):
        yield Fact("고향", value.removesuffix("출신").strip())
    elif first and ended and (major := re.fullmatch(r"(\S{2,10}(?:\s\S{1,6})?)\s?전공", value)):
        yield Fact("전공", major[1])
    elif first and ended and re.fullmatch(r"\S{1,10}(?:학과|공학과|교육과)", value):
        yield Fact("전공", value)
    elif first and ended and value == "외동":
        yield Fact("가족", "외동")
    elif first and (job := value.split()[-1]) in JOBS and len(value.split()) <= 3:
        if not any(word.endswith(("은", "는", "이", "가", "의")) for word in value.split()[:-1]):
            yield Fact("직업", value if job != "알바" else value)
    else:
        yield from _goal(value)


def _goal(value: str) -> Iterator[Fact]:
    """토익 900점 넘기가 목표야, 의사 되는 게 꿈이야."""
    match = re.fullmatch(r"(?P<what>.{2,25}?)(?:이|가|는 게|는 것이)\s(?:내\s|올해\s)?(?P<key>목표|꿈)", value)
    if match:
        what = match["what"]
        yield Fact(match["key"], noun_form(what) if "는 " in value[len(what) :] else what)


TIER = re.compile(
    rf"^(?P<game>롤|발로란트|발로|오버워치|옵치|배그|롤체)?\s?(?P<tag>티어(?:는|가)?)?\s?(?P<tier>{'|'.join(sorted(TIERS, key=len, reverse=True))})"
    r"(?P<step>\s?[1-4IV]{0,3})\s?(?P<end>\S{1,6}(?:\s\S{1,5})?)$"
)
GAME = {"발로": "발로란트", "옵치": "오버워치", None: "롤"}


def _tastes(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    words = [word for word in clause.rest if word not in FILLERS]
    text = " ".join(words)
    tier = TIER.match(text)
    if tier and (tier["game"] or tier["tag"] or clause.first_person):
        reached = re.match(r"(?:찍|달았|달성|갔|올라|올랐|승급|됐|되었|진입|입성|도착|강등)", tier["end"])
        if reached or COPULA.fullmatch(tier["end"]):
            key = f"{GAME.get(tier['game'], tier['game'])} 티어"
            yield Fact(key, tier["tier"] + tier["step"].rstrip())
        return
    wish = re.match(
        r"^(?P<where>\S{2,10}?)(?:으로|로|에)?\s(?:꼭\s|한번\s|한 번\s)*"
        r"(?:(?:여행|놀러)\s?가고\s?싶(?:어|다|음|어요)|가\s?보고\s?싶(?:어|다|음|어요))$",
        text,
    )
    if wish and wish["where"] not in ("집", "거기", "어디", "여기"):
        yield Fact("가고 싶은 곳", wish["where"], merge=True)
        return
    if len(words) < 2 or len(words) > 6:
        return
    feeling = LIKED.match(words[-1]) or (
        clause.first_person and re.match(r"^(좋아|싫어)(?:요)?$", words[-1])
    )
    cannot = words[-2:-1] == ["못"] and re.match(r"^먹(?:어요?|음|는다|는데)$", words[-1])
    if not feeling and not cannot:
        return
    thing = _object(words[: -2 if cannot else -1], clause.first_person)
    if thing is None or (feeling and words[-1] in ("좋아", "싫어", "좋아요") and thing in MOODS):
        return
    if cannot:
        yield Fact("못 먹는 음식", thing, merge=True)
        return
    assert feeling
    liked = "싫어하는" if feeling[1] in ("싫어", "극혐") else "좋아하는"
    if feeling[1] == "사랑" and kind_of(thing) == "것":
        return
    yield Fact(f"{liked} {kind_of(thing)}", thing, merge=True)


MOODS = ("기분", "컨디션", "날씨", "느낌", "오늘", "상태", "분위기", "공기", "요즘")
VAGUE = frozenset("그거 이거 저거 그것 이것 거 것 게 사람 애 우리 다 모두 여기 거기 이렇게 그렇게 하는거 안 못 잘".split())
ADJECTIVE = re.compile(r"(?:운|은|큰|단|짠|신|한|된|난|쓴|는|을|던|적인|의|색|\S*[가-힣]한)$")


def _object(words: list[str], first_person: bool) -> str | None:
    """The liked thing; None when someone else may be the subject."""
    words = [word for word in words if not word.endswith("보다") and word not in ("더", "것도")]
    if not words or len(words) > 4:
        return None
    last = re.sub(r"(?<=[가-힣A-Za-z])(?:을|를|도|은|는|이|가)$", "", words[-1])
    if last not in _KNOWN and _KNOWN_WITH_PARTICLE.get(words[-1]):
        last = _KNOWN_WITH_PARTICLE[words[-1]]
    if words[-1] in _KNOWN or re.search(r"(?:고양이|떡볶이|호랑이|오이|거북이)$", words[-1]):
        last = words[-1]
    before = words[:-1]
    if last in VAGUE and not (last in ("거", "것") and before and ADJECTIVE.search(before[-1])):
        return None
    if any(word in PEOPLE or word in VAGUE - {"잘"} for word in before):
        return None
    if before and before[0].endswith(("은", "는", "이", "가", "도")) and not (
        first_person and len(before) == 1 and not before[0].endswith(("이", "가", "도"))
    ):
        return None
    if not first_person and before and not all(ADJECTIVE.search(word) for word in before):
        return None
    if last in PEOPLE or not re.search(r"[가-힣A-Za-z0-9]", last) or last.endswith(("안", "게")):
        return None
    return " ".join([*before, last])


_KNOWN = frozenset().union(*(kinds for kinds, _ in KINDS))
_KNOWN_WITH_PARTICLE = {
    word + mark: word for word in _KNOWN for mark in ("은", "는", "이", "가", "을", "를", "도")
}


def kind_of(thing: str) -> str:
    """What a liked thing is: 음식, 가수, ...; 것 when unknown."""
    last = thing.split()[-1]
    if last in ("음식", "거", "것", "맛"):
        tasty = re.search(r"(?:매운|단|짠|신|쓴|느끼한|달달한|매콤한|뜨거운|차가운)\s", thing)
        return "음식" if tasty or last == "음식" else "것"
    return next((kind for known, kind in KINDS if thing in known or last in known), "것")


def _doings(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """살아, 다녀, 배워, 전공해, 일해, 알레르기 있어, ..."""
    words = [word for word in clause.rest if word not in FILLERS]
    if not clause.first_person and words and words[0].endswith(("은", "는", "이", "가")) and words[0] not in _KNOWN:
        if not re.search(r"(?:알레르기|알러지)", clause.text) and words[0] not in ("여자친구가", "남자친구가", "여친이", "남친이"):
            return
    text = re.sub(r"\s고\s있", "고 있", " ".join(words))
    for pattern, key, merge in DOINGS:
        match = pattern.match(text)
        if not match:
            continue
        what = match["what"].strip()
        if any(word in PEOPLE or word in YOU or word in VAGUE for word in what.split()):
            return
        if re.search(r"(?:랑|하고|이랑|게|히|안|못)$", what) or re.match(r"(?:안|못)\s", what):
            return
        if key == "다니는 곳":
            if SCHOOL.search(what) and len(what) > 1 and what not in ("학교", "대학교"):
                yield Fact("학교", what)
            elif COMPANY.search(what) and what != "회사":
                yield Fact("회사", what)
            return
        if key == "사는 곳" and (what in HOW or mentioned(what, today)):
            return
        yield Fact(key, f"{what} 알바" if key == "직업" and "알바" in match[0] else what, merge=merge)
        return
    if re.match(r"^(?:여자친구|여친|남자친구|남친|애인)(?:가|이)?\s(?:생겼|있)(?:어|어요|다|음|는데)$", text):
        who = re.sub(r"(?:가|이)$", "", words[0]) if words[0] not in CALLED else words[0]
        yield Fact(CALLED.get(who, who), "있음")


HOW = frozenset("혼자 같이 잘 오래 열심히 행복하게 그럭저럭 대충 막 바쁘게 여기 거기 따로 자취".split())
NOW = r"(?:아|어|워|해|려|녀)(?:요)?|ㄴ다|는데요?|거든요?"
GOING_ON = r"고\s?있(?:어요?|음|다|는데요?|거든요?|습니다)"
DOINGS: tuple[tuple[re.Pattern[str], str, bool], ...] = tuple(
    (re.compile(pattern), key, merge)
    for pattern, key, merge in (
        (
            rf"^(?P<what>\S{{1,10}}(?:\s\S{{1,8}})?)(?:에서|에)\s(?:혼자\s|자취하면서\s)?"
            rf"(?:살(?:아|아요|{GOING_ON}|거든요?)|사는데요?|산다|삽니다|거주해|자취해|자취{GOING_ON[1:]}|자취하{GOING_ON})$",
            "사는 곳",
            False,
        ),
        (rf"^(?P<what>[가-힣]{{2,8}}(?:\s[가-힣]{{2,6}})?)\s(?:살(?:아|아요|{GOING_ON}|거든요?)|사는데요?|산다|삽니다)$", "사는 곳", False),
        (r"^(?P<what>\S{2,10}?)(?:으로|로)\s이사(?:\s왔어|\s갔어|했어|왔어|갔어|했다|왔다)(?:요)?$", "사는 곳", False),
        (rf"^(?P<what>\S{{2,12}}(?:\s\S{{2,8}})?)(?:에|을|를)?\s(?:다녀(?:요)?|다니{GOING_ON}|다니는데|다닌다|다님|다니거든|재학\s?중이야|재학\s?중)$", "다니는 곳", False),
        (rf"^(?P<what>\S{{1,10}}(?:\s\S{{1,8}})?)(?:을|를)?\s(?:배워(?:요)?|배우{GOING_ON}|배우는\s?중(?:이야|이에요)?|배우는데)$", "배우는 것", True),
        (rf"^(?P<what>\S{{2,10}}?)(?:을|를)?\s전공(?:해(?:요)?|하{GOING_ON}|하는데|이야|중|\s중이야|이에요|이고)$", "전공", False),
        (rf"^(?P<what>\S{{2,10}}(?:\s\S{{2,8}})?)(?<!\s)(?:으로|로)\s일(?:해(?:요)?|하{GOING_ON}|하는데|한다)$", "직업", False),
        (rf"^(?P<what>\S{{2,10}}?)에서\s알바(?:해(?:요)?|하{GOING_ON}|하는데|한다|중|\s중이야)$", "직업", False),
        (rf"^(?P<what>편의점|카페|식당|고깃집|피시방|학원|서점|마트|빵집|술집)\s알바(?:해(?:요)?|하{GOING_ON}|하는데|한다|\s중이야)$", "직업", False),
        (rf"^(?P<what>\S{{2,12}}(?:\s\S{{2,8}})?)에서\s(?:일(?:해(?:요)?|하{GOING_ON}|하는데)|근무(?:해|하{GOING_ON}))$", "회사", False),
        (r"^(?P<what>\S{1,8}(?:\s\S{1,4})?)\s?(?:알레르기|알러지)(?:가|도)?(?:\s?(?:좀\s)?(?:있(?:어|어요|음|다|는데|거든|거든요|습니다)|심해|심해요)|야|예요|임|인데)$", "알레르기", True),
        (r"^취미로\s(?P<what>\S{1,10})\s(?:쳐|해|배워|그려|찍어)(?:요)?$", "취미", True),
        (rf"^(?P<what>\S{{2,10}})\s(?:준비\s?중(?:이야|이에요|임|인데)|준비하{GOING_ON}|준비하는\s?중이야)$", "준비하는 것", False),
        (r"^(?P<what>[가-힣]{2,8}(?:\s[가-힣]{2,6})?)(?:이|가)\s되고\s?싶(?:어|어요|다|음)$", "꿈", False),
    )
)


def mentioned(text: str, today: date) -> bool:
    return any(True for _ in mentions(text, today))


PET = "|".join(sorted(ANIMALS, key=len, reverse=True))
PET_NAME = re.compile(
    rf"^(?:(?:내|제|우리|우리\s집|나)\s)?(?P<pet>{PET})(?:의)?\s이름(?:은|이)\s(?P<value>\S{{1,10}})$"
)
PET_KEPT = re.compile(
    rf"^(?:(?:우리|집에서|우리\s집)\s)*(?:(?P<name>\S{{1,6}}?)(?:이?라는|라고\s하는)\s)?(?P<what>(?:\S{{1,5}}\s)?(?:{PET})(?:을|를|랑)?(?:\s\S{{1,4}}){{0,2}})\s"
    r"(?:키워(?:요)?|키우고\s?있(?:어요?|음|다|는데|습니다)|키우는데|키운다|키움|키우거든|길러|기르고\s?있어)$"
)
NAMELESS = re.compile(r"^(?:얘\s|걔\s)?이름(?:은|이)\s(?P<value>\S{1,10})$")


def _pets(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    text = " ".join(word for word in clause.rest if word not in FILLERS)
    if match := PET_NAME.match(text):
        name = pet_name(match["value"])
        if name:
            yield Fact("반려동물", f"{match['pet']} {name}")
    elif match := PET_KEPT.match(text):
        what = re.sub(r"(?<=\S)(?:을|를)(?=\s|$)", "", match["what"])
        if re.search(r"(?:안|못)$", what) or re.match(r"(?:친구|언니|누나|동생|엄마)", what):
            return
        yield Fact("반려동물", f"{what} {match['name']}" if match["name"] else what)


def pet_name(word: str) -> str | None:
    """A pet keeps its 이: "콩이야" is 콩이."""
    name = COPULA.sub(lambda mark: "이" if mark[0].startswith("이") else "", word)
    return name if name and name not in NO_VALUES and re.fullmatch(r"[가-힣A-Za-z]{1,8}", name) else None


def _others(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """Facts of people the user knows: "내 친구 민지는 의사야"."""
    if clause.first_person:
        return
    if match := OTHERS_THING.match(clause.text):
        value = value_of(match["value"], name=match["thing"] in ("이름", "별명"))
        if value and match["thing"] == "생일":
            value = _month_day(value, today)
        if value:
            yield Fact(f"{_who(match)} {match['thing'].replace('mbti', 'MBTI')}", value, "other")
        return
    match = OTHERS_SELF.match(clause.text)
    if not match:
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
        thing = _object(words[:-1], first_person=True)
        if thing:
            liked = "싫어함" if taste[1] in ("싫어", "극혐") else "좋아함"
            yield Fact(_who(match), f"{thing} {liked}", "other", merge=True)
    elif place := re.match(r"^(\S{2,10})(?:에서|에)\s(?:살아|산다|살고\s?있어)(?:요)?$", said):
        yield Fact(_who(match), f"{place[1]} 살아", "other", merge=True)


def _who(match: re.Match[str]) -> str:
    person = CALLED.get(match["person"], match["person"])
    return f"{person} {match['name']}" if match["name"] else person
