"""Result tables that grow row by row and survive being killed.

    results = Results(Path("scores.csv"), SCORES, settings)    .csv, .json or .parquet
    results.done                     img_path of every row that is there already
    results.add(rows)                on disk when it returns (a journal beside the table)
    results.finish()                 the table itself, whole or not at all; sorted by img_path

Beside scores.csv lie scores.csv.run.json (what made it: command, rules, weights) and, while a
run is going or was cut, scores.csv.journal. A run with other settings is refused rather than
mixed in, and a table that this program did not make is never written over.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from ohlora.errors import BadInput, StoreError
from ohlora.files import write_whole

Row = dict[str, Any]
FORMATS = (".csv", ".json", ".parquet")


class Column(NamedTuple):
    name: str
    kind: Literal["int", "float", "text", "json"]  # json: lists and such; text inside a CSV


@contextmanager
def writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror or error}): make room or choose another "
            "place; the rows so far are kept.",
            f"{path}에 쓸 수 없어요({error.strerror or error}). 공간을 비우거나 다른 곳을 골라 "
            "주세요. 지금까지의 결과는 남아 있어요.",
        ) from error


class Results:
    def __init__(
        self,
        path: Path,
        columns: tuple[Column, ...],
        settings: Mapping[str, Any],
        *,
        again: bool = False,  # replace the table; the old one stays until the new is whole
        numbered: bool = False,  # an unnamed first column 0, 1, 2 ..., as pandas writes it
    ) -> None:
        """Raises BadInput for an unknown format, another run's table, or a run still going."""
        check_format(path)
        self.path, self.columns, self.numbered = path, columns, numbered
        self.settings = dict(settings)
        self._rows: dict[str, Row] = {}
        self._run_path = path.with_name(path.name + ".run.json")
        self._journal_path = path.with_name(path.name + ".journal")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._journal = self._journal_path.open("a+b")
        only_writer(self._journal, path)
        try:
            replacing = self._start_again() if again else self._resume()
        except BadInput:
            self._journal.close()
            raise
        self._write_run(replacing)

    @property
    def done(self) -> set[str]:
        return set(self._rows)

    @property
    def rows(self) -> list[Row]:
        """Sorted by img_path."""
        return [self._rows[name] for name in sorted(self._rows)]

    def add(self, rows: Iterable[Row]) -> None:
        """Raises StoreError when the disk takes no more."""
        with writing(self._journal_path):
            for row in rows:
                row = {column.name: row.get(column.name) for column in self.columns}
                self._journal.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                self._rows[row["img_path"]] = row
            self._journal.flush()
            os.fsync(self._journal.fileno())

    def finish(self) -> None:
        write_table(self.path, self.columns, self.rows, self.numbered)
        self._write_run(replacing=False)
        self._journal.close()
        with writing(self._journal_path):
            self._journal_path.unlink()

    def close(self) -> None:
        """Stop here; the journal stays for the next run."""
        self._journal.close()

    def _start_again(self) -> bool:
        with writing(self._journal_path):
            self._journal.truncate(0)
        return True

    def _resume(self) -> bool:
        """Take over what earlier runs left. Return whether the table on disk is to be replaced."""
        journal = self._read_journal()
        if not self.path.exists() and not journal:
            return False
        try:
            before = json.loads(self._run_path.read_text(encoding="utf-8"))
            replacing = bool(before.pop("replaces_table", False))
        except (OSError, ValueError, AttributeError):
            before, replacing = None, False
        if before != json.loads(json.dumps(self.settings)):
            en, ko = differing(before, self.settings)
            raise BadInput(
                f"{self.path} is there and {en}: choose another --out, or --again to replace it.",
                f"{self.path} 파일이 이미 있고 {ko}. 다른 --out을 고르거나 --again으로 "
                "바꿔 쓰세요.",
            )
        if self.path.exists() and not replacing:
            self._rows = {row["img_path"]: row for row in read_table(self.path, self.columns)}
        self._rows.update({row["img_path"]: row for row in journal})
        return replacing

    def _read_journal(self) -> list[Row]:
        """Rows of a run that was cut; a last line half-written is dropped."""
        self._journal.seek(0)
        rows, end = [], 0
        for line in self._journal.readlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
            end += len(line)
        self._journal.truncate(end)
        return rows

    def _write_run(self, replacing: bool) -> None:
        body = self.settings | ({"replaces_table": True} if replacing else {})
        data = json.dumps(body, ensure_ascii=False, indent=1) + "\n"
        write_whole(self._run_path, data.encode())


