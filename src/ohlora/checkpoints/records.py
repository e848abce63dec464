"""What we saw the first time: size, SHA-256 and source of every file that came in.

The catalog knows few digests, because its files could not be fetched where it was written. So the
first pull or import that passes its checks is recorded in OHLORA_HOME/models/records.json, and
a later file that differs is refused (trust on first use).

    {"ohlora-v1/llm/models/.../adapter_model.safetensors":
        {"bytes": 100668080, "sha256": "...", "mtime_ns": 17..., "source": "hub", "when": "..."}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ohlora.files import write_whole
from ohlora.paths import home


@dataclass(frozen=True)
class Record:
    bytes: int
    sha256: str
    mtime_ns: int
    source: str
    when: str

    def still_fits(self, path: Path) -> bool:
        """True when the file was not touched since; then its digest needs no new reading."""
        try:
            stat = path.stat()
        except OSError:
            return False
        return stat.st_size == self.bytes and stat.st_mtime_ns == self.mtime_ns


def models_home() -> Path:
    return home() / "models"


def records_path() -> Path:
    return models_home() / "records.json"


def key_of(path: Path) -> str:
    return path.relative_to(models_home()).as_posix()


def read_records() -> dict[str, Record]:
    """All records; a damaged file counts as none, and is kept beside under .damaged."""
    path = records_path()
    try:
        table = json.loads(path.read_text("utf-8"))
        return {key: Record(**row) for key, row in table.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        os.replace(path, path.with_suffix(".damaged"))
        return {}


@contextmanager
def _changing() -> Iterator[dict[str, Record]]:
    from filelock import FileLock

    models_home().mkdir(parents=True, exist_ok=True)
    with FileLock(models_home() / ".records.lock"):
        records = read_records()
        yield records
        text = json.dumps({key: asdict(row) for key, row in records.items()}, indent=1)
        write_whole(records_path(), text.encode())


def remember(digests: Mapping[Path, str], source: str) -> None:
    """Record files that lie in their places and passed their checks, all in one write."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if not digests:
        return
    with _changing() as records:
        for path, sha256 in digests.items():
            stat = path.stat()
            records[key_of(path)] = Record(stat.st_size, sha256, stat.st_mtime_ns, source, now)


def forget(paths: list[Path]) -> None:
    with _changing() as records:
        for path in paths:
            records.pop(key_of(path), None)


def known_digest(records: Mapping[str, Record], path: Path) -> str | None:
    record = records.get(key_of(path))
    return record.sha256 if record else None
