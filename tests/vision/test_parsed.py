"""Folders of parsed faces, ours and the original's: scored and drawn without networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora.errors import BadInput
from ohlora.vision.batch import run
from ohlora.vision.images import find_images
from ohlora.vision.parsed import is_parse_folder, score_folder
from ohlora.vision.report import Card, contact_sheet, page
from ohlora.vision.stages import PARSED, SCORED, Parse, Score, names_for
from ohlora.vision.table import Results, read_table, write_table
from vision.fakes import fake_parser, portrait


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    portrait(folder / "000001.png")
    portrait(folder / "000002.png", faces=((10, 30, 50, 80),), ground="lime")
    portrait(folder / "000003.png", faces=())
    return folder


@pytest.fixture
def parsed(pictures: Path, tmp_path: Path) -> Path:
    out = tmp_path / "parsed"
    paths = find_images([str(pictures)])
    run(paths, Parse(fake_parser(), out, names_for(paths)), Results(out / "parse.csv", PARSED, {}))
    return out


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_scoring_a_parse_folder_equals_scoring_the_pictures(
    pictures: Path, parsed: Path, tmp_path: Path, version: str
) -> None:
    direct = Results(tmp_path / "direct.csv", SCORED, {})
    run(find_images([str(pictures)]), Score(fake_parser(), version), direct)
    later = Results(tmp_path / "later.csv", SCORED, {})
    counts = score_folder(parsed, later, version)
    assert counts == {"ok": 2, "no-face": 1}
    assert later.rows == direct.rows


def test_the_original_s_results_are_scored_as_they_lie(
    pictures: Path, parsed: Path, tmp_path: Path
) -> None:
    (parsed / "parse.csv").unlink()
    assert is_parse_folder(parsed) and not is_parse_folder(pictures)
    results = Results(tmp_path / "t.csv", SCORED, {})
    score_folder(parsed, results, "v2")
    assert [(row["img_no"], row["status"]) for row in results.rows] == [(1, "ok"), (2, "ok")]
    with_originals = Results(tmp_path / "v1.csv", SCORED, {})
    assert score_folder(parsed, with_originals, "v1", originals=pictures) == {"ok": 2}
    without = Results(tmp_path / "v1-without.csv", SCORED, {})
    assert score_folder(parsed, without, "v1") == {"unreadable": 2}
    assert "original" in without.rows[0]["note"]


def test_damaged_maps_get_a_row_and_stop_nothing(parsed: Path, tmp_path: Path) -> None:
    (parsed / "parse.csv").unlink()
    good = (parsed / "parsing_000001.png").read_bytes()
    (parsed / "parsing_000007.png").write_bytes(good[:50])
    Image.fromarray(np.full((224, 224), 11, np.uint8)).save(parsed / "parsing_000008.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(parsed / "parsing_000009.png")
    (parsed / "parsing_000010.png").write_bytes(good)  # its face is missing
    results = Results(tmp_path / "t.csv", SCORED, {})
    counts = score_folder(parsed, results, "v2")
    assert counts == {"ok": 2, "damaged": 3, "unreadable": 1}


def test_scoring_a_parse_folder_needs_no_torch(parsed: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ohlora.vision.parsed import score_folder\n"
        "from ohlora.vision.report import contact_sheet\n"
        "from ohlora.vision.stages import SCORED\n"
        "from ohlora.vision.table import Results\n"
        "score_folder(Path(sys.argv[1]), Results(Path(sys.argv[2]), SCORED, {}), 'v2')\n"
        "contact_sheet(Path(sys.argv[1]), {})\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, str(parsed), str(tmp_path / "t.csv")]
    source = str(Path(__file__).parents[2] / "src")
    subprocess.run(command, check=True, env={"PYTHONPATH": source, "PATH": ""})
    assert (tmp_path / "t.csv").is_file()


def test_contact_sheet_shows_every_picture_and_what_went_wrong(
    parsed: Path, tmp_path: Path
) -> None:
    results = Results(tmp_path / "t.csv", SCORED, {})
    score_folder(parsed, results, "v2")
    (parsed / "face_000002.png").write_bytes(b"broken")
    (parsed / "parsing_visualization_000001.png").unlink()
    cards = contact_sheet(parsed, {row["img_path"]: row for row in results.rows})
    assert [card.status for card in cards] == ["ok", "damaged", "no-face"]
    assert (parsed / "parsing_visualization_000001.png").is_file()
    sheet = page(cards, "en")
    counted = "3 pictures: 1 ok, 1 damaged, 1 no-face"
    for text in ("000001.png", "eye opening", "no face found", counted, "inner mouth"):
        assert text in sheet
    korean = page(cards, "ko")
    for text in (
        '<html lang="ko">',
        "입안",
        "눈 뜬 높이",
        "이미지 3장: 얼굴 있음 1",
        "(얼굴 없음)",
    ):
        assert text in korean


def test_contact_sheet_lists_no_scores_where_there_are_none(parsed: Path, tmp_path: Path) -> None:
    results = Results(tmp_path / "t.csv", SCORED, {})
    score_folder(parsed, results, "v2")
    cards = contact_sheet(parsed, {row["img_path"]: row for row in results.rows})
    assert [bool(card.numbers) for card in cards] == [card.status == "ok" for card in cards]


def test_notes_about_a_picture_stay_with_its_scores(parsed: Path, tmp_path: Path) -> None:
    rows = read_table(parsed / "parse.csv", PARSED)
    rows[0]["note"] = "grey"
    write_table(parsed / "parse.csv", PARSED, rows)
    results = Results(tmp_path / "t.csv", SCORED, {})
    score_folder(parsed, results, "v2")
    assert "grey" in results.rows[0]["note"]


def test_contact_sheet_survives_hostile_file_names() -> None:
    sheet = page([Card('<script>"&', ("a b&<'\".png",), note="<b>")], "en")
    assert "<script>" not in sheet and "<b>" not in sheet and 'src="a%20b%26' in sheet


def test_a_folder_without_parsed_faces_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ohlora vision parse"):
        contact_sheet(tmp_path, {})
