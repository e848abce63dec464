"""`ohlora models`, as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from checkpoints.hub import Hub
from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.cli.models import app
from ohlora.errors import OhloraError

GENERATOR = "stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def read(*words: str) -> Any:
    """The JSON that a command prints; it must be the only thing on stdout."""
    result = run(*words, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return json.loads(result.stdout)


def refused(*words: str) -> OhloraError:
    result = run(*words)
    assert isinstance(result.exception, OhloraError)
    return result.exception


def test_help_and_list_load_nothing_heavy() -> None:
    check = (
        "import sys; import ohlora.cli.models;"
        "heavy = {'torch', 'numpy', 'httpx', 'huggingface_hub', 'rich.progress'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    code = f"import sys; sys.path[:0] = {sys.path!r}; {check}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_list_has_a_line_for_every_row() -> None:
    text = run("list").stdout
    for row in load_catalog().values():
        assert row.id in text
    assert {entry["id"] for entry in read("list")} == set(load_catalog())


def test_list_speaks_korean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHLORA_LANG", "ko")
    text = run("list", "ohlora-v1").stdout
    assert "없음" in text and "메모리 고르기" in text


def test_show_tells_source_place_tensors_and_licence() -> None:
    detail = read("show", "stylegan-v3-generator")
    assert detail["source"] == (
        "https://huggingface.co/daebakgazua/250408_OhLoRA_StyleGAN_FineTuned"
    )
    assert detail["original_place"] == "stylegan_and_segmentation/stylegan_modified"
    assert detail["tensors"] == 123 and detail["status"] == "missing"
    assert [file["name"] for file in detail["files"]] == [GENERATOR]
    assert "StyleGAN-FineTuned-v3" in run("show", "stylegan-v3-generator").stdout


def test_an_unknown_name_names_the_list() -> None:
    assert "ohlora models list" in refused("show", "nothing-like-it").en


def test_path_of_what_is_missing_says_how_to_get_it() -> None:
    assert "ohlora models pull sbert" in refused("path", "sbert").en
    assert read("path", "sbert")["status"] == "missing"


def test_pull_then_path_verify_convert_and_rm(stocked: Hub) -> None:
    name = "stylegan-v3-generator"
    assert read("pull", name)[0]["status"] == "ready"
    assert "already here" in run("pull", name).stdout
    path = Path(run("path", name).stdout.strip())
    assert path.name == GENERATOR and path.is_file()
    (report,) = read("verify", name)
    assert report["status"] == "ready" and len(report["files"][0]["sha256"]) == 64
    (written,) = read("convert", name)
    assert written["path"].endswith(".safetensors")
    assert read("rm", name) == [{"id": name, "files": 2}]
    assert not path.exists()


def test_a_failed_pull_tells_on_stderr_and_in_json_and_exits_1(stocked: Hub) -> None:
    result = run("pull", "v2-vectorfind-v6", "stylegan-v3-generator")
    assert result.exit_code == 1
    assert "stylegan-v3-generator: ready" in result.stdout
    assert "not known to be published" in result.stderr
    entry = read("pull", "v2-vectorfind-v6")[0]
    assert entry["status"] == "failed" and entry["error"]["message_ko"]


def test_import_reports_every_row(originals: Path) -> None:
    result = run("import", str(originals))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert any(line.startswith("llm-adapter: present") for line in lines)
    assert any(line.startswith("klue-roberta-base: missing") for line in lines)
    statuses = {row["id"]: row["status"] for row in read("list")}
    assert statuses["polyglot-ko-1.3b"] == statuses["images-10k"] == "ready"


def test_import_of_a_folder_without_models_says_what_is_wanted(tmp_path: Path) -> None:
    assert "stylegan_and_segmentation/" in refused("import", str(tmp_path)).en


def test_link_and_copy_exclude_each_other(tmp_path: Path) -> None:
    assert "Choose one" in refused("import", str(tmp_path), "--link", "--copy").en


def test_verify_exits_1_when_something_is_damaged(originals: Path, rows: dict[str, Row]) -> None:
    run("import", str(originals), "--only", "sbert")
    (rows["sbert"].folder() / "vocab.txt").write_bytes(b"")
    result = run("verify")
    assert result.exit_code == 1 and "vocab.txt: damaged" in result.stdout


def test_convert_of_no_file_is_one_sentence() -> None:
    assert "There is no file" in refused("convert", "nothing.pth").en
    assert "ohlora models pull sbert" in refused("convert", "sbert").en


def test_the_terms_are_shown_once(own_home: Path) -> None:
    from ohlora.checkpoints.prepare import terms_to_show

    assert "ai.google.dev/gemma/terms" in terms_to_show("ko")
    assert terms_to_show("ko") == ""
