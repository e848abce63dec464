"""The face vector z from its three kinds of file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ohlora.errors import CheckpointError
from ohlora.face.latent import load_z, perturb, random_z

Z = random_z(3, 8)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_v1_s_csv_is_read_without_its_header(tmp_path: Path) -> None:
    header = ",".join(map(str, range(8)))
    row = ",".join(map(repr, Z.tolist()))
    for name, text in {
        "a": f"{header}\n{row}\n",
        "b": f"\ufeff{header}\r\n{row}\r\n",
        "c": row,
    }.items():
        np.testing.assert_array_equal(load_z(write(tmp_path / f"{name}.csv", text), 8), Z)


def test_arrays_are_read_with_or_without_a_batch_axis(tmp_path: Path) -> None:
    for number, z in enumerate((Z, Z[None], Z.astype(np.float64))):
        np.save(tmp_path / f"{number}.npy", z)
        save_file({"z": z}, tmp_path / f"{number}.safetensors")
        for suffix in ("npy", "safetensors"):
            loaded = load_z(tmp_path / f"{number}.{suffix}", 8)
            np.testing.assert_array_equal(loaded, Z)
            assert loaded.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "0 rows"),
        ("1,2,3", r"shape \[3\]"),
        ("0,1\n1,2\n3,4", "3 rows"),
        ("1,2,3,4,5,6,7,nan", "NaN"),
        ("1,2,3,4,5,6,7,x", "could not convert"),
        ("9" * (1 << 20) + "0", "1,048,577 bytes"),
    ],
)
def test_a_csv_that_holds_no_z_is_one_clear_sentence(tmp_path: Path, text: str, found: str) -> None:
    path = write(tmp_path / "z.csv", text)
    with pytest.raises(CheckpointError, match=f"z.csv: expected a face vector.*{found}") as caught:
        load_z(path, 8)
    assert "얼굴 벡터" in caught.value.ko and "\n" not in str(caught.value)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    save_file({"a": Z, "b": Z}, tmp_path / "two.safetensors")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.csv").mkdir()
    for name in ("objects.npy", "two.safetensors", "binary.csv", "folder.csv", "none.csv"):
        with pytest.raises(CheckpointError):
            load_z(tmp_path / name, 8)


def test_noise_keeps_the_person_and_follows_the_seed() -> None:
    same, again, other = perturb(Z, 1), perturb(Z, 1), perturb(Z, 2)
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)
    np.testing.assert_allclose(same, Z + np.float32(0.15) * random_z(1, 8))
    np.testing.assert_array_equal(perturb(Z, 1, 0.0), Z)
