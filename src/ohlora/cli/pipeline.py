"""`ohlora pipeline`: her face from nothing, in stages that can be stopped."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from ohlora.cli.output import Json, complain, print_json, progress_bar, say
from ohlora.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="Her face from nothing: draw, label, train, accept.")

Out = Annotated[Path, typer.Argument(metavar="OUT", help="Made, or gone on with.")]
PresetName = Annotated[
    str | None,
    typer.Option(help="tiny, cpu or gpu.", show_default="that of OUT, else cpu"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.OPTION=VALUE", help="Other than the preset; again: more."),
]


@app.command("run")
def run_(
    out: Out,
    preset: PresetName = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Do this stage and all that build on it anew."),
    ] = None,
    settings: Settings = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw.", show_default="one a core")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one) or cpu.")] = "auto",
) -> None:
    """Synthesise, label, filter, parse, score, train every generator, accept, and pack her face.

    Skips what is done, does anew what depends on a changed option, goes on where it was cut off.
    OUT/report.html shows every stage. tiny takes a minute or two, cpu some hours; docs/pipeline.md
    lists stages and options.

    \b
    ohlora pipeline run her --preset tiny
    ohlora pipeline run her --set base.steps=8000 --until v1
    """
    start()
    from ohlora.pipeline.run import Stopped, plan_of, run
    from ohlora.pipeline.stage import Machine

    if device not in ("auto", "cpu"):
        raise BadInput(
            f"The device is auto or cpu, not {device!r}.",
            f"장치는 auto나 cpu예요. {device!r}은(는) 안 돼요.",
        )
    signal.signal(signal.SIGTERM, interrupt)
    plan = plan_of(out, preset, settings or [])
    machine = Machine(device, threads, workers)
    try:
        page = run(out, plan, machine, until=until, again=from_, tell=tell, progress=progress_bar())
    except Stopped as error:
        complain(error)
        raise typer.Exit(130) from error
    print(page)


@app.command("show")
def show(out: Out, as_json: Json = False) -> None:
    """What is done, what is out of date, and how long each stage took.

    \b
    ohlora pipeline show her
    """
    start()
    from ohlora.pipeline.plots import duration
    from ohlora.pipeline.report import WORDS
    from ohlora.pipeline.run import PLAN, is_running, plan_of, states

    if not (out / PLAN).is_file():
        raise BadInput(
            f"{out} holds no pipeline: begin one with `ohlora pipeline run {out}`.",
            f"{out}에 파이프라인이 없어요. `ohlora pipeline run {out}`로 시작하세요.",
        )
    plan, running = plan_of(out, None, []), is_running(out)
    words = {**WORDS, "going": ("at work", "작업 중")} if running else WORDS
    rows: list[dict[str, Any]] = []
    for one in states(out, plan):
        why = say(one.record.en, one.record.ko) if one.record and one.state == "stopped" else ""
        rows.append({"stage": one.stage.name, "state": one.state, "seconds": round(one.seconds, 1),
                     "title": say(one.stage.en, one.stage.ko), "why": why})  # fmt: skip
    if as_json:
        print_json({"preset": plan.preset, "settings": plan.settings, "running": running,
                    "stages": rows})  # fmt: skip
        return
    print(f"{plan.preset} {' '.join(plan.settings)}".rstrip())
    for number, row in enumerate(rows, start=1):
        time = duration(row["seconds"]) if row["seconds"] else ""
        state = say(*words[row["state"]])
        print(f"{number:>3} {row['stage']:<11}{time:>13}  {state}  {row['why']}".rstrip())


def start() -> None:
    """Before a run: what it needs is there. Raises BadInput."""
    from importlib.util import find_spec

    from ohlora.cli.train import need_torch

    need_torch()
    if missing := [name for name in ("warp", "pyarrow", "sklearn") if find_spec(name) is None]:
        raise BadInput(
            f"The pipeline needs {', '.join(missing)}: pip install 'ohlora[torch,synth]' "
            "scikit-learn.",
            f"파이프라인에는 {', '.join(missing)} 패키지가 필요해요: "
            "pip install 'ohlora[torch,synth]' scikit-learn",
        )
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


def interrupt(*_: object) -> None:
    """SIGTERM, as Ctrl-C does: the stage says how to go on."""
    raise KeyboardInterrupt


def tell(en: str, ko: str) -> None:
    import sys

    print(say(en, ko), file=sys.stderr, flush=True)
