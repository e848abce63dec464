"""`ohlora train llm`: an adapter for a language model, the embedded one or any other."""

from __future__ import annotations

import logging
import random
import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohlora.cli.output import say
from ohlora.errors import BadInput, CheckpointError

if TYPE_CHECKING:
    from ohlora.training.llm_config import TrainConfig

Folder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made, or gone on with.")]


def mount(app: typer.Typer) -> None:
    app.command("llm")(llm)


def llm(
    run_dir: Folder,
    preset: Annotated[
        str, typer.Option(help="embedded, or v1-faithful (Polyglot-Ko).")
    ] = "embedded",
    base: Annotated[
        str | None, typer.Option(help="Another base: a folder, a catalog id or a hub id.")
    ] = None,
    job: Annotated[
        str, typer.Option(help="answer, memory, expression or summary: what it learns.")
    ] = "answer",
    persona: Annotated[str, typer.Option(help="Whose lines: a name or a folder.")] = "ohlora",
    data: Annotated[
        Path | None, typer.Option(help="Pairs in place of the lines: .jsonl or .csv (q,a).")
    ] = None,
    chatbot_data: Annotated[
        Path | None, typer.Option(help="ChatbotData.csv or .csv.xz, for small talk.")
    ] = None,
    own_share: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="Of the rows: the persona's; the rest is small talk."),
    ] = None,
    rank: Annotated[int | None, typer.Option(min=1, max=512, help="Of the adapter.")] = None,
    alpha: Annotated[float | None, typer.Option(min=0, help="Adapter scale times rank.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="Layers with an adapter, by name: q_proj,v_proj.")
    ] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the lines, in place of steps.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Rows a step.")] = None,
    log_every: Annotated[int | None, typer.Option(min=1, help="Steps.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or auto.")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    preview: Annotated[int, typer.Option(min=1, help="Rows to show before step one.")] = 4,
    preview_only: Annotated[bool, typer.Option(help="Show them and stop.")] = False,
) -> None:
    """Train an adapter on a persona's lines and small talk; loss on the answers only.

    Shows first which tokens carry loss, and stops if a row has none. Called again with the same
    RUN_DIR it goes on where it stopped. RUN_DIR/adapter is the result. What is not given keeps the
    preset's value; the base is Gemma 3 270M unless --base names another.

    \b
    ohlora train llm runs/mine --chatbot-data ChatbotData.csv --steps 600
    ohlora train llm runs/memory --job memory --epochs 3
    ohlora train llm runs/big --base my-llama/ --rank 32 --epochs 3
    ohlora train llm runs/v1 --preset v1-faithful --data OhLoRA_fine_tuning_25042213.csv
    """
    from ohlora.cli.train import need_torch

    need_torch()
    from ohlora.llm.jobs import JOBS
    from ohlora.paths import embedded
    from ohlora.persona import load_persona
    from ohlora.training.llm_config import PRESETS

    choose(preset, PRESETS, "preset")
    choose(job, JOBS, "job")
    for path in (chatbot_data, data):
        if path is not None and not path.is_file():
            raise CheckpointError(path, "is not there: give a file.", "파일이 없어요.")
    config = PRESETS[preset]
    if base is not None and preset == "embedded":
        config = replace(config, targets="all-linear")
    given: dict[str, Any] = {
        "base": base, "job": job, "rank": rank, "alpha": alpha, "targets": targets, "lr": lr,
        "total_steps": steps, "epochs": epochs if steps is None else 0, "batch_size": batch,
        "own_share": own_share, "log_every": log_every, "save_every": save_every,
        "threads": threads, "device": device, "seed": seed,
        "data": str(data) if data else None,
        "chatbot_data": str(chatbot_data) if chatbot_data else None,
        "lines": str(load_persona(persona).folder / "lines"),
        "tokenizer": str(embedded() / "llm" / "tokenizer.json"),
    }  # fmt: skip
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    if config.base and find_spec("trl") is None:
        raise BadInput(
            "Other bases need trl: pip install 'ohlora[trl]'.",
            "다른 바탕 모델을 학습하려면 trl이 필요해요: pip install 'ohlora[trl]'",
        )
    show_rows(config, run_dir, preview)
    if preview_only:
        return
    for field in fields(config):
        print(f"  {field.name} {getattr(config, field.name)}", file=sys.stderr)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if config.base:
        from ohlora.training.llm_trl import train
    else:
        from ohlora.training.llm import train
    print(train(config, run_dir))


def choose(value: str, known: Any, what: str) -> None:
    """Raises BadInput on a value that is not among the known ones."""
    if value not in known:
        raise BadInput(
            f"There is no {what} {value!r}: choose among {', '.join(known)}.",
            f"{what} {value!r}는 없어요. {', '.join(known)} 가운데 골라 주세요.",
        )


def show_rows(config: TrainConfig, run_dir: Path, count: int) -> None:
    """Print rows with their trained tokens marked. Raises BadInput when a row has none."""
    from ohlora.training.llm_rows import rows_for
    from ohlora.training.llm_tokens import coder_for
    from ohlora.training.preview import check_rows, preview

    rows = rows_for(config, run_dir).trained[0]
    coder = coder_for(config)
    check_rows(coder, rows)
    shown = random.Random(config.seed).sample(rows, min(count, len(rows)))
    print(say("Tokens between ⟦ and ⟧ carry loss:", "⟦ ⟧ 사이의 토큰만 학습해요:"))
    for one in preview(coder, shown):
        print(f"  {one.trained:>3}/{one.tokens:<3} {one.text}")
