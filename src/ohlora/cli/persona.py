"""`ohlora persona`: who speaks. Make a persona, look at one, carry it in and out, check it."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ohlora.cli.output import Json, language, print_json, say

app = typer.Typer(no_args_is_help=True, help="Persona packs: who speaks.")

Name = Annotated[str, typer.Argument(help="A name from `persona list`, or a folder.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace a persona of that name; kept until the new is.")
]


@app.command("new")
def new(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its short name: a-z, 0-9, -, _.")],
    lines: Annotated[
        Path, typer.Option(help='Written lines: "Q: ..." and under it "A: ..."; UTF-8.')
    ],
    name: Annotated[str, typer.Option(help="What it is called; the ID when left out.")] = "",
    greeting: Annotated[str, typer.Option(help="Its first words.")] = "",
    about: Annotated[str, typer.Option(help="One sentence about it.")] = "",
    born: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Date of birth: fills {나이}.")
    ] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Make a persona out of written lines; ten are enough to talk.

    \b
    ohlora persona new mina --name 미나 --lines ten.txt
    """
    from ohlora.embedding import load_encoder
    from ohlora.packs.new import new_pack
    from ohlora.packs.pack import check_id
    from ohlora.packs.place import place
    from ohlora.packs.written import read_written

    check_id(id)
    pack = new_pack(
        id,
        name or id,
        read_written(lines),
        load_encoder(),
        greeting=greeting,
        about=about,
        born=born.date() if born else None,
    )
    made(place(pack, replace=replace), as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the persona packs on this machine."""
    from ohlora.packs.place import mend
    from ohlora.persona import find_packs

    mend()
    rows = [describe(name) for name, _ in find_packs()]
    if as_json:
        print_json([{key: row[key] for key in ("id", "name", "about", "folder")} for row in rows])
        return
    for row in rows:
        print(f"{row['id']:<16} {row['name'][language()]:<12} {row['about'][language()]}")


@app.command("show")
def show(name: Name = "ohlora", as_json: Json = False) -> None:
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
    print(f"  {say(*VOICES[row['voice']])}")


@app.command("export")
def export_(
    name: Name,
    to: Annotated[Path, typer.Argument(help="A file that ends in .charx, .png or .json.")],
    spec: Annotated[
        int, typer.Option(min=2, max=3, help="Character Card version of a .json or .charx.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Write a persona to one file: .charx carries all of it, .png and .json the character card.

    \b
    ohlora persona export mina mina.charx
    ohlora persona export mina mina.png
    """
    from ohlora.packs.carry import export
    from ohlora.persona import load_persona

    done = export(load_persona(name).folder, to, spec=3 if spec == 3 else 2)
    if as_json:
        print_json({"path": str(done.path), "left_out": list(done.left_out)})
        return
    print(done.path)
    if done.left_out:
        print(
            say(
                f"  {len(done.left_out)} files (adapter, face, assets) travel only in a .charx.",
                f"  파일 {len(done.left_out)}개(어댑터, 얼굴, 그림)는 .charx에만 담겨요.",
            )
        )


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A .charx, .png or .json card, or a folder.")],
    as_: Annotated[str, typer.Option("--as", help="Its short name here.")] = "",
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Bring in a persona: Character Card V2 or V3, .charx, or a pack's folder.

    \b
    ohlora persona import mina.charx
    ohlora persona import card.png --as aqua
    """
    from ohlora.embedding import load_encoder
    from ohlora.packs.carry import bring

    made(bring(file, load_encoder(), id=as_, replace=replace), as_json)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="One of your own personas.")],
    adapter: Annotated[
        Path | None, typer.Option(help="Folder of a LoRA adapter, as `ohlora train llm` leaves it.")
    ] = None,
    face: Annotated[
        Path | None, typer.Option(help="Folder of a frame pack, as `ohlora face pack` makes it.")
    ] = None,
    z: Annotated[Path | None, typer.Option(help="A face vector: CSV, header and row.")] = None,
    as_json: Json = False,
) -> None:
    """Give a persona an adapter or a face; refused when it does not fit.

    \b
    ohlora persona add mina --adapter runs/mina/adapter
    """
    from ohlora.packs.equip import equip

    made(equip(name, adapter=adapter, face=face, z=z), as_json)


@app.command("script")
def script(
    name: Name,
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    as_json: Json = False,
) -> None:
    """Write the lines to train a persona's own adapter on, as a folder for `ohlora train llm`.

    \b
    ohlora persona script mina runs/mina-script
    """
    from ohlora.embedding import load_encoder
    from ohlora.packs.script import write_script
    from ohlora.persona import load_persona

    counts = write_script(load_persona(name).folder, to, load_encoder())
    if as_json:
        print_json({"folder": str(to), "lines": counts})
        return
    print(f"{to}: " + ", ".join(f"{count} {stem}" for stem, count in counts.items()))


@app.command("validate")
def validate(name: Name, as_json: Json = False) -> None:
    """Name every problem of a persona, with file and line; exit code 1 when there is one.

    \b
    ohlora persona validate mina
    """
    from ohlora.errors import UnknownPersona
    from ohlora.packs.check import problems
    from ohlora.persona import find_packs

    packs = dict(find_packs())
    folder = packs.get(name) or Path(name).expanduser()
    if not folder.is_dir():
        raise UnknownPersona(name, tuple(packs))
    found = problems(folder)
    if as_json:
        print_json([{"where": one.where, "message": one.en, "message_ko": one.ko} for one in found])
    else:
        for one in found:
            print(f"{folder / one.where}: {say(one.en, one.ko)}")
        if not found:
            print(say(f"{folder}: sound", f"{folder}: 문제가 없어요"))
    if found:
        raise typer.Exit(1)


VOICES = {
    "embedded": ("speaks with the embedded adapter", "내장 어댑터로 말해요"),
    "own": ("speaks with its own adapter", "자기 어댑터로 말해요"),
    "other": ("speaks with the model named in its [models]", "[models]에 적힌 모델로 말해요"),
    "borrowed": (
        "its own lines first; small talk in a borrowed voice (no adapter of its own)",
        "자기 대사로 먼저 답하고, 잡담은 내장 모델의 말투를 빌려요(자기 어댑터 없음)",
    ),
}


def describe(name: str) -> dict[str, Any]:
    from ohlora.lines import read_lines
    from ohlora.persona import DEFAULT, load_persona

    persona = load_persona(name)
    files = sorted((persona.folder / "lines").glob("*.jsonl"))
    topics = Counter(line.topic for file in files for line in read_lines(file))
    voice = "borrowed"
    if not persona.models.engine.startswith("embedded"):
        voice = "other"
    elif (persona.folder / "adapter").is_dir():
        voice = "own"
    elif persona.id == DEFAULT:
        voice = "embedded"
    return {
        "id": persona.id,
        "name": persona.name,
        "about": persona.about,
        "greeting": persona.greeting,
        "license": persona.license,
        "folder": str(persona.folder),
        "voice": voice,
        "today": persona.slots(date.today()),
        "lines": sum(topics.values()),
        "topics": dict(topics.most_common()),
    }


def made(folder: Path, as_json: bool) -> None:
    row = describe(str(folder))
    if as_json:
        print_json({key: row[key] for key in ("id", "name", "folder", "lines", "voice")})
        return
    print(f"{row['name'][language()]} ({row['id']}): {row['lines']} lines, {folder}")
    print(f"  ohlora chat --persona {row['id']}")
