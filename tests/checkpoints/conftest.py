"""A hub of the test's own, small files, and a catalog that asks for just as many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import ohlora.checkpoints.catalog as catalog_module
from checkpoints.hub import Hub
from checkpoints.stand_ins import IMAGES, make_original
from ohlora.checkpoints.catalog import Row, load_catalog

CATALOG = Path(catalog_module.__file__).with_name("catalog.toml")


@pytest.fixture(autouse=True)
def small_catalog(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real catalog without the pinned digests of the real files, with few images."""
    text = CATALOG.read_text("utf-8")
    text = re.sub(r", bytes = [\d_]+, sha256 = \"\w+\"", "", text)
    text = re.sub(r"count = [\d_]+", f"count = {IMAGES}", text)
    path = tmp_path_factory.mktemp("catalog") / "catalog.toml"
    path.write_text(text, "utf-8")
    monkeypatch.setenv("OHLORA_CATALOG", str(path))
    return path


@pytest.fixture
def rows() -> dict[str, Row]:
    return load_catalog()


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The v1 project as its users have it on disk; tests only read it."""
    return make_original(tmp_path_factory.mktemp("original") / "2025_04_08_OhLoRA")


@pytest.fixture(scope="session", autouse=True)
def hub_session() -> Iterator[None]:
    """huggingface_hub keeps its connections open; close them when all is done."""
    yield
    import huggingface_hub

    huggingface_hub.close_session()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def stocked(hub: Hub, rows: dict[str, Row], originals: Path) -> Hub:
    """The hub with every v1 row that the real one has."""
    for row in rows.values():
        if row.hub and row.edition == "v1" and (originals / row.place).is_dir():
            name = f"datasets/{row.hub}" if row.hub_type == "dataset" else row.hub
            hub.add(name, contents(row, originals))
    return hub


def contents(row: Row, root: Path) -> dict[str, bytes]:
    folder = root / row.place
    if row.images:
        return {path.name: path.read_bytes() for path in folder.glob("*.jpg")}
    return {file.source: (folder / file.name).read_bytes() for file in row.files}
