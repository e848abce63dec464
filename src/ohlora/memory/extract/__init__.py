"""What a message tells that is worth remembering, by rules for the Korean people type.

    extract("나 내일 친구랑 카페 가. 요즘 좀 피곤해", now)
    [Fact("내일 일정", "친구랑 카페 가기", merge=True), Fact("상태", "피곤함")]

Only what the USER says is read, never an answer of hers. Each rule would rather miss a fact
than invent one; tests/memory/heldout.txt measures both.

    words.py     the words that rules know        korean.py   verb stems, noun forms
    clauses.py   statements of a message          traits.py   who the user is, whom they know
    moods.py     states, weather, place now       tastes.py   likes, tiers, pets
    plans.py     days to come and gone by         doings.py   home, school, work
"""

from __future__ import annotations

import re
from datetime import datetime

from ohlora.memory.extract.clauses import Clause, Fact, clauses, reported
from ohlora.memory.extract.moods import mood, place, weather
from ohlora.memory.extract.plans import plans
from ohlora.memory.extract.tastes import NAMELESS, pet_name
from ohlora.memory.extract.traits import traits
from ohlora.memory.extract.words import ANIMALS, PEOPLE

__all__ = ["Fact", "extract"]


def extract(message: str, now: datetime) -> list[Fact]:
    """Facts in the order they were said. Time is bounded whatever the message."""
    today = now.date()
    facts: dict[tuple[str, str], Fact] = {}
    statements = list(clauses(message))
    said = {word for clause in statements for word in clause.words}
    said |= {re.sub(r"(?:은|는|이|가|의|랑|를|을|도)$", "", word) for word in said}
    alone = not said & (PEOPLE | ANIMALS)
    for clause in statements:
        found = traits(clause, today, alone)
        if not found:
            found = list(weather(clause, today)) or list(plans(clause, today))
            found = found or list(place(clause, today))
        if not any(fact.key == "상태" for fact in found) and not reported(clause):
            found += mood(clause)
        for fact in [*found, *_name_of_pet(clause, facts)]:
            facts[fact.key, fact.value] = fact
    return list(facts.values())


def _name_of_pet(clause: Clause, facts: dict[tuple[str, str], Fact]) -> list[Fact]:
    """ "고양이 키워, 이름은 나비야": the name joins the pet told before."""
    match = NAMELESS.match(clause.text)
    pet = next((fact for fact in facts.values() if fact.key == "반려동물"), None)
    name = pet_name(match["value"]) if match else None
    if pet is None or name is None:
        return []
    del facts[pet.key, pet.value]
    return [Fact("반려동물", f"{pet.value} {name}")]
