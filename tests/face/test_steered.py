"""Directions in the face runtime: one picture in every engine; sheets and packs drawn with them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from directions.tiny import W, make, read_stripes
from face.small import Z, make_weights
from ohlora.checkpoints.load import GeneratorWeights
from ohlora.cli import face_steer
from ohlora.cli.face import app
from ohlora.directions.control import (
    FEATURES,
    Directions,
    code_width,
    generator_digest,
    identity_response,
    knob_limits,
    load,
    save,
)
from ohlora.directions.draw import Drawer, digest_of, from_weights, plain
from ohlora.errors import BadInput, CheckpointError, OhloraError
from ohlora.expression import Expression
from ohlora.face import load_face
from ohlora.face.renderer import make_renderer

WISH = Expression(0.9, -0.4, 1.1)


def some_directions(weights: GeneratorWeights, space: str) -> Directions:
    """Random moves of a fitting width."""
    rng = np.random.default_rng(4)
    found = replace(plain(space, generator_digest(weights.state)), limits=knob_limits())
    found = replace(found, mean=identity_response(found.limits) * 0.8)
    width = code_width(space, weights.config)
    if width is None:
        return found
    reader = rng.standard_normal((3, width)) / width
    moves = np.linalg.pinv(reader).T
    return replace(found, reader=reader, bias=rng.standard_normal(3), moves=moves)


@pytest.mark.parametrize("space", ["label", "w", "style"])
@pytest.mark.parametrize("psi", [1.0, 0.6])
def test_every_engine_draws_the_same_steered_face(space: str, psi: float) -> None:
    weights = make_weights(label_dim=3)
    directions = some_directions(weights, space)
    want = Drawer(from_weights(weights), directions, psi=psi)(
        Z[None], [[WISH.eyes, WISH.mouth, WISH.pose]]
    )[0]
    plainly = make_renderer(weights, Z, psi=psi, runtime="torch")
    for runtime in ("torch", "openvino"):
        engine = make_renderer(weights, Z, psi=psi, runtime=runtime, directions=directions)
        got = engine.render(WISH)
        away = np.abs(got.astype(int) - want)
        assert away.mean() < (1.0 if runtime == "torch" else 4.0), (runtime, away.mean())
        assert engine.id != make_renderer(weights, Z, psi=psi, runtime=runtime).id
    assert (plainly.render(WISH) != want).any()


def test_a_generator_without_labels_follows_with_directions() -> None:
    weights = make_weights(0, 0)
    engine = make_renderer(weights, Z, directions=some_directions(weights, "w"))
    assert engine.follows and not make_renderer(weights, Z).follows
    assert (engine.render(WISH) != engine.render(Expression(-1, 1, 0))).any()


def test_weights_and_network_have_one_digest() -> None:
    weights = make_weights(label_dim=3)
    assert generator_digest(weights.state) == digest_of(from_weights(weights))


def test_steering_needs_neither_torch_nor_scikit_learn() -> None:
    code = ("import sys; import ohlora.directions.control, ohlora.face.codes; "
            "sys.exit(bool({'torch', 'sklearn', 'scipy'} & set(sys.modules)))")  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: object) -> OhloraError:
    error = run(*words).exception
    assert isinstance(error, OhloraError), error
    return error


@pytest.fixture
def stripes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The hand-set generator as a file, its own scorer as the one that measures."""
    state = {key: value.numpy() for key, value in make(3).state_dict().items()}
    save_file(state, tmp_path / "g.safetensors")
    monkeypatch.setattr(face_steer, "load_scorer", lambda *_: (read_stripes, "stripes"))
    return ["--generator", tmp_path / "g.safetensors"]


