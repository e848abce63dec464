"""Result tables: killed runs, other settings, other people's files."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest

from ohlora.errors import BadInput, StoreError
from ohlora.vision.table import Column, Results, check_format, read_table, write_table

COLUMNS = (
    Column("img_no", "int"),
    Column("img_path", "text"),
    Column("score", "float"),
    Column("boxes", "json"),
    Column("note", "text"),
)
SETTINGS = {"command": "score", "weights": {"a": "1"}}
ROWS = [
    {"img_no": 2, "img_path": "b, c.png", "score": 0.1 + 0.2, "boxes": [[1.5, 2]], "note": "흑백"},
    {"img_no": None, "img_path": "a.png", "score": None, "boxes": None, "note": ""},
]
FORMATS = ["t.csv", "t.json", "t.parquet"]
needs_parquet = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
)


def formats() -> list[object]:
    return [pytest.param(n, marks=needs_parquet if "parquet" in n else ()) for n in FORMATS]


@pytest.mark.parametrize("name", formats())
def test_rows_come_back_exactly_from_every_format(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, COLUMNS, ROWS)
    assert read_table(tmp_path / name, COLUMNS) == ROWS


def test_a_numbered_csv_looks_as_pandas_writes_it(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", COLUMNS, ROWS, numbered=True)
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["", "img_no", "img_path", "score", "boxes", "note"]
    assert [line[0] for line in lines[1:]] == ["0", "1"]
    assert read_table(tmp_path / "t.csv", COLUMNS) == ROWS


def test_unknown_formats_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match=r"\.csv, \.json, \.parquet"):
        check_format(Path("scores.xlsx"))


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install pyarrow"):
        check_format(Path("scores.parquet"))


def test_a_run_that_was_cut_goes_on_after_its_last_row(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "t.csv"
    first = Results(out, COLUMNS, SETTINGS)
    first.add(ROWS[:1])
    first.close()
    assert not out.exists()
    second = Results(out, COLUMNS, SETTINGS)
    assert second.done == {"b, c.png"}
    second.add(ROWS[1:])
    second.finish()
    assert read_table(out, COLUMNS) == [ROWS[1], ROWS[0]]  # sorted by img_path
    assert sorted(p.name for p in out.parent.iterdir()) == ["t.csv", "t.csv.run.json"]
    third = Results(out, COLUMNS, SETTINGS)
    assert third.done == {"a.png", "b, c.png"}
    third.close()


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    results = Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    results.add(ROWS)
    results.close()
    journal = tmp_path / "t.csv.journal"
    whole = journal.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[0]), len(whole), 7):
        journal.write_bytes(whole[:cut])
        again = Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
        assert again.done == {"b, c.png"}
        again.add(ROWS[1:])
        again.close()
        assert journal.read_bytes() == whole


def test_rows_of_other_settings_are_never_mixed_in(tmp_path: Path) -> None:
    results = Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    results.add(ROWS)
    results.finish()
    with pytest.raises(BadInput, match="made with weights") as caught:
        Results(tmp_path / "t.csv", COLUMNS, SETTINGS | {"weights": {"a": "2"}})
    assert "--again" in caught.value.ko
    assert read_table(tmp_path / "t.csv", COLUMNS) == [ROWS[1], ROWS[0]]


def test_a_file_from_elsewhere_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("my,own\n1,2\n")
    with pytest.raises(BadInput, match="not made by this command"):
        Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    assert (tmp_path / "t.csv").read_text() == "my,own\n1,2\n"


def test_again_keeps_the_old_table_until_the_new_one_is_whole(tmp_path: Path) -> None:
    old = Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    old.add(ROWS)
    old.finish()
    changed = SETTINGS | {"weights": {"a": "2"}}
    new = Results(tmp_path / "t.csv", COLUMNS, changed, again=True)
    new.add(ROWS[:1])
    new.close()  # killed here
    assert len(read_table(tmp_path / "t.csv", COLUMNS)) == 2
    resumed = Results(tmp_path / "t.csv", COLUMNS, changed)
    assert resumed.done == {"b, c.png"}
    resumed.finish()
    assert read_table(tmp_path / "t.csv", COLUMNS) == ROWS[:1]
    assert json.loads((tmp_path / "t.csv.run.json").read_text()) == changed


def test_two_runs_on_one_table_do_not_meet(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="no file locks on this system")
    first = Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    with pytest.raises(BadInput, match="Another run"):
        Results(tmp_path / "t.csv", COLUMNS, SETTINGS)
    first.close()
    Results(tmp_path / "t.csv", COLUMNS, SETTINGS).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        Results(tmp_path / "file" / "t.csv", COLUMNS, SETTINGS)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "img_no,img_path,score,boxes,note\nx,,,,\n"])
def test_tables_of_another_kind_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInput, match="not a table of this command"):
        read_table(tmp_path / "t.csv", COLUMNS)
