"""Put files where they belong, without ever leaving a half one or touching the user's own.

Order of attempts for a copy: reflink (instant, shares blocks, later writes apart), hard link where
asked for, plain copy. A target is replaced in one step, and only by a file that passed its checks.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.checkpoints.records import models_home
from ohlora.errors import CheckpointError
from ohlora.files import write_whole
from ohlora.text import josa

FICLONE = 0x40049409  # Linux ioctl: share the blocks of another file
RESERVE = 200_000_000  # bytes that stay free for the rest of the machine


def move_in(staged: Path, target: Path) -> None:
    """Give a checked file its name. Raises CheckpointError when the place leads elsewhere."""
    check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(staged, target)


def bring(source: Path, target: Path, how: str = "auto") -> str:
    """Copy source to target by "auto", "link" or "copy"; returns what was done.

    auto = reflink or copy. link = hard link (same disk), else copy. A link shares its bytes with
    the user's file, which is never written to afterwards.
    """
    check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        done = _copy(source.resolve(), temporary, how)
        os.replace(temporary, target)
    except OSError as error:
        raise CheckpointError(
            target,
            f"cannot be written ({error.strerror}): check the disk and the rights of its folder.",
            f"쓸 수 없어요({error.strerror}). 디스크와 폴더 권한을 확인해 주세요.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return done


def _copy(source: Path, target: Path, how: str) -> str:
    if how == "link":
        try:
            target.unlink()
            os.link(source, target)
            return "linked"
        except OSError:
            target.touch()
    elif how == "auto" and _reflink(source, target):
        return "reflinked"
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)
    return "copied"


def _reflink(source: Path, target: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with source.open("rb") as old, target.open("wb") as new:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        return True
    except OSError:
        return False


def check_place(target: Path) -> None:
    """Refuse a place that a symlink carries out of OHLORA_HOME/models."""
    root = models_home().resolve()
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.resolve().is_relative_to(root) and folder.resolve() not in root.parents:
        raise CheckpointError(
            target,
            f"refused: expected a folder below {root}, found a link to {folder.resolve()}; "
            "remove the link.",
            f"쓰지 않았어요. {root} 아래 폴더여야 하는데 {josa(str(folder.resolve()), '으로/로')} "
            "연결돼 있어요. "
            "링크를 지워 주세요.",
        )


def check_disk(needed: int) -> None:
    """Raise CheckpointError before a byte is written, when the disk cannot hold it all."""
    root = models_home()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if needed + RESERVE > free:
        want, have = (needed + RESERVE) / 1e9, free / 1e9
        raise CheckpointError(
            root,
            f"the disk is too full: expected {want:.1f} GB free, found {have:.1f} GB; free some "
            "space or set OHLORA_HOME to another disk.",
            f"디스크 공간이 부족해요. {want:.1f} GB가 필요한데 {have:.1f} GB가 남았어요. 공간을 "
            "비우거나 OHLORA_HOME을 다른 디스크로 정해 주세요.",
        )


def mend_adapter(row: Row) -> bool:
    """Point our copy of an adapter at our copy of its base; True when it was changed.

    The published adapter_config.json names a folder on its author's disk. The file is written
    anew (a link to the user's own is broken first), never edited in place.
    """
    path = row.folder() / "adapter_config.json"
    if not row.base or not path.is_file():
        return False
    config: dict[str, Any] = json.loads(path.read_bytes())
    base = str(load_catalog()[row.base].folder())
    if config.get("base_model_name_or_path") == base:
        return False
    config["base_model_name_or_path"] = base
    write_whole(path, json.dumps(config, ensure_ascii=False, indent=2).encode())
    return True


@contextmanager
def alone(row: Row, notify: Callable[[str, str], None] = lambda *_: None) -> Iterator[None]:
    """Hold the row's lock; the system frees it when a process is killed."""
    from filelock import FileLock, Timeout

    path = models_home() / ".locks" / f"{row.id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        notify(
            f"another pull of {row.id} is at work: waiting for it",
            f"{josa(row.id, '을/를')} 다른 명령이 받고 있어서 기다려요",
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
