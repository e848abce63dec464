"""v1's dialogue functions against the numbers of the original (golden/funcs)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohlora.dialogue.answer import v1_accept, v1_answer
from ohlora.dialogue.tags import v1_parse_memory
from ohlora.expression import v1_expression


def load(golden_dir: Path, name: str):
    return json.loads((golden_dir / "funcs" / f"{name}.json").read_text(encoding="utf-8"))


def test_v1_answer_filter_equals_the_original_on_every_single_candidate(golden_dir: Path) -> None:
    cases = load(golden_dir, "answer_filter")["single"]
    assert cases
    for case in cases:
        candidate = case["candidate"]
        assert (v1_accept(candidate) is not None) == case["accepted"], candidate
        assert v1_answer(lambda c=candidate: c) == (case["result"], case["trials_when_constant"])


def test_v1_answer_filter_draws_as_often_as_the_original(golden_dir: Path) -> None:
    for case in load(golden_dir, "answer_filter")["sequences"]:
        draws = iter(case["candidates"])
        assert v1_answer(lambda d=draws: next(d)) == (case["result"], case["trials"])


def test_v1_tags_equal_the_original(golden_dir: Path) -> None:
    cases = load(golden_dir, "parse_memory")
    assert cases
    for case in cases:
        assert v1_parse_memory(case["input"]) == (case["cleaned"], case["memory_list"])


def test_v1_expression_equals_the_original(golden_dir: Path) -> None:
    cases = load(golden_dir, "decide_property_scores")
    assert cases
    for case in cases:
        expression = v1_expression(case["input"])
        got = (expression.eyes, expression.mouth, expression.pose)
        assert got == pytest.approx((case["eyes"], case["mouth"], case["pose"]), abs=1e-9), case
