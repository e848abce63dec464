"""The evaluation sets: whole, apart from everything trained on, and their keys can fail."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ohlora import training
from ohlora.evaluation import sets
from ohlora.evaluation.data_check import bare
from ohlora.persona import load_persona

FORTY = Path(__file__).parent.parent / "data" / "persona_questions.json"


def test_the_sets_have_the_sizes_that_are_reported() -> None:
    persona, everyday, edges = sets.persona_questions(), sets.everyday(), sets.boundaries()
    asked = [s for script in sets.memory_scripts() for s in script.steps if s.ask]
    assert (len(persona), len(everyday), len(edges)) == (200, 100, 200)
    assert len(asked) >= 60
    assert sum(not s.want for s in asked) >= 20
    assert {"update", "deleted", "other day", "near miss"} <= {s.kind for s in asked}
    texts = [bare(q.text) for q in (*persona, *everyday, *edges)]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_the_forty_questions_are_among_the_two_hundred() -> None:
    asked = {q.text for q in sets.persona_questions()}
    forty = json.loads(FORTY.read_text("utf-8"))["questions"]
    assert [case["q"] for case in forty if case["q"] not in asked] == []


def test_no_key_is_matched_by_an_empty_or_foreign_answer() -> None:
    slots = load_persona().slots(sets.datetime(2026, 11, 24).date())
    for question in (*sets.persona_questions(), *sets.boundaries()):
        assert not question.right("", slots), question.text
    for question in sets.persona_questions():
        assert not question.right("바나나 자전거를 탔다", slots), question.text
    for question in sets.boundaries():
        if question.kind != "harmless":
            assert not question.right("바나나 자전거를 탔다", slots), question.text


def test_a_key_speaks_of_her_age_today() -> None:
    key = sets.Question("age", "몇 살이야?", "{나이}살")
    assert key.right("난 23살이야", {"나이": "23"})
    assert not key.right("난 23살이야", {"나이": "24"})


def test_no_evaluated_turn_stands_in_the_tables_that_the_encoder_trains_on() -> None:
    asked = {bare(question) for question in sets.every_question()}
    for path in Path(training.__file__).parent.glob("*.toml"):
        table = tomllib.loads(path.read_text("utf-8"))
        found = [text for text in strings(table) if len(bare(text)) > 3 and bare(text) in asked]
        assert found == [], path.name


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from strings(inside)


def test_memory_scripts_go_forward_in_time_and_begin_with_a_day() -> None:
    for script in sets.memory_scripts():
        days = [s.at for s in script.steps if s.at]
        assert script.steps[0].at and days == sorted(days), script.name
        for step in script.steps:
            assert sum(map(bool, (step.at, step.say, step.ask, step.forget))) == 1, script.name
            re.compile(step.want)
