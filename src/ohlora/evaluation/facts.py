"""Claims about herself that are not true, found by the rules of a persona's facts.toml.

[[fact]]
name = "friend"
claims = '단짝은 (?P<value>[가-힣]+)이?야'     a claim in one sentence
right = '혜나'                                 the true value, as a regular expression
unless = '아니'                                such a sentence claims nothing
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohlora.errors import CheckpointError
from ohlora.evaluation.measures import sentences
from ohlora.evaluation.sets import filled


@dataclass(frozen=True)
class Fact:
    name: str
    claims: re.Pattern[str]
    right: str
    unless: re.Pattern[str] | None = None


@dataclass(frozen=True)
class Contradiction:
    fact: str
    value: str
    sentence: str


def load_facts(folder: Path) -> list[Fact]:
    """The rules of a persona folder; none when it has no facts.toml. Raises CheckpointError."""
    path = folder / "facts.toml"
    if not path.exists():
        return []
    try:
        return [
            Fact(
                row["name"],
                re.compile(row["claims"]),
                re.compile(row["right"]).pattern,
                re.compile(row["unless"]) if "unless" in row else None,
            )
            for row in tomllib.loads(path.read_text("utf-8")).get("fact", [])
        ]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, re.error, KeyError, TypeError) as error:
        raise CheckpointError(
            path, f"is not readable ({error!r}); mend it.", f"읽을 수 없어요({error!r})."
        ) from error


def contradictions(
    text: str, facts: Sequence[Fact], slots: Mapping[str, str] | None = None
) -> list[Contradiction]:
    """Wrong claims in an answer. Without `slots` a value that must be a slot can never be right."""
    found = []
    for sentence in sentences(text):
        for fact in facts:
            if fact.unless and fact.unless.search(sentence):
                continue
            for claim in fact.claims.finditer(sentence):
                value = claim["value"]
                if not re.fullmatch(filled(fact.right, slots or {}), value):
                    found.append(Contradiction(fact.name, value, sentence))
    return found
