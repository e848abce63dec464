"""Directions found for a generator whose answers are known make it obey, on faces never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from directions.tiny import W, make, read_stripes
from ohlora.directions.control import Directions, knob_limits, load, save
from ohlora.directions.draw import Drawer, digest_of, plain
from ohlora.directions.fit import CalibratingDrawer, FitConfig, Way, calibrate, fit, random_effects
from ohlora.directions.published import load_vectorfind
from ohlora.errors import BadInput, CheckpointError, OhloraError, ShapeError
from ohlora.models.protocol50 import LABELS50, judge

SMALL = FitConfig(samples=600, faces=16, settings=24, held_out=6)


def obey(label_dim: int, directions: Directions | None, z: np.ndarray) -> np.ndarray:
    """Measured scores [50, 3] of one face asked for the 50 labels."""
    drawer = Drawer(make(label_dim), directions)
    return read_stripes(drawer(np.tile(z, (50, 1)), LABELS50))


@pytest.fixture(scope="module")
def strangers() -> np.ndarray:
    return np.random.default_rng(99).standard_normal((4, W))


@pytest.fixture(scope="module")
def labelled() -> tuple[Directions, list[Way]]:
    return fit(make(3), read_stripes, SMALL, scorer="stripes")


def test_labels_are_calibrated_so_that_one_unit_measures_one(
    labelled: tuple[Directions, list[Way]], strangers: np.ndarray
) -> None:
    directions, ways = labelled
    assert directions.space == "label" and len(ways) == 1
    before = [judge(LABELS50, obey(3, None, z)) for z in strangers]
    after = [judge(LABELS50, obey(3, directions, z)) for z in strangers]
    assert np.mean([j.errors for j in after]) < 0.8 * np.mean([j.errors for j in before])
    own = [calibrate(make(3), read_stripes, directions, z, probes=16) for z in strangers]
    best = [judge(LABELS50, obey(3, one, z)) for z, one in zip(strangers, own, strict=True)]
    assert all(judged.passed for judged in best)
    assert np.mean([j.errors for j in best]) < 0.2 < np.mean([j.errors for j in after])
    assert np.mean([j.correlations for j in best]) > 0.97


def test_a_calibrated_face_has_no_crosstalk(
    labelled: tuple[Directions, list[Way]], strangers: np.ndarray
) -> None:
    z = strangers[0]
    own = calibrate(make(3), read_stripes, labelled[0], z, probes=16)
    design = np.column_stack([LABELS50, np.ones(50)])
    for directions, low, high in ((None, 0.3, 2.0), (own, 0.0, 0.1)):
        slopes = np.linalg.lstsq(design, obey(3, directions, z), rcond=None)[0][:3]
        off = np.abs(slopes - np.diag(np.diag(slopes))).max()
        assert low <= off <= high, slopes


@pytest.mark.parametrize("space", ["w", "style"])
def test_a_generator_without_labels_learns_to_obey(space: str, strangers: np.ndarray) -> None:
    directions, ways = fit(make(0), read_stripes, replace(SMALL, spaces=(space,)))
    assert {way.directions.method for way in ways} == {"ridge", "svm"}
    assert ways[0].error <= ways[1].error and directions is ways[0].directions
    assert directions.reader is not None and directions.moves is not None
    np.testing.assert_allclose(directions.reader @ directions.moves.T, np.eye(3), atol=1e-6)
    for z in strangers:
        judged = judge(LABELS50, obey(0, directions, z))
        assert judged.passed and min(judged.correlations) > 0.99, judged


def test_every_space_draws_the_untouched_face_where_nothing_moves(strangers: np.ndarray) -> None:
    net = make(0)
    with torch.inference_mode():
        want = net(torch.from_numpy(strangers.astype(np.float32))).image
    for space, width in (("w", W), ("style", 12)):
        zeros = np.zeros((3, width))
        still = replace(plain(space), reader=zeros, bias=np.zeros(3), moves=zeros)
        drawn = Drawer(net, still).turn(strangers, np.ones((4, 3)))
        assert np.abs(drawn[0, :, :, 0] - (want[0, 0].numpy() + 1) * 127.5).max() <= 0.51


def test_knobs_undo_the_response_within_limits(labelled: tuple[Directions, list[Way]]) -> None:
    directions = labelled[0]
    low, high = directions.limits.T
    inside = np.random.default_rng(0).uniform(low * 0.8, high * 0.8, (200, 3))
    found = directions.knobs(directions.respond(inside))
    np.testing.assert_allclose(directions.respond(found), directions.respond(inside), atol=1e-3)
    far = directions.knobs([[50.0, 0.0, 0.0]])
    assert (far >= low - 1e-9).all() and (far <= high + 1e-9).all()
    wishes = np.zeros((9, 3))
    wishes[:, 0] = np.linspace(-1.8, 1.8, 9)
    assert (np.diff(directions.respond(directions.knobs(wishes))[:, 0]) > 0).all()


def test_random_effects_recover_mean_spread_and_noise() -> None:
    rng = np.random.default_rng(3)
    design = np.column_stack([np.ones(6000), rng.uniform(-1, 1, (6000, 12))])
    groups = np.arange(300).repeat(20)
    truth, deviation = np.linspace(-1, 1, 13), np.r_[0.5, np.full(12, 0.1)]
    own = truth + deviation * rng.standard_normal((300, 13))
    scores = (design * own[groups]).sum(1) + 0.2 * rng.standard_normal(6000)
    mean, spread, noise = random_effects(design, scores, groups)
    np.testing.assert_allclose(mean, truth, atol=0.15)
    assert noise == pytest.approx(0.2, abs=0.03) and spread[0, 0] == pytest.approx(0.25, abs=0.08)


def test_the_file_gives_back_what_was_saved(
    labelled: tuple[Directions, list[Way]], tmp_path: Path, strangers: np.ndarray
) -> None:
    directions = labelled[0].for_face(strangers[0], [[0.0, 0, 0]] * 4, [[0.1, 0.2, 0.3]] * 4)
    path = tmp_path / "directions.safetensors"
    save(path, directions)
    again = load(path)
    assert (again.digest, again.scorer, again.generator) == (
        directions.digest, "stripes", digest_of(make(3)))  # fmt: skip
    np.testing.assert_allclose(again.knobs(LABELS50), directions.knobs(LABELS50), atol=1e-3)
    with pytest.raises(BadInput, match="another face"):
        again.check(digest_of(make(3)), make(3).config, strangers[1])


def test_slimming_a_generator_to_float16_keeps_its_directions() -> None:
    assert digest_of(make(3)) == digest_of(make(3).half().float()) != digest_of(make(3, deaf=True))


def test_the_published_files_move_up_what_their_vectors_move_down(tmp_path: Path) -> None:
    for row, name in enumerate(("eyes", "mouth", "pose")):
        vector = np.zeros(W)
        vector[row] = -1  # adding it lowers the score
        text = "," + ",".join(map(str, range(W))) + "\n0," + ",".join(map(str, vector)) + "\n"
        (tmp_path / f"{name}_change_w_vector_hlh.csv").write_text(text)
    directions = load_vectorfind(tmp_path, "hlh")
    z = np.random.default_rng(0).standard_normal(W)
    scores = read_stripes(Drawer(make(0), directions)(np.tile(z, (2, 1)), [[-1, 0, 0], [1, 0, 0]]))
    assert scores[1, 0] - scores[0, 0] > 1
    own = calibrate(make(0), read_stripes, directions, z, probes=32)
    reach = np.array([[0.8, 0.0, 0.0], [0.8, 0.5, 0.5]])
    got = read_stripes(Drawer(make(0), own)(np.tile(z, (2, 1)), reach))
    np.testing.assert_allclose(got, reach, atol=0.1)
    with pytest.raises(CheckpointError, match="group, e.g. hlh"):
        load_vectorfind(tmp_path, "lll")
    (tmp_path / "pose_change_w_vector_hlh.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CheckpointError, match="pose_change"):
        load_vectorfind(tmp_path, "hlh")


def test_a_drawer_calibrates_each_face_it_meets(
    labelled: tuple[Directions, list[Way]], strangers: np.ndarray
) -> None:
    z, wishes = np.repeat(strangers[:2], 50, axis=0), np.tile(LABELS50, (2, 1))
    errors = []
    for draw in (
        Drawer(make(3), labelled[0]),
        CalibratingDrawer(make(3), labelled[0], read_stripes, probes=16),
        CalibratingDrawer(make(3), labelled[0], lambda x: np.full((len(x), 3), np.nan), probes=4),
    ):
        errors.append(np.abs(read_stripes(draw(z, wishes)) - wishes).mean())
    assert errors[1] < 0.8 * errors[0] and errors[2] == errors[0]


def test_faults_are_one_clear_sentence(
    labelled: tuple[Directions, list[Way]], tmp_path: Path
) -> None:
    directions = labelled[0]
    with pytest.raises(BadInput, match="another generator"):
        Drawer(make(3, deaf=True), directions)
    with pytest.raises(BadInput, match="has no labels"):
        Drawer(make(0))
    with pytest.raises(BadInput, match="do not fit"):
        Drawer(make(0), replace(directions, generator=""))
    with pytest.raises(ShapeError, match="eyes, mouth and pose"):
        directions.knobs([[1.0, 2.0]])
    with pytest.raises(BadInput, match="finite"):
        directions.knobs([[np.nan, 0, 0]])
    with pytest.raises(BadInput, match="no space x"):
        fit(make(3), read_stripes, replace(SMALL, spaces=("x",)))
    blank = np.full((4, 3), np.nan)
    with pytest.raises(BadInput, match="0 of 4 pictures"):
        directions.for_face(np.zeros(W), np.zeros((4, 3)), blank)
    with pytest.raises(OhloraError, match="No face was found"):
        fit(make(3), lambda images: np.full((len(images), 3), np.nan), SMALL)
    with pytest.raises(BadInput, match="deaf"):
        fit(make(0), lambda images: np.zeros((len(images), 3)), replace(SMALL, spaces=("w",)))
    broken = make(3)
    broken.synthesis.output0.bias.fill_(torch.nan)
    with pytest.raises(OhloraError, match="NaN"):
        Drawer(broken)(np.zeros((1, W)), np.zeros((1, 3)))
    for content in (b"", b"not tensors"):
        (tmp_path / "d.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="ohlora face directions"):
            load(tmp_path / "d.safetensors")
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "none.safetensors")
    save(tmp_path / "e.safetensors", replace(directions, mean=directions.mean * np.nan))
    with pytest.raises(CheckpointError, match="mean is not"):
        load(tmp_path / "e.safetensors")


def test_limits_reach_beyond_the_fifty_labels() -> None:
    low, high = knob_limits().T
    assert (low < LABELS50.min(0)).all() and (high > LABELS50.max(0)).all()
