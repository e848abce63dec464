"""What a message tells that is worth remembering, by rules for the Korean people type.

    extract("나 내일 친구랑 카페 가. 요즘 좀 피곤해", now)
    [Fact("내일 일정", "친구랑 카페 가기", merge=True), Fact("상태", "피곤함")]
    extract("토요일 영화 취소됐어", now)
    [Forget("11월 28일 일정", "영화")]

memory/findings.py puts both into the store.

Only what the USER says is read, never an answer of hers. Each rule would rather miss a fact
than invent one; tests/memory/heldout.txt measures both.

    words.py     the words that rules know        korean.py   verb stems, noun forms
    clauses.py   statements of a message          traits.py   who the user is, whom they know
    moods.py     states, weather, place now       tastes.py   likes, tiers, pets
    plans.py     days to come and gone by         doings.py   home, school, work
    changes.py   what holds no longer
"""

from __future__ import annotations

import re
from datetime import date, datetime

from ohlora.memory.extract.changes import affirmed, called_off, denied, forgotten
from ohlora.memory.extract.clauses import Clause, Fact, Forget, clauses, reported
from ohlora.memory.extract.moods import mood, place, weather
from ohlora.memory.extract.plans import plans
from ohlora.memory.extract.tastes import NAMELESS, pet_name
from ohlora.memory.extract.traits import traits
from ohlora.memory.extract.words import ANIMALS, PEOPLE

__all__ = ["Fact", "Forget", "extract"]


def extract(message: str, now: datetime) -> list[Fact | Forget]:
    """What to keep and what to forget, in the order it was said. Time is bounded whatever the
    message."""
    today = now.date()
    findings: dict[Fact | Forget, None] = {}
    statements = list(clauses(message))
    said = {word for clause in statements for word in clause.words}
    said |= {re.sub(r"(?:은|는|이|가|의|랑|를|을|도)$", "", word) for word in said}
    alone = not said & (PEOPLE | ANIMALS)
    for clause in statements:
        gone = list(forgotten(clause, today)) or list(called_off(clause, today))
        found: list[Fact | Forget] = [*gone]
        if not found:
            found += _facts(clause, today, alone)
        if not found and not reported(clause) and (said_of := affirmed(clause)):
            for fact in _facts(said_of, today, alone):
                found += denied(fact, clause)
        for finding in [*found, *_name_of_pet(clause, findings)]:
            findings.pop(finding, None)
            findings[finding] = None
    return list(findings)


def _facts(clause: Clause, today: date, alone: bool) -> list[Fact]:
    found = traits(clause, today, alone)
    if not found:
        found = list(weather(clause, today)) or list(plans(clause, today))
        found = found or list(place(clause, today))
    if not any(fact.key == "상태" for fact in found) and not reported(clause):
        found += mood(clause)
    return found


def _name_of_pet(clause: Clause, findings: dict[Fact | Forget, None]) -> list[Fact]:
    """ "고양이 키워, 이름은 나비야": the name joins the pet told before."""
    match = NAMELESS.match(clause.text)
    name = pet_name(match["value"]) if match else None
    for fact in findings if name else ():
        if isinstance(fact, Fact) and fact.key == "반려동물":
            del findings[fact]
            return [Fact("반려동물", f"{fact.value} {name}")]
    return []