def differing(before: Any, now: dict[str, Any]) -> tuple[str, str]:
    if not isinstance(before, dict):
        return "was not made by this command", "이 명령이 만든 파일이 아니에요"
    names = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    listed = ", ".join(f"{key} {before.get(key)!r}" for key in names)
    return f"was made with {listed}", f"다른 설정({listed})으로 만든 것이에요"


def only_writer(file: IO[bytes], path: Path) -> None:
    """Lock the journal until it is closed or the process ends. Raises BadInput if it is taken."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs on one table are the user's own affair
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BadInput(
            f"Another run is writing {path}: wait for it, or choose another --out.",
            f"다른 실행이 {path}에 쓰고 있어요. 기다리거나 다른 --out을 고르세요.",
        ) from error


def check_format(path: Path) -> None:
    """Raises BadInput unless the suffix names a format that can be written here."""
    if path.suffix.lower() not in FORMATS:
        raise BadInput(
            f"{path}: the table's name ends in {', '.join(FORMATS)}.",
            f"{path}: 표 이름은 {', '.join(FORMATS)} 중 하나로 끝나야 해요.",
        )
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise BadInput(
            f"{path}: Parquet needs the package pyarrow: `pip install pyarrow`, or write .csv or "
            ".json.",
            f"{path}: Parquet에는 pyarrow 패키지가 필요해요. `pip install pyarrow`를 하거나 "
            ".csv, .json으로 저장하세요.",
        )


def write_table(
    path: Path, columns: tuple[Column, ...], rows: list[Row], numbered: bool = False
) -> None:
    """Write all rows, whole or not at all. Raises BadInput or StoreError."""
    check_format(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        write_whole(path, (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode())
    elif suffix == ".csv":
        write_whole(path, csv_bytes(columns, rows, numbered))
    else:
        write_whole(path, parquet_bytes(columns, rows))


def csv_bytes(columns: tuple[Column, ...], rows: list[Row], numbered: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([""] * numbered + [column.name for column in columns])
    for i, row in enumerate(rows):
        cells: list[Any] = [i] if numbered else []
        for name, kind in columns:
            value = row.get(name)
            if value is None:
                cells.append("")
            elif kind == "json":
                cells.append(json.dumps(value, ensure_ascii=False))
            else:
                cells.append(repr(value) if kind == "float" else value)
        writer.writerow(cells)
    return text.getvalue().encode()


def parquet_bytes(columns: tuple[Column, ...], rows: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "json": pa.string()}
    arrays = {}
    for name, kind in columns:
        values = [row.get(name) for row in rows]
        if kind == "json":
            values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
        arrays[name] = pa.array(values, kinds[kind])
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink)
    return sink.getvalue()


def read_table(path: Path, columns: tuple[Column, ...]) -> list[Row]:
    """Read what write_table wrote. Raises BadInput when the file is something else."""
    check_format(path)
    try:
        if path.suffix.lower() == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                rows = list(reader)
                missing = {column.name for column in columns} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"no {', '.join(sorted(missing))}")
        else:
            import pyarrow.parquet as pq

            rows = pq.read_table(path).to_pylist()
        return [typed(row, columns, path.suffix.lower()) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        names = ", ".join(column.name for column in columns)
        raise BadInput(
            f"{path} is not a table of this command (columns {names}): {error}.",
            f"{path}: 이 명령의 표가 아니에요({names}): {error}.",
        ) from error


def typed(row: Row, columns: tuple[Column, ...], suffix: str) -> Row:
    if suffix == ".json":
        return {name: row[name] for name, _ in columns}
    result: Row = {}
    for name, kind in columns:
        value = row[name]
        if value is None or (value == "" and kind != "text"):
            result[name] = None
        elif kind == "json":
            result[name] = json.loads(value)
        else:
            result[name] = {"int": int, "float": float, "text": str}[kind](value)
    return result
