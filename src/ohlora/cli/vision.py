"""`ohlora vision`: find faces, parse them, measure them, look at them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohlora.cli.output import Json, language, print_json, progress_bar, say
from ohlora.errors import BadInput
from ohlora.text import josa

if TYPE_CHECKING:
    from ohlora.vision.batch import Stage
    from ohlora.vision.stages import FaceParser
    from ohlora.vision.table import Results

app = typer.Typer(no_args_is_help=True, help="Faces in pictures: find, parse, score, look.")

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Pictures: files, folders or globs.")
]
Mtcnn = Annotated[
    Path | None, typer.Option("--mtcnn", help="Folder of mtcnn_{p,r,o}net.pt.", show_default="ours")
]
Facexformer = Annotated[
    Path | None,
    typer.Option(
        "--facexformer",
        help="segmentation_model.pt, or a face_parser.safetensors of `ohlora train parser`.",
        show_default="ours",
    ),
]
Runtime = Annotated[
    str, typer.Option(help="openvino: CPU, prepares once; torch: CPU or GPU, same results.")
]
Device = Annotated[str, typer.Option(help="Where the parser runs: cpu, cuda, cuda:1 ...")]
Precision = Annotated[
    str, typer.Option(help="float32: as published; bfloat16: faster, edges may move.")
]
Batch = Annotated[int, typer.Option(min=1, max=256, help="Pictures at a time.")]
Again = Annotated[bool, typer.Option("--again", help="Redo all rows, replace the table.")]


def report(results: Results, counts: Counter[str], as_json: bool, **more: Any) -> None:
    """How many rows of each status, and where they are."""
    if as_json:
        print_json({"out": str(results.path), "rows": sum(counts.values()), "status": counts})
        return
    listed = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    total = sum(counts.values())
    print(
        say(
            f"{results.path}: {total} pictures: {listed}",
            f"{results.path}: 이미지 {total}장: {listed}",
        )
    )
    for what, path in more.items():
        print(f"{what}: {path}")


def go_through(paths: list[Path], stage: Stage, results: Results, batch: int) -> Counter[str]:
    """Do what is left to do, with a bar to watch; count rows by status."""
    from ohlora.vision.batch import run

    return run(
        paths, stage, results, batch_size=batch, language=language(), progress=progress_bar()
    )


def checksums(paths: list[Path]) -> dict[str, str]:
    """So that rows made with other weights are never mixed in."""
    from ohlora.vision.weights import digest

    return {path.name: digest(path) for path in paths}


def load_face_parser(
    mtcnn: Path | None, facexformer: Path | None, runtime: str, device: str, precision: str
) -> tuple[FaceParser, dict[str, Any]]:
    """Both networks, and the settings that decide what they find."""
    from ohlora.vision.stages import FaceParser
    from ohlora.vision.weights import (
        SMALL_PARSER,
        load_mtcnn,
        load_parser,
        mtcnn_files,
        parser_file,
    )

    files = [*mtcnn_files(mtcnn), parser_file(facexformer)]  # before torch is imported
    if facexformer is None and files[-1].name == SMALL_PARSER:
        note = say(
            "FaceXFormer is not here: the small parser trained on synthetic faces stands in.",
            "FaceXFormer가 없어서 합성 얼굴로 학습한 작은 파서를 대신 써요.",
        )
        print(note, file=sys.stderr)
    parse = load_parser(
        facexformer,
        runtime=runtime,
        device=device,
        precision=precision,
        progress=progress_bar(),
    )
    settings = {"weights": checksums(files), "precision": precision}
    return FaceParser(load_mtcnn(mtcnn), parse), settings


@app.command("detect")
def detect(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Table: .csv, .json or .parquet.")],
    mtcnn: Mtcnn = None,
    batch: Batch = 8,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Find faces: boxes in pixels, five landmarks, one row a picture.

    \b
    ohlora vision detect photos/ --out faces.csv
    """
    from ohlora.vision.images import find_images
    from ohlora.vision.stages import DETECTED, Detect
    from ohlora.vision.table import Results
    from ohlora.vision.weights import load_mtcnn, mtcnn_files

    paths = find_images(sources)
    settings = {"command": "detect", "weights": checksums(mtcnn_files(mtcnn))}
    results = Results(out, DETECTED, settings, again=again)
    counts = go_through(paths, Detect(load_mtcnn(mtcnn)), results, batch)
    report(results, counts, as_json)


