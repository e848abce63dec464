"""`ohlora synth`: files appear, labels are printed, bad input is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ohlora.cli.synth import app
from ohlora.errors import BadInput, OhloraError

TINY = ["--size", "32", "--oversample", "1"]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_help_names_every_command() -> None:
    text = run("--help")
    for command in ("render", "sheet", "dataset", "bake"):
        assert command in text


def test_render_writes_picture_and_mask_and_prints_labels(tmp_path: Path) -> None:
    picture, mask = tmp_path / "her.png", tmp_path / "mask.png"
    text = run("render", *TINY, "--yaw", "20", "--out", str(picture), "--mask", str(mask), "--json")
    assert 15 < json.loads(text)["labels"]["yaw"] < 25
    assert read(picture).shape == (32, 32, 3)
    assert read(mask).shape == (32, 32) and read(mask).max() <= 10


def test_a_recipe_draws_the_same_face_again(tmp_path: Path) -> None:
    from ohlora.synth.parameters import to_dict
    from ohlora.synth.sample import sample_face

    recipe, a, b = tmp_path / "face.json", tmp_path / "a.png", tmp_path / "b.png"
    recipe.write_text(json.dumps(to_dict(sample_face(3))))
    run("render", *TINY, "--recipe", str(recipe), "--out", str(a))
    run("render", *TINY, "--seed", "3", "--out", str(b))
    assert a.read_bytes() == b.read_bytes()


def test_a_sheet_has_a_row_of_masks_below_each_row(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    run("sheet", *TINY, "--kind", "hair", "--count", "3", "--columns", "2", "--masks",
        "--out", str(out))  # fmt: skip
    assert read(out).shape == (128, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["render", "--out", "face.gif"], "must end in"),
        (["render", "--out", "nowhere/face.png"], "no folder"),
        (["render", "--recipe", "none.json"], "not a face recipe"),
        (["sheet", "--kind", "cats"], "no sheet 'cats'"),
        (["render", "--device", "tpu"], "not there"),
        (["dataset", "out", "--who", "him", "--count", "1"], "nobody called"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=sentence) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert isinstance(caught.value, OhloraError) and caught.value.ko != caught.value.en
