"""A generator that draws no face is judged, not a reason to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from ohlora.directions.scorer import no_faces
from ohlora.errors import OhloraError, StoreError
from ohlora.evaluation.face_run import FaceSetting
from ohlora.pipeline import judge
from ohlora.pipeline.judge import Accept, evaluated
from ohlora.pipeline.stage import Machine, Work


def judged(monkeypatch: pytest.MonkeyPatch, folder: Path, error: OhloraError):  # type: ignore[no-untyped-def]
    def evaluate(*_: object) -> None:
        raise error

    monkeypatch.setattr(judge, "evaluate", evaluate)
    work = Work(Accept(), folder, {}, Machine(), lambda what, fraction: None)
    return evaluated(FaceSetting(folder, folder), work)


def test_pictures_without_a_face_are_a_bar_not_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ((number,), pictures) = judged(monkeypatch, tmp_path, no_faces(150))
    assert "150" in number.en and "150" in number.ko and number.unit == "not reached"
    assert pictures == ()


def test_a_full_disk_is_not_a_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        judged(monkeypatch, tmp_path, StoreError("full", "가득"))
