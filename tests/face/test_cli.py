"""`ohlora face`: pictures, packs, and one clear line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from face.small import Z, make_weights
from ohlora.cli.face import app
from ohlora.errors import BadInput, CheckpointError, OhloraError, StoreError
from ohlora.face import load_face


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    save_file(make_weights().state, tmp_path / "g.safetensors")
    np.save(tmp_path / "z.npy", Z)
    return str(tmp_path / "g.safetensors"), str(tmp_path / "z.npy")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: object) -> OhloraError:
    """The error that `main` turns into one line and exit code 1."""
    error = run(*words).exception
    assert isinstance(error, OhloraError), error
    return error


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_render_draws_the_expression_asked_for(
    files: tuple[str, str], tmp_path: Path, runtime: str
) -> None:
    generator, z = files
    pictures = []
    for name, eyes in (("a", -1.2), ("b", -1.2), ("c", 1.6)):
        out = tmp_path / f"{name}.png"
        words = ["--eyes", eyes, "--mouth", 0.4, "--pose", -1.2, "--runtime", runtime]
        result = run("render", "--generator", generator, "--z", z, "--out", out, *words)
        assert result.exit_code == 0, result.output
        pictures.append(np.asarray(Image.open(out)))
    assert pictures[0].shape == (32, 32, 3)
    assert (pictures[0] == pictures[1]).all() and (pictures[0] != pictures[2]).any()


def test_render_draws_a_random_face_from_a_seed(files: tuple[str, str], tmp_path: Path) -> None:
    ids = []
    for seed in (1, 1, 2):
        out = tmp_path / "face.webp"
        result = run("render", "--generator", files[0], "--seed", seed, "--out", out, "--json")
        ids.append(json.loads(result.stdout)["id"])
    assert ids[0] == ids[1] != ids[2]


def test_noise_moves_her_face_a_little(files: tuple[str, str], tmp_path: Path) -> None:
    generator, z = files
    out, pictures = tmp_path / "face.png", []
    for noise in (0, 0.15):
        run(
            "render",
            "--generator",
            generator,
            "--z",
            z,
            "--out",
            out,
            "--noise",
            noise,
            "--seed",
            1,
        )
        pictures.append(np.asarray(Image.open(out)))
    assert (pictures[0] != pictures[1]).any()


def test_mistakes_are_one_clear_sentence(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # no folder can be made below it
    generator, z = files
    out = tmp_path / "face.png"
    np.save(tmp_path / "wide.npy", np.zeros(512))
    base = ["render", "--generator", generator, "--out", out]
    for error, kind, words in (
        (refused(*base), BadInput, "--z FILE, or --seed"),
        (refused(*base, "--z", tmp_path / "none.csv"), CheckpointError, "no such file"),
        (refused(*base, "--z", tmp_path / "wide.npy"), CheckpointError, "found shape [512]"),
        (refused(*base, "--z", z, "--runtime", "cuda"), BadInput, "openvino or torch"),
        (refused("render", "--generator", z, "--z", z, "--out", out), CheckpointError, "z.npy"),
        (
            refused("render", "--generator", generator, "--z", z, "--out", tmp_path / "face.bmp"),
            BadInput,
            "end it in .png",
        ),
        (
            refused(*base[:-1], tmp_path / "file" / "face.png", "--z", z),
            StoreError,
            "cannot be written",
        ),
    ):
        assert isinstance(error, kind) and words in error.en, error
        assert error.ko != error.en
    assert not out.exists()


def test_pack_makes_a_face_that_needs_no_generator(files: tuple[str, str], tmp_path: Path) -> None:
    generator, z = files
    out = tmp_path / "pack"
    words = ["--generator", generator, "--z", z, "--out", out, "--grid", "2x2x3"]
    made = json.loads(run("pack", *words, "--licence", "CC0-1.0", "--json").stdout)
    face = load_face(f"pack:{out}")
    assert (face.id, made["frames"]) == (made["id"], 12)
    assert face.manifest()["licence"] == "CC0-1.0"
    assert "holds a frame pack already" in refused("pack", *words).en
    words[5] = tmp_path / "other"
    assert "three numbers" in refused("pack", *words[:-1], "2x2").en


def test_a_pack_takes_its_own_levels(files: tuple[str, str], tmp_path: Path) -> None:
    generator, z = files
    words = ["--generator", generator, "--z", z, "--grid", "2x2x3", "--out", tmp_path / "pack"]
    run("pack", *words, "--pose=-3.6,0,3.6", "--eyes=-2,0.5", "--blink=-3.5")
    axes = load_face(f"pack:{tmp_path / 'pack'}").manifest()["axes"]
    assert axes["pose"] == [-3.6, 0, 3.6] and axes["eyes"] == [-3.5, -2, 0.5]
    words[-1] = tmp_path / "other"
    for wrong in ("--pose=left", "--eyes=1,0", "--mouth="):
        assert "ascending numbers" in refused("pack", *words, wrong).en


def test_info_tells_what_a_face_can_do(files: tuple[str, str]) -> None:
    embedded = json.loads(run("info", "--json").stdout)
    assert embedded["frames"] == 325 and embedded["closed_eyes"] == 0
    generator = json.loads(run("info", files[0], "--json").stdout)
    assert generator["variant"] == "custom" and generator["labels"] == 7
    assert "32 px, 7 labels" in run("info", files[0]).stdout
