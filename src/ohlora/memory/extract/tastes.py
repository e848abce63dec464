"""What the user likes and whom they live with: 좋아하는 음식, 롤 티어, 반려동물."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from ohlora.memory.extract.clauses import Clause, Fact
from ohlora.memory.extract.korean import COPULA, OWN_I, noun_form
from ohlora.memory.extract.words import (
    ANIMALS,
    DRINKS,
    FILLERS,
    FOODS,
    GAMES,
    KINDS,
    KNOWN,
    NO_VALUES,
    OTHERS,
    PEOPLE,
    TIERS,
    words,
)

LIKED = re.compile(
    r"^(좋아|사랑|애정|싫어|극혐)(?:이야|해요?|함|한다|하는데요?|하거든요?|합니다|하지"
    r"|하는 편이야)$"
)
TIER = re.compile(
    r"^(?P<game>롤|발로란트|발로|오버워치|옵치|배그|롤체)?\s?(?P<tag>티어(?:는|가)?)?\s?"
    rf"(?P<tier>{'|'.join(sorted(TIERS, key=len, reverse=True))})"
    r"(?P<step>\s?[1-4IV]{0,3})\s?(?P<end>\S{1,6}(?:\s\S{1,5})?)$"
)
GAME = {"발로": "발로란트", "옵치": "오버워치", None: "롤"}


def tastes(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """나 마라탕 좋아해, 오이 못 먹어, 제주도 놀러 가고 싶어, 나 롤 골드 찍었어."""
    said = [word for word in clause.rest if word not in FILLERS]
    text = " ".join(said)
    if tier := TIER.match(text):
        told = tier["game"] or tier["tag"] or clause.first_person
        if told and (REACHED.match(tier["end"]) or COPULA.fullmatch(tier["end"])):
            game = GAME.get(tier["game"], tier["game"])
            yield Fact(f"{game} 티어", tier["tier"] + tier["step"].rstrip())
    elif wish := WISH.match(text):
        if wish["where"] not in ("집", "거기", "어디", "여기"):
            yield Fact("가고 싶은 곳", wish["where"], merge=True)
    elif 2 <= len(said) <= 6:
        yield from _likes(said, clause.first_person)


REACHED = re.compile(r"(?:찍|달았|달성|갔|올라|올랐|승급|됐|되었|진입|입성|도착|강등)")
WISH = re.compile(
    r"^(?P<where>[가-힣]{2,10}?)(?:으로|로|에)?\s(?:꼭\s|한번\s|한 번\s)*"
    r"(?:(?:여행|놀러)\s?가고\s?싶(?:어|다|음|어요)|가\s?보고\s?싶(?:어|다|음|어요))$"
)
CANNOT = re.compile(r"^(?:먹(?:어요?|음|는다|는데)|마셔요?|마신다|마심|마시는데)$")


def _likes(said: list[str], first_person: bool) -> Iterator[Fact]:
    if said[-2] == "못" and (cannot := CANNOT.match(said[-1])):
        if thing := liked_thing(said[:-2], first_person):
            key = "못 마시는 음료" if cannot[0].startswith("마") else "못 먹는 음식"
            yield Fact(key, thing, merge=True)
        return
    if said[-2] == "안" and (refused := REFUSED.match(said[-1])):
        thing = liked_thing(said[:-2], first_person)
        *manner, noun = thing.split() if thing else [""]
        known = noun in FOODS | DRINKS | SWORN_OFF and noun != "밥"
        if thing and known and all(ADJECTIVE.search(word) for word in manner):  # not 오늘 커피
            yield Fact(
                f"안 {'마시는 음료' if refused[0][0] == '마' else '먹는 음식'}", thing, merge=True
            )
        return
    if QUIT.match(said[-1]) and len(said) == 2:
        thing = re.sub(r"(?<=\S)(?:을|를|도|은|는)$", "", said[0])
        if thing in FOODS | DRINKS | GAMES | SWORN_OFF:
            yield Fact("끊은 것", thing, merge=True)
        return
    if turned := TURNED.match(said[-1]):
        thing = liked_thing(said[:-1], first_person)
        kind = kind_of(thing) if thing else "것"
        own = first_person and turned[1] == "싫어" and thing and not thing.endswith("기")
        if thing and (kind != "것" or (own and thing.split()[-1] not in MOODS)):
            yield Fact(f"{turned[1]}하는 {kind}", thing, merge=True)
        return
    short = re.match(r"^(좋아|싫어)요?$", said[-1]) if first_person else None  # 나 아이유 좋아
    feeling = LIKED.match(said[-1]) or short
    thing = liked_thing(said[:-1], first_person) if feeling else None
    if feeling is None or thing is None:
        return
    if short and (thing.split()[-1] in MOODS or thing.endswith("기")):  # 학교 가기 싫어
        return
    kind = kind_of(thing)
    if feeling[1] != "사랑" or kind != "것":
        liked = "싫어하는" if feeling[1] in ("싫어", "극혐") else "좋아하는"
        yield Fact(f"{liked} {kind}", thing, merge=True)


REFUSED = re.compile(r"^(?:먹(?:어요?|음|는다|는데)|마셔요?|마신다|마심|마시는데)$")
QUIT = re.compile(r"^끊(?:었어|었어요|었다|었음|었는데|었습니다|음)$")
TURNED = re.compile(r"^(좋아|싫어)(?:졌어|졌어요|졌다|졌음|졌는데|짐)$")
SWORN_OFF = words(
    "담배 술 고기 육류 탄산 탄산음료 카페인 유제품 밀가루 야식 군것질 설탕 날것 해산물 채소 야채 "
    "배달음식 인스턴트 패스트푸드 게임 인스타 인스타그램 유튜브 SNS 릴스 쇼츠 도박 주식 거"
)
MOODS = ("기분", "컨디션", "운", "날씨", "느낌", "오늘", "상태", "분위기", "공기", "요즘")
VAGUE = words(
    "날 나를 저를 나 저 내 우릴 그들 그들을 그녀 그것들 그것들을 그것을 그걸 이 그 한 아이들 "
    "아직 을 를 자기 자신 서로 남자 여자 전혀 그거 이거 저거 그것 이것 거 것 게 사람 애 우리 다 "
    "모두 여기 거기 이렇게 그렇게 하는거 안 못 잘"
)
ADJECTIVE = re.compile(r"(?:운|은|큰|단|짠|신|한|된|난|쓴|는|을|던|적인|의|색|\S*[가-힣]한)$")


def liked_thing(said: list[str], first_person: bool) -> str | None:
    """The liked thing; None when it is vague or someone else may be the subject."""
    said = [word for word in said if not word.endswith("보다") and word != "더"]
    if not said or len(said) > 4 or said[0].startswith(("좋아하는", "싫어하는")):
        return None
    *before, last = said
    if last not in KNOWN and not OWN_I.search(last):
        last = re.sub(r"(?<=[가-힣A-Za-z])(?:을|를|도|만|은|는|이|가)$", "", last)
    if last in VAGUE and not (
        last in ("거", "것", "날") and before and ADJECTIVE.search(before[-1])
    ):
        return None
    if last in PEOPLE or last.endswith(("안", "게", "걸", "건지", "고")):
        return None
    if any(word in PEOPLE or word in VAGUE for word in before) or last.endswith("듯"):
        return None
    if any(re.sub(r"(?:은|는|이|가)$", "", word) in OTHERS for word in before):
        return None
    if before and last in ("거", "것") and before[-1].endswith("는"):  # 노래 부르는 거
        stem = before[-1][:-1]
        stem = {"만드": "만들", "노": "놀", "그러": "하", "사": "하"}.get(stem, stem)
        return " ".join([*before[:-1], noun_form(stem)])
    if any(re.search(r"(?:고|서|엔|땐|때|지만|에|중에서|들은)$", word) for word in before):
        return None
    if before and before[0].endswith(("은", "는", "이", "가", "도")):
        mine = first_person and len(before) == 1 and before[0].endswith(("은", "는"))  # 비 오는 날
        if not mine:
            return None
    if not first_person and not all(ADJECTIVE.search(word) for word in before):
        return None
    return " ".join([*before, last])


def kind_of(thing: str) -> str:
    """What a liked thing is: 음식, 가수, ...; 것 when unknown."""
    last = thing.split()[-1]
    if last in ("음식", "거", "것", "맛"):
        tasty = re.search(r"(?:매운|단|짠|신|쓴|느끼한|달달한|매콤한|뜨거운|차가운)\s", thing)
        return "음식" if tasty or last == "음식" else "것"
    return next((kind for known, kind in KINDS if thing in known or last in known), "것")


PET = "|".join(sorted(ANIMALS, key=len, reverse=True))
PET_NAME = re.compile(
    rf"^(?:(?:내|제|우리|우리\s집|나)\s)?(?P<pet>{PET})(?:의)?\s"
    r"이름(?:은|이)?\s(?P<value>\S{1,10})$"
)
PET_KEPT = re.compile(
    r"^(?:(?:우리|집에서|우리\s집)\s)*(?:(?P<name>\S{1,6}?)(?:이?라는|라고\s하는)\s)?"
    rf"(?P<what>(?:\S{{1,5}}\s)?(?:{PET})(?:을|를|랑)?(?:\s\S{{1,4}}){{0,2}})\s"
    r"(?:키워(?:요)?|키우고\s?있(?:어요?|음|다|는데|습니다)|키우는데|키운다|키움|키우거든"
    r"|길러|기르고\s?있어)$"
)
NAMELESS = re.compile(r"^(?:얘\s|걔\s)?이름(?:은|이)\s(?P<value>\S{1,10})$")


def pets(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """고양이 두 마리 키워, 우리 강아지 이름은 초코야, 나비라는 고양이를 키워."""
    text = " ".join(word for word in clause.rest if word not in FILLERS)
    if match := PET_NAME.match(text):
        name = pet_name(match["value"])
        if name:
            yield Fact("반려동물", f"{match['pet']} {name}", merge=True)
    elif match := PET_KEPT.match(text):
        what = re.sub(r"(?<=\S)(?:을|를)(?=\s|$)", "", match["what"])
        if re.search(r"(?:안|못)$", what) or re.match(r"(?:친구|언니|누나|동생|엄마)", what):
            return
        value = f"{what} {match['name']}" if match["name"] else what
        yield Fact("반려동물", value, merge=True)


def pet_name(word: str) -> str | None:
    """A pet keeps its 이: "콩이야" is 콩이."""
    name = COPULA.sub(lambda mark: "이" if mark[0].startswith("이") else "", word)
    return name if re.fullmatch(r"[가-힣A-Za-z]{1,8}", name) and name not in NO_VALUES else None
