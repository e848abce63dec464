"""Shared by all tests: where golden numbers lie, and a data folder of the test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# CI tries the same examples on every run; elsewhere each run looks for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

ROOT = Path(__file__).parent.parent


def find_golden() -> Path:
    """OHLORA_GOLDEN, else ../shared/golden, else tests/golden (numbers only, no pictures)."""
    given = os.environ.get("OHLORA_GOLDEN")
    if given:
        return Path(given)
    beside = ROOT.parent / "shared" / "golden"
    return beside if beside.is_dir() else ROOT / "tests" / "golden"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: Playwright keeps an event loop running in this thread until they end."""
    items.sort(key=lambda item: "browser" in item.path.parts)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return find_golden()


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of fixtures that several tests share."""
    path = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(path))
        yield path


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test gets an empty data folder; none ever touches the person's own."""
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("OHLORA_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def warm_models(session_home: Path) -> Path:
    """The embedded encoder and the vectors of her lines, made once for all tests."""
    from ohlora.embedding import load_encoder
    from ohlora.lines import load_lines
    from ohlora.paths import embedded

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(session_home))
        for small_talk in (False, True):
            load_lines(embedded() / "personas" / "ohlora", load_encoder(), small_talk)
    return session_home / "models"


@pytest.fixture
def warm_home(own_home: Path, warm_models: Path) -> Path:
    """This test's own data folder with encoder and vectors in it, but no language model."""
    (own_home / "models").mkdir()
    for path in [*warm_models.glob("lines-*"), *warm_models.glob("encoder-*/*")]:
        place = own_home / "models" / path.relative_to(warm_models)
        place.parent.mkdir(exist_ok=True)
        os.link(path, place)
    return own_home


@pytest.fixture(scope="session")
def prepared_models(warm_models: Path, session_home: Path) -> Path:
    """All models of the embedded default, made ready once for all tests that only talk to her."""
    from ohlora.checkpoints.prepare import prepare

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(session_home))
        prepare(lambda what, part: None)
    return session_home / "models"


@pytest.fixture
def prepared_home(own_home: Path, prepared_models: Path) -> Path:
    """This test's own data folder with the models in it (hard links: no copy, no waiting)."""
    shutil.copytree(prepared_models, own_home / "models", copy_function=os.link)
    return own_home
