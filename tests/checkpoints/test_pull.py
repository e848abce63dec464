"""Downloads against a real HTTP server: from where, what, and where it ends up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from checkpoints.hub import Hub, cut
from checkpoints.pulling import GENERATOR, at, fetch, refused
from ohlora.checkpoints import state_of
from ohlora.checkpoints.catalog import Row


def test_the_group_for_talking_is_fetched_checked_and_put_in_place(
    stocked: Hub, rows: dict[str, Row], originals: Path
) -> None:
    wanted = [row for row in rows.values() if row.group == "ohlora-v1"]
    plain = next(row for row in wanted if not row.hub)  # her z lies in a Git repository
    name = plain.files[0].name
    stocked.files[name] = (originals / plain.place / name).read_bytes()
    results = fetch(*(row if row.hub else at(row, stocked) for row in wanted))
    assert [(result.row, result.status) for result in results] == [
        ("stylegan-v3-generator", "ready"),
        ("z-vector", "ready"),
        ("llm-adapter", "ready"),
        ("sbert", "ready"),
        ("polyglot-ko-1.3b", "ready"),
    ]
    assert all(state_of(row).verified for row in wanted)
    for row in wanted:
        for file in row.files:
            if not file.skip and file.name != "adapter_config.json":
                original = (originals / row.place / file.name).read_bytes()
                assert (row.folder() / file.name).read_bytes() == original
    assert not stocked.fetched("pytorch_model.bin"), "a pickle that nobody needs was fetched"


def test_the_adapter_points_at_our_base_after_a_pull(stocked: Hub, rows: dict[str, Row]) -> None:
    fetch(rows["llm-adapter"])
    text = (rows["llm-adapter"].folder() / "adapter_config.json").read_text("utf-8")
    assert "author" not in text
    assert str(rows["polyglot-ko-1.3b"].folder()) in text


def test_images_come_from_a_dataset_repository(stocked: Hub, rows: dict[str, Row]) -> None:
    (result,) = fetch(rows["images-filtered"])
    assert result.status == "ready"
    assert state_of(rows["images-filtered"]).status == "ready"


def test_what_is_here_is_not_fetched_again(stocked: Hub, rows: dict[str, Row]) -> None:
    fetch(rows["stylegan-v3-generator"])
    before = len(stocked.requests)
    (again,) = fetch(rows["stylegan-v3-generator"])
    assert again.status == "already" and len(stocked.requests) == before


def test_the_token_goes_to_the_hub_and_never_to_its_file_host(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    fetch(rows["stylegan-v3-generator"])
    sent = {path: headers.get("authorization") for _, path, headers in stocked.requests}
    for path, token in sent.items():
        assert token == (None if path.startswith("cdn/") else "Bearer hf_good"), path


def test_a_gated_repository_opens_with_the_right_token(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked.repos[rows["gemma-2-2b"].hub].gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert fetch(rows["gemma-2-2b"])[0].status == "ready"


def test_an_optional_file_may_be_missing(stocked: Hub, rows: dict[str, Row]) -> None:
    del stocked.repos[rows["sbert"].hub].files["README.md"]
    assert fetch(rows["sbert"])[0].status == "ready"


def test_a_plain_address_works_like_the_hub(
    rows: dict[str, Row], hub: Hub, originals: Path
) -> None:
    row = at(rows["stylegan-original"], hub)
    hub.files["stylegan_model.pth"] = (originals / row.place / "stylegan_model.pth").read_bytes()
    hub.fault("stylegan_model.pth", cut(50_000))
    assert fetch(row)[0].status == "ready"
    assert hub.fetched("stylegan_model.pth")[1]["range"] == "bytes=50000-"


def test_a_row_that_nobody_published_says_what_to_do(rows: dict[str, Row]) -> None:
    assert "ohlora models import" in refused(rows["v2-vectorfind-v6"]).en


def put_in_cache(hub: Hub, row: Row, folder: Path) -> None:
    cache = folder / "hub-cache" / f"models--{row.hub.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / GENERATOR).write_bytes(hub.repos[row.hub].files[GENERATOR])


def test_a_copy_in_the_hub_cache_is_used_instead_of_the_network(
    stocked: Hub, rows: dict[str, Row], tmp_path: Path
) -> None:
    row = rows["stylegan-v3-generator"]
    put_in_cache(stocked, row, tmp_path)
    assert fetch(row)[0].status == "ready"
    assert not stocked.fetched(GENERATOR)


def test_offline_mode_still_finds_the_hub_cache(
    stocked: Hub, rows: dict[str, Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows["stylegan-v3-generator"]
    put_in_cache(stocked, row, tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch(row)[0].status == "ready"
    assert not stocked.requests


def test_mtcnn_comes_out_of_the_wheel_of_its_index(
    rows: dict[str, Row], hub: Hub, originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows["mtcnn"]
    sized = tuple(
        replace(f, bytes=(originals / row.place / f.name).stat().st_size) for f in row.files
    )
    row = replace(row, files=sized)
    hub.files["simple/facenet-pytorch/w/facenet_pytorch-2.6.0-py3-none-any.whl"] = wheel(
        {f"facenet_pytorch/data/{f.source}": originals / row.place / f.name for f in row.files},
        tmp_path,
    )
    link = '<a href="w/facenet_pytorch-2.6.0-py3-none-any.whl">w</a>'
    hub.fault(
        "simple/facenet-pytorch/",
        lambda handler, _: handler.answer(200, link.encode(), {"content-type": "text/html"}),
    )
    monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple/")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (result,) = fetch(row)
    assert result.status == "ready" and not result.error


def wheel(files: dict[str, Path], folder: Path) -> bytes:
    import zipfile

    path = folder / "facenet_pytorch-2.6.0-py3-none-any.whl"
    info = "facenet_pytorch-2.6.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in files.items():
            archive.write(source, name)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: facenet-pytorch\nVersion: 2.6.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


def test_mtcnn_falls_back_to_the_plain_address(
    rows: dict[str, Row], hub: Hub, originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = at(rows["mtcnn"], hub)
    for file in row.files:
        hub.files[file.source] = (originals / row.place / file.name).read_bytes()
    monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    assert fetch(row)[0].status == "ready"
