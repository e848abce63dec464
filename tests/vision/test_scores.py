"""Property scores: the fast rules against plain ones, and what the numbers mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohlora.errors import ShapeError
from ohlora.vision.scores import SIZE, opening, scores_v1, scores_v2
from vision.plain_scores import plain_opening, plain_scores_v2

small_masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


def random_face(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A map of random blobs with small eyes, and a noisy image."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 11, (28, 28), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    classes[np.isin(classes, (4, 5))] = 1
    for part, column in ((4, 60), (5, 140)):
        y, x = rng.integers(60, 150), column + rng.integers(0, 20)
        classes[y : y + 12, x : x + 20] = np.where(rng.random((12, 20)) < 0.4, part, 1)
    return classes, rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@settings(max_examples=300, deadline=None)
@given(small_masks)
@example(np.ones((5, 5), dtype=np.bool_))  # both diagonals are longest
@example(np.eye(4, dtype=np.bool_))
@example(np.ones((1, 6), dtype=np.bool_))
@example(np.ones((6, 1), dtype=np.bool_))
def test_eye_opening_equals_a_search_over_all_pairs_of_pixels(mask: np.ndarray) -> None:
    every = [(x, y) for x in range(mask.shape[1]) for y in range(mask.shape[0]) if mask[y, x]]
    assert opening(mask) == pytest.approx(plain_opening(every), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_v2_scores_equal_the_plain_ones(seed: int) -> None:
    classes, image = random_face(seed)
    assert list(scores_v2(classes, image)) == pytest.approx(
        plain_scores_v2(classes, image), rel=0, abs=1e-9
    )


def test_of_two_equally_long_lines_the_first_met_decides_the_slant() -> None:
    """Four pixels of a cross that is wide as it is tall: x outer, y inner, j before i."""
    mask = np.zeros((7, 7), dtype=np.bool_)
    mask[3, 0] = mask[3, 6] = mask[0, 3] = mask[6, 3] = True
    # Listed: (0,3) (3,0) (3,6) (6,3). The pair (3,6)-(3,0) comes before (6,3)-(0,3): upright.
    assert opening(mask) == 0.0


def test_slanted_eyes_count_less_than_level_ones() -> None:
    level = np.zeros((40, 40), dtype=np.bool_)
    level[18:22, 5:35] = True
    slanted = np.zeros_like(level)
    for x in range(5, 35):
        slanted[x - 2 : x + 2, x] = True
    assert opening(slanted) == pytest.approx(opening(level) * math.cos(math.pi / 4), rel=0.05)


def test_an_empty_map_scores_without_error() -> None:
    classes = np.ones((SIZE, SIZE), dtype=np.uint8)
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    assert scores_v2(classes, image) == (0.0, 127.5, 0.0, 0.0, 0.0, 192.0, 0.0)
    found = scores_v1(classes, image)
    assert found.hair_color is None and found.hair_length is None
    assert found.pose is not None and math.isnan(found.pose)


def test_a_wrong_map_or_image_is_refused() -> None:
    image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    with pytest.raises(ShapeError, match="256"):
        scores_v2(np.zeros((256, 256), dtype=np.uint8), image)
    with pytest.raises(ShapeError, match="want classes"):
        scores_v1(np.zeros((SIZE, SIZE), dtype=np.uint8), image[:, :, 0])
