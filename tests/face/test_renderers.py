"""Renderers: the fast runtime draws what plain torch draws, on small generators of every kind."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from face.small import Z, make_weights
from ohlora.checkpoints.load import load_generator
from ohlora.errors import BadInput, ShapeError
from ohlora.expression import NEUTRAL, Expression
from ohlora.face import load_face
from ohlora.face.openvino import OpenVinoRenderer
from ohlora.face.renderer import make_label, make_renderer
from ohlora.face.torch_renderer import TorchRenderer

FACE = Expression(1.2, 0.4, -1.2)


def psnr(want: np.ndarray, found: np.ndarray) -> float:
    """Decibels over the range of the wanted image."""
    error = float(np.mean((want - found) ** 2))
    return 20 * np.log10(float(np.ptp(want)) / np.sqrt(error))


@pytest.mark.parametrize("fused_from", [8, 16, 64])
@pytest.mark.parametrize(("label_dim", "embed_dim"), [(7, 5), (3, 2), (0, 0)])
def test_openvino_equals_torch_in_float32(label_dim: int, embed_dim: int, fused_from: int) -> None:
    weights = make_weights(label_dim, embed_dim, fused_from)
    want = TorchRenderer(weights, Z).image(FACE)
    found = OpenVinoRenderer(weights, Z, precision="f32").image(FACE)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)


def test_truncation_is_the_same_in_both_runtimes() -> None:
    weights = make_weights()
    want = TorchRenderer(weights, Z, psi=0.4).image(FACE)
    found = OpenVinoRenderer(weights, Z, psi=0.4, precision="f32").image(FACE)
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-4)
    assert psnr(want, TorchRenderer(weights, Z).image(FACE)) < 40


def test_psi_zero_is_the_same_mean_face_for_everyone() -> None:
    weights = make_weights()
    one, other = (TorchRenderer(weights, z, psi=0.0).image(FACE) for z in (Z, -Z))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("precision", "least"), [("bf16", 38.0), ("int8", 18.0)])
def test_lower_precision_draws_nearly_the_same(precision: str, least: float) -> None:
    weights = make_weights()
    want = TorchRenderer(weights, Z).image(FACE)
    assert psnr(want, OpenVinoRenderer(weights, Z, precision=precision).image(FACE)) > least


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_same_face_is_drawn_bit_for_bit_and_expressions_differ(runtime: str) -> None:
    renderer = make_renderer(make_weights(), Z, runtime=runtime)
    first = renderer.render(NEUTRAL)
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8
    assert (renderer.size, renderer.follows) == (32, True)
    np.testing.assert_array_equal(first, renderer.render(NEUTRAL))
    for change in (Expression(1.6, -1.2, -1.2), Expression(-1.2, 1.6, -1.2)):
        assert (renderer.render(change) != first).any()


def test_a_generator_without_label_draws_one_face() -> None:
    renderer = OpenVinoRenderer(make_weights(0, 0), Z)
    assert not renderer.follows
    np.testing.assert_array_equal(renderer.render(NEUTRAL), renderer.render(FACE))


def test_several_threads_draw_the_right_faces() -> None:
    renderer = OpenVinoRenderer(make_weights(), Z)
    wishes = [Expression(x, -x, x) for x in np.linspace(-1.2, 1.6, 12).tolist()]
    want = [renderer.render(wish) for wish in wishes]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(renderer.render, wishes))
    for one, other in zip(want, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_id_covers_everything_that_decides_the_pixels() -> None:
    weights, other = make_weights(), make_weights(seed=9)
    ids = [
        TorchRenderer(weights, Z).id,
        TorchRenderer(weights, -Z).id,
        TorchRenderer(weights, Z, 0.5).id,
        TorchRenderer(other, Z).id,
        OpenVinoRenderer(weights, Z, precision="f32").id,
        OpenVinoRenderer(weights, Z, precision="bf16").id,
    ]
    assert len(set(ids)) == len(ids)
    assert TorchRenderer(make_weights(), Z.copy()).id == ids[0]


def test_labels_are_named_in_the_published_order() -> None:
    face = Expression(eyes=1, mouth=2, pose=3)
    assert make_label(face, 7).tolist() == [[1, 0, 0, 2, 3, 0, 0]]
    assert make_label(face, 3).tolist() == [[1, 2, 3]]
    assert make_label(face, 0).shape == (1, 0)
    with pytest.raises(ShapeError, match="5 labels"):
        make_label(face, 5)


def test_a_wrong_z_psi_or_runtime_is_one_clear_sentence() -> None:
    weights = make_weights()
    with pytest.raises(ShapeError, match=r"z of 16 numbers, got \[512\]"):
        make_renderer(weights, np.zeros(512, np.float32))
    with pytest.raises(BadInput, match=r"psi must lie between 0 .* got 1.5"):
        make_renderer(weights, Z, psi=1.5)
    with pytest.raises(BadInput, match="openvino or torch") as caught:
        make_renderer(weights, Z, runtime="cuda")
    assert "실행 방식" in caught.value.ko


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A generator and a z on disk; fused layers begin at 128 there, as published."""
    save_file(make_weights().state, tmp_path / "g.safetensors")
    np.save(tmp_path / "z.npy", Z)
    return tmp_path / "g.safetensors", tmp_path / "z.npy"


