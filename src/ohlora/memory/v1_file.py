"""The memory file of Oh-LoRA v1: one "[key: value]" per line of a UTF-8 text file.

`v1_choose` and `v1_save` are exactly what v1 did with it (spec/product.md sections 3 and 6).
`import_file` takes such a file into the store and `export_file` writes it back byte for byte;
a line changes only when its memory did, and new memories follow at the end.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import BadInput
from ohlora.memory.records import SHOWN_STATE, MemoryRecord
from ohlora.memory.store import Store

Vector = NDArray[np.float32]
V1_THRESHOLD = 0.6
FILE_BYTES = 10_000_000  # far above a lifetime of memories


def v1_choose(
    file_text: str,
    prompt: str,
    encode: Callable[[Sequence[str]], Sequence[Vector]],
    threshold: float = V1_THRESHOLD,
) -> str:
    """The line most like the prompt (the first of equals), "" when none reaches the threshold.

    A line counts when it has three characters or more, its newline included.
    """
    lines = [line.partition("\n")[0] for line in v1_lines(file_text) if len(line) >= 3]
    if not lines:
        return ""
    *memories, asked = encode([*lines, prompt])
    scores = [cosine(memory, asked) for memory in memories]
    best = max(range(len(lines)), key=lambda row: scores[row])
    return lines[best] if scores[best] >= threshold else ""


def cosine(a: Vector, b: Vector) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def v1_save(file_text: str, tags: Sequence[str]) -> str:
    """The file after v1 saved these tags: those that are new, spaces aside, come at the end."""
    lines = [line.removesuffix("\n") for line in v1_lines(file_text)]
    for tag in tags:
        if all(tag.replace(" ", "") != line.replace(" ", "") for line in lines):
            lines.append(tag)
    return "\n".join(lines) + "\n"


def v1_lines(file_text: str) -> list[str]:
    """Lines with their newline, as Python's text mode reads them (every line end is "\\n")."""
    text = file_text.replace("\r\n", "\n").replace("\r", "\n")
    return re.findall(r"[^\n]*\n|[^\n]+", text)


@dataclass(frozen=True)
class Imported:
    stored: int
    updated: int
    unchanged: int
    kept: int  # lines that are no memory, kept for the export

    def to_dict(self) -> dict[str, int]:
        return dict(self.__dict__)


LINE = re.compile(r"^\s*\[(?P<key>[^:\]]*):(?P<value>[^\]]*)\]\s*$")


def import_file(store: Store, data: bytes, written: datetime) -> Imported:
    """Take v1's file into the store, all of it or nothing.

    `written` is when the file was last written: "오늘 일정" meant that day. A file imported
    before is forgotten as a file; its memories stay. Raises BadInput when it is not UTF-8 text.
    """
    if len(data) > FILE_BYTES or b"\0" in data:
        raise _not_a_memory_file()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _not_a_memory_file() from error
    counts = {"stored": 0, "updated": 0, "unchanged": 0, "kept": 0}
    memories = store.memories.at(written)
    with store.db.write() as db:
        owner = (store.owner.user, store.owner.persona)
        rows: list[tuple[bytes, int | None]] = []
        for raw in re.findall(rb"[^\n]*\n|[^\n]+", data):
            memory_id = None
            if match := LINE.match(raw.removeprefix(BOM_UTF8).decode().rstrip("\r\n")):
                try:
                    record, action = memories.remember(match["key"], match["value"])
                    memory_id = record.id
                    counts[action] += 1
                except BadInput:  # "[:]": a line like any other
                    pass
            if memory_id is None:
                counts["kept"] += 1
            rows.append((raw, memory_id))
        store.owner.ensure(db, written.isoformat())
        db.execute("delete from v1_lines where user_id = ? and persona_id = ?", owner)
        db.executemany(
            "insert into v1_lines values (?, ?, ?, ?, ?, ?)",
            [
                (*owner, number, raw, memory_id, memory_id and _state(db, memory_id))
                for number, (raw, memory_id) in enumerate(rows)
            ],
        )
    return Imported(**counts)


def export_file(store: Store) -> bytes:
    """The file as v1 reads it: imported lines first, byte for byte, then the other memories.

    A line whose memory was changed is written anew, one whose memory was deleted is left out.
    """
    owner = (store.owner.user, store.owner.persona)
    with store.db.read() as db:
        lines = db.execute(
            "select raw, memory_id, state from v1_lines where user_id = ? and persona_id = ? "
            "order by position",
            owner,
        ).fetchall()
        states = {
            row["memory_id"]: _state(db, row["memory_id"]) for row in lines if row["memory_id"]
        }
        records: dict[int, MemoryRecord] = {
            record.id: record for record in store.memories.all(include_deleted=True)
        }
        rest = store.memories.all()
    out: list[bytes] = []
    written: set[int] = set()
    for row in lines:
        memory_id = row["memory_id"]
        if memory_id is None or states[memory_id] == row["state"]:
            out.append(row["raw"])
        elif not records[memory_id].deleted and memory_id not in written:
            written.add(memory_id)
            ending = re.search(rb"[\r\n]*$", row["raw"])
            mark = BOM_UTF8 if row["raw"].startswith(BOM_UTF8) else b""  # Windows Notepad's
            text = records[memory_id].text.encode()
            out.append(mark + text + (ending[0] if ending else b"\n"))
    new = [record for record in reversed(rest) if record.id not in states]
    if new and out and not out[-1].endswith(b"\n"):
        out.append(b"\n")
    out += [f"{record.text}\n".encode() for record in new]
    return b"".join(out)


def _state(db: Connection, memory_id: int) -> str:
    """What a line says of its memory, to see later whether that changed."""
    row = db.execute(
        f"select {', '.join(SHOWN_STATE)} from memories where id = ?", (memory_id,)
    ).fetchone()
    said: dict[str, Any] = dict(row)
    return json.dumps(said, ensure_ascii=False)


def _not_a_memory_file() -> BadInput:
    return BadInput(
        "This is not a v1 memory file: it wants UTF-8 text with one [key: value] per line.",
        "v1 기억 파일이 아니에요. 한 줄에 [이름표: 내용] 하나씩 적힌 UTF-8 텍스트여야 해요.",
    )
