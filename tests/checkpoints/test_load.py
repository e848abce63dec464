"""Loading generators: every variant comes in, every kind of broken file is one clear sentence."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from ohlora.checkpoints.load import load_generator, load_state_dict
from ohlora.errors import CheckpointError
from ohlora.models.generator_config import VARIANTS, GeneratorConfig, tensor_shapes

SMALL = GeneratorConfig(label_dim=3, embed_dim=2, w_dim=8, channels=(8, 6, 4))
State = dict[str, np.ndarray]


def weights(config: GeneratorConfig = SMALL) -> State:
    rng = np.random.default_rng(0)
    shapes = tensor_shapes(config).items()
    return {key: np.asarray(rng.standard_normal(shape), np.float32) for key, shape in shapes}


def save(path: Path, state: State) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({key: torch.from_numpy(np.array(value)) for key, value in state.items()}, path)
    return path


@pytest.fixture(params=["g.safetensors", "g.pth"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def assert_refused(path: Path, *words: str, variant: str | None = None) -> None:
    """One sentence in both languages that names the file."""
    with pytest.raises(CheckpointError) as caught:
        load_generator(path, variant)
    error = caught.value
    for word in words:
        assert word in error.en
    assert str(path) in error.en and str(path) in error.ko
    assert "\n" not in error.en + error.ko
    assert any("가" <= letter <= "힣" for letter in error.ko.replace(str(path), ""))


def test_a_generator_comes_back_as_it_was_saved(file: Path) -> None:
    loaded = load_generator(save(file, weights()))
    assert loaded.config == SMALL and loaded.variant == "custom"
    assert list(loaded.state) == list(tensor_shapes(SMALL))
    for key, value in weights().items():
        np.testing.assert_array_equal(loaded.state[key], value)


@pytest.mark.parametrize("name", ["original", "v1", "v3", "v4"])
def test_each_published_variant_is_recognised_by_its_tensors(tmp_path: Path, name: str) -> None:
    state = {
        key: np.broadcast_to(np.float32(0), shape)
        for key, shape in tensor_shapes(VARIANTS[name]).items()
    }
    from ohlora.checkpoints.load import _check_shapes
    from ohlora.models.generator_config import variant_of

    shapes = {key: value.shape for key, value in state.items()}
    assert variant_of(_check_shapes(tmp_path, shapes)) == name


def test_the_generator_inside_a_training_checkpoint_is_found(tmp_path: Path) -> None:
    path = tmp_path / "all.pth"
    tensors = {key: torch.from_numpy(np.array(value)) for key, value in weights().items()}
    torch.save({"generator": tensors, "discriminator": {"a": torch.zeros(2)}}, path)
    assert load_generator(path).config == SMALL


def test_half_precision_widens_to_float32(tmp_path: Path) -> None:
    from safetensors.torch import save_file as save_torch

    ones = {key: torch.from_numpy(np.array(value)) for key, value in weights().items()}
    for dtype in (torch.bfloat16, torch.float16):
        path = tmp_path / f"{dtype}.safetensors"
        save_torch({key: value.to(dtype) for key, value in ones.items()}, path)
        loaded = load_generator(path).state
        for key, value in ones.items():
            np.testing.assert_array_equal(loaded[key], value.to(dtype).float().numpy())


def test_safetensors_load_without_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = save(tmp_path / "g.safetensors", weights())
    code = (
        "import sys; from pathlib import Path; from ohlora.checkpoints.load import load_generator;"
        "load_generator(Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=env)


def test_another_variant_than_asked_for_is_refused(file: Path) -> None:
    save(file, weights())
    assert_refused(file, "expected a StyleGAN generator v3", "3 labels", variant="v3")


def test_a_missing_tensor_is_named(file: Path) -> None:
    state = weights()
    del state["synthesis.layer2.weight"]
    assert_refused(save(file, state), "synthesis.layer2.weight is missing")


def test_an_extra_tensor_is_named(file: Path) -> None:
    save(file, weights() | {"synthesis.layer99.weight": np.zeros(1, np.float32)})
    assert_refused(file, "synthesis.layer99.weight does not belong")


def test_a_transposed_tensor_is_named(file: Path) -> None:
    state = weights()
    state["synthesis.layer3.style.weight"] = state["synthesis.layer3.style.weight"].T.copy()
    assert_refused(save(file, state), "layer3.style.weight is [8, 12] instead of [12, 8]")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tensor_with_nan_or_infinity_is_named(file: Path, bad: float) -> None:
    state = weights()
    state["mapping.dense4.bias"][3] = bad
    assert_refused(save(file, state), "NaN or infinity in mapping.dense4.bias")


def test_another_network_is_not_taken_for_a_generator(file: Path) -> None:
    save(file, {"conv1.0.weight": np.zeros((3, 3), np.float32)})
    assert_refused(file, "expected a StyleGAN generator", "conv1.0.weight")


def test_a_truncated_file_is_refused_at_every_length(file: Path) -> None:
    data = save(file, weights()).read_bytes()
    for share in (0.001, 0.1, 0.5, 0.99):
        file.write_bytes(data[: int(len(data) * share)])
        assert_refused(file)


def test_an_empty_file_is_refused(file: Path) -> None:
    file.write_bytes(b"")
    assert_refused(file, "found an empty file")


def test_a_folder_and_a_missing_file_are_refused(file: Path) -> None:
    assert_refused(file, "found nothing there")
    file.mkdir()
    assert_refused(file, "found a folder")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.pkl"
    path.write_bytes(b"x")
    assert_refused(path, ".safetensors", "g.pkl")


class Boom:
    def __reduce__(self) -> tuple:
        return os.mkdir, (os.environ["BOOM"],)


def test_a_pickle_that_runs_code_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    monkeypatch.setenv("BOOM", str(tmp_path / "boom"))
    plain, zipped = tmp_path / "plain.pth", tmp_path / "zip.pth"
    plain.write_bytes(pickle.dumps({"a": Boom()}))
    torch.save({"a": Boom()}, zipped)
    for path in (plain, zipped):
        assert_refused(path)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}")
    assert_refused(path)


def test_a_tensor_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    row = {"dtype": "F32", "shape": [1 << 20, 1 << 10], "data_offsets": [0, 1 << 32]}
    header = json.dumps({"mapping.dense0.weight": row}).encode()
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    assert_refused(path)


def test_a_zip_bomb_named_pth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (1 << 24))
    assert_refused(path)


def test_one_number_stretched_over_terabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"mapping.dense0.weight": torch.zeros(1).expand(10**6, 10**6)}, path)
    with pytest.raises(CheckpointError, match="stretched over its shape"):
        load_state_dict(path)


def test_a_width_of_zero_or_a_foreign_skeleton_is_refused(file: Path) -> None:
    odd = weights(replace(SMALL, channels=(8,)))
    odd["mapping.dense0.weight"] = np.zeros((8, 99), np.float32)
    assert_refused(save(file, odd), "differ, first")


def test_any_tensor_file_can_be_read_as_plain_arrays(file: Path) -> None:
    numbers = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.float32([1.5])}
    loaded = load_state_dict(save(file, numbers))
    for key, value in numbers.items():
        np.testing.assert_array_equal(loaded[key], value)
        assert loaded[key].dtype == value.dtype
