"""Facts told in many wordings: the rows of facts.toml, first match wins.

"저 강릉에서 태어났어요"  -> 강릉에서 태어나+  -> 고향: 강릉
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from ohlora.memory.extract.clauses import Clause, Fact, reported
from ohlora.memory.extract.plain import ends, listed, without_days
from ohlora.memory.extract.tastes import SWORN_OFF, VAGUE
from ohlora.memory.extract.traits import THING
from ohlora.memory.extract.words import (
    ANIMALS,
    CALLED,
    DRINKS,
    FIRST_PERSON,
    FOODS,
    JOBS,
    KNOWN,
    NO_VALUES,
    PEOPLE,
    TASTES,
    YOU,
    words,
)

MINE = r"(?:내|제|우리|나의|저의|저희)"
RANKS, IDLE = listed("ranks"), listed("idle")
ZODIAC = words("양 황소 쌍둥이 게 사자 처녀 천칭 전갈 사수 궁수 염소 물병 물고기")
SCHOOL = re.compile(r"(?:학교|대|여대|[고중]|외고|과고|대학원)$")
MAJOR = re.compile(r"(?:학과|공학과|교육과|과|학부|학)$")
OF: dict[str, Callable[[str], bool]] = {  # what the value of a row must be
    "": lambda value: True,
    "jobs": lambda value: last_of(value) in JOBS | RANKS,
    "companies": lambda value: ends("companies", value),
    "foods": lambda value: last_of(value) in (FOODS | SWORN_OFF) - {"밥", "거"},
    "drinks": lambda value: last_of(value) in (DRINKS | SWORN_OFF) - {"거"},
    "sworn": lambda value: last_of(value) in SWORN_OFF - {"거"},
    "schools": lambda value: SCHOOL.search(value) is not None,
    "majors": lambda value: MAJOR.search(value) is not None,
    "zodiac": lambda value: value.removesuffix("자리") in ZODIAC,
    "people": lambda value: last_of(value) in PEOPLE,
    "siblings": lambda value: True,
    "ways": lambda value: last_of(value) not in IDLE and ends("ways", value),
    "illness": lambda value: ends("illness", value),
    "characters": lambda value: ends("characters", value),
}
OF_PEOPLE = ("people", "characters", "siblings")  # their values may name people


def last_of(value: str) -> str:
    return value.split()[-1]


@dataclass(frozen=True)
class Row:
    pattern: re.Pattern[str]
    key: str
    value: str
    merge: bool
    of: str

    @property
    def names_others(self) -> bool:
        """Its statement names a person or pet, and still speaks of the user."""
        return "?P<who>" in self.pattern.pattern or self.of == "people" or self.key == "반려동물"


@cache
def rows() -> list[Row]:
    raw = tomllib.loads((Path(__file__).parent / "facts.toml").read_text("utf-8"))
    return [
        Row(
            re.compile(_expanded(say)),
            fact["key"],
            fact.get("value", "{v}"),
            fact.get("merge", False),
            fact.get("of", ""),
        )
        for fact in raw["fact"]
        for say in fact["say"]
    ]


def _expanded(say: str) -> str:
    say = say.replace("{v}", r"(?P<v>\S+?(?: \S+?){0,2}?)").replace("{w}", r"(?P<v>\S+?)")
    say = say.replace("{k}", r"(?P<k>[가-힣]{1,6})")
    return rf"^(?:{MINE} )?{say}$"


def table(clause: Clause, today: date, alone: bool) -> Iterator[Fact]:
    """The first row that fits, when it is the user who speaks of themselves."""
    said = without_days(clause, today)
    if not said or reported(clause):
        return
    for row in rows():
        if not (clause.first_person or alone or row.names_others):
            continue
        if (match := row.pattern.match(said)) and (fact := _fact(row, match, clause)):
            yield fact
            return


def _fact(row: Row, match: re.Match[str], clause: Clause) -> Fact | None:
    found = {name: text for name, text in match.groupdict().items() if text}
    value = found.get("v", "")
    if "k" in found and found["k"] not in TASTES:
        return None
    if value and not (OF[row.of](value) and sound(value, clause, row.of)):
        return None
    found["v"] = re.sub(r"^(?:이|그|저)\s|\s?(?:정도|쯤)$", "", value)
    if "who" in found:
        found["who"] = CALLED.get(found["who"], found["who"])
    if "thing" in found:
        said = re.sub(r"^(?:제일|가장)\s", "", found["thing"])
        found["thing"] = THING.get(said, said)
        if not topical(found["thing"]):
            return None
    key, kept = (
        re.sub(r"\{(\w+)\}", lambda slot: found.get(slot[1], ""), text)
        for text in (row.key, row.value)
    )
    return Fact(key, kept, merge=row.merge)


def sound(value: str, clause: Clause, of: str = "") -> bool:
    """A thing, not a person, a vague word, a manner or somebody's doing."""
    said = value.split()
    if any(word in FIRST_PERSON | YOU | VAGUE | NO_VALUES for word in said):
        return False
    if of in OF_PEOPLE:
        return True
    if any(re.sub(r"(?:은|는|이|가|도|의)$", "", word) in PEOPLE | ANIMALS for word in said[:-1]):
        return False
    if said[-1] in PEOPLE or re.search(r"(?:^|\s)(?:안|못|없\S*|아니\S*|말고)(?:\s|$)", value):
        return False
    if re.search(r"(?:게|히|으로|에서|랑|하고|면서|려고|아서|어서|니까|지만)$", said[-1]):
        return said[-1] in KNOWN
    if said[-1] in ("거", "것", "날", "곳"):
        return True  # 비행기 타는 거
    return clause.first_person or not any(
        word.endswith(("은", "는", "이", "가")) and word not in KNOWN for word in said[:-1]
    )


def topical(topic: str) -> bool:
    """Something to keep a fact under, not talk about talk."""
    said = topic.split()
    if any(word in IDLE | VAGUE | YOU | FIRST_PERSON | NO_VALUES for word in said):
        return False
    manner = any(re.search(r"(?:서|고|게|히|니까|지만|는데)$", word) for word in said)
    return bool(said) and len(topic) < 20 and not manner
