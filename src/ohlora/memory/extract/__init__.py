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
    changes.py   what holds no longer             plain.py    a statement whatever its endings
    table.py     rows of facts.toml               topics.py   anything else, under its own topic
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from ohlora.memory.extract.changes import (
    affirmed,
    amended,
    called_off,
    corrected,
    denied,
    forgotten,
    turning,
)
from ohlora.memory.extract.clauses import (
    READ_CHARACTERS,
    Amend,
    Clause,
    Fact,
    Forget,
    clauses,
    reported,
)
from ohlora.memory.extract.moods import mood, place, weather
from ohlora.memory.extract.notes import noted_as_told, notes
from ohlora.memory.extract.plans import moved, plans
from ohlora.memory.extract.table import table
from ohlora.memory.extract.tastes import NAMELESS, pet_name
from ohlora.memory.extract.topics import kept_topics, refuses
from ohlora.memory.extract.traits import traits, value_of
from ohlora.memory.extract.whole import asking, folded, untold
from ohlora.memory.extract.words import ANIMALS, OPENERS, PEOPLE

__all__ = ["Amend", "Fact", "Forget", "Finding", "extract"]

Finding = Fact | Forget | Amend


def extract(message: str, now: datetime, before: str = "") -> list[Finding]:
    """What to keep and what to forget, in the order it was said. Time is bounded whatever the
    message. `before` is what the user said last: "고양이 입양했어" explains "이름은 두부야"."""
    today = now.date()
    findings: dict[Finding, None] = {}
    told = list(clauses(message))
    statements = [clause for clause in told if not clause.supposes]
    said = {word for clause in statements for word in clause.words}
    said |= {re.sub(r"(?:은|는|이|가|의|랑|를|을|도)$", "", word) for word in said}
    alone = not said & (PEOPLE | ANIMALS)
    if before and any(NAMELESS.match(clause.text) for clause in statements):
        known = [fact for fact in extract(before, now) if isinstance(fact, Fact)]
        findings = {fact: None for fact in known if _nameable(fact)}
    context = set(findings)
    turned = ""  # "가수 바뀌었어": what the next statement tells anew
    previous: Clause | None = None
    noted: list[Fact] = []
    asks, left_out = asking(message), False
    for clause in told:
        if clause.supposes:
            if not REACTS.search(clause.around):
                noted += notes(clause, today)
            continue
        topic, turned = turned, turning(clause)
        gone: list[Finding] = [*forgotten(clause, today)] or [*moved(clause, today)]
        gone = gone or [*called_off(clause, today)] or [*amended(clause)]
        found: list[Finding] = [*gone]
        if not found:
            found += _facts(clause, today, alone)
        if not found and not reported(clause) and (said_of := affirmed(clause)):
            for fact in _facts(said_of, today, alone):
                found += denied(fact, clause)
            if len(found) == 1 and isinstance(found[0], Forget):
                news = next(kept_topics(clause, today, alone), None)
                if news is None and (found[0].key or "").startswith("좋아하는 "):
                    key = (found[0].key or "").replace("좋아하는", "싫어하는", 1)
                    news = Fact(key, found[0].value or "", merge=True)
                found = [replace(found[0], instead=news)]
        if (because := BECAUSE.match(clause.text)) and all(
            isinstance(one, Fact) and one.key == "상태" for one in found
        ):  # 금요일에 면접이 있어서 떨려
            cause = replace(clause, words=(*because["cause"].split(), "있어"))
            found += [fact for fact in plans(cause, today) if fact not in found]
        if not found and topic and (value := value_of(clause.text, name=True)):
            found.append(Fact(topic, value))
        if not found:
            found += corrected(clause)
        if not turned and not asks and (not found or refuses(clause)):
            found += kept_topics(clause, today, alone)
        found = _named(clause, findings) or found
        if not found and not turned:
            if len(clause.rest) > 1:
                noted += notes(clause, today)
            elif not noted:
                found += _added(clause, previous, findings)
            left_out = left_out or not (found or noted or asks or clause.words[0] in OPENERS)
        previous = clause
        for finding in found:
            findings.pop(finding, None)
            findings[finding] = None
    for what, verb in REACTS.findall(message[:READ_CHARACTERS]):
        key = "못 먹는 음식" if verb == "먹으" else "못 마시는 음료"
        findings[Fact(key, re.sub(r"(?<=\S)[을를만]$", "", what), merge=True)] = None
    findings |= dict.fromkeys(folded(noted, message, today))
    changes = any(isinstance(one, Forget | Amend) for one in findings)
    if not changes and (
        left_out or all(one.key == "상태" for one in findings if isinstance(one, Fact))
    ):
        findings |= dict.fromkeys(untold(message, today))
    return [finding for finding in findings if finding not in context]


def _added(
    clause: Clause, previous: Clause | None, findings: dict[Finding, None]
) -> Iterator[Fact]:
    """ "콩이 병원 갔는데 구내염이래": the last word belongs to what the sentence began with."""
    if previous is None or previous.last or previous.around != clause.around or clause.asked:
        return
    told = next((fact for fact in reversed(findings) if isinstance(fact, Fact)), None)
    if told is not None and told.key != "상태" and not UNSAID.search(clause.text):
        yield Fact(told.key, noted_as_told(clause.text), told.subject, merge=True, note=True)


UNSAID = re.compile(
    r"겠|(?:네|구나|군|자|까|줘|마|지)(?:요)?$|^(?:괜찮|어떡|좋|싫|힘들|아쉽|재밌|웃기|맞)"
)
BECAUSE = re.compile(r"^(?P<cause>\S.*) 있(?:어서|어가지고|으니까) ")
REACTS = re.compile(  # 우유 마시면 배 아파: a condition that tells a fact
    r"([가-힣]{1,6}) (먹으|마시)면 (?:바로 |꼭 |항상 |맨날 )?"
    r"(?:배(?:가)? 아파|배탈|두드러기|속이? (?:안 좋|쓰)|토해|가려[워웠]|부어|숨이? 막"
    r"|잠이? 안 와|설사|심장이? 뛰)"
)


def _facts(clause: Clause, today: date, alone: bool) -> list[Fact]:
    found = traits(clause, today, alone) or list(table(clause, today, alone))
    if not found:
        found = list(weather(clause, today)) or list(plans(clause, today))
        found = found or list(place(clause, today))
    if not any(fact.key == "상태" for fact in found) and not reported(clause):
        found += mood(clause)
    return found


def _nameable(fact: Fact) -> bool:
    return fact.key == "반려동물" or fact.subject == "other" and fact.key in PEOPLE


def _named(clause: Clause, findings: dict[Finding, None]) -> list[Finding]:
    """ "고양이 키워, 이름은 나비야": the name joins the pet or person told before."""
    match = NAMELESS.match(clause.text)
    name = pet_name(match["value"]) if match else None
    for fact in list(findings) if name else ():
        if isinstance(fact, Fact) and _nameable(fact):
            del findings[fact]
            if fact.key == "반려동물":
                return [Fact("반려동물", f"{fact.value} {name}", merge=True)]
            return [fact, Fact(f"{fact.key} 이름", name or "", "other")]
    return []
