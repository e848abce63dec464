"""`ohlora eval`: who she is, how she talks, what she remembers, her encoder, and her face."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ohlora.cli.output import Json, print_json, progress_bar, say

if TYPE_CHECKING:
    from ohlora.evaluation.report import Report
    from ohlora.evaluation.talk import Models

app = typer.Typer(no_args_is_help=True, help="Measure her, offline and without a judge.")

Persona = Annotated[str, typer.Option(help="Who: a name or a folder.")]
Engine = Annotated[str, typer.Option(help="embedded, hf:FOLDER[+ADAPTER], or openai:URL#MODEL.")]
Encoder = Annotated[str, typer.Option(help="embedded, or sbert:FOLDER.")]
LlmOnly = Annotated[
    bool, typer.Option("--llm-only", help="Without her written lines: the model's words only.")
]
Which = Annotated[
    Literal["held-out", "development"],
    typer.Option(
        "--set",
        help="held-out: turns that nobody tunes on; look at the totals. development: to tune on.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many questions (or scripts).")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for NAME.json, index.html and evaluation.md.")
]


def load(persona: str, engine: str, encoder: str, llm_only: bool, out: Path | None) -> Models:
    """The models, once it is sure that the results can be written."""
    from ohlora.evaluation.report import open_folder
    from ohlora.evaluation.talk import load_models

    if out:
        open_folder(out)
    return load_models(persona, engine, encoder, llm_only=llm_only, progress=progress_bar())


def variant(which: str, llm_only: bool) -> str:
    """What the names of files say of a result, so that no two kinds share a file."""
    return ("-development" if which == "development" else "") + ("-llm-only" if llm_only else "")


def finish(
    report: Report, out: Path | None, as_json: bool, llm_only: bool = False, which: str = ""
) -> None:
    """Write the results and print the numbers. Held-out turns stand in the folder only."""
    from ohlora.evaluation.report import wanted, write

    report.command = shlex.join(["ohlora", *sys.argv[1:]])
    report.name += variant(which, llm_only)
    if which:
        report.setting = {"set": which, **report.setting}
    if which == "development":
        report.title += ", development set"
    if llm_only:
        report.title += ", language model alone"
    page = write(out, report) if out else None
    if as_json:
        shown = replace(report, failures=[], rows=[]) if which == "held-out" else report
        print_json(shown.to_dict())
        return
    print(f"{report.title} ({report.date})")
    for number in report.numbers:
        asked = wanted(number).replace("*", "")
        print(f"  {number.what:<32} {number.text():<18} {asked:<22} {number.note}".rstrip())
    if report.failures:
        count = len(report.failures)
        print(say(f"  {count} replies to look at", f"  살펴볼 답: {count}개"))
    if page:
        print(page)


@app.command("persona")
def persona_(
    persona: Persona = "ohlora",
    engine: Engine = "embedded",
    encoder: Encoder = "embedded",
    llm_only: LlmOnly = False,
    which: Which = "held-out",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ask 200 paraphrased questions about who she is; answer keys decide.

    \b
    ohlora eval persona --out results/
    ohlora eval persona --set development --out results/
    """
    from ohlora.evaluation.persona import evaluate

    models = load(persona, engine, encoder, llm_only, out)
    report = evaluate(models, which, limit=limit, progress=progress_bar())
    finish(report, out, as_json, llm_only, which)


