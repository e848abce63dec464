"""Rows for the jobs besides answering, from what this project already knows.

    memory       turns of her lines, labelled by the rules of memory/extract
    expression   expression/lines.toml, labelled by hand after docs/expression-guideline.md
    summary      turns of her lines in groups, with the line of memory/summary.py

Every fifth row is held out, so that the adapter can be compared with the rule it learned from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

from ohlora.expression.learned import FACES
from ohlora.expression.learned import lines as labelled_lines
from ohlora.llm.jobs import NOTHING, words_of
from ohlora.memory.extract import Fact, extract
from ohlora.memory.sessions import Message
from ohlora.memory.summary import summarise
from ohlora.training.llm_data import Row, read_persona

DAY = datetime(2026, 11, 24, 10, 0, tzinfo=timezone(timedelta(hours=9)))  # when it is all said
SHORTEST, LONGEST = 3, 6  # turns of a conversation to sum up
TALKS = 400
EVERY = 5  # one row in so many is held out


def job_rows(job: str, lines: Path, seed: int = 7) -> list[Row]:
    """Rows of a job, every fifth marked "test". lines: folder of her written lines."""
    rows = _ROWS[job](lines, random.Random(seed))
    return [
        Row(said, told, (), "train" if number % EVERY else "test", job)
        for number, (said, told) in enumerate(rows)
    ]


def facts_of(said: str) -> list[str]:
    """What the rules find in a turn, as "[key: value]"."""
    found = (one for one in extract(said, DAY) if isinstance(one, Fact))
    return [f"[{fact.key}: {fact.value}]" for fact in found if not fact.note]


def summary_of(turns: Sequence[str]) -> str:
    """The line of memory/summary.py for turns that were all answered."""
    messages = []
    for number, said in enumerate(turns):
        messages.append(_message(2 * number + 1, "user", said))
        messages.append(_message(2 * number + 2, "assistant", "응"))
    clock = SimpleNamespace(clock=lambda: DAY)
    return summarise(messages, clock).text()


def _message(number: int, role: str, text: str) -> Message:
    return Message(number, role, text, DAY.isoformat(), "complete", None, str(number), None)


def _turns(lines: Path) -> list[str]:
    rows = read_persona(lines)
    return sorted({row.user for row in rows if not row.memories and row.split == "train"})


def _memory(lines: Path, rng: random.Random) -> list[tuple[str, str]]:
    """As many turns that tell nothing as turns that tell something."""
    told = [(said, " ".join(facts_of(said)[:3])) for said in _turns(lines)]
    something = [row for row in told if row[1]]
    nothing = [(said, NOTHING) for said, facts in told if not facts]
    rows = something + rng.sample(nothing, min(len(something), len(nothing)))
    rng.shuffle(rows)
    return rows


def _expression(lines: Path, rng: random.Random) -> list[tuple[str, str]]:
    rows = [(line, words_of(FACES[feeling])) for line, feeling in labelled_lines()]
    rng.shuffle(rows)
    return rows


def _summary(lines: Path, rng: random.Random) -> list[tuple[str, str]]:
    turns = [said for said in _turns(lines) if len(said) <= 40]
    telling = [said for said in turns if facts_of(said)]
    rows = []
    for _ in range(TALKS):
        count = rng.randint(SHORTEST, LONGEST)
        some = rng.sample(telling, count // 2) + rng.sample(turns, count - count // 2)
        rng.shuffle(some)
        rows.append((" / ".join(some), summary_of(some) or NOTHING))
    return rows


_ROWS: dict[str, Callable[[Path, random.Random], list[tuple[str, str]]]] = {
    "memory": _memory,
    "expression": _expression,
    "summary": _summary,
}
