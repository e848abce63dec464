"""A model by its name: catalog ids may stand wherever a specification wants a file or folder.

path_of("llm-adapter")      where `models pull` or `models import` put the row
path_of("./llm-adapter")    a path of one's own
"""

from __future__ import annotations

from pathlib import Path

from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.checkpoints.state import State, state_of
from ohlora.errors import CheckpointError
from ohlora.text import josa


def path_of(name: str) -> Path:
    """The file or folder of a catalog row, else the path that `name` is.

    Raises CheckpointError, with the command that brings it, for a row that is not ready.
    """
    row = load_catalog().get(name)
    if row is None or row.kind == "embedded":
        return Path(name).expanduser()
    state = state_of(row)
    if state.status != "ready":
        raise not_here(row, state)
    return row.path()


def not_here(row: Row, state: State) -> CheckpointError:
    """One sentence: which piece is missing, and how to get it."""
    what = row.group if row.group == "ohlora-v1" and state.status == "missing" else row.id
    pull = f"ohlora models pull {what}" + (" --force" if state.status == "damaged" else "")
    note = f" ({state.en})" if state.en else ""
    note_ko = f" ({state.ko})" if state.ko else ""
    word = {"missing": "없어요", "partial": "다 있지 않아요", "damaged": "손상됐어요"}
    return CheckpointError(
        row.title,
        f"{row.id} is {state.status}{note}: run `{pull}`, or `ohlora models import FOLDER` when "
        "you have the files.",
        f"{row.id} 모델이 {word.get(state.status, '준비되지 않았어요')}{note_ko}. "
        f"{josa(f'`{pull}`', '을/를')} 실행하거나, 파일이 있다면 `ohlora models import 폴더`를 "
        "실행해 주세요.",
    )
