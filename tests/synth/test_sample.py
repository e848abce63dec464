"""Random faces: adults, within bounds, the same for the same seed."""

from __future__ import annotations

import json

from ohlora.synth.hairstyles import STYLES
from ohlora.synth.labels import quality
from ohlora.synth.parameters import Damage, from_dict, to_dict
from ohlora.synth.sample import SHAPE, sample_face, sample_person, sample_scene


def test_everyone_is_an_adult_within_one_and_a_half_deviations() -> None:
    for seed in range(300):
        person = sample_person(seed)
        assert 0 <= person.age <= 1  # 0 is the young adult morph; younger ones are not baked
        assert person.african + person.asian + person.caucasian == 1 or (
            abs(person.african + person.asian + person.caucasian - 1) < 1e-9
        )
        assert person.hair.style in STYLES
        for name, (deviation, woman, man) in SHAPE.items():
            mean = woman if person.gender > 0.5 else man
            assert abs(person.shape[name] - mean) <= 1.5 * deviation + 1e-9


def test_the_asset_holds_no_young_morphs(head) -> None:
    assert not [n for n in head.names if "child" in n or "baby" in n]


def test_the_same_seed_gives_the_same_face_and_json_brings_it_back() -> None:
    face = sample_face(12)
    assert face == sample_face(12) != sample_face(13)
    assert from_dict(json.loads(json.dumps(to_dict(face)))) == face


def test_about_one_picture_in_twenty_is_bad_and_the_rest_is_clean() -> None:
    marks = [quality(sample_scene(seed).damage) for seed in range(3000)]
    bad = sum(mark < 0.5 for mark in marks) / len(marks)
    assert 0.03 < bad < 0.07
    assert all(mark < 0.5 or mark > 0.9 for mark in marks)


def test_stronger_damage_means_lower_quality() -> None:
    assert quality(Damage()) == 1
    for weak, strong in (
        (Damage(blur=1), Damage(blur=4)),
        (Damage(noise=5), Damage(noise=50)),
        (Damage(jpeg=30), Damage(jpeg=3)),
        (Damage(downscale=2), Damage(downscale=8)),
    ):
        assert 1 > quality(weak) > quality(strong)
