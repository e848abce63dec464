"""What `ohlora eval face` says of a generator that obeys, one that is deaf, and ones in between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

from evaluation.paper_faces import SIZE, W, deaf, obedient, paper_face, paper_parser, paper_scorer
from face.small import make_weights
from ohlora.cli.eval import app
from ohlora.directions.control import save
from ohlora.directions.draw import plain
from ohlora.directions.scorer import PartScorer, load_scorer, read_statistics
from ohlora.errors import BadInput, CheckpointError, OhloraError
from ohlora.evaluation import face_run
from ohlora.evaluation.face import Faces, load_domain, measure_faces, summarise
from ohlora.evaluation.face_features import RandomFeatures
from ohlora.evaluation.face_identity import Looks
from ohlora.evaluation.face_pictures import contact_sheet, worst_faces
from ohlora.evaluation.face_run import FaceSetting
from ohlora.evaluation.report import Report
from ohlora.face.lattice import Axes
from ohlora.face.pack import write_pack
from ohlora.face.pixels import encode
from ohlora.models.protocol50 import LABELS50


@pytest.fixture(scope="module")
def scorer() -> PartScorer:
    return paper_scorer()


@pytest.fixture(scope="module")
def z() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, W))


@pytest.fixture(scope="module")
def good(scorer: PartScorer, z: np.ndarray) -> Faces:
    return measure_faces(obedient, scorer, z)


def numbers(report: Report) -> dict[str, float]:
    return {number.what: number.value for number in report.numbers}


def test_a_perfect_generator_reaches_every_bar(good: Faces) -> None:
    report = summarise(good, {})
    found = numbers(report)
    for name in ("eyes", "mouth", "pose"):
        assert found[f"{name}: |r| over all pictures"] > 0.99
        assert found[f"{name}: mean absolute error"] < 0.2
    assert found["faces within all six thresholds"] == 1.0
    assert found["largest cross-talk"] < 0.05
    assert found["identity: recognised by its resting face"] == 1.0
    assert found["background drift"] == found["hair drift"] == 0
    assert all(number.passed is not False for number in report.numbers)
    assert report.failures == []


def test_a_deaf_generator_reaches_none(scorer: PartScorer, z: np.ndarray) -> None:
    faces = measure_faces(deaf, scorer, z[:1])
    report = summarise(faces, {})
    found = numbers(report)
    assert [found[f"{name}: |r| over all pictures"] for name in ("eyes", "mouth", "pose")] == [
        0
    ] * 3
    assert found["faces within all six thresholds"] == 0 and len(report.failures) == 1
    (talk,) = [number for number in report.numbers if number.what == "largest cross-talk"]
    assert talk.passed is None and "not every property obeys" in talk.note


def test_a_leak_between_labels_is_cross_talk(scorer: PartScorer, z: np.ndarray) -> None:
    def leaky(z: np.ndarray, wish: np.ndarray) -> np.ndarray:
        return obedient(z, wish @ np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]]))

    report = summarise(measure_faces(leaky, scorer, z[:1]), {})
    (worst,) = [number for number in report.numbers if number.what == "largest cross-talk"]
    assert worst.value > 0.3 and worst.passed is False and worst.note == "of eyes on mouth"


def test_a_background_that_moves_with_the_mouth_is_drift(scorer: PartScorer, z: np.ndarray) -> None:
    def restless(z: np.ndarray, wish: np.ndarray) -> np.ndarray:
        images = obedient(z, wish)
        images[:, :70, :28] += (wish[:, 1] * 4 + 6).astype(np.uint8)[:, None, None, None]
        return images

    found = numbers(summarise(measure_faces(restless, scorer, z[:1]), {}))
    assert found["background drift"] > 0.05 and found["hair drift"] == 0


def test_a_face_with_a_picture_that_shows_none_does_not_pass(
    scorer: PartScorer, z: np.ndarray
) -> None:
    def shy(z: np.ndarray, wish: np.ndarray) -> np.ndarray:
        images = obedient(z, wish)
        images[(wish[:, 0] < 0) & (wish[:, 2] > 3)] = 0
        return images

    faces = measure_faces(shy, scorer, z[:1])
    report = summarise(faces, {})
    assert numbers(report)["pictures without a face or score"] == 0.1
    assert report.failures[0]["note"] == "a picture without a face or score"
    assert numbers(report)["eyes: |r| over all pictures"] > 0.99
    with pytest.raises(OhloraError, match="No face was found in any of 50"):
        measure_faces(lambda z, wish: np.zeros((len(z), 64, 64, 3), np.uint8), scorer, z[:1])


def test_the_worst_faces_come_first(good: Faces) -> None:
    none = replace(good, judged=[good.judged[0], None])
    assert worst_faces(none, 2)[0] == 1


def test_the_sheet_has_seven_poses_five_mouths_and_five_eyes(z: np.ndarray) -> None:
    asked = []

    def draw(wish: np.ndarray) -> np.ndarray:
        asked.extend(wish)
        return np.zeros((len(wish), 16, 16, 3), np.uint8)

    sheet = contact_sheet(draw)
    assert sheet.shape == (25 * 16 + 4 * 6, 7 * 16, 3) and len(asked) == 175
    assert len(np.unique(np.array(asked), axis=0)) == 175


class Paper:
    """Stands where Drawer does."""

    size, digest = SIZE, "paper"

    def __init__(self, net: object, directions: object) -> None:
        self.directions = None

    def __call__(self, z: np.ndarray, wish: np.ndarray) -> np.ndarray:
        return obedient(z, wish)


def test_the_command_writes_json_page_pictures_and_a_model_card_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scorer: PartScorer
) -> None:
    """All of it on paper faces: two, a domain for KID and FID, a pack; by the stand-ins."""
    rng = np.random.default_rng(1)
    (tmp_path / "domain").mkdir()
    for i in range(24):
        face = paper_face(rng.standard_normal(W), rng.uniform(-1, 1.5, 3))
        Image.fromarray(face).save(tmp_path / "domain" / f"{i:06d}.png")
    save_file(make_weights(label_dim=3).state, tmp_path / "g.safetensors")
    mean, deviation = (list(map(float, part)) for part in scorer.statistics)
    scale = {"names": ["score_eyes", "score_mouth", "score_pose"], "mean": mean, "std": deviation}
    (tmp_path / "scale.json").write_text(json.dumps(scale))
    monkeypatch.setattr(face_run, "Drawer", Paper)
    monkeypatch.setattr(face_run, "load_face_parser", lambda *_: (paper_parser(), "paper"))
    monkeypatch.setattr(
        face_run, "described", lambda setting, *_: {"faces": f"{setting.faces} random"}
    )
    monkeypatch.setattr(face_run, "load_recogniser", Looks)
    monkeypatch.setattr(face_run, "load_features", RandomFeatures)
    axes = Axes((-1.5, 1.5), (-1.2,), (0.0, 1.2))
    wishes = [(axes.eyes[c.e], axes.mouth[c.m], axes.pose[c.p]) for c in axes]
    images = obedient(np.zeros((4, W)), np.array(wishes))
    write_pack(tmp_path / "pack", axes, dict(zip(axes, map(encode, images), strict=True)), "CC0")
    words = ["face", "--generator", tmp_path / "g.safetensors", "--parser", tmp_path,
             "--statistics", tmp_path / "scale.json", "--domain", tmp_path / "domain",
             "--pack", tmp_path / "pack", "--faces", 2, "--out", tmp_path / "results",
             "--json"]  # fmt: skip
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    found = {n["what"]: n["value"] for n in json.loads(result.stdout)["numbers"]}
    assert found["faces within all six thresholds"] == 1 and found["FID against the domain"] > 0
    notes = {n["what"]: n["note"] for n in json.loads(result.stdout)["numbers"]}
    assert "stand-in" in notes["pack: cosine to the resting frame, mean"]
    assert "3 of 3 frames" in notes["pack: cosine to the resting frame, mean"]
    assert "stand-in" in notes["KID against the domain"]
    folder = tmp_path / "results"
    page = (folder / "index.html").read_text()
    assert "stand-in: colours" in page and "stand-in: random" in page
    assert page.count("data:image/") == 4 and 'src="http' not in page
    assert "Face control" in (folder / "evaluation.md").read_text()
    (folder / "face-people.webp").unlink()
    assert "2 random" in page and json.loads((folder / "face.json").read_text())["pictures"]


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    save_file(make_weights(label_dim=3).state, tmp_path / "g.safetensors")
    base = ["face", "--generator", str(tmp_path / "g.safetensors"), "--parser", str(tmp_path)]
    for more, kind, words in (
        ([], BadInput, "--statistics FILE, or --domain"),
        (["--domain", str(tmp_path), "--probes", "4"], BadInput, "--calibrator PARSER"),
        (["--domain", str(tmp_path)], CheckpointError, "found g.safetensors"),
        (["--domain", str(tmp_path), "--directions", "no"], CheckpointError, "no such file"),
    ):
        error = CliRunner().invoke(app, [*base, *more]).exception
        if words == "found g.safetensors":  # a folder's one file is taken, and is another network
            assert isinstance(error, CheckpointError), error
            continue
        assert isinstance(error, kind) and words in error.en and error.ko != error.en, error


def test_directions_of_one_face_do_not_judge_random_ones(tmp_path: Path) -> None:
    save_file(make_weights(label_dim=3).state, tmp_path / "g.safetensors")
    save(tmp_path / "her.safetensors", replace(plain(), z=np.ones(16)))
    setting = FaceSetting(tmp_path / "g.safetensors", tmp_path, domain=tmp_path,
                          directions=tmp_path / "her.safetensors")  # fmt: skip
    with pytest.raises(BadInput, match="calibrated for one face"):
        face_run.run(setting, None, lambda what, fraction: None)


def test_statistics_are_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "scale.json"
    path.write_text(json.dumps({"names": ["eyes", "mouth", "pose"], "mean": [1, 2, 3],
                                "std": [4, 5, 6]}))  # fmt: skip
    np.testing.assert_array_equal(read_statistics(path), [[1, 2, 3], [4, 5, 6]])
    path.write_text(json.dumps({"rows": 9, "ddof": 1, "columns": {
        f"{n}_score": {"mean": 1, "std": 2} for n in ("eyes", "mouth", "pose")}}))  # fmt: skip
    np.testing.assert_array_equal(read_statistics(path), [[1] * 3, [2] * 3])
    path.write_text(json.dumps({"names": ["eyes"], "mean": [1], "std": [2]}))
    with pytest.raises(CheckpointError, match="nothing about mouth"):
        read_statistics(path)
    path.write_text("[]")
    with pytest.raises(CheckpointError, match="not statistics"):
        load_scorer(tmp_path, path)


def test_an_empty_domain_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    with pytest.raises(BadInput, match="holds 1 pictures"):
        load_domain(tmp_path, 16, 10)


def test_measured_labels_stay_in_the_order_of_the_protocol(good: Faces) -> None:
    assert good.measured.shape == (2, 50, 3)
    np.testing.assert_allclose(good.measured[0], LABELS50, atol=0.8)
