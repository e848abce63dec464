"""`ohlora memory ...` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ohlora.cli.memory import app
from ohlora.errors import BadInput, OhloraError, StoreError, UnknownMemory, UnknownPersona

pytestmark = pytest.mark.usefixtures("own_home")


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, OhloraError):  # the program's main turns it into one line
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def run_json(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def test_add_list_search_edit_rm_undo() -> None:
    (added,) = run_json("add", "내일 일정", "친구랑 카페 가기")
    assert added["text"] == "[내일 일정: 친구랑 카페 가기]"
    number = str(added["id"])
    run("add", "좋아하는 가수", "아이유")
    assert len(run_json("list")) == 2
    assert [row["id"] for row in run_json("search", "카페")] == [added["id"]]
    assert [row["id"] for row in run_json("search", "내일 일정")] == [added["id"]]
    assert run_json("edit", number, "--value", "영화 보기")[0]["value"] == "영화 보기"
    assert run_json("rm", number)[0]["deleted"] is True
    assert [row["key"] for row in run_json("list")] == ["좋아하는 가수"]
    assert len(run_json("list", "--all")) == 2
    assert run_json("undo")["action"] == "deleted"
    assert run_json("undo", number)["memory"]["value"] == "친구랑 카페 가기"
    assert "[내일 일정: 친구랑 카페 가기]" in run("list")


def test_export_and_import_of_v1s_file(tmp_path: Path) -> None:
    file, copy = tmp_path / "v1.txt", tmp_path / "copy.txt"
    file.write_bytes("\n[이름:지은]\r\n메모\n".encode())
    assert run_json("import", str(file)) == {"stored": 1, "updated": 0, "unchanged": 0, "kept": 2}
    run("export", str(copy))
    assert copy.read_bytes() == file.read_bytes()
    full = run_json("export")
    assert [row["text"] for row in full["memories"]] == ["[이름: 지은]"]
    assert [change["action"] for change in full["history"]] == ["stored"]


def test_audit_counts_and_purges() -> None:
    run("add", "이름", "지은")
    run("add", "별명", "지은")
    (gone,) = run_json("add", "나이", "25살")
    run("rm", str(gone["id"]))
    found = run_json("audit")
    assert (found["live"], found["deleted"], found["changes"]) == (2, 1, 4)
    assert {finding["code"] for finding in found["findings"]} == {"no-source", "same-value"}
    assert run_json("audit", "--purge")["purged"] == 1
    assert run_json("list", "--all") == run_json("list")


def test_faults_are_typed_errors_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(UnknownMemory):
        run("rm", "7")
    with pytest.raises(BadInput, match="no change to undo"):
        run("undo")
    with pytest.raises(BadInput, match="cannot be read"):
        run("import", str(tmp_path / "nowhere.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        run("export", str(tmp_path / "file" / "out.txt"))
    with pytest.raises(UnknownPersona):
        run("list", "--persona", "nobody")
