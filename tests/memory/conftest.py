from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.fakes import Clock
from ohlora.memory import Store, open_store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = open_store(tmp_path / "ohlora.db", clock)
    yield opened
    opened.close()
