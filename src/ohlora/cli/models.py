"""`ohlora models`: which model files exist, what is here, and how to get the rest."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ohlora.cli.output import Json, language, print_json, progress_bar, say

app = typer.Typer(no_args_is_help=True, help="Model files: list, get, check, prepare.")

Names = Annotated[
    list[str] | None, typer.Argument(help="Ids or groups from `models list`; none = all.")
]

STATUS_KO = {
    "ready": "있음",
    "to-prepare": "준비 필요",
    "partial": "일부",
    "damaged": "손상",
    "missing": "없음",
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


def brief(row: Any, state: Any) -> dict[str, Any]:
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


@app.command("list")
def list_(names: Names = None, as_json: Json = False) -> None:
    """List every model file: what is here, how large, what for.

    \b
    ohlora models list
    ohlora models list ohlora-v1
    """
    from ohlora.checkpoints import load_catalog, select, state_of
    from ohlora.checkpoints.records import read_records

    catalog, records = load_catalog(), read_records()
    rows = select(catalog, names) if names else list(catalog.values())
    briefs = [brief(row, state_of(row, records)) for row in rows]
    if as_json:
        print_json(briefs)
        return
    width = max(len(row["id"]) for row in briefs)
    for group, titles in GROUPS_EN_KO.items():
        members = [row for row in briefs if row["group"] == group]
        if not members:
            continue
        print(f"{group}  ({say(*titles)})")
        for row in members:
            status = say(row["status"], STATUS_KO[row["status"]])
            size = megabytes(row["bytes_here"] or row["bytes"])
            print(f"  {row['id']:<{width}}  {pad(status, 10)} {size:>9}  {row['needed']}")
            if row["detail"] and row["status"] != "ready":
                print(f"  {'':<{width}}  {row['detail']}")


def pad(text: str, width: int) -> str:
    """Fill up to a width in terminal cells; a Hangul syllable takes two."""
    from unicodedata import east_asian_width

    cells = sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
    return text + " " * max(0, width - cells)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="An id from `models list`.")],
    as_json: Json = False,
) -> None:
    """Show one row of the catalog: source, files, place, tensors, licence, state.

    \b
    ohlora models show stylegan-v3-generator
    """
    from ohlora.checkpoints import load_catalog, select, state_of

    rows = select(load_catalog(), [name])
    details = [brief(row, state_of(row)) | describe(row) for row in rows]
    if as_json:
        print_json(details[0] if len(details) == 1 else details)
        return
    for detail in details:
        print(f"{detail['title']}  ({detail['id']})")
        for label, value in lines_of(detail):
            print(f"  {pad(label, 16)} {value}")
        for file in detail["files"]:
            marks = [key for key in ("optional", "sealed") if file[key]]
            digest = f"sha256 {file['sha256'][:16]}..." if file["sha256"] else ""
            facts = ", ".join(filter(None, [megabytes(file["bytes"]), digest, *marks]))
            print(f"    {file['name']}{f'  ({facts})' if facts else ''}")


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
        (say("licence", "라이선스"), detail["license"]),
    ]
    return [(label, value) for label, value in rows if value]


def describe(row: Any) -> dict[str, Any]:
    """What the catalog knows of a row, as plain data."""
    from ohlora.checkpoints.records import known_digest, read_records

    records = {} if row.kind == "embedded" else read_records()
    nets = {net for file in row.files for net in file.nets}
    return {
        "loads_as": row.loads_as,
        "source": row.source(),
        "hub": row.hub or None,
        "original_place": "" if row.placed_by_us or row.kind == "embedded" else row.place,
        "path": str(place_of(row) or ""),
        "tensors": sum(len(net.tensors()) for net in nets),
        "license": row.license,
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


def place_of(row: Any) -> Any:
    if row.kind == "embedded":
        from ohlora.checkpoints.embedded import embedded_path

        return embedded_path(row)
    return row.path()


@app.command("path")
def path(
    name: Annotated[str, typer.Argument(help="An id from `models list`.")],
    as_json: Json = False,
) -> None:
    """Print where a model lies: the file, or the folder of several files.

    \b
    ohlora face render --generator "$(ohlora models path stylegan-v3-generator)" --out face.png
    """
    from ohlora.checkpoints import load_catalog, select, state_of
    from ohlora.errors import CheckpointError

    row = select(load_catalog(), [name])[0]
    state, place = state_of(row), place_of(row)
    if as_json:
        print_json({"id": row.id, "path": str(place or ""), "status": state.status})
    elif state.status != "ready":
        raise CheckpointError(
            place or row.id,
            f"{row.id} is {state.status}: run `ohlora models {fix_for(row)}`.",
            f"{row.id} 상태가 '{STATUS_KO[state.status]}'이에요. "
            f"`ohlora models {fix_for(row)}`를 실행해 주세요.",
        )
    else:
        print(place)


def fix_for(row: Any) -> str:
    return "prepare" if row.kind == "embedded" else f"pull {row.id}"


@app.command("prepare")
def prepare(as_json: Json = False) -> None:
    """Make the models that come with the program ready to run (once, about a minute).

    \b
    ohlora models prepare
    """
    from ohlora.checkpoints import load_catalog, select, state_of
    from ohlora.checkpoints.prepare import prepare as make_ready
    from ohlora.checkpoints.prepare import terms_to_show

    terms = terms_to_show()
    if terms:
        print(terms[language()], file=sys.stderr)
    make_ready(progress_bar())
    if as_json:
        rows = select(load_catalog(), ["embedded"])
        print_json([brief(row, state_of(row)) for row in rows])
