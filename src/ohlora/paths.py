"""Where things lie on this machine.

OHLORA_HOME/            default: the platform's data folder (Linux: ~/.local/share/ohlora)
  ohlora.db             sessions, messages, memories (SQLite, WAL)
  models/               prepared runtime models, each in a folder named by its content hash
  faces/                frames rendered once and kept
  personas/             the user's own persona packs
  token                 access token, made when serving beyond loopback
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from ohlora.errors import StoreError
from ohlora.text import josa


def home() -> Path:
    """The data folder, made if missing. Raises StoreError when it cannot be made."""
    path = Path(os.environ.get("OHLORA_HOME") or user_data_path("ohlora")).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The data folder {path} cannot be made ({error.strerror}): "
            "set OHLORA_HOME to a folder you may write to.",
            f"데이터 폴더 {josa(str(path), '을/를')} 만들 수 없어요({error.strerror}). "
            "OHLORA_HOME을 쓸 수 있는 폴더로 정해 주세요.",
        ) from error
    return path


def embedded() -> Path:
    """The folder of the embedded default weights (package ohlora-embedded)."""
    import ohlora_embedded

    return Path(ohlora_embedded.__file__).parent
