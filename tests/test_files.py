"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from ohlora.errors import StoreError, Unwritable
from ohlora.files import beside, write_whole


def test_a_file_is_replaced_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "face.png"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "face.png"
    write_whole(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError) as caught:
        write_whole(path, b"new")
    assert str(caught.value) == (
        f"{path} cannot be written (No space left on device): make room or choose another place."
    )
    assert "쓸 수 없어요" in caught.value.ko
    assert isinstance(caught.value, OSError) and caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_whole(path, b"old")
    with pytest.raises(KeyboardInterrupt), beside(path) as part:
        part.write_bytes(b"ha")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, name = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), sync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), name(a, b)))
    write_whole(tmp_path / "x", b"1")
    assert done == ["fsync", "replace"]


def test_the_fault_of_a_worker_process_arrives_whole() -> None:
    fault = Unwritable(Path("x"), OSError(errno.ENOSPC, "No space left on device"))
    again = pickle.loads(pickle.dumps(fault))
    assert (str(again), again.ko, again.errno) == (str(fault), fault.ko, fault.errno)
