"""Files that lie about what they are: each refused with one sentence, none ever executed."""

from __future__ import annotations

import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from checkpoints.stand_ins import poison, small, state_of_net
from ohlora.checkpoints.catalog import Net, Row
from ohlora.checkpoints.judge import WrongVariant, judge
from ohlora.checkpoints.shapes import expected_tensors
from ohlora.checkpoints.tensors import open_tensors, read_header
from ohlora.errors import CheckpointError

V1, V3 = "stylegan-v1-generator", "stylegan-v3-generator"
State = dict[str, torch.Tensor]


def nets(rows: dict[str, Row], row: str) -> tuple[Net, ...]:
    return rows[row].files[0].nets


def refused(path: Path, wanted: tuple[Net, ...]) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        judge(path, wanted)
    error = caught.value
    assert str(path) in error.en and str(path) in error.ko
    assert "\n" not in error.en + error.ko and error.en != error.ko
    return error


@pytest.fixture
def v3(rows: dict[str, Row]) -> State:
    return state_of_net(nets(rows, V3)[0])


def test_a_sound_file_passes_whatever_its_suffix(
    rows: dict[str, Row], v3: State, tmp_path: Path
) -> None:
    torch.save(v3, tmp_path / "a.pth")
    save_file(v3, tmp_path / "a.safetensors")
    one = judge(tmp_path / "a.pth", nets(rows, V3))
    other = judge(tmp_path / "a.safetensors", nets(rows, V3))
    assert one.tensors == other.tensors == 123
    assert one.synthesis == other.synthesis != ""


def test_v1_where_v3_is_wanted_is_called_by_its_name(rows: dict[str, Row], tmp_path: Path) -> None:
    path = tmp_path / "generator.pth"
    torch.save(state_of_net(nets(rows, V1)[0]), path)
    error = refused(path, nets(rows, V3))
    assert isinstance(error, WrongVariant)
    assert "expected StyleGAN generator FineTune-v3 (7 labels, embedding 24)" in error.en
    assert "found StyleGAN generator FineTune-v1 (7 labels, embedding 16)" in error.en


def test_a_discriminator_where_a_generator_is_wanted_is_named(
    rows: dict[str, Row], tmp_path: Path
) -> None:
    path = tmp_path / "generator.pth"
    torch.save(state_of_net(nets(rows, "stylegan-v4-discriminator")[0]), path)
    assert "found StyleGAN discriminator (3 labels)" in refused(path, nets(rows, V3)).en


def drop(state: State) -> None:
    del state["mapping.dense3.bias"]


def add(state: State) -> None:
    state["module.extra"] = torch.zeros(3)


def transpose(state: State) -> None:
    state["mapping.label_weight"] = state["mapping.label_weight"].T.contiguous()


def stretch(state: State) -> None:
    state["synthesis.layer7.bias"] = torch.zeros(999)


def nan(state: State) -> None:
    state["mapping.dense5.weight"][1, 1] = float("nan")


def infinite(state: State) -> None:
    state["mapping.dense5.weight"][1, 1] = float("-inf")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, "found 122: 1 are missing, first mapping.dense3.bias"),
        (add, "found 124: module.extra does not belong"),
        (transpose, "mapping.label_weight"),
        (stretch, "synthesis.layer7.bias"),
        (nan, "NaN or infinity in mapping.dense5.weight"),
        (infinite, "NaN or infinity in mapping.dense5.weight"),
    ],
)
def test_a_changed_state_dict_is_refused_by_the_tensor_that_differs(
    rows: dict[str, Row],
    v3: State,
    tmp_path: Path,
    change: Callable[[State], None],
    words: str,
    suffix: str,
) -> None:
    change(v3)
    path = tmp_path / f"generator.{suffix}"
    torch.save(v3, path) if suffix == "pth" else save_file(v3, path)
    assert words in refused(path, nets(rows, V3)).en


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_nan_is_found_in_every_float_type(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "a.safetensors"
    values = torch.full((5,), 60000.0).to(dtype)
    save_file({"a": values}, path)
    assert judge(path, ()).tensors == 1
    values[3] = float("nan")
    save_file({"a": values}, path)
    assert "NaN or infinity in a" in refused(path, ()).en


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    rows: dict[str, Row], tmp_path: Path, protocol: int
) -> None:
    """Were it run, SystemExit would end this test."""
    import pickle

    from checkpoints.stand_ins import Poison

    path = tmp_path / "generator.pth"
    path.write_bytes(pickle.dumps(Poison("it ran"), protocol=protocol))
    assert "found a call of " in refused(path, nets(rows, V3)).en
    torch.save({"mapping.label_weight": Poison("it ran")}, path, pickle_protocol=protocol)
    error = refused(path, nets(rows, V3))
    assert "exec; a file that runs code is never opened" in error.en


def test_a_pickle_of_plain_things_is_no_state_dict(rows: dict[str, Row], tmp_path: Path) -> None:
    path = tmp_path / "generator.pth"
    torch.save([1, 2, 3], path)
    assert "expected a state dict, found list" in refused(path, nets(rows, V3)).en
    torch.save({"a": 1}, path)
    assert "expected one state dict inside" in refused(path, nets(rows, V3)).en


