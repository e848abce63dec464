"""Faces to train on: reading, caching, standardising, batches, and damaged sets."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ohlora.errors import BadInput, StoreError
from ohlora.training import face_data, face_files
from ohlora.training.face_data import FaceData, LabelScale


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def face(i: int) -> np.ndarray:
    return np.full((8, 8, 3), (i, 2 * i, 255 - i), np.uint8)


@pytest.fixture
def synth(tmp_path: Path) -> Path:
    """Ten faces of 8 pixels in three shards, as `ohlora synth dataset` lays them out."""
    folder = tmp_path / "faces"
    (folder / "shards").mkdir(parents=True)
    manifest = {"plan": {"size": 8, "count": 10}, "digest": "abc"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for shard in range(3):
        rows = [
            {
                "index": i, "person": i // 4, "image": png(face(i)),
                "mask": png(np.full((8, 8), i, np.uint8)), "score_eyes": 0.5 * i, "mouth": 1.0 - i,
            }
            for i in range(4 * shard, min(4 * shard + 4, 10))
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / "shards" / f"{shard:05d}.parquet")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """v1's layout: pictures 3, 5 and 9, and a table as pandas writes it."""
    folder, table = tmp_path / "filtered", tmp_path / "all_scores.csv"
    folder.mkdir()
    for i in (3, 5, 9):
        (folder / f"{i:06d}.png").write_bytes(png(face(i)))
    table.write_text(",img_no,eyes_score\n0,3,0.5\n1,5,-1.25\n2,9,2\n")
    return folder, table


def test_a_synthetic_set_gives_pictures_labels_masks_and_persons(synth: Path) -> None:
    data = FaceData.from_synth(synth, ("mouth", "score_eyes"))
    assert (len(data), data.size, data.names) == (10, 8, ("mouth", "score_eyes"))
    assert data.persons.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    batch = data.take([7, 2])
    assert batch.images.shape == (2, 3, 8, 8) and batch.images.dtype == torch.uint8
    assert batch.images[0, :, 4, 4].tolist() == [7, 14, 248]
    assert batch.masks is not None and batch.masks[1, 0, 0] == 2
    assert batch.labels.tolist() == [[-6.0, 3.5], [-1.0, 1.0]]
    assert batch.pixels()[1, 0, 0, 0] == pytest.approx(2 / 127.5 - 1)
    assert batch.pixels(low=0)[1, 0, 0, 0] == pytest.approx(2 / 255)


