"""The pairs v1's S-BERT was tuned on, against golden/funcs/iou_similarity.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ohlora.errors import BadInput
from ohlora.training.encoder_v1 import Row, iou_similarity, pairs, read_line


@pytest.fixture(scope="module")
def golden(golden_dir: Path) -> Any:
    return json.loads((golden_dir / "funcs" / "iou_similarity.json").read_text("utf-8"))


def test_key_likeness_equals_the_golden_numbers(golden: Any) -> None:
    assert golden["pairs"]
    for case in golden["pairs"]:
        found = iou_similarity(case["key0"], case["key1"])
        assert found == pytest.approx(case["similarity"], abs=1e-9), case


def test_all_ordered_pairs_equal_the_golden_rows(golden: Any) -> None:
    assert list(Row._fields) == golden["dataset_columns"]
    assert [list(row) for row in pairs(golden["combination_lines"])] == golden["dataset_rows"]


def test_only_the_turn_after_the_first_bracket_is_kept() -> None:
    assert read_line("[상태: 졸림] 나 [진짜] 졸려] 응\n") == ("[상태: 졸림]", "나 [진짜] 졸려] 응")


def test_a_line_without_a_memory_is_refused() -> None:
    with pytest.raises(BadInput, match="key: value"):
        read_line("그냥 말")