def test_a_generator_becomes_a_face(files: tuple[Path, Path]) -> None:
    generator, z = files
    face = load_face(f"generator:{generator};z={z};grid=2x1x3;psi=0.8")
    assert face.axes == {"eyes": [-1.2, 1.6], "mouth": [-1.2], "pose": [-1.2, 1.2, 3.6]}
    assert face.closed_eyes is None and face.size == 32
    assert face.frame(face.nearest(NEUTRAL))[8:12] == b"WEBP"
    face.close()


def test_a_number_after_embedded_is_another_woman_who_blinks() -> None:
    her, other, same = load_face("embedded"), load_face("embedded:7"), load_face("embedded:7")
    try:
        assert other.id == same.id
        assert (other.closed_eyes, other.size, len(other.axes["pose"])) == (0, 256, 13)
        rest = other.nearest(NEUTRAL)
        assert other.frame(rest)[8:12] == b"WEBP" and other.frame(rest) != her.frame(rest)
    finally:
        other.close()
        same.close()
    with pytest.raises(BadInput, match="embedded:NUMBER"):
        load_face("embedded:someone")


@pytest.mark.parametrize("tail", ["", ";grid=2x2x2", ";z=Z;psi=much", ";z=Z;grid=2x2", ";z=Z;a=1"])
def test_a_generator_spec_that_cannot_be_read_says_how(files: tuple[Path, Path], tail: str) -> None:
    generator, z = files
    with pytest.raises(BadInput, match="write generator:FILE;z=FILE"):
        load_face(f"generator:{generator}{tail.replace('Z', str(z))}")


def test_drawing_with_openvino_never_imports_torch(files: tuple[Path, Path]) -> None:
    code = (
        "import sys; from ohlora.face import load_face; from ohlora.expression import NEUTRAL;"
        "face = load_face(sys.argv[1]); face.frame(face.nearest(NEUTRAL)); face.close();"
        "assert 'torch' not in sys.modules"
    )
    spec = f"generator:{files[0]};z={files[1]};grid=1x1x1"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, spec], check=True, env=env)


def test_a_file_renders_like_the_weights_it_was_saved_from(files: tuple[Path, Path]) -> None:
    loaded = load_generator(files[0])
    want = TorchRenderer(make_weights(fused_from=128), Z).image(FACE)
    np.testing.assert_array_equal(TorchRenderer(loaded, Z).image(FACE), want)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_with_noise_every_frame_is_another_of_nearly_the_same_face(runtime: str) -> None:
    """v1 drew every turn with z' = z + 0.15 N(0, 1)."""
    still = make_renderer(make_weights(), Z, runtime=runtime)
    restless = make_renderer(make_weights(), Z, runtime=runtime, noise=0.15)
    frames = [restless.image(FACE) for _ in range(11)]  # now and then one is far off
    assert not np.array_equal(frames[0], frames[1]) and restless.id != still.id
    near = np.median([psnr(still.image(FACE), frame) for frame in frames])
    far = psnr(still.image(FACE), make_renderer(make_weights(), -Z, runtime=runtime).image(FACE))
    assert near > far + 3
    with pytest.raises(BadInput, match="noise must lie"):
        make_renderer(make_weights(), Z, noise=2)


def test_a_restless_face_is_drawn_anew_each_time_and_keeps_nothing(
    own_home: Path, files: tuple[Path, Path]
) -> None:
    lattice = load_face(f"generator:{files[0]};z={files[1]};noise=0.15;grid=2x2x2")
    cell = lattice.nearest(NEUTRAL)
    assert lattice.frame(cell) != lattice.frame(cell)
    assert not (own_home / "faces").exists()
    lattice.close()
