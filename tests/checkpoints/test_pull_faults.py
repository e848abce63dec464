"""Downloads from a server that misbehaves: each fault is mended or is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoints.hub import Hub, changed, cut, loop, page, slow, status
from checkpoints.pulling import GENERATOR, at, fetch, refused
from ohlora.checkpoints import state_of
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.pull import pull
from ohlora.checkpoints.state import staging


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


def test_a_needed_file_that_is_not_there_is_named(stocked: Hub, rows: dict[str, Row]) -> None:
    del stocked.repos[rows["sbert"].hub].files["vocab.txt"]
    error = refused(rows["sbert"])
    assert "vocab.txt" in error.en and "ohlora models import" in error.en


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


def test_a_link_that_the_hub_serves_as_a_file_is_no_model(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.repos[row.hub].files[GENERATOR] = b"../../../etc/passwd"
    assert "expected a PyTorch checkpoint" in refused(row).en


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


def test_a_dataset_without_pictures_is_one_sentence(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["images-10k"]
    stocked.repos[f"datasets/{row.hub}"].files = {"data/train-00000.parquet": b"x"}
    assert "expected pictures" in refused(row).en
