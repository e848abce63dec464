"""The original's acceptance rule for one latent."""

from __future__ import annotations

import numpy as np
import pytest

from ohlora.errors import ShapeError
from ohlora.models.protocol50 import LABELS50, NAMES, THRESHOLDS, judge


def test_pose_changes_fastest_and_mouth_slowest():
    assert LABELS50.shape == (50, 3)
    assert LABELS50[0].tolist() == [-1.8, -1.2, -1.2]
    assert LABELS50[1].tolist() == [-1.8, -1.2, 0.0]
    assert LABELS50[5].tolist() == [1.8, -1.2, -1.2]
    assert LABELS50[10].tolist() == [-1.8, -0.6, -1.2]
    assert LABELS50[49].tolist() == [1.8, 1.6, 3.6]


def test_perfect_scores_pass():
    judged = judge(LABELS50, LABELS50)
    assert judged.passed
    assert judged.correlations == pytest.approx((1, 1, 1))
    assert judged.errors == judged.squared_errors == (0, 0, 0)


@pytest.mark.parametrize("column", range(3))
def test_one_error_over_its_threshold_fails_all(column: int):
    limit = THRESHOLDS[NAMES[column]].error
    shifted = LABELS50.copy()
    shifted[:, column] += limit - 0.01
    assert judge(LABELS50, shifted).passed
    shifted[:, column] += 0.02
    judged = judge(LABELS50, shifted)
    assert judged.errors[column] == pytest.approx(limit + 0.01)
    assert not judged.passed


def test_a_property_that_never_moves_has_no_correlation_and_fails():
    still = LABELS50.copy()
    still[:, 1] = 0.0
    judged = judge(LABELS50, still)
    assert np.isnan(judged.correlations[1])
    assert not judged.passed


def test_correlation_is_pearsons():
    scores = LABELS50 + np.random.default_rng(3).normal(0, 1, LABELS50.shape)
    expected = [np.corrcoef(LABELS50[:, i], scores[:, i])[0, 1] for i in range(3)]
    assert judge(LABELS50, scores).correlations == pytest.approx(expected)


def test_a_wrong_shape_says_both_shapes():
    with pytest.raises(ShapeError, match=r"\(50, 3\) and \(50, 7\)"):
        judge(LABELS50, np.zeros((50, 7)))