@app.command("chat")
def chat(
    persona: Persona = "ohlora",
    engine: Engine = "embedded",
    encoder: Encoder = "embedded",
    llm_only: LlmOnly = False,
    which: Which = "held-out",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """100 everyday turns and 200 on her boundaries: flaws, variety, length, what she refuses.

    With --out the everyday replies are listed in ratings.tsv (ratings-development.tsv,
    ratings-llm-only.tsv): write 1 or 0 before each by the rubric and run again to have the ratings
    counted.

    \b
    ohlora eval chat --out results/
    """
    from ohlora.evaluation.chat import RATINGS, evaluate, read_ratings, write_ratings

    name = RATINGS.replace(".tsv", f"{variant(which, llm_only)}.tsv")
    ratings = read_ratings(out / name) if out else {}
    models = load(persona, engine, encoder, llm_only, out)
    report = evaluate(models, which, limit=limit, ratings=ratings, progress=progress_bar())
    finish(report, out, as_json, llm_only, which)
    if out:
        write_ratings(out / name, report.rows)


@app.command("expression")
def expression(
    encoder: Encoder = "embedded",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Her face on held-out lines, against the rules of v1.

    \b
    ohlora eval expression
    """
    from ohlora.evaluation.expression import evaluate

    finish(evaluate(encoder), out, as_json)


@app.command("memory")
def memory(
    persona: Persona = "ohlora",
    engine: Engine = "embedded",
    encoder: Encoder = "embedded",
    llm_only: LlmOnly = False,
    which: Which = "held-out",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Talks over several days with updates, deletions and gaps: what she recalls, and when not.

    \b
    ohlora eval memory --out results/
    """
    from ohlora.evaluation.memory import evaluate

    models = load(persona, engine, encoder, llm_only, out)
    report = evaluate(models, which, limit=limit, progress=progress_bar())
    finish(report, out, as_json, llm_only, which)


@app.command("encoder")
def encoder_(
    data: Annotated[Path, typer.Option(help="Folder with kor_nlu/ and klue_dev/.")],
    encoder: Encoder = "embedded",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Spearman correlation with human scores on KorSTS test and KLUE-STS dev; time a sentence.

    \b
    ohlora eval encoder --data corpora/ --out results/
    """
    from ohlora.embedding import load_encoder
    from ohlora.evaluation.encoder import evaluate

    finish(evaluate(load_encoder(encoder), data), out, as_json)


@app.command("face")
def face_(
    generator: Annotated[Path, typer.Option(help="StyleGAN generator (.safetensors or .pth).")],
    parser: Annotated[
        Path, typer.Option(help="Face parser that took no part in training: a file or its folder.")
    ],
    statistics: Annotated[
        Path | None,
        typer.Option(help="Mean and deviation of the domain's raw scores (JSON)."),
    ] = None,
    domain: Annotated[
        Path | None,
        typer.Option(help="Pictures of the domain: for KID and FID, and for the statistics."),
    ] = None,
    directions: Annotated[
        Path | None, typer.Option(help="File of `ohlora face directions`; none: plain labels.")
    ] = None,
    probes: Annotated[
        int, typer.Option(min=0, help="Pictures measured to calibrate each face; 0: none.")
    ] = 0,
    calibrator: Annotated[
        Path | None, typer.Option(help="Parser that measures the probes, not the one above.")
    ] = None,
    z: Annotated[
        Path | None, typer.Option("--z", help="Her face vector, for the 7 x 5 x 5 sheet only.")
    ] = None,
    pack: Annotated[
        Path | None, typer.Option(help="Her frame pack: is she the same person in every frame?")
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Random faces, 50 pictures each.")] = 100,
    pictures: Annotated[int, typer.Option(min=2, help="Of the domain, at most.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random faces.")] = 0,
    mtcnn: Annotated[
        Path | None, typer.Option(help="Folder of mtcnn_{p,r,o}net.pt.", show_default="ours")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the generator runs: cpu, cuda ...")] = "cpu",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Does her face obey? Random faces x the original's 50 labels, measured on the class map.

    Correlation, error, the six thresholds, cross-talk, identity, drift, KID and FID. Scores are in
    standard deviations of --statistics, else of the pictures of --domain. Identity is measured by
    dlib's face recognition net and KID by EfficientNet-Lite0 where the extra `evaluation` is
    installed; the results say what stood in for them.

    \b
    ohlora eval face --generator g.safetensors --parser parser/ --domain faces/ --out results/
    """
    from ohlora.evaluation.face_run import FaceSetting, run

    setting = FaceSetting(
        generator, parser, statistics, domain, directions, probes, calibrator, z, pack, faces,
        pictures, seed, mtcnn, device,
    )  # fmt: skip
    finish(run(setting, out, progress_bar()), out, as_json)
