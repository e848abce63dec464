"""A stage of the pipeline: one function, the stages it builds on, and what is remembered of it.

    OUT/05-parser/stage.json    Record: fingerprint, state, seconds, what it told
    OUT/05-parser/...           what it made

A fingerprint covers the stage's options and version and the fingerprints of all it needs, so it
changes with anything that changes what the stage makes. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ohlora.files import write_whole

Progress = Callable[[str, float], None]
O = TypeVar("O")  # noqa: E741  the options of a stage, a frozen dataclass
RECORD = "stage.json"
# Of a training loop: how it is watched and where it runs, not what it makes.
UNCOUNTED = {"log_every", "sample_every", "save_every", "keep", "threads", "device"}
MANY = 400  # pictures that are worth more than one process


@dataclass(frozen=True)
class Number:
    en: str
    ko: str
    value: float | str
    unit: str = ""


@dataclass(frozen=True)
class Picture:
    en: str
    ko: str
    file: str  # in the stage's folder


@dataclass(frozen=True)
class Curve:
    """Columns of a training log that belong into one plot."""

    en: str
    ko: str
    file: str  # a log.jsonl in the stage's folder
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """What a stage has to say on the report page."""

    numbers: tuple[Number, ...] = ()
    pictures: tuple[Picture, ...] = ()
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Machine:
    """Where the work is done; changes how long it takes, not what is made."""

    device: str = "auto"  # a GPU where there is one; or "cpu"
    threads: int | None = None  # of torch on the CPU
    workers: int | None = None  # processes that draw faces; None: as many as cores

    @property
    def torch_device(self) -> str:
        import torch

        return "cuda" if self.device == "auto" and torch.cuda.is_available() else "cpu"

    def workers_for(self, pictures: int) -> int:
        return self.workers or (1 if pictures < MANY else os.cpu_count() or 1)


@dataclass(frozen=True)
class Work(Generic[O]):
    """What a stage's function gets."""

    options: O
    folder: Path  # its own; what a killed run left is still there
    inputs: Mapping[str, Path]  # folders of the stages it needs
    machine: Machine
    progress: Progress


@dataclass(frozen=True)
class Stage:
    name: str
    en: str
    ko: str
    needs: tuple[str, ...]
    run: Callable[[Work[Any]], Told]
    version: int = 1  # raised when the same options make something else
    outside: Callable[[], str] = lambda: ""  # names the files from outside OUT that it uses


@dataclass(frozen=True)
class Record:
    fingerprint: str
    state: str  # "going", "done", "stopped"
    began: float  # Unix seconds, of the last attempt
    seconds: float  # worked on it in all
    told: Told = Told()
    en: str = ""  # why it stopped
    ko: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.state == "done"

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        write_whole(folder / RECORD, (text + "\n").encode())


def read_record(folder: Path) -> Record | None:
    """None when the stage was never begun or its record cannot be read."""
    try:
        raw = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        told = raw.pop("told")
        return Record(
            told=Told(
                tuple(Number(**one) for one in told["numbers"]),
                tuple(Picture(**one) for one in told["pictures"]),
                tuple(Curve(**{**one, "columns": tuple(one["columns"])}) for one in told["curves"]),
            ),
            **raw,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def worked(folder: Path, record: Record | None) -> float:
    """Seconds spent in the folder so far; of a killed attempt, until its last file."""
    if record is None:
        return 0.0
    if record.state != "going":
        return record.seconds
    newest = max((path.stat().st_mtime for path in folder.rglob("*") if path.is_file()), default=0)
    return record.seconds + max(0.0, newest - record.began)


def begun(fingerprint: str, options: object, seconds: float) -> Record:
    return Record(fingerprint, "going", time.time(), seconds, options=counted(options))


def fingerprint_of(stage: Stage, options: object, above: Mapping[str, str]) -> str:
    """16 hex digits. above: the fingerprints of the stages it needs."""
    what = [stage.name, stage.version, counted(options), stage.outside(), sorted(above.items())]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def counted(value: Any) -> Any:
    """A dataclass as JSON-like data, without what does not change the result."""
    if is_dataclass(value) and not isinstance(value, type):
        # Only a training loop has a device and threads; another field of these names would count.
        names = {one.name for one in fields(value)}
        hidden = UNCOUNTED if names >= UNCOUNTED else set()
        return {name: counted(getattr(value, name)) for name in sorted(names - hidden)}
    if isinstance(value, list | tuple):
        return [counted(one) for one in value]
    return value
