"""Shards: resumable, whole or not at all, of one plan."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohlora.errors import BadInput, StoreError
from ohlora.synth import dataset, near
from ohlora.synth.dataset import Plan, draw_shard, make_dataset, read_dataset, shard_path
from ohlora.synth.parameters import Hair
from ohlora.synth.sample import her

# Hair is most of the work and none of what is tested here.
BALD = replace(her(), hair=Hair(style="bald"))
PLAN = Plan(count=4, size=32, oversample=1, pictures_per_person=4, shard_size=2, who="her")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, renderer) -> Path:  # type: ignore[no-untyped-def]
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "Renderer", lambda device: renderer)
        patch.setattr(near, "her", lambda: BALD)
        seen: list[float] = []
        assert make_dataset(out, PLAN, progress=lambda what, done: seen.append(done)) == 4
    assert seen == [0.5, 1.0]
    return out


@pytest.fixture(autouse=True)
def one_renderer(monkeypatch, renderer) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(dataset, "Renderer", lambda device: renderer)
    monkeypatch.setattr(near, "her", lambda: BALD)


def shards(out: Path) -> list[bytes]:
    return [shard_path(out, i).read_bytes() for i in range(PLAN.shards)]


def test_a_data_set_reads_back_with_recipe_mask_and_labels(whole: Path, renderer) -> None:
    samples = list(read_dataset(whole))
    assert [s.index for s in samples] == [0, 1, 2, 3]
    first = samples[1]
    shot = renderer.render(first.face, PLAN.size, PLAN.oversample)
    assert np.array_equal(shot.image, first.image) and np.array_equal(shot.mask, first.mask)
    assert first.labels["yaw"] == pytest.approx(shot.labels.yaw)
    assert first.labels["score_pose"] == pytest.approx(shot.labels.scores.pose)
    assert [s.labels["gender"] for s in samples] == [1, 1, 1, 1]
    assert json.loads((whole / "manifest.json").read_text())["complete"]


def test_a_killed_run_ends_like_an_uninterrupted_one(whole: Path, tmp_path: Path) -> None:
    def killed(what: str, done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_dataset(tmp_path, PLAN, progress=killed)
    assert shard_path(tmp_path, 0).exists() and not shard_path(tmp_path, 1).exists()
    assert make_dataset(tmp_path, PLAN) == 2
    assert shards(tmp_path) == shards(whole)
    assert make_dataset(tmp_path, PLAN) == 0


def test_a_shard_cut_in_half_is_named_then_drawn_again(whole: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, replace(PLAN, count=2))
    path = shard_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(BadInput, match="cut off"):
        list(read_dataset(tmp_path))
    assert make_dataset(tmp_path, replace(PLAN, count=2)) == 2
    assert path.read_bytes() == shards(whole)[0]


def test_a_set_can_grow_but_not_change_its_plan(whole: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, replace(PLAN, count=2))
    assert make_dataset(tmp_path, PLAN) == 2
    with pytest.raises(BadInput, match="another plan"):
        make_dataset(tmp_path, replace(PLAN, seed=5))
    assert shards(tmp_path) == shards(whole)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    make_dataset(tmp_path, replace(PLAN, count=2))
    real = os.replace

    def full(source, target) -> None:  # type: ignore[no-untyped-def]
        if str(target).endswith("00001.parquet"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        make_dataset(tmp_path, PLAN)
    assert not list((tmp_path / "shards").glob("*.part"))
    monkeypatch.setattr(os, "replace", real)
    assert make_dataset(tmp_path, PLAN) == 2


def test_no_folder_and_no_plan_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="manifest"):
        list(read_dataset(tmp_path))
    for bad in (replace(PLAN, count=0), replace(PLAN, who="nobody")):
        with pytest.raises(BadInput):
            make_dataset(tmp_path, bad)


def test_rows_do_not_depend_on_the_order_of_drawing(whole: Path, tmp_path: Path, renderer) -> None:
    (tmp_path / "shards").mkdir()
    draw_shard(tmp_path, PLAN, 1, renderer)
    assert shard_path(tmp_path, 1).read_bytes() == shards(whole)[1]
