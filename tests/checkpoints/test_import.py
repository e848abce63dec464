"""Bringing in files that a user already has; verify, convert and remove them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from checkpoints.stand_ins import state_of_net, write_row
from ohlora.checkpoints import state_of
from ohlora.checkpoints.bring import Imported, import_folder
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.convert import convert
from ohlora.checkpoints.records import read_records
from ohlora.checkpoints.remove import remove
from ohlora.checkpoints.verify import Report, verify_rows
from ohlora.errors import BadInput, CheckpointError

V3 = "stylegan-v3-generator"
Rows = dict[str, Row]


def run(root: Path, rows: Rows, how: str = "auto", **options: object) -> dict[str, Imported]:
    return {one.row: one for one in import_folder(root, rows.values(), how, **options)}  # type: ignore[arg-type]


def snapshot(root: Path) -> Mapping[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def own(tmp_path: Path, rows: Rows) -> Path:
    """A user's project with what talking to her needs; a test may break things in it."""
    root = tmp_path / "2025_04_08_OhLoRA"
    for row in rows.values():
        if row.group == "ohlora-v1":
            write_row(row, root)
    return root


@pytest.mark.parametrize("how", ["auto", "copy", "link"])
def test_a_whole_project_comes_in_and_stays_as_it_was(
    originals: Path, rows: Rows, how: str
) -> None:
    before = snapshot(originals)
    results = run(originals, rows, how)
    assert snapshot(originals) == before
    v1 = [row for row in rows.values() if row.edition == "v1" and row.kind != "embedded"]
    for row in v1:
        wanted = "missing" if row.placed_by_us else "present"
        assert results[row.id].status == wanted, (row.id, results[row.id].findings)
        assert state_of(row).status == ("missing" if row.placed_by_us else "ready")
    assert all(results[r.id].status == "missing" for r in rows.values() if r.edition != "v1")


