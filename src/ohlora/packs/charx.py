"""`.charx` archives: a zip with card.json at its root; files are named by `embeded://` addresses.

("embeded" is how the specification of Character Card V3 spells it.) An archive comes from anyone:
names, kinds and sizes of all entries are checked before one is read, nothing is unpacked by the
archive's own names, and an entry can never give more bytes than it declared.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ohlora.errors import BadInput
from ohlora.packs.card import CARD_BYTES, too_large
from ohlora.packs.pack import Opener, refuse

ADDRESS = "embeded://"
MOST_ENTRIES = 4_000
MOST_BYTES = 256 << 20  # unpacked, all entries together
CARD_NAME = "card.json"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)  # found while an entry is read
_BROKEN = (*_DAMAGED, OSError, NotImplementedError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Archive:
    path: Path
    card: bytes
    files: Mapping[str, Opener]  # every other entry by its name


@contextmanager
def open_charx(path: Path) -> Iterator[Archive]:
    """The checked archive; its files can be read until the end of the block. Raises BadInput."""
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise _damaged(path, error) from error
    with archive:
        entries = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        _check(path, archive.infolist())
        if CARD_NAME not in entries:
            raise refuse(
                path,
                f"has no {CARD_NAME} at its root: this zip is no character archive.",
                f"맨 위에 {CARD_NAME}이 없어요. 캐릭터 압축 파일이 아니에요.",
            )
        if entries[CARD_NAME].file_size > CARD_BYTES:
            raise too_large(path)
        try:
            card = archive.read(CARD_NAME)
        except _BROKEN as error:
            raise _damaged(path, error) from error

        def opener(name: str) -> Opener:
            def open_() -> IO[bytes]:
                try:
                    return archive.open(name)
                except _BROKEN as error:
                    raise _damaged(path, error) from error

            return open_

        names = [name for name in entries if name != CARD_NAME]
        try:
            yield Archive(path, card, {name: opener(name) for name in names})
        except _DAMAGED as error:
            raise _damaged(path, error) from error


def write_charx(stream: IO[bytes], card: bytes, files: Mapping[str, Opener]) -> None:
    """Write card and files; the same content gives the same bytes."""
    with zipfile.ZipFile(stream, "w") as archive:
        _put(archive, CARD_NAME, card, zipfile.ZIP_DEFLATED)
        for name in sorted(files):
            with files[name]() as source:
                # Weights and pictures are packed already: stored, they can be read at once.
                _put(archive, name, source.read(), zipfile.ZIP_STORED)


def _put(archive: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    info = zipfile.ZipInfo(name)  # 1 January 1980
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(info, data, method)


def _check(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise refuse(
            path,
            f"holds {len(entries):,} files, and the limit is {MOST_ENTRIES:,}.",
            f"파일이 {len(entries):,}개나 들어 있어요. {MOST_ENTRIES:,}개까지 읽어요.",
        )
    total = sum(info.file_size for info in entries)
    if total > MOST_BYTES:
        raise refuse(
            path,
            f"unpacks to {total >> 20:,} MB, and the limit is {MOST_BYTES >> 20} MB.",
            f"압축을 풀면 {total >> 20:,} MB예요. {MOST_BYTES >> 20} MB까지 읽어요.",
        )
    seen: set[str] = set()
    for info in entries:
        reason = _hostile(info)
        if info.filename.lower() in seen:
            reason = "a name that is there twice", "두 번 나오는 이름"
        if reason:
            shown = ascii(info.filename)[:80]
            raise refuse(
                path,
                f"its entry {shown} has {reason[0]}: nothing of it was unpacked.",
                f"{shown} 항목에 {reason[1]}이 있어요. 아무것도 풀지 않았어요.",
            )
        seen.add(info.filename.lower())


def _hostile(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Why an entry must not be unpacked, in English and Korean."""
    name = info.orig_filename  # before zipfile turns os.sep into "/"
    parts = PurePosixPath(name.rstrip("/")).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or any(char in name for char in '\\:*?"<>|')
        or any(ord(char) < 32 for char in name)
    ):
        return "a path that leads out of it", "밖으로 나가는 경로"
    if len(name) > 200:
        return "a name of over 200 characters", "200자가 넘는 이름"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or device in it", "링크나 장치"
    if info.flag_bits & 0x1:
        return "a password", "비밀번호"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "an unusual compression", "낯선 압축 방식"
    return None


def _damaged(path: Path, error: BaseException) -> BadInput:
    said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return refuse(
        path,
        f"is no whole zip archive ({said}): fetch it again.",
        f"온전한 zip 파일이 아니에요({said}). 다시 받아 주세요.",
    )
