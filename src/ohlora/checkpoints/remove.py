"""Remove a row's files: only those that the catalog names, only below OHLORA_HOME/models.

A file that was linked in loses our name for it; the user's own stays. Links are never followed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.place import check_place
from ohlora.checkpoints.records import forget, models_home
from ohlora.checkpoints.state import staging
from ohlora.errors import CheckpointError


def remove(row: Row) -> list[Path]:
    """Delete the row's files, half downloads too; returns what was deleted."""
    if row.kind == "embedded":
        raise CheckpointError(
            row.id,
            "comes with the program and is not removed here: use `pip uninstall`.",
            "프로그램에 포함된 모델이라 여기서 지우지 않아요. `pip uninstall`을 써 주세요.",
        )
    folder = row.folder()
    check_place(folder / "any")
    if row.images:
        paths = list(folder.glob("[0-9]*.jpg")) if folder.is_dir() else []
    else:
        names = [folder / file.name for file in row.files]
        names += [p.with_suffix(".safetensors") for p in names if p.suffix in (".pth", ".pt")]
        paths = [path for path in names if path.is_file() or path.is_symlink()]
    for path in paths:
        path.unlink()
    shutil.rmtree(staging(row), ignore_errors=True)
    forget(paths)
    _tidy(folder)
    return paths


def _tidy(folder: Path) -> None:
    """Remove folders that became empty, up to OHLORA_HOME/models."""
    while folder != models_home() and folder.is_relative_to(models_home()):
        if folder.is_dir():
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent
