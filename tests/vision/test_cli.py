"""`ohlora vision` with the real detector and a narrow face parser of the published build."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ohlora.cli.vision import app
from ohlora.errors import BadInput, CheckpointError, OhloraError
from ohlora.models.facexformer import FaceXFormer
from ohlora.paths import embedded
from vision.fetch_mtcnn import mtcnn_folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = mtcnn_folder()
    if folder is None:
        pytest.skip("no MTCNN weights here: run python tests/vision/fetch_mtcnn.py")
    torch.manual_seed(0)
    net = FaceXFormer(swin=32, middle_depth=1, width=64)
    path = tmp_path_factory.mktemp("weights") / "segmentation_model.pt"
    torch.save({"state_dict_backbone": net.state_dict()}, path)
    return ["--mtcnn", str(folder), "--facexformer", str(path), "--runtime", "torch"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    face = Image.open(embedded() / "face" / "pack" / "3-0-6.webp").convert("RGB")
    face.save(folder / "000001.png")
    face.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "000002.png")
    Image.new("RGB", face.size, "teal").save(folder / "000003.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def ohlora(*arguments: object) -> str:
    """Run a command; errors raised on purpose come out as they are."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if isinstance(result.exception, OhloraError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


STATUSES = ["ok", "ok", "no-face", "not-an-image"]


def test_detect_finds_the_embedded_face(photos: Path, tmp_path: Path, weights: list[str]) -> None:
    out = tmp_path / "faces.csv"
    report = json.loads(ohlora("detect", photos, "--out", out, *weights[:2], "--json"))
    assert report["status"] == {"ok": 2, "no-face": 1, "not-an-image": 1}
    rows = table(out)
    assert [row["status"] for row in rows] == STATUSES
    assert float(rows[0]["probability"]) > 0.9
    assert float(rows[0]["x1"]) < float(rows[0]["nose_x"]) < float(rows[0]["x2"])


def test_parse_score_and_look_in_a_row(photos: Path, tmp_path: Path, weights: list[str]) -> None:
    parsed, scores = tmp_path / "parsed", tmp_path / "scores.csv"
    ohlora("parse", f"{photos}/*", "--out", parsed, *weights)
    assert [row["status"] for row in table(parsed / "parse.csv")] == STATUSES
    normalised, statistics = tmp_path / "all_scores_v2.csv", tmp_path / "statistics.json"
    ohlora("score", parsed, "--out", scores, "--normalised", normalised, "--statistics", statistics)
    head = scores.read_text().splitlines()[0].split(",")
    assert head[:4] == ["", "img_no", "img_path", "eyes_score"]
    assert list(table(normalised)[0]) == head[:10] and len(table(normalised)) == 2
    same = tmp_path / "same.csv"
    ohlora("score", parsed, "--out", scores, "--normalised", same, "--apply", statistics)
    assert same.read_bytes() == normalised.read_bytes()
    ohlora("overlay", parsed, "--scores", scores)
    assert "000001.png" in (parsed / "index.html").read_text()


def test_scores_of_pictures_equal_scores_of_their_parse_folder(
    photos: Path, tmp_path: Path, weights: list[str]
) -> None:
    ohlora("parse", photos, "--out", tmp_path / "parsed", *weights)
    ohlora("score", tmp_path / "parsed", "--out", tmp_path / "a.json")
    ohlora("score", photos, "--out", tmp_path / "b.json", *weights)
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(
        (tmp_path / "b.json").read_text()
    )


def test_openvino_parses_as_torch_does_and_prepares_once(
    photos: Path, tmp_path: Path, weights: list[str], own_home: Path
) -> None:
    for runtime in ("torch", "openvino", "openvino"):
        out = tmp_path / runtime
        ohlora("parse", photos, "--out", out, *weights[:4], "--runtime", runtime, "--again")
    assert len(list((own_home / "models").iterdir())) == 1
    for path in (tmp_path / "torch").glob("parsing_[0-9]*.png"):
        ours = np.asarray(Image.open(path))
        theirs = np.asarray(Image.open(tmp_path / "openvino" / path.name))
        assert (ours == theirs).mean() > 0.999


def test_overlay_parses_pictures_first(photos: Path, tmp_path: Path, weights: list[str]) -> None:
    said = ohlora("overlay", photos / "000001.png", "--out", tmp_path / "seen", *weights)
    assert "1 of 1" in said and (tmp_path / "seen" / "index.html").is_file()
    with pytest.raises(BadInput, match="leave --out away"):
        ohlora("overlay", tmp_path / "seen", "--out", tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="--out FOLDER"):
        ohlora("overlay", photos)


def test_rows_of_other_rules_are_not_mixed_in(
    photos: Path, tmp_path: Path, weights: list[str]
) -> None:
    out = tmp_path / "scores.csv"
    ohlora("score", photos, "--out", out, *weights)
    with pytest.raises(BadInput, match="rules 'v2'"):
        ohlora("score", photos, "--out", out, "--rules", "v1", *weights)
    ohlora("score", photos, "--out", out, "--rules", "v1", "--again", *weights)
    assert table(out)[0]["hair_length_score"]


def test_missing_weights_are_named_with_the_next_step(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="ohlora models pull mtcnn"):
        ohlora("detect", photos, "--out", tmp_path / "t.csv")
    with pytest.raises(CheckpointError, match="mtcnn_pnet.pt.*--mtcnn FOLDER"):
        ohlora("detect", photos, "--out", tmp_path / "t.csv", "--mtcnn", tmp_path)
    assert not (tmp_path / "t.csv").exists()


def test_the_wrong_file_for_the_parser_is_refused(
    photos: Path, tmp_path: Path, weights: list[str]
) -> None:
    out = ("--out", tmp_path / "parsed")
    for name in ("gone.pt", "empty.pt", "other.pt"):
        path = tmp_path / name
        if name != "gone.pt":
            path.write_bytes(b"")
        if name == "other.pt":
            torch.save({"state_dict_backbone": {"x": torch.zeros(2)}}, path)
        with pytest.raises(CheckpointError, match=name):
            ohlora("parse", photos, *out, *weights[:2], "--facexformer", path)


def test_wrong_options_are_one_clear_sentence(
    photos: Path, tmp_path: Path, weights: list[str]
) -> None:
    out = ("--out", tmp_path / "t.csv")
    for arguments, said in {
        ("score", photos, *out, "--rules", "v3"): "v1 or v2",
        ("score", photos, *out, *weights, "--precision", "int4"): "float32 or bfloat16",
        ("score", photos, *out, *weights[:4], "--runtime", "tpu"): "openvino or torch",
        ("detect", tmp_path / "nothing*", *out): "no file, no folder",
        ("detect", photos, "--out", tmp_path / "t.xls", *weights[:2]): ".csv, .json",
    }.items():
        with pytest.raises(OhloraError, match=said.replace(".", r"\.")):
            ohlora(*arguments)