def test_a_link_takes_no_space_and_the_adapters_config_is_still_our_own(
    own: Path, rows: Rows
) -> None:
    run(own, rows, "link")
    row = rows["llm-adapter"]
    weights = "adapter_model.safetensors"
    assert (row.folder() / weights).samefile(own / row.place / weights)
    config = json.loads((row.folder() / "adapter_config.json").read_text("utf-8"))
    theirs = json.loads((own / row.place / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == str(rows["polyglot-ko-1.3b"].folder())
    assert theirs["base_model_name_or_path"].startswith("C:\\Users\\author")
    assert config | {"base_model_name_or_path": 0} == theirs | {"base_model_name_or_path": 0}


def test_training_args_is_kept_and_never_opened(own: Path, rows: Rows) -> None:
    """The stand-in's training_args.bin would end the test if anything unpickled it."""
    run(own, rows)
    (report,) = verify_rows([rows["llm-adapter"]])
    sealed = {finding.file: finding.status for finding in report.findings}
    assert sealed["training_args.bin"] == "sealed" and report.status == "ready"
    assert (rows["llm-adapter"].folder() / "training_args.bin").is_file()


def test_the_repository_above_the_project_works_too(own: Path, rows: Rows, tmp_path: Path) -> None:
    assert run(own.parent, rows)["sbert"].status == "present"


def test_a_folder_of_another_version_is_told_apart_by_its_name(rows: Rows, tmp_path: Path) -> None:
    row = rows["v2-sbert"]
    root = tmp_path / "2025_05_02_OhLoRA_v2"
    write_row(row, root)
    results = run(root, rows)
    assert results["v2-sbert"].status == "present" and results["sbert"].status == "missing"
    root = root.rename(tmp_path / "some_folder")
    assert run(root, rows, edition="v2", dry_run=True)["v2-sbert"].status == "present"


def test_single_files_may_lie_side_by_side(rows: Rows, originals: Path, tmp_path: Path) -> None:
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    for row in ("stylegan-v3-generator", "mtcnn", "gender-cnn"):
        for file in rows[row].files:
            shutil.copy(originals / rows[row].place / file.name, downloads)
    results = run(downloads, rows)
    found = [row for row, one in results.items() if one.status == "present"]
    assert found == ["stylegan-v3-generator", "mtcnn", "gender-cnn"]


def test_each_row_is_reported_by_what_is_wrong_and_nothing_bad_comes_in(
    own: Path, rows: Rows
) -> None:
    os.truncate(own / rows["sbert"].place / "model.safetensors", 2000)
    (own / rows["polyglot-ko-1.3b"].place / "model-00002-of-00003.safetensors").unlink()
    v1 = state_of_net(rows["stylegan-v1-generator"].files[0].nets[0])
    torch.save(v1, own / rows[V3].place / rows[V3].files[0].name)
    (own / rows["llm-adapter"].place / "tokenizer.json").write_text("{")
    results = run(own, rows)
    assert {
        row: results[row].status for row in (V3, "llm-adapter", "sbert", "polyglot-ko-1.3b")
    } == {
        V3: "wrong-variant",
        "llm-adapter": "damaged",
        "sbert": "damaged",
        "polyglot-ko-1.3b": "partial",
    }
    assert "found StyleGAN generator FineTune-v1" in results[V3].findings[0].en
    assert "JSON" in results["llm-adapter"].findings[0].en
    assert results["polyglot-ko-1.3b"].findings[0].file == "model-00002-of-00003.safetensors"
    assert all(
        state_of(rows[row]).status == "missing"
        for row in results
        if rows[row].group == "ohlora-v1" and row != "z-vector"
    )


def test_a_shard_given_twice_is_refused(own: Path, rows: Rows) -> None:
    place = own / rows["polyglot-ko-1.3b"].place
    first, second = (place / f"model-0000{n}-of-00003.safetensors" for n in (1, 2))
    shutil.copy(first, second)
    result = run(own, rows)["polyglot-ko-1.3b"]
    assert result.status == "damaged" and "found it in two" in result.findings[0].en


def test_the_same_files_again_are_already_here(own: Path, rows: Rows) -> None:
    run(own, rows)
    assert run(own, rows)["sbert"].action == "already"


def test_our_own_folder_may_be_imported_and_changes_nothing(own: Path, rows: Rows) -> None:
    run(own, rows)
    models = rows["sbert"].folder().parents[4]
    before = snapshot(models)
    assert run(models, rows)["sbert"].action == "already"
    assert {path: content for path, (_, content) in snapshot(models).items()} == {
        path: content for path, (_, content) in before.items()
    }


def test_a_good_file_here_is_kept_unless_forced(own: Path, rows: Rows, originals: Path) -> None:
    run(own, rows)
    good = (rows[V3].folder() / rows[V3].files[0].name).read_bytes()
    path = own / rows[V3].place / rows[V3].files[0].name
    state = torch.load(path, weights_only=True)
    state["truncation.w_avg"] += 1
    torch.save(state, path)
    assert run(own, rows)[V3].action == "kept"
    assert (rows[V3].folder() / path.name).read_bytes() == good
    assert run(own, rows, force=True)[V3].action in ("copied", "reflinked")
    assert (rows[V3].folder() / path.name).read_bytes() == path.read_bytes()


def test_a_dry_run_looks_and_takes_nothing(own: Path, rows: Rows) -> None:
    assert run(own, rows, dry_run=True)["sbert"].status == "present"
    assert state_of(rows["sbert"]).status == "missing" and not read_records()


def test_a_folder_that_is_not_there_is_one_sentence(rows: Rows, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no folder"):
        run(tmp_path / "nowhere", rows)


def test_a_full_disk_is_noticed_before_anything_is_copied(
    own: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CheckpointError, match="disk is too full"):
        run(own, rows)
    assert state_of(rows["sbert"]).status == "missing"


def verify(*rows: Row, accept: bool = False) -> list[Report]:
    return verify_rows(rows, accept=accept)


def test_verify_finds_a_flipped_bit_by_the_digest_seen_first(own: Path, rows: Rows) -> None:
    run(own, rows)
    path = rows["sbert"].folder() / "model.safetensors"
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (report,) = verify(rows["sbert"])
    assert report.status == "damaged"
    bad = next(finding for finding in report.findings if finding.status == "damaged")
    assert "as first seen on" in bad.en and "--accept" in bad.en
    assert verify(rows["sbert"], accept=True)[0].status == "ready"
    assert verify(rows["sbert"])[0].status == "ready"


def test_verify_holds_every_generator_against_the_original(originals: Path, rows: Rows) -> None:
    run(originals, rows)
    generators = [row for row in rows.values() if row.id.endswith("generator")]
    assert [report.status for report in verify(*generators)] == ["ready"] * 3
    path = rows[V3].path()
    state = torch.load(path, weights_only=True)
    state["synthesis.layer3.bias"][1] += 0.001
    torch.save(state, path)
    (report,) = verify(rows[V3], accept=True)
    assert report.status == "damaged"
    assert "expected the same synthesis tensors as stylegan-original" in report.findings[0].en


def test_verify_counts_and_decodes_the_images(originals: Path, rows: Rows) -> None:
    row = rows["images-10k"]
    run(originals, {row.id: row})
    assert verify(row)[0].status == "ready"
    (row.folder() / "000003.jpg").write_bytes(b"\xff\xd8\xff not really")
    (report,) = verify(row)
    assert report.status == "damaged" and "000003.jpg" in report.findings[0].en
    (row.folder() / "000003.jpg").unlink()
    assert verify(row)[0].status == "partial"


def test_a_record_file_that_was_damaged_is_put_aside(own: Path, rows: Rows) -> None:
    run(own, rows)
    path = rows["sbert"].folder().parents[4] / "records.json"
    path.write_text("{ half")
    assert read_records() == {} and path.with_suffix(".damaged").is_file()
    assert verify(rows["sbert"])[0].status == "ready"


def test_convert_keeps_every_bit_and_both_parts(
    originals: Path, rows: Rows, tmp_path: Path
) -> None:
    source = originals / rows["stylegan-original"].place / "stylegan_model.pth"
    target = convert(source, tmp_path / "original.safetensors")
    whole = torch.load(source, weights_only=True)
    written = load_file(target)
    parts = ("generator", "discriminator")
    assert len(written) == sum(len(whole[part]) for part in parts)
    for part in parts:
        for key, value in whole[part].items():
            assert torch.equal(written[f"{part}.{key}"], value)
    with pytest.raises(CheckpointError, match="already there"):
        convert(source, target)


def test_a_converted_file_stands_in_for_the_original_one(own: Path, rows: Rows) -> None:
    run(own, rows)
    path = rows[V3].path()
    converted = convert(path)
    path.unlink()
    assert state_of(rows[V3]).status == "ready"
    assert verify(rows[V3])[0].status == "ready"
    assert rows[V3].path() == converted and converted.suffix == ".safetensors"


def test_bfloat16_and_int64_survive_conversion(tmp_path: Path) -> None:
    state = {
        "a": torch.randn(3, 2).to(torch.bfloat16),
        "b": torch.arange(5),
        "c": torch.tensor(2.5),
        "d": torch.randn(4, 4).T,
        "e": torch.zeros(0, 3),
    }
    torch.save(state, tmp_path / "a.pth")
    written = load_file(convert(tmp_path / "a.pth"))
    for key, value in state.items():
        assert written[key].dtype == value.dtype and torch.equal(written[key], value)


def test_rm_removes_our_files_and_nothing_else(own: Path, rows: Rows, tmp_path: Path) -> None:
    run(own, rows, "link")
    row = rows["sbert"]
    note = row.folder() / "my-notes.txt"
    note.write_text("mine")
    removed = remove(row)
    assert len(removed) == 12 and note.read_text() == "mine"
    assert state_of(row).status == "missing"
    assert (own / row.place / "model.safetensors").is_file()
    assert not [key for key in read_records() if row.place in key]
    with pytest.raises(CheckpointError, match="comes with the program"):
        remove(rows["embedded-face"])


def test_rm_does_not_follow_a_link_out_of_the_models_folder(
    own: Path, rows: Rows, tmp_path: Path
) -> None:
    row = rows["sbert"]
    row.folder().parent.mkdir(parents=True)
    row.folder().symlink_to(own / row.place)
    with pytest.raises(CheckpointError, match="remove the link"):
        remove(row)
    assert (own / row.place / "model.safetensors").is_file()


def test_without_torch_a_pth_file_comes_in_unopened_with_a_note(
    own: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run(own, rows)[V3]
    assert result.status == "present" and result.action
    assert "not looked into, PyTorch is not installed" in result.findings[0].en
    with pytest.raises(CheckpointError, match="needs PyTorch"):
        convert(rows[V3].path())


def test_links_in_the_users_folder_are_read_through(own: Path, rows: Rows, tmp_path: Path) -> None:
    """As in the hub's cache, where every file is a link to a blob."""
    path = own / rows["sbert"].place / "model.safetensors"
    blob = path.rename(tmp_path / "blob")
    path.symlink_to(blob)
    assert run(own, rows)["sbert"].status == "present"
    ours = rows["sbert"].folder() / "model.safetensors"
    assert not ours.is_symlink() and ours.read_bytes() == blob.read_bytes()