def test_pictures_are_decoded_once_and_kept_beside_the_set(
    synth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FaceData.from_synth(synth, ("mouth",))
    monkeypatch.setattr(face_data, "synth_pictures", None)  # a second reading would fail
    again = FaceData.from_synth(synth, ("score_eyes",))
    assert np.array_equal(first.images, again.images)
    assert isinstance(again.images, np.memmap)
    assert first.digest != again.digest
    assert [path.name for path in (synth / "cache").iterdir() if path.name[0] == "."] == []


def test_another_size_is_scaled_and_masks_keep_their_classes(synth: Path) -> None:
    data = FaceData.from_synth(synth, size=4)
    assert data.images.shape == (10, 3, 4, 4)
    assert data.masks is not None and data.masks[5].tolist() == [[5] * 4] * 4


def test_v1s_tables_and_pictures_are_read(pictures: tuple[Path, Path]) -> None:
    data = FaceData.from_csv(*pictures, ("eyes_score",))
    assert data.numbers.tolist() == [3, 5, 9]
    assert data.labels.tolist() == [[0.5], [-1.25], [2.0]]
    assert data.images[1, :, 0, 0].tolist() == [5, 10, 250]
    assert data.masks is None


def test_batches_are_full_and_each_pass_sees_every_face_once(synth: Path) -> None:
    data = FaceData.from_synth(synth)
    stream = np.concatenate([data.batch(i, 4, seed=1).rows.numpy() for i in range(5)])
    assert sorted(stream[:10]) == sorted(stream[10:]) == list(range(10))
    assert stream[:10].tolist() != stream[10:].tolist()
    fresh = FaceData.from_synth(synth)
    assert fresh.batch(3, 4, seed=1).rows.tolist() == stream[12:16].tolist()
    assert len(data.batch(0, 25, seed=1)) == 25
    assert [len(batch) for batch in data.batches(4)] == [4, 4, 2]


def test_labels_are_standardised_and_the_scale_can_be_kept(synth: Path, tmp_path: Path) -> None:
    raw = FaceData.from_synth(synth, ("mouth", "score_eyes"))
    data = raw.standardised()
    assert data.scale is not None
    np.testing.assert_allclose(data.labels.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(data.labels.std(axis=0, ddof=1), 1, rtol=1e-6)
    np.testing.assert_allclose(data.scale.undo(data.labels), raw.labels, atol=1e-5)
    data.scale.save(tmp_path / "scale.json")
    again = raw.subset([1, 4]).standardised(LabelScale.load(tmp_path / "scale.json"))
    np.testing.assert_array_equal(again.labels, data.labels[[1, 4]])
    with pytest.raises(BadInput, match="the same for every picture"):
        raw.subset([3]).standardised()
    with pytest.raises(BadInput, match="is of mouth, score_eyes"):
        FaceData.from_synth(synth, ("mouth",)).standardised(data.scale)


def test_a_subset_of_a_subset_picks_the_right_faces(synth: Path) -> None:
    data = FaceData.from_synth(synth, ("mouth",)).subset(np.arange(10) % 2 == 1).subset([0, 3])
    assert data.numbers.tolist() == [1, 7]
    assert data.take([1]).images[0, 0, 0, 0] == 7
    assert data.images[0][0, 0, 0] == 1
    assert data.masks is not None and data.masks[1][0, 0] == 7


def test_a_shard_cut_in_half_or_missing_is_named(synth: Path) -> None:
    shard = synth / "shards" / "00001.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="00001.parquet is missing rows or cut off") as caught:
        FaceData.from_synth(synth)
    assert "synth dataset" in caught.value.ko
    shard.unlink()
    with pytest.raises(BadInput, match="missing rows"):
        FaceData.from_synth(synth)


def test_wrong_labels_and_sizes_are_refused(synth: Path) -> None:
    with pytest.raises(BadInput, match="no column nose: there are index, person, score_eyes"):
        FaceData.from_synth(synth, ("nose",))
    data = FaceData.from_synth(synth, ("mouth",))
    with pytest.raises(BadInput, match="takes 7 labels, the data has 1"):
        data.check(labels=7)
    with pytest.raises(BadInput, match="pictures of 256 pixels, the data has 8"):
        data.check(size=256)
    data.labels[6, 0] = np.nan
    with pytest.raises(BadInput, match="mouth of picture 6 is nan"):
        data.check()
    with pytest.raises(BadInput, match="no readable manifest"):
        FaceData.from_synth(synth / "shards")


def test_a_full_disk_leaves_no_half_cache(synth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(face_files.os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            FaceData.from_synth(synth)
    assert list((synth / "cache").iterdir()) == []
    assert len(FaceData.from_synth(synth)) == 10


def test_a_table_that_does_not_fit_its_pictures_is_refused(pictures: tuple[Path, Path]) -> None:
    folder, table = pictures
    with pytest.raises(BadInput, match="is not a table with numbers in img_no, mouth_score"):
        FaceData.from_csv(folder, table, ("mouth_score",))
    broken = folder / "000005.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:40])
    with pytest.raises(BadInput, match="000005.png is not a whole picture"):
        FaceData.from_csv(folder, table)
    broken.unlink()
    with pytest.raises(BadInput, match="has no picture 000005"):
        FaceData.from_csv(folder, table)
    broken.write_bytes(png(np.zeros((8, 6, 3), np.uint8)))
    with pytest.raises(BadInput, match="6 x 8 pixels and must be square"):
        FaceData.from_csv(folder, table)
