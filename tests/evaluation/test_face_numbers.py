"""Cross-talk, KID, FID and drift obey their laws."""

from __future__ import annotations

import numpy as np
import pytest

from ohlora.evaluation.face_features import RandomFeatures
from ohlora.evaluation.face_look import moved
from ohlora.evaluation.face_numbers import (
    closeness,
    correlations,
    cross_talk,
    fid,
    kid,
)
from ohlora.models.protocol50 import LABELS50


def test_cross_talk_is_the_identity_for_an_obedient_generator_whatever_its_faces() -> None:
    offsets = np.random.default_rng(0).normal(size=(5, 1, 3)) * 3
    np.testing.assert_allclose(cross_talk(LABELS50, LABELS50 + offsets), np.eye(3), atol=1e-9)


def test_cross_talk_reads_the_mixture_that_made_it() -> None:
    mixed = (LABELS50 @ np.array([[1, 0, 0], [0, 1, 0.5], [0, 0, 1]]))[None]
    talk = cross_talk(LABELS50, mixed)
    parts = LABELS50.std(axis=0) * np.array([0, 0.5, 1])
    np.testing.assert_allclose(talk[:, 2], parts / np.linalg.norm(parts), atol=1e-9)
    mixed[0, ::7] = np.nan
    assert np.isfinite(cross_talk(LABELS50, mixed)).all()


def test_noise_and_silence_correlate_with_nothing() -> None:
    noise = np.random.default_rng(0).normal(size=(100, 50, 3))
    assert np.abs(correlations(LABELS50, noise)).max() < 0.05
    assert (correlations(LABELS50, np.zeros((2, 50, 3))) == 0).all()
    assert (correlations(LABELS50, np.full((2, 50, 3), np.nan)) == 0).all()


def test_fid_of_gaussians_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (40_000, 2)), rng.normal((1, 0), (1, 2), (40_000, 2))
    assert fid(a, b) == pytest.approx(1 + (2 - 1) ** 2, rel=0.05)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_kid_is_zero_on_average_for_two_samples_of_one_thing_and_grows_with_distance() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(shift, 1, (400, 8)) for shift in (0, 0, 1))
    same, spread = kid(a, b)
    far, _ = kid(a, c)
    assert abs(same) < 3 * spread < far


def test_pictures_of_another_kind_are_further_away() -> None:
    rng = np.random.default_rng(0)

    def pictures(base: int) -> np.ndarray:
        smooth = rng.integers(0, 60, (60, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
        return (base + smooth).astype(np.uint8)

    domain = pictures(80)
    net = RandomFeatures()
    near, far = (closeness(pictures(b), domain, net, standardised=True) for b in (80, 150))
    assert near["fid"] < far["fid"] / 3 and near["kid"] < far["kid"] / 3
    features = RandomFeatures()(domain)
    assert features.shape == (60, 400) and (features == RandomFeatures()(domain)).all()


def test_drift_counts_only_what_both_pictures_show() -> None:
    images = np.zeros((3, 20, 20, 3), np.uint8)
    images[1, :10] = 8
    frame = np.zeros((20, 20), np.uint8)
    frame[10:] = 10
    background, hair = moved(images, [frame, frame, None], np.zeros(3, np.int64))
    assert (background, hair) == (8, 0)
    assert np.isnan(moved(images, [None, frame, None], np.zeros(3, np.int64))).all()
