"""Frame packs: a face as a folder of pictures.

    PACK/index.json     {"format": 1, "id", "size", "licence", "closed_eyes": 0 | null,
                         "axes": {"eyes": [...], "mouth": [...], "pose": [...]},
                         "frames": {"0-0-0": {"file": "0-0-0.webp", "sha256"}, ...}}
    PACK/0-0-0.webp     one frame per cell, named eyes-mouth-pose

`id` is the hash of the axes and of every frame, so it changes when a single pixel does.
Other keys of the index (calibration, origin) are for people and are kept out of the hash.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohlora.errors import CheckpointError
from ohlora.face.lattice import Axes, Cell
from ohlora.files import write_whole

FORMAT = 1
MAX_INDEX_BYTES = 4 << 20
MAX_FRAME_BYTES = 8 << 20
MAX_LEVELS = 64  # per axis


class FramePack:
    """All frames of a pack, checked against their hashes and held in memory."""

    def __init__(self, folder: Path) -> None:
        """Raises CheckpointError when the folder is no pack or a frame is damaged."""
        index = _read_index(folder)
        self.axes = _axes(folder, index)
        self.licence = str(index.get("licence", "unknown"))
        self._frames = {cell: _read_frame(folder, index, cell) for cell in self.axes}
        self.size = _size(folder, next(iter(self._frames.values())))
        self.id = content_id(self.axes, self._frames)
        if index.get("id") != self.id:
            raise CheckpointError(
                folder / "index.json",
                f"expected the id {self.id} that its axes and frames give, found "
                f"{index.get('id')!r}: copy the pack again or rebuild it with `ohlora face pack`.",
                f"축과 프레임으로 계산한 id는 {self.id}인데 {index.get('id')!r}가 적혀 있어요. "
                "팩을 다시 복사하거나 `ohlora face pack`으로 다시 만들어 주세요.",
            )

    def frame(self, cell: Cell) -> bytes:
        return self._frames[cell]

    def close(self) -> None:
        """Nothing runs in the background."""


def write_pack(
    folder: Path,
    axes: Axes,
    frames: Mapping[Cell, bytes],
    licence: str,
    notes: Mapping[str, Any] | None = None,
) -> str:
    """Write frames (WebP bytes, one per cell) and their index; return the pack's id.

    The index comes last and in one step, so a killed run leaves no folder that passes for a pack.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for cell in axes:
        name = f"{cell}.webp"
        (folder / name).write_bytes(frames[cell])
        rows[str(cell)] = {"file": name, "sha256": hashlib.sha256(frames[cell]).hexdigest()}
    index = {
        "format": FORMAT,
        "id": content_id(axes, frames),
        "size": _size(folder, frames[Cell(0, 0, 0)]),
        "licence": licence,
        "closed_eyes": axes.closed_eyes,
        "axes": {"eyes": axes.eyes, "mouth": axes.mouth, "pose": axes.pose},
        **(notes or {}),
        "frames": rows,
    }
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    write_whole(folder / "index.json", text.encode())
    return str(index["id"])


def content_id(axes: Axes, frames: Mapping[Cell, bytes]) -> str:
    """20 hex digits over axes and pixels."""
    digest = hashlib.sha256(json.dumps([*axes.levels, axes.closed_eyes]).encode())
    for cell in axes:
        digest.update(hashlib.sha256(frames[cell]).digest())
    return digest.hexdigest()[:20]


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    try:
        if path.stat().st_size > MAX_INDEX_BYTES:
            raise ValueError(f"larger than {MAX_INDEX_BYTES >> 20} MB")
        index = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(index, dict) or index.get("format") != FORMAT:
            raise ValueError(f"not format {FORMAT}")
    except FileNotFoundError as error:
        raise CheckpointError(
            folder,
            "expected a frame pack (a folder with index.json and WebP frames), found no "
            "index.json: check the path.",
            "프레임 팩(index.json과 WebP 프레임이 든 폴더)이어야 하는데 index.json이 없어요. "
            "경로를 확인해 주세요.",
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            path,
            f"expected the index of a frame pack, found a file that cannot be read ({error}): "
            "copy the pack again.",
            f"프레임 팩의 목록이어야 하는데 읽을 수 없어요({error}). 팩을 다시 복사해 주세요.",
        ) from error
    return index


def _axes(folder: Path, index: dict[str, Any]) -> Axes:
    try:
        eyes, mouth, pose = (
            tuple(float(level) for level in index["axes"][name])
            for name in ("eyes", "mouth", "pose")
        )
        if max(len(eyes), len(mouth), len(pose)) > MAX_LEVELS:
            raise ValueError(f"more than {MAX_LEVELS} levels on one axis")
        closed = index.get("closed_eyes")
        return Axes(eyes, mouth, pose, closed_eyes=None if closed is None else int(closed))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            folder / "index.json",
            f"expected ascending axes eyes, mouth and pose, found none that work ({error}): "
            "copy the pack again.",
            f"오름차순 축 eyes, mouth, pose가 있어야 하는데 쓸 수 없어요({error}). "
            "팩을 다시 복사해 주세요.",
        ) from error


def _read_frame(folder: Path, index: dict[str, Any], cell: Cell) -> bytes:
    try:
        row = index["frames"][str(cell)]
        name, want = str(row["file"]), str(row["sha256"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            folder / "index.json",
            f"expected a frame for every cell, found none for {cell}: copy the pack again.",
            f"모든 칸에 프레임이 있어야 하는데 {cell} 칸이 없어요. 팩을 다시 복사해 주세요.",
        ) from error
    path = folder / name
    try:
        if Path(name).name != name:  # a pack may come from anyone: stay inside its folder
            raise ValueError("a file name with a folder in it")
        if path.stat().st_size > MAX_FRAME_BYTES:
            raise ValueError(f"larger than {MAX_FRAME_BYTES >> 20} MB")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != want:
            raise ValueError("other content than the index says")
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(
            path,
            f"expected the frame named in index.json, found {found}: copy the pack again.",
            f"index.json에 적힌 프레임이어야 하는데 문제가 있어요({found}). "
            "팩을 다시 복사해 주세요.",
        ) from error
    return data


def _size(folder: Path, data: bytes) -> int:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height, kind = *picture.size, picture.format
    except (UnidentifiedImageError, OSError) as error:
        raise _not_a_frame(folder, "no picture") from error
    if width != height or kind != "WEBP":
        raise _not_a_frame(folder, f"{kind} {width}x{height}")
    return width


def _not_a_frame(folder: Path, found: str) -> CheckpointError:
    return CheckpointError(
        folder,
        f"expected square WebP frames, found {found}: copy the pack again.",
        f"정사각형 WebP 프레임이어야 하는데 {found}이에요. 팩을 다시 복사해 주세요.",
    )
