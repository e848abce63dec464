"""`ohlora train`: her language model's adapter, and the sentence encoder."""

from __future__ import annotations

import logging
import random
import sys
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohlora.cli import train_cnn, train_domain, train_face
from ohlora.cli.output import say
from ohlora.errors import BadInput, CheckpointError

if TYPE_CHECKING:
    from ohlora.training.llm import TrainConfig

app = typer.Typer(no_args_is_help=True, help="Train her language model or sentence encoder.")
train_cnn.mount(app)
train_domain.mount(app)
train_face.mount(app)

Folder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made, or gone on with.")]


@app.command("llm")
def llm(
    run_dir: Folder,
    chatbot_data: Annotated[Path, typer.Option(help="ChatbotData.csv.xz, for small talk.")],
    persona: Annotated[str, typer.Option(help="Whose lines: a name or a folder.")] = "ohlora",
    rank: Annotated[int | None, typer.Option(min=1, max=512, help="Of the adapter.")] = None,
    alpha: Annotated[float | None, typer.Option(min=0, help="Adapter scale times rank.")] = None,
    lr: Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Rows a step.")] = None,
    own_share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Of the rows: the persona's lines; the rest is small talk."
        ),
    ] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    preview: Annotated[int, typer.Option(min=1, help="Rows to show before step one.")] = 4,
    preview_only: Annotated[bool, typer.Option(help="Show them and stop.")] = False,
) -> None:
    """Train an adapter for Gemma 3 270M on a persona's lines and small talk; answers only.

    Shows first which tokens carry loss, and stops if a row has none. Called again with the same
    RUN_DIR it goes on where it stopped. RUN_DIR/adapter is the result. What is not given keeps the
    defaults of ohlora.training.llm.TrainConfig.

    \b
    ohlora train llm runs/mine --chatbot-data ChatbotData.csv.xz --steps 600
    """
    need_torch()
    from ohlora.paths import embedded
    from ohlora.persona import load_persona
    from ohlora.training.llm import TrainConfig, train

    if not chatbot_data.is_file():
        raise CheckpointError(
            chatbot_data, "is not there: give ChatbotData.csv.xz.", "파일이 없어요."
        )
    given: dict[str, Any] = {
        "rank": rank, "alpha": alpha, "lr": lr, "total_steps": steps, "batch_size": batch,
        "own_share": own_share, "save_every": save_every, "threads": threads,
        "device": device, "seed": seed,
    }  # fmt: skip
    config = TrainConfig(
        chatbot_data=str(chatbot_data),
        lines=str(load_persona(persona).folder / "lines"),
        tokenizer=str(embedded() / "llm" / "tokenizer.json"),
    )
    config = replace(config, **{name: value for name, value in given.items() if value is not None})
    show_rows(config, preview)
    if preview_only:
        return
    for field in fields(config):
        print(f"  {field.name} {getattr(config, field.name)}", file=sys.stderr)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(train(config, run_dir))


def show_rows(config: TrainConfig, count: int) -> None:
    """Print rows of the persona with their trained tokens marked. Raises BadInput."""
    from tokenizers import Tokenizer

    from ohlora.training.llm_data import read_persona, split
    from ohlora.training.preview import preview

    rows, _ = split(read_persona(Path(config.lines)))
    if not rows:
        raise BadInput(
            f"{config.lines} holds no line to train on: write some first.",
            f"{config.lines}에 학습할 대사가 없어요. 먼저 적어 주세요.",
        )
    if empty := [row.user for row in rows if not row.answer]:
        raise BadInput(
            f"{len(empty)} lines have no answer, the first is {empty[0]!r}: write one.",
            f"답이 없는 대사가 {len(empty)}개 있어요. 첫 번째: {empty[0]!r}",
        )
    rows = random.Random(config.seed).sample(rows, min(count, len(rows)))
    print(say("Tokens between ⟦ and ⟧ carry loss:", "⟦ ⟧ 사이의 토큰만 학습해요:"))
    for one in preview(Tokenizer.from_file(config.tokenizer), rows):
        print(f"  {one.trained:>3}/{one.tokens:<3} {one.text}")


@app.command("encoder")
def encoder(
    data: Annotated[Path, typer.Option(help="Folder of the corpora (kor_nlu/, parakqc/ ...).")],
    out: Annotated[Path, typer.Option(help="Folder for the encoder.")],
    persona: Annotated[str, typer.Option(help="Whose lines: a name or a folder.")] = "ohlora",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
) -> None:
    """Train the static sentence encoder: about five minutes on one thread.

    \b
    ohlora train encoder --data corpora/ --out my-encoder/
    """
    need_torch()
    from ohlora.persona import load_persona
    from ohlora.training.encoder import EncoderConfig, fit

    if not data.is_dir():
        raise CheckpointError(data, "is no folder of corpora.", "말뭉치 폴더가 아니에요.")
    config = EncoderConfig() if steps is None else EncoderConfig(steps=steps)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fit(config, data, load_persona(persona).folder / "lines", out)
    print(out)


def need_torch() -> None:
    """Raises BadInput with what to install when torch is not there."""
    if find_spec("torch") is None:
        raise BadInput(
            "Training needs torch: pip install 'ohlora[torch]'.",
            "학습하려면 torch가 필요해요: pip install 'ohlora[torch]'",
        )
