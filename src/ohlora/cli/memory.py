"""`ohlora memory`: see, correct, move and check what she remembers of you."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.output import Json, print_json, say

if TYPE_CHECKING:
    from ohlora.memory import MemoryRecord, Store

app = typer.Typer(no_args_is_help=True, help="What she remembers of you.")

Persona = Annotated[str, typer.Option(help="Whose memories: a persona's id.", show_default=True)]
Id = Annotated[int, typer.Argument(help="The number that `memory list` shows.")]
All = Annotated[bool, typer.Option("--all", help="Also those deleted or expired.")]


@contextmanager
def opened(persona: str) -> Iterator[Store]:
    from ohlora import paths
    from ohlora.memory import open_store
    from ohlora.persona import load_persona

    store = open_store(paths.home() / "ohlora.db", persona=load_persona(persona).id)
    try:
        yield store
    finally:
        store.close()


def show(records: list[MemoryRecord], as_json: bool) -> None:
    if as_json:
        print_json([record.to_dict() | {"deleted": record.deleted} for record in records])
        return
    for record in records:
        gone = say(" (deleted)", " (삭제됨)") if record.deleted else ""
        whom = "" if record.subject == "user" else f" <{record.subject}>"
        print(f"{record.id:>5}  {record.text}{whom}{gone}")
    if not records:
        print(say("No memories.", "기억이 없어요."))


@app.command("list")
def list_(everything: All = False, persona: Persona = "ohlora", as_json: Json = False) -> None:
    """List memories, last changed first.

    \b
    ohlora memory list --json
    """
    with opened(persona) as store:
        show(store.memories.all(include_deleted=everything), as_json)


@app.command("search")
def search(
    query: Annotated[str, typer.Argument(help='Words; a day matches its date ("내일 일정").')],
    everything: All = False,
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Find memories that hold every word.

    \b
    ohlora memory search "내일 일정"
    """
    with opened(persona) as store:
        show(store.memories.search(query, include_deleted=everything), as_json)


@app.command("add")
def add(
    key: Annotated[str, typer.Argument(help='Such as "좋아하는 음식" or "내일 일정".')],
    value: Annotated[str, typer.Argument(help="What to remember.")],
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Remember something; the same key takes the new value.

    \b
    ohlora memory add "좋아하는 가수" 아이유
    """
    with opened(persona) as store:
        record, _ = store.memories.remember(key, value)
        show([record], as_json)


@app.command("edit")
def edit(
    memory_id: Id,
    key: Annotated[str | None, typer.Option(help="New key.")] = None,
    value: Annotated[str | None, typer.Option(help="New value.")] = None,
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Change a memory's key, value or both.

    \b
    ohlora memory edit 3 --value "친구랑 영화 보기"
    """
    with opened(persona) as store:
        show([store.memories.edit(memory_id, key=key, value=value)], as_json)


@app.command("rm")
def rm(memory_id: Id, persona: Persona = "ohlora", as_json: Json = False) -> None:
    """Delete a memory; `memory undo` brings it back.

    \b
    ohlora memory rm 3
    """
    with opened(persona) as store:
        show([store.memories.delete(memory_id)], as_json)


@app.command("undo")
def undo(
    memory_id: Annotated[int | None, typer.Argument(help="Only this memory's last change.")] = None,
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Undo the last change, hers or yours; again undoes the one before.

    \b
    ohlora memory undo
    """
    with opened(persona) as store:
        undone = store.memories.undo(memory_id)
    if as_json:
        print_json(undone.to_dict())
    else:
        print(say(f"Undone: {undone.action}.", f"되돌림: {undone.action}."))
        show([undone.record], as_json=False)


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write; standard output if left out.")
    ] = None,
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Write the memories as v1's text file, or with --json in full with their history.

    \b
    ohlora memory export ohlora_memory.txt
    """
    import json

    from ohlora.memory.v1_file import export_file

    with opened(persona) as store:
        if as_json:
            records = store.memories.all(include_deleted=True)
            full = {
                "memories": [record.to_dict() | {"deleted": record.deleted} for record in records],
                "history": [change.to_dict() for change in store.memories.history()],
            }
            data = (json.dumps(full, ensure_ascii=False, indent=2) + "\n").encode()
        else:
            data = export_file(store)
    if file is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        from ohlora.files import write_whole

        write_whole(file, data)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="v1's ohlora_memory.txt.")],
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Read v1's text file; "오늘" in it means the day the file was last written.

    \b
    ohlora memory import ohlora_memory.txt
    """
    from ohlora.errors import BadInput
    from ohlora.memory.v1_file import import_file

    try:
        data = file.read_bytes()
        written = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    except OSError as error:
        raise BadInput(
            f"{file} cannot be read ({error.strerror}): give the path of a v1 memory file.",
            f"{file}를 읽을 수 없어요({error.strerror}). v1 기억 파일의 경로를 적어 주세요.",
        ) from error
    with opened(persona) as store:
        done = import_file(store, data, min(written, store.clock()))
    if as_json:
        print_json(done.to_dict())
    else:
        print(", ".join(f"{name} {count}" for name, count in done.to_dict().items()))


@app.command("audit")
def audit(
    purge: Annotated[
        bool, typer.Option("--purge", help="Erase deleted and expired ones for good.")
    ] = False,
    persona: Persona = "ohlora",
    as_json: Json = False,
) -> None:
    """Count what is kept, say where it came from and what looks wrong.

    \b
    ohlora memory audit --json
    """
    from ohlora.memory.audit import audit as look

    with opened(persona) as store:
        purged = store.memories.purge() if purge else 0
        found = look(store)
    if as_json:
        print_json(found.to_dict() | {"purged": purged})
        return
    counts = f"live {found.live}, expired {found.expired}, deleted {found.deleted}"
    print(f"{counts}, changes {found.changes}, with source {found.sourced}, purged {purged}")
    for finding in found.findings:
        print(f"{finding.memory.id:>5}  {finding.memory.text}: {say(finding.en, finding.ko)}")
