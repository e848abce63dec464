"""Is a row's model here? Judged by names and sizes only, so that a list is instant.

ready        every needed file is in its place, with the size it should have
to-prepare   its parts are here; `ohlora models prepare` makes the rest
partial      some files are here, or a download was cut
damaged      a file has the wrong size, or changed since it was checked
missing      nothing is here

`ohlora models verify` reads the files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ohlora.checkpoints.catalog import File, Row, converted_or
from ohlora.checkpoints.records import Record, key_of, read_records

INCOMPLETE = ".incomplete"


@dataclass(frozen=True)
class State:
    status: str
    bytes: int = 0  # on this disk
    en: str = ""
    ko: str = ""
    verified: bool = False  # every file was read and checked, and not touched since


def state_of(row: Row, records: Mapping[str, Record] | None = None) -> State:
    records = read_records() if records is None else records
    if row.kind == "embedded":
        from ohlora.checkpoints.embedded import embedded_state

        return embedded_state(row)
    if row.images:
        return _images_state(row)
    found, size, verified = 0, 0, True
    for file in row.files:
        path = file_path(row, file)
        if not path.is_file():
            continue
        found += not file.optional
        actual = path.stat().st_size
        size += actual
        record = records.get(key_of(path))
        expected = file.bytes if file.bytes is not None else (record and record.bytes)
        if expected is not None and actual != expected:
            return State(
                "damaged",
                size,
                f"{file.name} has {actual:,} bytes, expected {expected:,}",
                f"{file.name}: {expected:,}바이트여야 하는데 {actual:,}바이트예요",
            )
        verified = verified and record is not None and record.still_fits(path)
    needed = [file for file in row.files if not file.optional]
    if found == len(needed):
        return State("ready", size, verified=verified)
    cut = any(row.folder().rglob("*" + INCOMPLETE)) if row.folder().is_dir() else False
    if found or _download_begun(row) or cut:
        missing = len(needed) - found
        return State(
            "partial",
            size,
            f"{missing} of {len(needed)} files are missing",
            f"파일 {len(needed)}개 중 {missing}개가 없어요",
        )
    return State("missing")


def file_path(row: Row, file: File) -> Path:
    """Where a file lies; a .safetensors made by `convert` or chosen by the user counts too."""
    return converted_or(row.folder() / file.name)


def staging(row: Row) -> Path:
    """Where a download grows before it is checked; on the same disk as the place."""
    from ohlora.checkpoints.records import models_home

    return models_home() / ".incoming" / row.id


def _download_begun(row: Row) -> bool:
    folder = staging(row)
    return folder.is_dir() and any(folder.iterdir())


def _images_state(row: Row) -> State:
    assert row.images is not None
    folder = row.folder()
    sizes = [p.stat().st_size for p in folder.glob("[0-9]*.jpg")] if folder.is_dir() else []
    if len(sizes) >= row.images.count:
        return State("ready", sum(sizes))
    if not sizes:
        return State("partial" if _download_begun(row) else "missing")
    return State(
        "partial",
        sum(sizes),
        f"{len(sizes):,} of {row.images.count:,} images are here",
        f"이미지 {row.images.count:,}장 중 {len(sizes):,}장이 있어요",
    )
