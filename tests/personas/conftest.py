"""Ten written lines, the persona made of them, cards as other programs write them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cards import TEN, foreign_card  # noqa: E402

from ohlora.embedding import Encoder, load_encoder  # noqa: E402
from ohlora.packs.new import new_pack  # noqa: E402
from ohlora.packs.pack import Pack  # noqa: E402
from ohlora.packs.place import place  # noqa: E402
from ohlora.packs.written import read_written  # noqa: E402


@pytest.fixture(scope="session")
def encoder(warm_models: Path) -> Encoder:
    return load_encoder()


@pytest.fixture(autouse=True)
def warm(warm_home: Path) -> None:
    """What she knows of her own lines need not be encoded by each test."""


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHLORA_LANG", "en")


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    path = tmp_path / "ten.txt"
    path.write_text(TEN, "utf-8")
    return path


@pytest.fixture
def make_mina(ten: Path, encoder: Encoder) -> Callable[[], Pack]:
    return lambda: new_pack("mina", "미나", read_written(ten), encoder)


@pytest.fixture
def mina(make_mina: Callable[[], Pack]) -> Path:
    """The folder of 미나, in this test's own OHLORA_HOME."""
    return place(make_mina())


@pytest.fixture
def card() -> dict[str, object]:
    return foreign_card()
