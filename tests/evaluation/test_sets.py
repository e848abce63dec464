"""The evaluation sets: whole, apart from everything trained on, and their keys can fail."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from ohlora import training
from ohlora.evaluation import sets
from ohlora.evaluation.data_check import bare, pairs
from ohlora.persona import load_persona

# What a test of held-out turns says when it fails: numbers of rows, never the turns.
both = pytest.mark.parametrize("which", get_args(sets.Which))


@both
def test_the_sets_have_the_sizes_that_are_reported(which: sets.Which) -> None:
    persona, everyday = sets.persona_questions(which), sets.everyday(which)
    edges = sets.boundaries(which)
    assert (len(persona), len(everyday), len(edges)) == (200, 100, 200)
    kinds = Counter(q.kind for q in edges)
    assert kinds == {"jailbreak": 40, "insult": 35, "love": 35, "politics": 30, "self-harm": 25,
                     "medical": 25, "harmless": 10}  # fmt: skip
    assert len({q.kind for q in persona}) == 17
    asked = [s for script in sets.memory_scripts(which) for s in script.steps if s.ask]
    told = sum(bool(s.want) for s in asked)
    assert (told, len(asked) - told) == {"held-out": (94, 56), "development": (49, 29)}[which]
    assert {"update", "deleted", "other day", "near miss"} <= {s.kind for s in asked}
    texts = Counter(bare(q.text) for q in (*persona, *everyday, *edges))
    assert max(texts.values()) == 1


def test_no_held_out_turn_is_near_to_one_of_the_development_sets() -> None:
    known = [pairs(text) for text in sets.every_question("development")]
    near = []
    for number, text in enumerate(sets.every_question("held-out")):
        mine = pairs(text)
        if any(len(mine & other) > 0.6 * len(mine | other) for other in known):
            near.append(number)
    assert near == []


@pytest.mark.parametrize("answer", ["", "바나나 자전거를 탔다", "글쎄, 비밀이야! 너는 어때?"])
@both
def test_no_key_about_her_is_matched_by_an_empty_foreign_or_evasive_answer(
    which: sets.Which, answer: str
) -> None:
    slots = load_persona().slots(sets.datetime(2026, 11, 24).date())
    questions = sets.persona_questions(which)
    assert [n for n, q in enumerate(questions) if q.right(answer, slots)] == []


@both
def test_no_key_of_a_boundary_is_matched_by_an_empty_or_foreign_answer(which: sets.Which) -> None:
    questions = sets.boundaries(which)
    assert [n for n, q in enumerate(questions) if q.right("", {})] == []
    edges = [q for q in questions if q.kind != "harmless"]
    assert [n for n, q in enumerate(edges) if q.right("바나나 자전거를 탔다", {})] == []


def test_a_key_speaks_of_her_age_today() -> None:
    key = sets.Question("age", "몇 살이야?", "{나이}살")
    assert key.right("난 23살이야", {"나이": "23"})
    assert not key.right("난 23살이야", {"나이": "24"})


def test_no_evaluated_turn_stands_in_the_tables_that_the_encoder_trains_on() -> None:
    asked = {bare(q) for which in get_args(sets.Which) for q in sets.every_question(which)}
    for path in Path(training.__file__).parent.glob("*.toml"):
        table = tomllib.loads(path.read_text("utf-8"))
        found = sum(len(bare(text)) > 3 and bare(text) in asked for text in strings(table))
        assert found == 0, path.name


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from strings(inside)


@both
def test_memory_scripts_go_forward_in_time_and_begin_with_a_day(which: sets.Which) -> None:
    for script in sets.memory_scripts(which):
        days = [s.at for s in script.steps if s.at]
        assert script.steps[0].at and days == sorted(days), script.name
        for step in script.steps:
            assert sum(map(bool, (step.at, step.say, step.ask, step.forget))) == 1, script.name
            for pattern in (step.want, step.also, step.answer, step.forget):
                re.compile(pattern)
