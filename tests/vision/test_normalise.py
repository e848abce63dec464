"""Scores in standard deviations, and the statistics kept for later."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlora.errors import BadInput, CheckpointError
from ohlora.vision.normalise import Normalisation

TABLE = {"eyes_score": [1.0, 2.0, 4.0], "pose_score": [0.5, None, 0.1]}


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30))
def test_normalised_columns_have_mean_0_and_sample_deviation_1(values: list[float]) -> None:
    statistics = Normalisation.fit({"a": values})
    scaled = statistics.apply({"a": values})["a"]
    if statistics.deviations["a"] < 1e-3:  # rounding to 4 decimals says nothing here
        return
    assert abs(np.mean(scaled)) < 1e-3 and abs(np.std(scaled, ddof=1) - 1) < 1e-3


def test_saved_statistics_give_the_same_scores_again(tmp_path: Path) -> None:
    statistics = Normalisation.fit(TABLE)
    statistics.save(tmp_path / "s.json")
    loaded = Normalisation.load(tmp_path / "s.json")
    assert loaded == statistics and loaded.apply(TABLE) == statistics.apply(TABLE)
    assert loaded.apply({"eyes_score": [7 / 3]}) == {"eyes_score": [0.0]}


def test_missing_and_undefined_values_stay_empty_and_count_for_nothing() -> None:
    table = {"a": [1.0, None, 3.0, math.nan, math.inf]}
    statistics = Normalisation.fit(table)
    assert statistics.means == {"a": 2.0}
    assert statistics.apply(table)["a"] == [-0.7071, None, 0.7071, None, None]


def test_a_column_that_never_varies_is_all_zero() -> None:
    assert Normalisation.fit({"a": [5, 5, 5]}).apply({"a": [5, 9]})["a"] == [0.0, 0.0]


def test_one_row_cannot_be_normalised_and_says_why() -> None:
    with pytest.raises(BadInput, match="at least two"):
        Normalisation.fit({"a": [1.0, None]})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"columns": {"a": 1}, "rows": 2}'])
def test_a_file_that_holds_no_statistics_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(CheckpointError, match="not statistics"):
        Normalisation.load(tmp_path / "s.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Normalisation.load(tmp_path / "none.json")


def test_statistics_are_plain_json(tmp_path: Path) -> None:
    Normalisation.fit(TABLE).save(tmp_path / "s.json")
    body = json.loads((tmp_path / "s.json").read_text())
    assert body["rows"] == 3 and body["ddof"] == 1
    assert body["columns"]["pose_score"]["mean"] == pytest.approx(0.3)
