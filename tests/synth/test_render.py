"""One picture: its mask and labels follow what was asked, measured not copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohlora.errors import BadInput
from ohlora.synth.degrade import degrade
from ohlora.synth.parameters import Damage, Face, Hair, Person, Scene
from ohlora.synth.sample import her, sample_face

SIZE, OVER = 96, 2
BALD = replace(her(), hair=Hair(style="bald"))


def shoot(renderer, person: Person = BALD, **scene):  # type: ignore[no-untyped-def]
    return renderer.render(Face(person, Scene(**scene)), SIZE, OVER)


def test_a_face_has_every_part_and_left_is_left(renderer) -> None:
    shot = shoot(renderer, her(), jaw=0.5)
    assert shot.image.shape == (SIZE, SIZE, 3) and shot.image.dtype == np.uint8
    assert set(np.unique(shot.mask)) == set(range(11))
    column = {c: float(np.nonzero(shot.mask == c)[1].mean()) for c in (2, 3, 4, 5, 6)}
    row = {c: float(np.nonzero(shot.mask == c)[0].mean()) for c in (2, 4, 6, 7, 8, 9)}
    assert column[2] < column[6] < column[3] and column[4] < column[6] < column[5]
    assert row[2] < row[4] < row[6] < row[7] < row[8] < row[9]


def test_the_same_face_is_the_same_picture_to_the_bit(renderer) -> None:
    a, b = (renderer.render(sample_face(3), 64, 1) for _ in range(2))
    assert np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask)
    assert a.labels == b.labels


def test_measured_eyes_follow_the_lids(renderer) -> None:
    seen = [shoot(renderer, eyes=e).labels.eyes for e in (0.0, 0.35, 0.7, 1.0, 1.4)]
    assert seen == sorted(seen) and seen[0] < 0.02 < 0.1 < seen[-1]


def test_shut_eyes_leave_no_eye_in_the_mask(renderer) -> None:
    for yaw in (-25, 0, 25):
        mask = shoot(renderer, eyes=0.0, yaw=yaw).mask
        assert int(((mask == 4) | (mask == 5)).sum()) <= 2


def test_measured_mouth_follows_the_jaw(renderer) -> None:
    seen = [shoot(renderer, jaw=j).labels for j in (0.0, 0.3, 0.6, 0.9)]
    for name in ("mouth", "mouth_gap"):
        values = [getattr(labels, name) for labels in seen]
        assert values == sorted(values) and values[-1] > 5 * max(values[0], 0.01)


def test_teeth_never_leave_the_mouth_when_the_head_turns(renderer) -> None:
    """Inner mouth is one piece, inside the rectangle of the lips."""
    for yaw in (-35, 35):
        mask = shoot(renderer, jaw=0.8, yaw=yaw).mask
        inner, lips = np.nonzero(mask == 8), np.nonzero((mask == 7) | (mask == 9))
        for axis in (0, 1):
            assert lips[axis].min() - 1 <= inner[axis].min()
            assert inner[axis].max() <= lips[axis].max() + 1


def test_angles_are_measured_on_the_posed_head(renderer) -> None:
    labels = shoot(renderer, yaw=20.0, pitch=-5.0, roll=8.0).labels
    assert labels.yaw == pytest.approx(20, abs=1.5)
    assert labels.pitch == pytest.approx(-5, abs=1.5)
    assert labels.roll == pytest.approx(8, abs=1.5)


def test_v1_pose_score_follows_the_roll(renderer) -> None:
    left, right = (shoot(renderer, roll=r).labels.scores.pose for r in (-10, 10))
    assert left is not None and right is not None
    assert abs(left - right) > 0.2 and left * right < 0


def test_longer_hair_measures_longer(renderer) -> None:
    hair = her().hair
    short, long = (
        shoot(renderer, replace(her(), hair=replace(hair, length=length))).labels
        for length in (0.06, 0.12)
    )
    assert short.hair_length < long.hair_length


def test_bald_is_a_style_and_an_unknown_style_is_refused(renderer) -> None:
    assert not (shoot(renderer).mask == 10).any()
    with pytest.raises(BadInput, match="mullet"):
        shoot(renderer, replace(her(), hair=Hair(style="mullet")))
    with pytest.raises(BadInput, match="32 to 1024"):
        renderer.render(Face(), 8)


def test_labels_are_of_the_clean_picture_and_damage_only_touches_the_image(renderer) -> None:
    clean = shoot(renderer)
    spoilt = shoot(renderer, damage=Damage(blur=5, seed=1))
    assert np.array_equal(clean.mask, spoilt.mask)
    assert clean.labels.scores == spoilt.labels.scores
    assert spoilt.labels.quality < 0.5 < clean.labels.quality
    assert np.abs(np.diff(spoilt.image.astype(int), axis=0)).sum() < (
        np.abs(np.diff(clean.image.astype(int), axis=0)).sum()
    )


def test_no_damage_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    assert np.array_equal(degrade(image, Damage()), image)
    assert degrade(image, Damage(blur=2, noise=20, jpeg=20, downscale=3)).shape == image.shape