def test_a_checkpoint_without_the_wanted_part_lists_what_it_has(
    rows: dict[str, Row], v3: State, tmp_path: Path
) -> None:
    path = tmp_path / "stylegan_model.pth"
    torch.save({"generator_smooth": v3}, path)
    error = refused(path, nets(rows, "stylegan-original"))
    assert "expected generator inside, found generator_smooth" in error.en


def test_an_archive_that_would_grow_is_refused(
    rows: dict[str, Row], v3: State, tmp_path: Path
) -> None:
    plain, bomb = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    torch.save({key: torch.zeros_like(value) for key, value in v3.items()}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "compressed" in refused(bomb, nets(rows, V3)).en


def header(path: Path, table: object, data: bytes = b"", length: int | None = None) -> Path:
    raw = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def entry(shape: object, start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("table", "data", "length"),
    [
        ({}, b"", 2**63),
        ({}, b"", 2**40),
        ({}, b"", 0),
        (b"[" * 100_000, b"", None),
        (b'{"a":' * 50_000, b"", None),
        ([], b"", None),
        ({"a": 3}, b"", None),
        ({"a": entry([2**33, 2**33], 0, 8)}, b"8" * 8, None),
        ({"a": entry([10**6], 0, 4 * 10**6)}, b"8" * 8, None),
        ({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, b"8" * 12, None),
        ({"a": entry([2], 8, 16)}, b"8" * 16, None),
        ({"a": entry([2], 0, 8)}, b"8" * 16, None),
        ({"a": entry([-2], 0, 8)}, b"8" * 8, None),
        ({"a": entry([2.0], 0, 8)}, b"8" * 8, None),
        ({"a": entry([True, 2], 0, 8)}, b"8" * 8, None),
        ({"a": entry([2], 0, 8, "Q4")}, b"8" * 8, None),
        ({"a": entry([1] * 9, 0, 4)}, b"8" * 4, None),
    ],
)
def test_a_header_that_lies_is_refused_at_once(
    tmp_path: Path, table: object, data: bytes, length: int | None
) -> None:
    path = header(tmp_path / "a.safetensors", table, data, length)
    assert "damaged" in refused(path, ()).en


def test_a_header_of_hundreds_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as stream:
        stream.write((300_000_000).to_bytes(8, "little"))
        stream.truncate(300_000_100)  # a sparse file: no disk is used
    assert "its header claims 300,000,000" in refused(path, ()).en


def test_a_truncated_file_is_refused(v3: State, rows: dict[str, Row], tmp_path: Path) -> None:
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"a.{suffix}"
        torch.save(v3, path) if suffix == "pth" else save_file(v3, path)
        os.truncate(path, path.stat().st_size // 2)
        assert "damaged" in refused(path, nets(rows, V3)).en


def test_random_damage_is_always_one_sentence_or_harmless(tmp_path: Path) -> None:
    """300 files with bytes changed, cut or doubled: never another exception."""
    net = Net("mtcnn-p")
    state = {key: torch.zeros(shape) for key, shape in expected_tensors(net.name).items()}
    torch.save(state, tmp_path / "a.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "a.safetensors")
    dice = random.Random(5)
    for name in ("a.pth", "old.pth", "a.safetensors"):
        sound = (tmp_path / name).read_bytes()
        for _ in range(100):
            broken = bytearray(sound)
            for _ in range(dice.randint(1, 8)):
                at = dice.randrange(min(len(broken), 3000) if dice.random() < 0.7 else len(broken))
                broken[at] = dice.randrange(256)
            if dice.random() < 0.3:
                del broken[dice.randrange(len(broken)) :]
            path = tmp_path / f"broken{Path(name).suffix}"
            path.write_bytes(broken)
            try:
                judge(path, (net,))
            except CheckpointError:
                pass


def test_shapes_are_read_without_reading_the_data(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"b": torch.zeros(2, 3), "a": torch.ones(4, dtype=torch.int64)}, path)
    tensors = read_header(path)
    assert {key: (one.shape, one.dtype) for key, one in tensors.items()} == {
        "a": ((4,), "I64"),
        "b": ((2, 3), "F32"),
    }
    assert open_tensors(path).read("a").view("int64").tolist() == [1, 1, 1, 1]


def test_a_narrower_net_of_the_same_build_is_taken_with_a_note(
    rows: dict[str, Row], v3: State, tmp_path: Path
) -> None:
    torch.save(v3, tmp_path / "a.pth")
    verdict = judge(tmp_path / "a.pth", nets(rows, V3))
    assert small(nets(rows, V3)[0])["width"] == 8
    assert verdict.en == "not the published size: width 8, cap 4 (published 512, 512)"


def test_poison_really_is_poison() -> None:
    import pickle

    with pytest.raises(SystemExit):
        pickle.loads(poison("it ran"))
