"""Files that are there whole or not at all.

    write_whole(path, data)
    with beside(path) as part:      for a library that writes a file itself
        torch.save(state, part)

What is written lies beside its goal, reaches the disk, then takes its name in one step: a reader,
a killed process or a cut power line meets the old file or the new one, never half.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ohlora.errors import Unwritable


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` if all goes well; its folder is made.

    Raises Unwritable when the disk takes no more; then, and on any other error, what lay at
    `path` stays and nothing is left beside it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise Unwritable(path, error) from error
    finally:
        try:
            part.unlink(missing_ok=True)
        except OSError:  # below a file, say: there was nothing to remove
            pass


def write_whole(path: Path, data: bytes) -> None:
    """Write data to path, whole or not at all. Raises Unwritable."""
    with beside(path) as part:
        part.write_bytes(data)
