"""`ohlora eval`: who she is, how she talks, what she remembers, and her sentence encoder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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


def finish(report: Report, out: Path | None, as_json: bool, llm_only: bool = False) -> None:
    """Write the results and print the numbers."""
    from ohlora.evaluation.report import wanted, write

    report.command = shlex.join(["ohlora", *sys.argv[1:]])
    if llm_only:
        report.name += "-llm-only"
        report.title += ", language model alone"
    page = write(out, report) if out else None
    if as_json:
        print_json(report.to_dict())
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
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ask 200 paraphrased questions about who she is; answer keys decide.

    \b
    ohlora eval persona --out results/
    """
    from ohlora.evaluation.persona import evaluate

    models = load(persona, engine, encoder, llm_only, out)
    finish(evaluate(models, limit=limit, progress=progress_bar()), out, as_json, llm_only)


@app.command("chat")
def chat(
    persona: Persona = "ohlora",
    engine: Engine = "embedded",
    encoder: Encoder = "embedded",
    llm_only: LlmOnly = False,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """100 everyday turns and 200 on her boundaries: flaws, variety, length, what she refuses.

    With --out the everyday replies are listed in ratings.tsv (ratings-llm-only.tsv): write 1 or 0
    before each by the rubric and run again to have the ratings counted.

    \b
    ohlora eval chat --out results/
    """
    from ohlora.evaluation.chat import RATINGS, evaluate, read_ratings, write_ratings

    name = RATINGS.replace(".tsv", "-llm-only.tsv") if llm_only else RATINGS
    ratings = read_ratings(out / name) if out else {}
    models = load(persona, engine, encoder, llm_only, out)
    report = evaluate(models, limit=limit, ratings=ratings, progress=progress_bar())
    finish(report, out, as_json, llm_only)
    if out:
        write_ratings(out / name, report.rows)


@app.command("memory")
def memory(
    persona: Persona = "ohlora",
    engine: Engine = "embedded",
    encoder: Encoder = "embedded",
    llm_only: LlmOnly = False,
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
    finish(evaluate(models, limit=limit, progress=progress_bar()), out, as_json, llm_only)


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
