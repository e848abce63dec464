"""Property scores v1 and v2 and their normalisation, as the reference computes them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohlora.vision.normalise import Normalisation
from ohlora.vision.scores import Scores, scores_v1, scores_v2


@pytest.fixture(scope="module")
def spec(golden_dir: Path) -> dict[str, Any]:
    return json.loads((golden_dir / "funcs" / "property_scores.json").read_text())


@pytest.fixture(scope="module")
def faces(golden_dir: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    arrays = np.load(golden_dir / "funcs" / "property_maps.npz")
    images = arrays["images_lowres"].repeat(8, axis=1).repeat(8, axis=2)
    return list(zip(arrays["maps"], images, strict=True))


def assert_same(found: Scores, expected: Scores, case: dict[str, Any]) -> None:
    for name, ours, theirs in zip(Scores._fields, found, expected, strict=True):
        where = f"case {case['index']} ({case['kind']}): {name}"
        if isinstance(theirs, dict) or theirs is None:  # the reference raised, or knew none
            assert ours is None, where
        elif math.isfinite(float(theirs)):
            assert ours == pytest.approx(float(theirs), rel=0, abs=1e-9), where
        else:
            assert ours is not None and str(ours) == theirs, where


def test_v1_scores_are_the_reference_s(spec: dict[str, Any], faces: list[Any]) -> None:
    for case in spec["cases"]:
        expected = dict(case["v1"])
        mean, deviation = expected.pop("background_mean_std")
        assert_same(
            scores_v1(*faces[case["index"]]),
            Scores(**expected, background_mean=mean, background_std=deviation),
            case,
        )


def test_v2_scores_are_the_reference_s(spec: dict[str, Any], faces: list[Any]) -> None:
    for case in spec["cases"]:
        expected = dict(case["v2"])
        mean, deviation = expected.pop("background_mean_std")
        eyes, pose = expected.pop("eyes_pose")
        assert_same(
            scores_v2(*faces[case["index"]]),
            Scores(
                eyes=eyes,
                pose=pose,
                **expected,
                background_mean=mean,
                background_std=deviation,
            ),
            case,
        )


def test_normalised_columns_are_the_reference_s(spec: dict[str, Any]) -> None:
    given, expected = spec["normalise"]["input"], spec["normalise"]["output"]
    table = {name: given[name] for name in expected}
    assert Normalisation.fit(table).apply(table) == expected
