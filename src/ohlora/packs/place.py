"""A pack onto the disk: whole, or not at all; the old one stays until the new one is whole.

    home()/personas/ID               what find_packs sees
    home()/personas.tmp/ID.PID       a pack being written
    home()/personas.tmp/ID.old       the old pack, for the moment between two renames

A process killed between the two renames leaves ID.old; `mend` puts it back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ohlora.errors import BadInput, StoreError
from ohlora.packs.check import refuse_unsound
from ohlora.packs.pack import CARD, Pack, check_id, refuse, rows_text, toml_text
from ohlora.paths import home
from ohlora.persona import find_packs, load_persona


def place(pack: Pack, *, replace: bool = False) -> Path:
    """Write the pack as home()/personas/ID and return that folder.

    Raises BadInput when one of that name is here and `replace` is not given or when the pack has
    a problem (check.py), StoreError when the disk is full or read-only.
    """
    return place_folder(check_id(pack.id), lambda folder: write_folder(pack, folder), replace)


def place_folder(name: str, write: Callable[[Path], None], replace: bool) -> Path:
    """Let `write` fill a new folder, check it and make it the persona `name`. As `place`."""
    mend()
    target = home() / "personas" / name
    if name in dict(find_packs()) and not replace:
        raise _taken(name)
    with _staging(name) as staging:
        write(staging)
        refuse_unsound(staging)
        load_persona(str(staging))
        _sync(staging)
        target.parent.mkdir(exist_ok=True)
        old = staging.with_name(f"{name}.old")
        if replace and target.exists():
            os.replace(target, old)
        try:
            os.rename(staging, target)  # fails when another process was faster
        except OSError as error:
            if old.exists() and not target.exists():
                os.replace(old, target)
            raise _taken(name) if target.exists() else error from error
        shutil.rmtree(old, ignore_errors=True)
    return target


def write_folder(pack: Pack, folder: Path) -> None:
    """Write every file of the pack into an empty folder."""
    (folder / "lines").mkdir(parents=True)
    _write(folder / "persona.toml", toml_text(pack.settings))
    for stem, rows in pack.lines.items():
        _write(folder / "lines" / f"{stem}.jsonl", rows_text(rows))
    if pack.rules:
        _write(folder / "lines" / "answers.toml", toml_text(pack.rules))
    if pack.card:
        from ohlora.packs.card import dump_card

        second = pack.card["spec"] == "chara_card_v2"
        (folder / CARD).write_bytes(dump_card(pack.card, 2 if second else 3))
    for name, opener in pack.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with opener() as source, path.open("xb") as out:
            shutil.copyfileobj(source, out, 1 << 20)


def mend() -> None:
    """Put back an old pack whose replacement was killed half-way; drop leftovers of the dead."""
    tmp = home() / "personas.tmp"
    for old in tmp.glob("*.old"):
        target = home() / "personas" / old.stem
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            target.parent.mkdir(exist_ok=True)
            os.replace(old, target)
    for left in tmp.glob("*.*"):
        if left.suffix[1:].isdigit() and not _alive(int(left.suffix[1:])):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _staging(name: str) -> Iterator[Path]:
    folder = home() / "personas.tmp" / f"{name}.{os.getpid()}"
    try:
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        raise _disk(home() / "personas" / name, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except UnicodeEncodeError as error:
        raise refuse(
            path.name,
            "a text of this persona holds half a character (a lone surrogate): type it again.",
            "이 페르소나의 글에 깨진 글자(짝 없는 서로게이트)가 있어요. 다시 적어 주세요.",
        ) from error


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _taken(name: str) -> BadInput:
    return BadInput(
        f"A persona {name!r} is here already: choose another name with --as, "
        "or replace it with --replace.",
        f"{name!r} 페르소나가 이미 있어요. --as로 다른 이름을 쓰거나 --replace로 바꿔 주세요.",
    )


def _disk(path: Path, error: OSError) -> StoreError:
    said = error.strerror or str(error)
    return StoreError(
        f"{path} cannot be written ({said}): free some space there or choose another folder; "
        "nothing was changed.",
        f"{path}에 쓸 수 없어요({said}). 공간을 비우거나 다른 폴더를 골라 주세요. "
        "바뀐 것은 없어요.",
    )
