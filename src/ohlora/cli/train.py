"""`ohlora train`: her language model's adapter, and the sentence encoder."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from ohlora.cli import train_cnn, train_domain, train_face, train_intent, train_llm
from ohlora.errors import BadInput, CheckpointError

app = typer.Typer(no_args_is_help=True, help="Train her language model or sentence encoder.")
train_cnn.mount(app)
train_domain.mount(app)
train_face.mount(app)
train_llm.mount(app)
train_intent.mount(app)

Kind = Literal["static", "transformer"]


@app.command("encoder")
def encoder(
    data: Annotated[Path, typer.Option(help="Folder of the corpora (kor_nlu/, parakqc/ ...).")],
    out: Annotated[Path, typer.Option(help="Folder for the encoder.")],
    persona: Annotated[str, typer.Option(help="Whose lines: a name or a folder.")] = "ohlora",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    kind: Annotated[Kind, typer.Option(help="A bag of features, or layers of E5.")] = "static",
    run: Annotated[
        Path | None, typer.Option(help="transformer: run folder, made or gone on with.")
    ] = None,
) -> None:
    """Train the sentence encoder: static about five minutes on one thread, transformer about 25.

    \b
    ohlora train encoder --data corpora/ --out my-encoder/
    ohlora train encoder --kind transformer --run runs/encoder --data corpora/ --out my-encoder/
    """
    need_torch()
    from ohlora.persona import load_persona

    if not data.is_dir():
        raise CheckpointError(data, "is no folder of corpora.", "말뭉치 폴더가 아니에요.")
    lines = load_persona(persona).folder / "lines"
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if kind == "transformer":
        from ohlora.training.e5_base import find_base
        from ohlora.training.encoder_transformer import TransformerConfig, publish, train

        if run is None:
            raise BadInput(
                "--kind transformer needs --run, the folder a stopped training goes on from.",
                "--kind transformer에는 멈춘 학습을 이어갈 폴더 --run이 필요해요.",
            )
        chosen = TransformerConfig() if steps is None else TransformerConfig(total_steps=steps)
        base = find_base()
        train(chosen, base, data, lines, run)
        publish(run, out, base, data, lines)
        print(out)
        return
    from ohlora.training.encoder import EncoderConfig, fit

    config = EncoderConfig() if steps is None else EncoderConfig(steps=steps)
    fit(config, data, lines, out)
    print(out)


def need_torch() -> None:
    """Raises BadInput with what to install when torch is not there."""
    if find_spec("torch") is None:
        raise BadInput(
            "Training needs torch: pip install 'ohlora[torch]'.",
            "학습하려면 torch가 필요해요: pip install 'ohlora[torch]'",
        )
