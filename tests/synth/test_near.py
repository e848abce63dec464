"""People near her: a code of numbers, 0 is she."""

from __future__ import annotations

import statistics

import pytest

from ohlora.synth.near import (
    CODE,
    CODE_SIZE,
    everyday,
    express,
    person_near,
    random_code,
    sample_near,
    scene_near,
)
from ohlora.synth.sample import her


def test_the_zero_code_is_she_herself() -> None:
    assert rounded(person_near([0.0] * CODE_SIZE)) == rounded(her())


def test_no_spread_is_she_whatever_the_code() -> None:
    assert rounded(person_near(random_code(5), spread=0)) == rounded(her())


def test_every_number_of_a_code_moves_something() -> None:
    own = person_near([0.0] * CODE_SIZE), scene_near([0.0] * CODE_SIZE)
    for i, name in enumerate(CODE):
        code = [0.0] * CODE_SIZE
        code[i] = 1.0
        assert (person_near(code), scene_near(code)) != own, name


def test_a_longer_code_is_read_from_its_start_and_a_short_one_refused() -> None:
    code = random_code(3)
    assert person_near([*code, 9.0, 9.0]) == person_near(code)
    with pytest.raises(ValueError, match="numbers, got 3"):
        person_near([0.0, 1.0, 2.0])


def test_far_codes_stay_people() -> None:
    for sign in (-50.0, 50.0):
        person = person_near([sign] * CODE_SIZE)
        assert all(0 < c < 1 for c in (*person.skin.tone, *person.hair.color, *person.iris))
        assert 0 < person.asian < 1 and 0.08 < person.hair.length < 0.33


def test_the_head_tilts_as_it_turns() -> None:
    scene = express(scene_near([0.0] * CODE_SIZE), yaw=20, eyes=1, jaw=0)
    assert scene.yaw == 20 and 3 < scene.roll < 8


def test_everyday_expressions_are_calm_and_the_others_cover_the_range() -> None:
    calm, wide = [], []
    for seed in range(600):
        yaw = sample_near(1, seed, 1.0, 1.0).scene.yaw
        (calm if everyday(seed) else wide).append(yaw)
    assert statistics.pstdev(calm) == pytest.approx(8.3, rel=0.15)
    assert statistics.pstdev(wide) == pytest.approx(64 / 12**0.5, rel=0.1)
    assert len(calm) / 600 == pytest.approx(0.3, abs=0.06)


def rounded(value):  # type: ignore[no-untyped-def]
    """Floats to nine places, through the plain-data form."""
    from ohlora.synth.parameters import Face, to_dict

    def go(v):  # type: ignore[no-untyped-def]
        if isinstance(v, dict):
            return {k: go(x) for k, x in v.items()}
        if isinstance(v, list | tuple):
            return [go(x) for x in v]
        return round(v, 9) if isinstance(v, float) else v

    return go(to_dict(Face(person=value)))
