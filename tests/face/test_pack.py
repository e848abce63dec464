"""Frame packs: written whole, read back checked."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from ohlora.errors import CheckpointError
from ohlora.expression import Expression
from ohlora.face import Axes, Cell, load_face
from ohlora.face.pack import FramePack, write_pack
from ohlora.paths import embedded

AXES = Axes((-1.2, 1.6), (0.0,), (-1.2, 0.0), closed_eyes=None)


def picture(shade: int, size: tuple[int, int] = (8, 8), kind: str = "webp") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    frames = {cell: picture(40 * (2 * cell.e + cell.p)) for cell in AXES}
    write_pack(tmp_path / "pack", AXES, frames, "CC0-1.0")
    return tmp_path / "pack"


def edit(pack: Path, **changes: object) -> None:
    index = json.loads((pack / "index.json").read_text())
    (pack / "index.json").write_text(json.dumps(index | changes))


def test_a_written_pack_reads_back_the_same(pack: Path) -> None:
    face = load_face(f"pack:{pack}")
    assert face.frame(Cell(1, 0, 1)) == picture(120)
    assert (face.size, face.closed_eyes) == (8, None)
    assert face.manifest()["licence"] == "CC0-1.0"
    assert face.nearest(Expression(1, 0, 0)) == Cell(1, 0, 1)


def test_one_changed_pixel_changes_the_id(pack: Path, tmp_path: Path) -> None:
    frames = {cell: FramePack(pack).frame(cell) for cell in AXES}
    same = write_pack(tmp_path / "same", AXES, frames, "other words")
    other = write_pack(tmp_path / "other", AXES, frames | {Cell(0, 0, 0): picture(9)}, "")
    assert same == FramePack(pack).id != other


def test_embedded_pack_is_what_its_files_say() -> None:
    folder = embedded() / "face" / "pack"
    assert FramePack(folder).id == json.loads((folder / "index.json").read_text())["id"]
    assert {path.suffix for path in folder.iterdir()} == {".webp", ".json"}


def test_a_damaged_frame_is_named(pack: Path) -> None:
    (pack / "1-0-0.webp").write_bytes(picture(7))
    with pytest.raises(CheckpointError, match="1-0-0.webp.*other content") as caught:
        FramePack(pack)
    assert "다시 복사" in caught.value.ko


def test_a_missing_frame_is_named(pack: Path) -> None:
    (pack / "1-0-0.webp").unlink()
    with pytest.raises(CheckpointError, match="1-0-0.webp.*No such file"):
        FramePack(pack)


def test_an_index_without_a_cell_is_refused(pack: Path) -> None:
    index = json.loads((pack / "index.json").read_text())
    del index["frames"]["0-0-1"]
    edit(pack, frames=index["frames"])
    with pytest.raises(CheckpointError, match="none for 0-0-1"):
        FramePack(pack)


def test_a_pack_cannot_reach_outside_its_folder(pack: Path) -> None:
    index = json.loads((pack / "index.json").read_text())
    index["frames"]["0-0-0"]["file"] = "../secret"
    edit(pack, frames=index["frames"])
    with pytest.raises(CheckpointError, match="folder in it"):
        FramePack(pack)


def test_edited_axes_no_longer_match_the_id(pack: Path) -> None:
    edit(pack, axes={"eyes": [-1.2, 1.5], "mouth": [0.0], "pose": [-1.2, 0.0]})
    with pytest.raises(CheckpointError, match="expected the id"):
        FramePack(pack)


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ({}, "eyes"),
        ({"eyes": [2, 1], "mouth": [0], "pose": [0]}, "ascend"),
        ({"eyes": list(range(99)), "mouth": [0], "pose": [0]}, "64 levels"),
        ({"eyes": ["wide"], "mouth": [0], "pose": [0]}, "wide"),
    ],
)
def test_axes_that_cannot_work_are_refused(pack: Path, axes: dict, found: str) -> None:
    edit(pack, axes=axes)
    with pytest.raises(CheckpointError, match=found):
        FramePack(pack)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_an_index_that_is_none_is_refused(pack: Path, text: str) -> None:
    (pack / "index.json").write_text(text)
    with pytest.raises(CheckpointError, match="index of a frame pack"):
        FramePack(pack)


def test_a_folder_without_index_is_no_pack(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match="found no index.json"):
            FramePack(folder)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"no picture", "no picture"),
        (picture(1, (8, 6)), "WEBP 8x6"),
        (picture(1, kind="png"), "PNG 8x8"),
    ],
)
def test_only_square_webp_frames_make_a_pack(tmp_path: Path, data: bytes, found: str) -> None:
    with pytest.raises(CheckpointError, match=found):
        write_pack(tmp_path, AXES, dict.fromkeys(AXES, data), "")
