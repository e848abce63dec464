from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ohlora.companion import Companion
from ohlora.server.app import create_app
from ohlora.server.settings import Settings
from server.small import Teller, small_companion


@pytest.fixture
def engine() -> Teller:
    return Teller()


@pytest.fixture
def companion(tmp_path: Path, engine: Teller) -> Iterator[Companion]:
    with small_companion(tmp_path, engine) as companion:
        yield companion


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def client(companion: Companion, settings: Settings) -> Iterator[TestClient]:
    app = create_app(companion, settings)
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        yield client


@pytest.fixture(scope="session")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One server for the many tests whose requests it only refuses."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(folder))
        with small_companion(folder, Teller()) as companion:
            app = create_app(companion, Settings(messages_per_second=1000.0))
            with TestClient(app, base_url="http://127.0.0.1:8765") as client:
                yield client
