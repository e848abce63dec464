"""What can go wrong on this side of a download: full disks, planted links, kills, two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from checkpoints.hub import Hub, cut, slow
from checkpoints.pulling import GENERATOR, fetch, refused
from ohlora.checkpoints import state_of
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.pull import Pulled, pull
from ohlora.checkpoints.state import staging
from ohlora.errors import CheckpointError


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


def test_a_bad_new_file_never_replaces_a_good_old_one(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    fetch(row)
    good = (row.folder() / GENERATOR).read_bytes()
    stocked.repos[row.hub].files[GENERATOR] = b"not a checkpoint" * 100
    (result,) = fetch(row, force=True)
    assert result.status == "failed"
    assert (row.folder() / GENERATOR).read_bytes() == good and state_of(row).verified


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


COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
import sys
from ohlora.checkpoints import load_catalog
from ohlora.checkpoints.pull import pull
row = load_catalog()[sys.argv[1]]
def progress(what, done, total): print(done, flush=True)
(result,) = pull([row], progress, lambda en, ko: print(en, flush=True))
print(result.status, flush=True)
"""


def start(row: Row) -> subprocess.Popen[str]:
    """A pull in a process of its own, of which the first bytes have come."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMMAND, row.id]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    while int(process.stdout.readline()) == 0:
        pass
    return process


def test_a_pull_killed_on_the_way_is_finished_by_the_next_one(
    stocked: Hub, rows: dict[str, Row]
) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.fault(f"cdn:{GENERATOR}", slow(60))
    process = start(row)
    process.kill()
    process.communicate()
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


def test_ctrl_c_ends_soon_and_keeps_what_came(stocked: Hub, rows: dict[str, Row]) -> None:
    row = rows["stylegan-v3-generator"]
    stocked.fault(f"cdn:{GENERATOR}", slow(10))
    process = start(row)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - began < 10 and process.returncode != 0
    (part,) = staging(row).glob("*.incomplete")
    assert part.stat().st_size > 0
    assert fetch(row)[0].status == "ready"
