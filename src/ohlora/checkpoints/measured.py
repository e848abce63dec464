"""What a model took where it was measured: measured.toml, read for `ohlora models show`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def measured(row_id: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Where it was measured ("en", "ko"), and one table per way to run the row; [] for none."""
    with Path(__file__).with_name("measured.toml").open("rb") as stream:
        table = tomllib.load(stream)
    return table["where"], table.get(row_id, [])
