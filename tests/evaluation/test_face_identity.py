"""Identity: face recognition where it is installed, and the stand-in that says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.paper_faces import SIZE, W, obedient, paper_scorer
from ohlora.evaluation import face_identity
from ohlora.evaluation.face_identity import (
    DlibNet,
    Looks,
    Recogniser,
    identity,
    identity_numbers,
    load_recogniser,
    pack_numbers,
)
from ohlora.evaluation.face_look import LOOKS
from ohlora.models.protocol50 import LABELS50


class Plain:
    """Vectors as they are, with dlib's rule."""

    name, rule = "plain", 0.6

    def __call__(self, images: np.ndarray, parsed: object) -> np.ndarray:
        return images[:, 0, 0].astype(float)

    scale = DlibNet.scale


@pytest.fixture(scope="module")
def dlib_net() -> DlibNet:
    pytest.importorskip("dlib", reason="the extra `evaluation` is not installed")
    net = load_recogniser()
    if not isinstance(net, DlibNet):
        pytest.skip("face_recognition_models is not installed")
    return net


def test_people_who_keep_their_looks_are_recognised() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(100, 20, (8, 1, LOOKS)).repeat(5, axis=1)
    kept = identity(people + rng.normal(0, 1, people.shape), 0, Looks())
    assert kept["recognised"] == 1 and kept["cosine"] > 0.95
    assert kept["distance"] < 0.2 * kept["between"] and np.isnan(kept["within_rule"])
    shuffled = people.copy()
    shuffled[:, 1:] = shuffled[rng.permutation(8), 1:]
    lost = identity(shuffled, 0, Looks())
    assert lost["recognised"] < 0.5 and lost["worst"] < 0
    assert np.isnan(identity(people[:1], 0, Looks())["cosine"])


def test_distances_are_euclidean_and_the_rule_counts_those_below_it() -> None:
    """Two people 1.2 apart; of four pictures one strays by 0.7, and one shows no face."""
    vectors = np.zeros((2, 4, 3)) + 1
    vectors[1, :, 0] += 1.2
    vectors[0, 1, 1] += 0.7
    vectors[0, 2] = np.nan
    found = identity(vectors, 0, Plain())
    assert found["recognised"] == 1 and found["between_rule"] == 0
    assert found["between"] == pytest.approx(1.2)
    assert found["distance"] == pytest.approx(0.7 / 5) and found["within_rule"] == 4 / 5
    first = np.array([1, 1.7, 1]) @ np.ones(3) / np.linalg.norm([1, 1.7, 1]) / 3**0.5
    assert found["cosine"] == pytest.approx((first + 4) / 5)
    lost = {n.what: n.value for n in identity_numbers(vectors, 0, Plain())}
    assert lost["identity: pictures that show no face to it"] == 1 / 8


def test_a_pack_is_held_against_its_resting_frame() -> None:
    rest = np.array([1.0, 0, 0])
    frames = np.array([[1.0, 0, 0], [0, 1, 0], [np.nan] * 3])
    found = {n.what: n for n in pack_numbers(frames, rest, np.eye(3), Plain())}
    assert found["pack: cosine, lowest"].value == 0
    assert found["pack: distance, largest"].value == pytest.approx(2**0.5, abs=1e-4)
    assert found["pack: frames that show the same person"].value == 0.5
    assert "2 of 3 frames" in found["pack: cosine to the resting frame, mean"].note
    (none,) = pack_numbers(frames[2:], rest, np.eye(3), Plain())
    assert none.text() == "none"


def test_without_the_extra_a_stand_in_measures_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_identity, "package_folder", lambda package: None)
    stand_in = load_recogniser()
    assert isinstance(stand_in, Looks) and "stand-in" in stand_in.name
    images = obedient(np.random.default_rng(0).standard_normal((2, W)), LABELS50[:2])
    parsed = [*paper_scorer().parsed(images), None]
    vectors = stand_in(np.concatenate([images, images[:1]]), parsed)
    assert vectors.shape == (3, LOOKS) and np.isnan(vectors[2]).all()
    again = stand_in(images[:1], parsed[:1])
    np.testing.assert_array_equal(again[0], vectors[0])  # the same picture is at distance 0
    names = identity_numbers(np.tile(vectors[:2, None], (1, 3, 1)), 0, stand_in)
    assert "stand-in" in names[0].note
    assert not any("same person" in number.what for number in names)  # it has no such rule


def test_a_half_installed_extra_is_no_recogniser(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def broken(folder: object) -> Recogniser:
        raise ImportError("no dlib")

    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setattr(face_identity, "package_folder", lambda package: folder)
    monkeypatch.setattr(face_identity, "DlibNet", broken)
    assert isinstance(load_recogniser(), Looks)


def test_dlib_sees_one_person_in_two_expressions_and_two_in_two(dlib_net: DlibNet) -> None:
    pytest.importorskip("warp")
    from ohlora.synth.parameters import Face, Person, Scene
    from ohlora.synth.render import Renderer
    from ohlora.synth.sample import sample_person

    renderer = Renderer()

    def pictures(person: Person) -> np.ndarray:
        scenes = Scene(), replace(Scene(), jaw=0.5)
        return np.stack([renderer.render(Face(person, s), SIZE, 2).image for s in scenes])

    vectors = np.stack([dlib_net(pictures(sample_person(seed))) for seed in (0, 4)])
    found = identity(vectors, 0, dlib_net)
    assert vectors.shape == (2, 2, 128) and found["recognised"] == 1
    assert found["distance"] < 0.3 < found["between"] and found["cosine"] > 0.95
    assert found["within_rule"] == 1 and found["between_rule"] == 0


def test_to_dlib_a_picture_is_itself_at_any_size_and_a_wall_is_nobody(dlib_net: DlibNet) -> None:
    from importlib.resources import files

    from PIL import Image

    frame = files("ohlora_embedded") / "face" / "pack" / "3-1-6.webp"
    with frame.open("rb") as file:
        picture = Image.open(file).convert("RGB")
    image = np.asarray(picture)
    first, second, wall = dlib_net(np.stack([image, image, np.full_like(image, 90)]))
    np.testing.assert_array_equal(first, second)
    assert np.isnan(wall).all()
    (small,) = dlib_net(np.asarray(picture.resize((128, 128), Image.Resampling.LANCZOS))[None])
    assert np.linalg.norm(small - first) < 0.2
