"""`ohlora train`: her language model's adapter, and the sentence encoder."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ohlora.cli import train_cnn, train_domain, train_face, train_llm
from ohlora.errors import BadInput, CheckpointError

app = typer.Typer(no_args_is_help=True, help="Train her language model or sentence encoder.")
train_cnn.mount(app)
train_domain.mount(app)
train_face.mount(app)
train_llm.mount(app)


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
