"""The stand-in of the published v1, made once; and no way out to the network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from published.stand_in import make_published


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project folder as a user of the original has it; tests only read it."""
    return make_published(tmp_path_factory.mktemp("published"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"something went out to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def imported(project: Path, own_home: Path) -> Path:
    """The data folder after `ohlora models import`."""
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.bring import import_folder

    import_folder(project, select(load_catalog(), ["ohlora-v1"]), "link")
    return own_home
