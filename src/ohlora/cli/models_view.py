"""What `ohlora models` prints: rows, states, reports and the download bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohlora.cli.output import language, say

if TYPE_CHECKING:
    from ohlora.checkpoints import Row, State
    from ohlora.checkpoints.pull import Pulled
    from ohlora.checkpoints.verify import Finding


STATUS_KO = {
    "ready": "있음",
    "to-prepare": "준비 필요",
    "partial": "일부",
    "damaged": "손상",
    "missing": "없음",
    "present": "있음",
    "wrong-variant": "다른 종류",
}
ACTIONS_KO = {
    "copied": "복사함",
    "reflinked": "복사함(공유)",
    "linked": "연결함",
    "already": "이미 같은 파일이 있음",
    "kept": "다른 파일이 있어 그대로 둠 (--force로 바꾸기)",
}
GROUPS_EN_KO = {
    "embedded": ("comes with the program", "프로그램에 포함"),
    "ohlora-v1": ("Oh-LoRA v1: talking to her", "Oh-LoRA v1: 대화에 필요한 것"),
    "ohlora-v1-training": ("Oh-LoRA v1: training and data", "Oh-LoRA v1: 학습과 데이터"),
    "later": ("later versions", "이후 버전"),
}


def megabytes(size: int | None) -> str:
    """1,234,567,890 -> "1,235 MB"; small files in kB."""
    if not size:
        return ""
    return f"{size / 1e6:,.0f} MB" if size >= 999_500 else f"{max(1, size // 1000)} kB"


def brief(row: Row, state: State) -> dict[str, Any]:
    """A row and its state as plain data, the same for list and show."""
    return {
        "id": row.id,
        "title": row.title,
        "group": row.group,
        "kind": row.kind,
        "status": state.status,
        "verified": state.verified,
        "bytes_here": state.bytes,
        "bytes": row.size(),
        "needed": row.needed[language()],
        "detail": {"en": state.en, "ko": state.ko}[language()],
    }


def pad(text: str, width: int) -> str:
    """Fill up to a width in terminal cells; a Hangul syllable takes two."""
    from unicodedata import east_asian_width

    cells = sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(0, width - cells)


def lines_of(detail: dict[str, Any]) -> list[tuple[str, str]]:
    status = say(detail["status"], STATUS_KO[detail["status"]])
    note = f": {detail['detail']}" if detail["detail"] else ""
    rows = [
        (say("state", "상태"), f"{status}{note}"),
        (say("needed for", "쓰임"), detail["needed"]),
        (say("loads as", "종류"), detail["loads_as"]),
        (say("from", "출처"), detail["source"] or say("not published", "공개되지 않음")),
        (say("in the original", "원래 위치"), detail["original_place"]),
        (say("here", "여기 위치"), detail["path"]),
        (say("tensors", "텐서"), detail["tensors"] and str(detail["tensors"])),
        (say("size", "크기"), megabytes(detail["bytes_here"] or detail["bytes"])),
        (say("weights", "가중치"), in_memory(detail)),
        *runs(detail["measured"]),
        (say("licence", "라이선스"), detail["license"]),
    ]
    return [(label, value) for label, value in rows if value]


def runs(measured: dict[str, Any]) -> list[tuple[str, str]]:
    """Memory and time of each way to run it, and where that was measured."""
    rows = [
        (
            say("runs as", "실행"),
            f"{run['runtime'][language()]}: {run['memory_mb']:,} MB, {run['time'][language()]}",
        )
        for run in measured["runs"]
    ]
    return [*rows, (say("measured on", "측정 환경"), measured["where"][language()])] if rows else []


def in_memory(detail: dict[str, Any]) -> str:
    """Bytes of the numbers alone: bfloat16 and int8 for a language model, else float32."""
    small = detail["kind"] == "language-model"
    kinds = {"bfloat16": 2, "int8": 1} if small else {"float32": 4}
    count = detail["elements"]
    return ", ".join(f"{megabytes(count * n)} {kind}" for kind, n in kinds.items() if count)


def describe(row: Row) -> dict[str, Any]:
    """What the catalog knows of a row, as plain data."""
    from ohlora.checkpoints.measured import measured
    from ohlora.checkpoints.records import known_digest, read_records

    where, runs = measured(row.id)
    records = {} if row.kind == "embedded" else read_records()
    nets = {net for file in row.files for net in file.nets}
    return {
        "loads_as": row.loads_as,
        "source": row.source(),
        "hub": row.hub or None,
        "original_place": "" if row.placed_by_us or row.kind == "embedded" else row.place,
        "path": str(place_of(row) or ""),
        "tensors": sum(len(net.tensors()) for net in nets),
        "elements": sum(prod(shape) for net in nets for shape in net.tensors().values()),
        "license": row.license,
        "measured": {"where": where, "runs": runs},
        "files": [
            {
                "name": file.name,
                "source": file.source,
                "bytes": file.bytes,
                "sha256": file.sha256 or known_digest(records, row.folder() / file.name),
                "optional": file.optional,
                "sealed": file.sealed,
            }
            for file in row.files
        ],
    }


def place_of(row: Row) -> Path | None:
    if row.kind == "embedded":
        from ohlora.checkpoints.embedded import embedded_path

        return embedded_path(row)
    return row.path()


def pulled_row(result: Pulled) -> dict[str, Any]:
    error = result.error
    return {
        "id": result.row,
        "status": result.status,
        "bytes": result.bytes,
        "notes": [say(*note) for note in result.notes],
        "error": {"code": error.code, "message": error.en, "message_ko": error.ko}
        if error
        else None,
    }


def notify(en: str, ko: str) -> None:
    print(say(en, ko), file=sys.stderr, flush=True)


@contextmanager
def download_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Bytes, speed and time left on a terminal; a line per tenth elsewhere.

    HF_HUB_DISABLE_PROGRESS_BARS turns it off.
    """
    if os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS", "").upper() in ("1", "ON", "YES", "TRUE"):
        yield lambda what, done, total: None
        return
    if not sys.stderr.isatty():
        shown: dict[str, int] = {}

        def plain(what: str, done: int, total: int) -> None:
            tenth = 10 * done // max(1, total)
            if shown.get(what) != tenth:
                shown[what] = tenth
                print(f"{what} {megabytes(done)} / {megabytes(total)}", file=sys.stderr, flush=True)

        yield plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        DownloadColumn(),
        Speed(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield draw


def file_row(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "status": finding.status,
        "detail": say(finding.en, finding.ko),
        "sha256": finding.sha256 or None,
    }


def print_report(row: str, status: str, findings: Sequence[Finding], action: str = "") -> None:
    done = f", {say(action, ACTIONS_KO.get(action, action))}" if action else ""
    print(f"{row}: {say(status, STATUS_KO.get(status, status))}{done}")
    for finding in findings:
        if finding.en:
            print(f"  {say(finding.en, finding.ko)}")
        elif finding.status == "missing" and status != "missing":
            print(f"  {finding.file}: {say('missing', STATUS_KO['missing'])}")


def print_next_step(row: Row, status: str) -> None:
    """How to mend a row that `verify` found wanting."""
    if row.kind == "embedded" or status in ("ready", "missing"):
        return
    command = f"ohlora models pull {row.id}" + (" --force" if status != "partial" else "")
    print(say(f"  next: {command}", f"  다음: {command}"))
