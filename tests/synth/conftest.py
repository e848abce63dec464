"""Synthetic faces need torch, scipy, warp-lang and pyarrow (extras torch and synth)."""

from __future__ import annotations

import importlib.util

import pytest

NEEDED = ("torch", "scipy", "warp", "pyarrow")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if missing else []


def pytest_report_header() -> str:
    return f"synth tests: not run, {', '.join(missing)} missing" if missing else "synth tests: run"


@pytest.fixture(scope="session")
def renderer():  # type: ignore[no-untyped-def]
    import torch

    from ohlora.synth.render import Renderer

    torch.set_num_threads(1)
    return Renderer()


@pytest.fixture(scope="session")
def head(renderer):  # type: ignore[no-untyped-def]
    return renderer.head
