"""The evaluation sets, read and checked.

held-out      written by somebody who knows neither her lines nor her rules; reports of the
              project are measured on these, and only totals are looked at
development   the sets of earlier days: read them, tune on them
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ohlora.errors import CheckpointError
from ohlora.evaluation.talk import KST
from ohlora.paths import embedded

Which = Literal["held-out", "development"]


@dataclass(frozen=True)
class Question:
    """A turn with its answer key: right when it matches `want` and not `never`."""

    kind: str
    text: str
    want: str = ""  # "": any answer
    never: str = ""

    def right(self, answer: str, slots: Mapping[str, str]) -> bool:
        want, never = filled(self.want, slots), filled(self.never, slots)
        if not answer or (never and re.search(never, answer)):
            return False
        return not want or re.search(want, answer) is not None


@dataclass(frozen=True)
class Step:
    """One step of a memory script; exactly one of the first four is set."""

    at: datetime | None = None
    say: str = ""
    ask: str = ""
    forget: str = ""  # pattern of the memory that the user deletes
    want: str = ""  # ask: pattern of the memory to recall; "" when nothing should be
    also: str = ""  # ask: a memory that is near, but not the answer
    answer: str = ""  # ask: what the reply should hold
    kind: str = ""


@dataclass(frozen=True)
class Script:
    name: str
    steps: tuple[Step, ...]


def folder(which: Which = "held-out") -> Path:
    sets = embedded() / "evaluation"
    return sets if which == "held-out" else sets / "development"


def filled(pattern: str, slots: Mapping[str, str]) -> str:
    """`{나이}` in a pattern becomes her age; other braces stay."""
    return re.sub(r"\{(\w+)\}", lambda found: slots.get(found[1], found[0]), pattern)


def persona_questions(which: Which = "held-out") -> list[Question]:
    return [
        Question(row["fact"], row["q"], row["want"], row.get("not", ""))
        for row in read_jsonl(folder(which) / "persona.jsonl", ("fact", "q", "want"))
    ]


def everyday(which: Which = "held-out") -> list[Question]:
    rows = read_jsonl(folder(which) / "everyday.jsonl", ("topic", "q"))
    return [Question(row["topic"], row["q"]) for row in rows]


def boundaries(which: Which = "held-out") -> list[Question]:
    """With the key of their kind; a row's own `not` is added to it."""
    kinds = tomllib.loads((folder() / "boundaries.toml").read_text("utf-8"))
    questions = []
    for row in read_jsonl(folder(which) / "boundaries.jsonl", ("kind", "q")):
        key = kinds[row["kind"]]
        never = "|".join(part for part in (key.get("not", ""), row.get("not", "")) if part)
        questions.append(Question(row["kind"], row["q"], key.get("want", ""), never))
    return questions


def memory_scripts(which: Which = "held-out") -> list[Script]:
    raw = json.loads((folder(which) / "memory.json").read_text("utf-8"))
    return [Script(script["name"], tuple(map(step, script["steps"]))) for script in raw]


def step(raw: Mapping[str, Any]) -> Step:
    fields = {name: value or "" for name, value in raw.items() if name != "at"}
    at = datetime.strptime(raw["at"], "%Y-%m-%d %H:%M") if "at" in raw else None
    return Step(at=at and at.replace(tzinfo=KST), **fields)


def read_jsonl(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a JSON lines file. Raises CheckpointError naming the row that cannot be read."""
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            missing = [name for name in columns if not isinstance(row[name], str)]
        except (ValueError, KeyError, TypeError) as error:
            missing = [repr(error)]
        if missing:
            raise CheckpointError(
                path,
                f"line {number} must be a JSON object with {', '.join(columns)}: {missing[0]}",
                f"{number}번째 줄은 {', '.join(columns)}가 있는 JSON이어야 해요: {missing[0]}",
            )
        rows.append(row)
    return rows


def every_question(which: Which) -> list[str]:
    """All turns of one kind of sets that no training may contain."""
    rows = (*persona_questions(which), *everyday(which), *boundaries(which))
    steps = (step for script in memory_scripts(which) for step in script.steps)
    return [question.text for question in rows] + [step.ask for step in steps if step.ask]
