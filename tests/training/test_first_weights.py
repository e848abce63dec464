"""`ohlora train base|v1`: the first weights follow from --seed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ohlora.cli import train_face
from ohlora.training import loop


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """The weights each training would have begun with, one entry a run."""
    found: list[dict[str, torch.Tensor]] = []

    def begin(recipe: Any, data: object, config: object, run_dir: Path) -> Path:
        found.append({
            f"{name}.{key}": value.clone()
            for name, module in recipe.modules.items()
            for key, value in module.state_dict().items()
        })  # fmt: skip
        return run_dir

    monkeypatch.setattr(loop, "train", begin)
    faces = SimpleNamespace(check=lambda **wanted: None)
    monkeypatch.setattr(train_face, "read_faces", lambda *wanted: faces)
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_runs_of_one_seed_begin_with_equal_weights(
    first: list[dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def base(seed: int) -> None:
        torch.rand(seed + len(first))  # what this process drew before does not matter
        train_face.base(tmp_path, size=16, width=16, seed=seed)

    for seed in (7, 7, 8):
        base(seed)
    assert same(first[0], first[1]) and not same(first[0], first[2])

    parts = [
        {
            key.removeprefix(f"{name}."): value.numpy()
            for key, value in first[0].items()
            if key.startswith(f"{name}.")
        }
        for name in ("generator", "discriminator")
    ]
    monkeypatch.setattr(train_face, "read_start", lambda *paths: parts)
    first.clear()
    for seed in (7, 7, 8):
        torch.rand(seed + len(first))
        train_face.v1(tmp_path, start=tmp_path, seed=seed)
    assert same(first[0], first[1]) and not same(first[0], first[2])