@app.command("parse")
def parse(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and parse.csv.")],
    mtcnn: Mtcnn = None,
    facexformer: Facexformer = None,
    runtime: Runtime = "openvino",
    device: Device = "cpu",
    precision: Precision = "float32",
    batch: Batch = 8,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Parse the largest face of each picture into 11 classes, 224 x 224.

    Writes parsing_NNNNNN.png, parsing_visualization_NNNNNN.png and face_NNNNNN.png as the
    original does, and parse.csv with one row a picture.

    \b
    ohlora vision parse photos/ --out parsed/
    """
    parser, settings = load_face_parser(mtcnn, facexformer, runtime, device, precision)
    results, counts = parse_into(out, sources, parser, settings, batch, again)
    report(results, counts, as_json)


def parse_into(
    out: Path,
    sources: list[str],
    parser: FaceParser,
    settings: Mapping[str, Any],
    batch: int,
    again: bool,
) -> tuple[Results, Counter[str]]:
    from ohlora.vision.images import find_images, path_text
    from ohlora.vision.parsed import TABLE, name_of
    from ohlora.vision.stages import PARSED, Parse, names_for
    from ohlora.vision.table import Results

    paths = find_images(sources)
    results = Results(out / TABLE, PARSED, {"command": "parse", **settings}, again=again)
    taken = [name_of(row["parsing_path"]) for row in results.rows if row["parsing_path"]]
    fresh = [path for path in paths if path_text(path) not in results.done]
    stage = Parse(parser, out, names_for(fresh, taken))
    return results, go_through(paths, stage, results, batch)


@app.command("score")
def score(
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Table: .csv, .json or .parquet.")],
    rules: Annotated[str, typer.Option(help="v2, or v1: the first rule set.")] = "v2",
    normalised: Annotated[
        Path | None, typer.Option(help="Also a table in standard deviations, as all_scores.csv.")
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="Save the means and deviations used (JSON).")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option(help="Use saved means and deviations instead of new ones.")
    ] = None,
    originals: Annotated[
        Path | None, typer.Option(help="Folder of the parsed pictures, for --rules v1.")
    ] = None,
    mtcnn: Mtcnn = None,
    facexformer: Facexformer = None,
    runtime: Runtime = "openvino",
    device: Device = "cpu",
    precision: Precision = "float32",
    batch: Batch = 8,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Measure eyes, hair, mouth, pose and background: seven scores a picture.

    A SOURCE that `vision parse` (or the original) made is scored as it lies, without networks.

    \b
    ohlora vision score photos/ --out scores.csv
    ohlora vision score parsed/ --out scores.csv --normalised all_scores_v2.csv
    """
    from ohlora.vision.images import find_images
    from ohlora.vision.normalise import Normalisation
    from ohlora.vision.parsed import is_parse_folder, score_folder
    from ohlora.vision.scores import VERSIONS
    from ohlora.vision.stages import SCORED, Score
    from ohlora.vision.table import Results, check_format

    if rules not in VERSIONS:
        raise BadInput(
            f"There are no rules {rules!r}: use v1 or v2.",
            f"{rules!r} 규칙이 없어요. v1이나 v2를 쓰세요.",
        )
    if normalised:
        check_format(normalised)
    known = Normalisation.load(apply) if apply else None
    settings: dict[str, Any] = {"command": "score", "rules": rules}
    folder = Path(sources[0])
    if len(sources) == 1 and is_parse_folder(folder):
        settings["parsed"] = str(folder)
        results = Results(out, SCORED, settings, again=again, numbered=True)
        counts = score_folder(folder, results, rules, originals=originals, language=language())
    else:
        parser, made_by = load_face_parser(mtcnn, facexformer, runtime, device, precision)
        paths = find_images(sources)
        results = Results(out, SCORED, settings | made_by, again=again, numbered=True)
        counts = go_through(paths, Score(parser, rules), results, batch)
    more = {}
    if normalised or statistics:
        more = normalise(results, normalised, statistics, known)
    report(results, counts, as_json, **more)


def normalise(
    results: Results, normalised: Path | None, statistics: Path | None, known: Any
) -> dict[str, Path]:
    """Scores of the good rows in standard deviations, under the original's column names."""
    from ohlora.vision.normalise import Normalisation
    from ohlora.vision.stages import FIRST, SCORE_COLUMNS, SCORED
    from ohlora.vision.table import write_table

    good = [row for row in results.rows if row["status"] == "ok"]
    table = {name: [row[name] for row in good] for name in SCORE_COLUMNS}
    used = known or Normalisation.fit(table)
    written = {}
    if statistics:
        used.save(statistics)
        written["statistics"] = statistics
    if normalised:
        columns = SCORED[: len(FIRST) + len(SCORE_COLUMNS)]
        scaled = used.apply(table)
        rows = [
            {**row, **{name: scaled[name][i] for name in SCORE_COLUMNS}}
            for i, row in enumerate(good)
        ]
        keep = [column.name for column in columns]
        rows = [{name: row[name] for name in keep} for row in rows]
        write_table(normalised, columns, rows, numbered=True)
        written["normalised"] = normalised
    return written


@app.command("overlay")
def overlay(
    sources: Sources,
    out: Annotated[
        Path | None, typer.Option(help="Folder; a SOURCE that is parsed already needs none.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="A table of `vision score`, shown beside the faces.")
    ] = None,
    mtcnn: Mtcnn = None,
    facexformer: Facexformer = None,
    runtime: Runtime = "openvino",
    device: Device = "cpu",
    precision: Precision = "float32",
    batch: Batch = 8,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Draw the classes over the faces, and a page to look at: index.html.

    \b
    ohlora vision overlay parsed/ --scores scores.csv
    ohlora vision overlay photos/ --out looked-at/
    """
    from ohlora.vision.parsed import is_parse_folder
    from ohlora.vision.report import contact_sheet, write_report
    from ohlora.vision.stages import SCORED
    from ohlora.vision.table import read_table

    measured = {row["img_path"]: row for row in read_table(scores, SCORED)} if scores else {}
    folder = Path(sources[0])
    parsed = len(sources) == 1 and is_parse_folder(folder)
    if parsed == (out is not None):
        raise BadInput(
            f"{folder} is parsed already and its page goes beside it: leave --out away."
            if parsed
            else "These pictures are not parsed yet: say where the results go with --out FOLDER.",
            f"{josa(str(folder), '은/는')} 이미 파싱한 폴더라 그 안에 페이지를 만들어요. "
            "--out을 빼 주세요."
            if parsed
            else "아직 파싱하지 않은 이미지예요. 결과를 둘 폴더를 --out으로 정해 주세요.",
        )
    if out is not None:
        parser, settings = load_face_parser(mtcnn, facexformer, runtime, device, precision)
        parse_into(out, sources, parser, settings, batch, again)
        folder = out
    cards = contact_sheet(folder, measured)
    page = folder / "index.html"
    write_report(page, cards, language())
    good = sum(card.status == "ok" for card in cards)
    if as_json:
        print_json({"out": str(page), "pictures": len(cards), "ok": good})
    else:
        print(say(f"{page}: {good} of {len(cards)}", f"{page}: {len(cards)}장 중 {good}장"))
