"""Many pictures through the stages: every one gets a row, none stops the others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora.errors import StoreError
from ohlora.vision.batch import run
from ohlora.vision.images import Picture, find_images
from ohlora.vision.overlay import COLOURS, overlay
from ohlora.vision.stages import (
    DETECTED,
    PARSED,
    SCORE_COLUMNS,
    SCORED,
    Detect,
    Parse,
    Score,
    names_for,
)
from ohlora.vision.table import Results, Row
from vision.fakes import SquareDetector, fake_parser, portrait


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with everything that people keep in folders."""
    folder = tmp_path / "album"
    folder.mkdir()
    portrait(folder / "000001.png")
    portrait(folder / "000002.png", faces=())
    portrait(folder / "000003.png", faces=((4, 4, 24, 24), (40, 10, 90, 90)))
    portrait(folder / "000004.png", ground="lime")
    portrait(folder / "big.png", size=(200, 120))
    Image.open(folder / "000001.png").convert("L").save(folder / "grey.png")
    deep = np.asarray(Image.open(folder / "grey.png")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    Image.new("RGB", (8, 8), "red").save(folder / "tiny.png")
    data = (folder / "000001.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    (folder / "letter.txt").write_text("hello")
    Image.open(folder / "000001.png").convert("CMYK").save(folder / "print.jpg", quality=95)
    frames = [Image.open(folder / "000001.png"), Image.new("RGB", (96, 96))]
    frames[0].save(folder / "wave.webp", save_all=True, append_images=frames[1:], lossless=True)
    return folder


EXPECTED = {
    "000001.png": "ok",
    "000002.png": "no-face",
    "000003.png": "ok",
    "000004.png": "ok",
    "big.png": "ok",
    "cut.png": "damaged",
    "deep.png": "no-face",
    "grey.png": "no-face",
    "letter.txt": "not-an-image",
    "print.jpg": "ok",
    "tiny.png": "too-small",
    "wave.webp": "ok",
}


def by_name(rows: list[Row]) -> dict[str, Row]:
    return {Path(row["img_path"]).name: row for row in rows}


def test_every_file_of_a_folder_gets_a_row_that_says_what_it_is(
    album: Path, tmp_path: Path
) -> None:
    results = Results(tmp_path / "scores.csv", SCORED, {})
    counts = run(find_images([str(album)]), Score(fake_parser()), results, batch_size=3)
    rows = by_name(results.rows)
    assert {name: row["status"] for name, row in rows.items()} == EXPECTED
    assert counts == {"ok": 6, "no-face": 3, "damaged": 1, "not-an-image": 1, "too-small": 1}
    for name, row in rows.items():
        measured = [row[column] is not None for column in SCORE_COLUMNS]
        assert all(measured) if EXPECTED[name] == "ok" else not any(measured), name
        assert row["note"] or name in ("000001.png", "big.png")
    assert rows["000003.png"]["note"] == "2 faces, the largest is used"
    assert rows["000004.png"]["note"] == "no hair found"
    assert rows["000004.png"]["hair_color_score"] == 127.5
    assert "first of 2 frames" in rows["wave.webp"]["note"]
    assert rows["grey.png"]["note"] == "grey; no face found"
    assert rows["deep.png"]["note"] == "16 bits per channel, read as 8; grey; no face found"
    assert "CMYK" in rows["print.jpg"]["note"]
    assert rows["000001.png"]["img_no"] == 1 and rows["big.png"]["img_no"] is None


def test_v1_leaves_empty_what_it_cannot_measure(album: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "scores.csv", SCORED, {})
    paths = [album / "000001.png", album / "000004.png"]
    run(paths, Score(fake_parser(), "v1"), results, language="ko")
    hairy, bald = results.rows
    assert hairy["hair_color_score"] is not None and bald["hair_color_score"] is None
    assert bald["hair_length_score"] is None and "머리카락을 찾지 못함" in bald["note"]
    assert hairy["pose_score"] is None and hairy["note"] == "pose 값을 정할 수 없음"  # no nose


def test_a_killed_run_ends_like_an_uninterrupted_one(album: Path, tmp_path: Path) -> None:
    paths = find_images([str(album)])
    whole = Results(tmp_path / "whole.csv", SCORED, {})
    run(paths, Score(fake_parser()), whole, batch_size=2)

    class Killed(BaseException):
        pass

    parser, calls = fake_parser(), 0

    def dying(pictures: list[Picture]) -> list:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Killed
        return Score(parser)(pictures)

    with pytest.raises(Killed):
        run(paths, dying, Results(tmp_path / "cut.csv", SCORED, {}), batch_size=2)
    assert not (tmp_path / "cut.csv").exists()
    again = Results(tmp_path / "cut.csv", SCORED, {})
    already = len(again.done)
    assert 0 < already < len(paths)
    parser = fake_parser()
    run(paths, Score(parser), again, batch_size=2)
    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sum(parser.mtcnn.batches) < len(EXPECTED) - already + 1


def test_a_full_disk_is_one_sentence_and_keeps_what_was_measured(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, real, calls = find_images([str(album)]), os.fsync, iter([True])

    def full(handle: int) -> None:
        if not next(calls, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device.*rows so far are kept"):
        run(paths, Score(fake_parser()), Results(tmp_path / "t.csv", SCORED, {}), batch_size=3)
    assert not (tmp_path / "t.csv").exists()
    monkeypatch.setattr(os, "fsync", real)
    results = Results(tmp_path / "t.csv", SCORED, {})
    assert len(results.done) >= 3
    assert run(paths, Score(fake_parser()), results).total() == len(paths)


def test_rows_that_are_done_are_not_looked_at_again(album: Path, tmp_path: Path) -> None:
    paths = find_images([str(album)])
    for expected in (sum(v in ("ok", "no-face") for v in EXPECTED.values()), 0):
        detector = SquareDetector()
        counts = run(paths, Detect(detector), Results(tmp_path / "t.json", DETECTED, {}))
        assert sum(detector.batches) == expected and sum(counts.values()) == len(EXPECTED)


def test_pictures_of_one_size_go_through_the_networks_together(album: Path) -> None:
    parser = fake_parser()
    pictures = [Picture(Path("a"), np.asarray(Image.open(album / "000001.png")))] * 5
    pictures.insert(2, Picture(Path("b"), np.asarray(Image.open(album / "big.png"))))
    parsed = parser(pictures)
    assert all(face is not None for face in parsed)
    assert sorted(parser.mtcnn.batches) == [1, 5] and parser.parse.net.batches == [6]


def test_detection_rows_hold_the_largest_face_and_all_boxes(album: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "t.json", DETECTED, {})
    run([album / "000003.png"], Detect(SquareDetector()), results)
    (row,) = results.rows
    assert [row[side] for side in ("x1", "y1", "x2", "y2")] == [40, 10, 90, 90]
    assert [row[f"crop_{side}"] for side in ("x1", "y1", "x2", "y2")] == [27, 0, 96, 96]
    assert row["faces"] == 2 and row["all_boxes"] == [[40, 10, 90, 90], [4, 4, 24, 24]]


def test_parsing_writes_the_original_s_three_pictures(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "parsed"
    paths = find_images([str(album)])
    results = Results(out / "parse.csv", PARSED, {})
    run(paths, Parse(fake_parser(), out, names_for(paths)), results)
    row = by_name(results.rows)["000001.png"]
    assert row["parsing_path"] == "parsing_000001.png"
    classes = np.asarray(Image.open(out / "parsing_000001.png"))
    face = np.asarray(Image.open(out / "face_000001.png"))
    seen = np.asarray(Image.open(out / "parsing_visualization_000001.png"))
    assert classes.shape == (224, 224) and set(np.unique(classes)) == {0, 1, 10}
    assert np.array_equal(seen, overlay(face, classes))
    assert len(list(out.glob("face_*.png"))) == 6 and not list(out.glob("*.tmp"))


def test_pictures_that_share_a_name_do_not_overwrite_each_other() -> None:
    paths = [Path("a/1.png"), Path("a/1.jpg"), Path("b/1.png"), Path("a/2.png")]
    assert list(names_for(paths).values()) == ["1", "1.jpg", "1.png", "2"]
    assert list(names_for(paths, taken=["1", "1.png"]).values()) == [
        "1.png~2",
        "1.jpg",
        "1.png~3",
        "2",
    ]


def test_overlays_are_half_face_and_half_class_colour() -> None:
    face = np.full((1, 11, 3), 101, np.uint8)
    classes = np.arange(11, dtype=np.uint8)[None]
    expected = (101 + COLOURS.astype(int)) // 2
    assert np.array_equal(overlay(face, classes)[0], expected)
