"""What a message asks for, and what a memory can be asked for by: words, where vectors cannot tell.

    ask("우리 강아지 이름 뭐였지?")   names 강아지, 이름; about the dog; asks
    topic_of([반려동물: 강아지 초코])  named by 반려동물, 강아지, 초코

Questions for a key come in many words ("어디 살더라" -> 사는 곳): recall.toml lists them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ohlora.memory.extract.moods import FEELINGS
from ohlora.memory.extract.tastes import kind_of
from ohlora.memory.extract.traits import THING
from ohlora.memory.extract.words import ANIMALS, CALLED, PEOPLE, TASTES
from ohlora.memory.records import MemoryRecord

GUARDED = re.compile(
    r"^(?:알레르기$|싫어하는 |못 먹는 |못 마시는 |안 먹는 |안 마시는 |끊은 것$|약한 것$"
    r"|무서워하는 것$)"
)
PLANNED = re.compile(r"(?:^| )(?:일정|한 일)$")
ASKS = re.compile(
    r"[?？]|언제|어디|뭐|뭘|무슨|누구|누가|몇|며칠|어떤|얼마|기억|알아\s*$|더라|[했였었랬]지"
    r"|[했였]었나|말했|얘기했|[까래자]\s*[~.!]*$"
)
TOLD = re.compile(
    r"다고\s?했|라고\s?했|자고\s?했|기로\s?했|더라|였지|었지|했지|기억|말했|얘기했|아까"
    r"|저번에|전에"
)
PLANS = re.compile(
    r"(?:일정|약속|계획|스케줄|할일)|뭐(?:한다고|하기로|하지|했지|했더라|있지|있더라|있었"
    r"|했다고|가지|할거|해야|하는날|하더라|하게|있게|였지)|뭘하|뭘해|무슨날|어디가야|어디가기로"
)
SKY = re.compile(r"날씨|비\s?[와오올]|눈\s?[와오올]|추[워울]|더[워울]|기온|미세먼지|요일")
OWN = re.compile(r"(?:^|\s)(?:나|내|내가|난|나는|저|제가|제|우리)(?:\s|$)")
PARTICLE = re.compile(
    r"(?:이라고|라고|이랑|에서|에게|한테|하고|까지|부터|으로|이었|였|이야|인데|이지|은|는|이"
    r"|가|을|를|도|에|랑|와|과|만|로|의|야|지)$"
)
COMMON = frozenset(
    "오늘 내일 모레 어제 지금 요즘 우리 나는 너는 내가 네가 진짜 정말 그냥 제일 "
    "가장 아주 너무 사람 생각 언제 어디 누구 무슨 뭐야 일정 약속 계획 보기 가기 "
    "먹기 하기 좋아 싫어 같이 혼자 있음 했음 이번 다음 지난 주말 아침 점심 저녁 "
    "오후 오전 기억 말했 뭐라 했지 했더라 뭐였지 것 곳 일 한 하는 있는 중 살 안 "
    "못 잘 나 내 너 네 그 이".split()
)
FELT = {one.removesuffix("-") for said in FEELINGS.values() for one in said.split() if len(one) > 2}
FEELING = ("좋아하는", "싫어하는", "최애")


@dataclass(frozen=True)
class Topic:
    """What a memory is about."""

    key: frozenset[str]  # words of its key that a question must name
    values: frozenset[str]  # words of its value
    cues: tuple[str, ...]  # parts of questions that mean its key
    person: str = ""  # whose it is; "" for the user's
    thing: str = ""  # the attribute: 생일, 좋아하는 가수; "" for none
    guarded: bool = False  # comes when its value is named at all
    planned: bool = False

    @property
    def names(self) -> frozenset[str]:
        return self.key | self.values | frozenset(self.cues)


@dataclass(frozen=True)
class Ask:
    """The content of a message."""

    names: frozenset[str] = frozenset()  # words, their stems, and the cues they hold
    asks: bool = False
    people: frozenset[str] = frozenset()  # whom it is about
    things: frozenset[str] = frozenset()  # attributes it names
    told: bool = False  # "...라고 했지?": it was told before
    own: bool = False  # the user speaks of themselves: 나, 내, 우리
    sky: bool = False  # it asks about the weather
    plans: bool = False  # "나 내일 뭐 하지?": any plan of that day is meant

    def names_topic(self, topic: Topic, day: bool = False) -> bool:
        """The memory is named (what is guarded) or asked for."""
        value = any(self._says(word, topic.planned) for word in topic.values)
        if topic.guarded and value:
            return True
        if not self.asks or self.excludes(topic):
            return False
        if topic.person and not kin(topic.person, self.people):
            return value and not self.things
        if topic.planned:
            return value or self.plans or (day and self.asks and not self.sky)
        if topic.cues and any(cue in self.names for cue in topic.cues):
            return True
        if topic.thing.startswith("좋아하는") and not (self.own or self.told):
            value = False  # 초밥 먹을까? asks nothing about the user
        return value or bool(topic.key) and all(word in self.names for word in topic.key)

    def _says(self, part: str, planned: bool) -> bool:
        """땅콩 of "땅콩, 새우", 시험 of "기말시험 보기"."""
        if part in self.names:
            return True
        return len(part) > 1 and not planned and any(word.startswith(part) for word in self.names)

    def excludes(self, topic: Topic) -> bool:
        """It asks about someone else, or for another thing."""
        if topic.planned or not self.asks:
            return False
        if self.people and (topic.person or topic.thing) and not kin(topic.person, self.people):
            return not topic.values & self.people
        if self.things and topic.thing and not any(alike(topic.thing, one) for one in self.things):
            return True
        return bool(topic.person and not self.people and self.things)


def kin(person: str, people: frozenset[str]) -> bool:
    """동생 may be the 남동생, a 여동생 is not."""
    return any(
        person == one or person.endswith(one) or one.endswith(person) for one in people if person
    )


def alike(thing: str, other: str) -> bool:
    """좋아하는 음식 and 좋아하는 간식, but not 싫어하는 음식 or 좋아하는 가수."""
    if thing == other:
        return True
    side, _, kind = thing.rpartition(" ")
    other_side, _, other_kind = other.rpartition(" ")
    return side == other_side and any(
        {kind, other_kind} <= {name, *said.split()} for name, said in table()["groups"].items()
    )  # fmt: skip


def ask(prompt: str) -> Ask:
    said = re.findall(r"[가-힣A-Za-z0-9]+", prompt)
    names, people, things = set[str](), set[str](), set[str]()
    for at, word in enumerate(said):
        bare = stem(word)
        names |= {word, bare}
        if (who := person_of(word) or person_of(bare)) and not re.search(
            r"(?:랑|이랑|하고|한테|와|과|에게)$", word
        ):
            people.add(who)
        before = said[at - 1] if at else ""
        if before.startswith(FEELING) and (bare in TASTES or word in TASTES):
            side = "싫어하는" if before.startswith("싫어") else "좋아하는"
            things.add(f"{side} {bare if bare in TASTES else word}")
        elif (bare in THING or word in THING) and not re.search(r"(?:에서|에|로|랑)$", word):
            thing = THING[bare if bare in THING else word]
            things.add(thing)
    things |= set(re.findall(r"[월화수목금토일]요일마다", prompt))
    names |= {word[:at] for word in said for at in range(2, len(word)) if word[:at] in FELT}
    squeezed = "".join(said).lower()
    names |= {cue for cue in all_cues() if cue in squeezed}
    return Ask(
        frozenset(names - COMMON),
        ASKS.search(prompt) is not None,
        frozenset(people),
        frozenset(things),
        TOLD.search(prompt) is not None,
        OWN.search(prompt) is not None,
        SKY.search(prompt) is not None,
        PLANS.search(squeezed) is not None and OWN.search(prompt) is not None,
    )


def topic_of(record: MemoryRecord) -> Topic:
    words = record.key.split()
    planned = PLANNED.search(record.key) is not None
    who = next((found for word in words if (found := person_of(word))), "")
    rest = [word for word in words if not person_of(word)]
    if planned:
        key, who = [], ""
    else:
        key = [word for word in rest if word not in COMMON and word not in FEELING] or (
            [] if who and rest else rest
        )
    name = record.key if record.key in cues() else " ".join(rest)
    thing = ""
    if words[0] in FEELING and len(words) > 1:
        thing = record.key
    elif name in THING:
        thing = THING[name]
    elif record.key == "습관" and (days := re.findall(r"[월화수목금토일]요일마다", record.value)):
        thing = days[0]
    pet = record.key == "반려동물"
    values = {
        part
        for word in record.value.replace(",", " ").split()
        for part in (word, stem(word))
        if len(part) > 1 and not (planned and part.endswith("기") and part != record.value)
    }
    values |= {word[:-1] for word in values if len(word) > 2 and word.endswith(("음", "기"))}
    if not planned:
        kinds = {kind_of(said) for said in (record.key, *record.value.split(", "))}
        values |= kinds - {"것"}
    values |= {ending for part in list(values) for ending in endings(part)}
    if pet:
        who = next((found for word in record.value.split() if (found := person_of(word))), "")
    return Topic(
        frozenset({*(who and [who]), *key} if key or who else ()),
        frozenset(values - COMMON),
        () if planned or (who and not pet) else (*cues().get(name, ()), *felt(record)),
        who,
        "" if pet else thing,
        GUARDED.search(record.key) is not None,
        planned,
    )


def felt(record: MemoryRecord) -> list[str]:
    """What a question calls the feeling: 힘듦 -> 힘들, 힘들어, 힘든."""
    if record.key != "상태":
        return []
    said = FEELINGS.get(record.value.split()[-1], "").split()
    return [one.removesuffix("-") for one in said if len(one) > 2]


def endings(word: str) -> list[str]:
    """기말시험 -> 말시험, 시험."""
    return [word[at:] for at in range(1, len(word) - 1)] if 3 <= len(word) <= 8 else []


def stem(word: str) -> str:
    bare = PARTICLE.sub("", word)
    return bare if bare and (len(bare) > 1 or len(word) == 2) else word


def person_of(word: str) -> str:
    """The one name of a person or pet; "" for anything else."""
    word = CALLED.get(word, word)
    if word in same():
        return same()[word]
    return word if word in PEOPLE or word in ANIMALS and len(word) > 1 else ""


@cache
def table() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "recall.toml").read_text("utf-8")
    )
    return loaded


@cache
def cues() -> dict[str, tuple[str, ...]]:
    return {key: tuple(said.split()) for key, said in table()["cues"].items()}


@cache
def all_cues() -> frozenset[str]:
    return frozenset(cue for found in cues().values() for cue in found)


@cache
def same() -> dict[str, str]:
    return {word: name for name, said in table()["same"].items() for word in (name, *said.split())}
