"""`ohlora persona`: which persona packs are here, and what is in one."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ohlora.cli.output import Json, language, print_json

app = typer.Typer(no_args_is_help=True, help="Persona packs: who speaks.")


def describe(name: str) -> dict[str, Any]:
    from ohlora.lines import read_lines
    from ohlora.persona import load_persona

    persona = load_persona(name)
    files = sorted((persona.folder / "lines").glob("*.jsonl"))
    topics = Counter(line.topic for file in files for line in read_lines(file))
    return {
        "id": persona.id,
        "name": persona.name,
        "about": persona.about,
        "greeting": persona.greeting,
        "license": persona.license,
        "folder": str(persona.folder),
        "today": persona.slots(date.today()),
        "lines": sum(topics.values()),
        "topics": dict(topics.most_common()),
    }


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the persona packs on this machine."""
    from ohlora.persona import find_packs

    rows = [describe(name) for name, _ in find_packs()]
    if as_json:
        print_json([{key: row[key] for key in ("id", "name", "about", "folder")} for row in rows])
        return
    for row in rows:
        print(f"{row['id']:<16} {row['name'][language()]:<12} {row['about'][language()]}")


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(help="A name from `persona list`, or a folder.")
    ] = "ohlora",
    as_json: Json = False,
) -> None:
    """Show who a persona is: greeting, facts of today, lines by topic.

    \b
    ohlora persona show ohlora
    """
    row = describe(name)
    if as_json:
        print_json(row)
        return
    print(f"{row['name'][language()]} ({row['id']}): {row['about'][language()]}")
    print(f"  {row['greeting'][language()]}")
    print("  " + ", ".join(f"{slot} {value}" for slot, value in row["today"].items()))
    print(f"  {row['lines']} lines in {len(row['topics'])} topics, {Path(row['folder'])}")