def test_fit_calibrate_and_pack_in_a_row(stripes: list[object], tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.random.default_rng(2).standard_normal(W).astype(np.float32))
    anyone, her = tmp_path / "d.safetensors", tmp_path / "her.safetensors"
    result = run("directions", *stripes, "--faces", 12, "--out", anyone)
    assert result.exit_code == 0 and "label by label" in result.output, result.output
    told = json.loads((tmp_path / "d.json").read_text())
    assert told["tried"][0]["space"] == "label" and told["scorer"] == "stripes"
    face = ["--z", tmp_path / "z.npy"]
    made = run("calibrate", *stripes, "--directions", anyone, *face, "--out", her, "--json")
    assert json.loads(made.stdout)["probes"] == 48 and load(her).z is not None

    words = ["pack", *stripes, *face, "--grid", "2x2x3", "--blink", -2.4, "--out"]
    assert run(*words, tmp_path / "plain").exit_code == 0
    assert run(*words, tmp_path / "steered", "--directions", her).exit_code == 0
    index = json.loads((tmp_path / "steered" / "index.json").read_text())
    assert index["axes"]["eyes"] == [-2.4, -1.2, 1.6] and index["closed_eyes"] == 0
    assert index["directions"] == "her.safetensors" and index["size"] == 4
    errors = {}
    for name in ("plain", "steered"):
        assert load_face(f"pack:{tmp_path / name}").closed_eyes == 0
        with Image.open(tmp_path / name / "1-0-1.webp") as file:
            shown = np.asarray(file.convert("RGB"))
        errors[name] = np.abs(read_stripes(shown[None]) - [[-1.2, -1.2, 1.2]]).max()
    assert errors["steered"] < errors["plain"] / 2, errors  # WebP moves 4 x 4 pixels a little
    lattice = load_face(
        f"generator:{tmp_path / 'g.safetensors'};z={tmp_path / 'z.npy'};directions={her};grid=1x1x1"
    )
    lattice.close()


def test_the_sheet_is_seven_wide_and_twenty_five_high(
    stripes: list[object], tmp_path: Path
) -> None:
    out = tmp_path / "sheet.png"
    assert run("sheet", *stripes, "--seed", 3, "--out", out).exit_code == 0
    with Image.open(out) as file:
        assert file.size == (7 * 4, 25 * 4 + 4 * 6)


@pytest.mark.parametrize("blocks", [5, 6, 7])
def test_packs_of_any_resolution_and_width_can_be_shown(blocks: int, tmp_path: Path) -> None:
    weights = make_weights(label_dim=3)
    config = replace(weights.config, channels=(4,) * blocks, fused_from=128)
    torch.manual_seed(0)
    from ohlora.models.stylegan import Generator

    save_file({k: v.numpy() for k, v in Generator(config).state_dict().items()},
              tmp_path / "g.safetensors")  # fmt: skip
    words = ["--generator", tmp_path / "g.safetensors", "--seed", 1, "--grid", "1x2x2"]
    assert run("pack", *words, "--out", tmp_path / "pack").exit_code == 0
    assert load_face(f"pack:{tmp_path / 'pack'}").manifest()["size"] == 4 << (blocks - 1)


def test_mistakes_are_one_clear_sentence(stripes: list[object], tmp_path: Path) -> None:
    other = some_directions(make_weights(label_dim=3), "w")
    save(tmp_path / "other.safetensors", other)
    own = replace(plain(generator=digest_of(make(3))), z=np.ones(W))
    save(tmp_path / "own.safetensors", own)
    np.save(tmp_path / "z.npy", np.zeros(W))
    out = ["--out", tmp_path / "x.png"]
    base = [*stripes, "--z", tmp_path / "z.npy"]
    for error, kind, words in (
        (refused("render", *base, *out, "--directions", tmp_path / "other.safetensors"), BadInput,
         "another generator"),
        (refused("render", *base, *out, "--directions", tmp_path / "own.safetensors"), BadInput,
         "another face"),
        (refused("sheet", *base, *out, "--directions", tmp_path / "none"), CheckpointError,
         "no such file"),
        (refused("pack", *base, "--out", tmp_path / "p", "--blink", 0), BadInput, "lie below"),
        (refused("directions", *stripes, "--out", tmp_path / "d.json"), BadInput, "must end in"),
    ):  # fmt: skip
        assert isinstance(error, kind) and words in error.en and error.ko != error.en, error
    assert not (tmp_path / "x.png").exists()


def test_nobody_to_measure_is_said(tmp_path: Path) -> None:
    save_file({k: v.numpy() for k, v in make(3).state_dict().items()}, tmp_path / "g.safetensors")
    error = refused("directions", "--generator", tmp_path / "g.safetensors", "--out",
                    tmp_path / "d.safetensors")  # fmt: skip
    assert isinstance(error, BadInput) and "--parser FILE with --statistics" in error.en


def test_spread_has_one_row_for_each_feature() -> None:
    assert plain().spread.shape == (3, FEATURES, FEATURES)
