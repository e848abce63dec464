"""`ohlora train intent`: the classifier that tells which of her topics a turn is about."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from ohlora.errors import BadInput


def mount(app: typer.Typer) -> None:
    app.command("intent")(intent)


def intent(
    persona: Annotated[str, typer.Argument(help="Whose turns.tsv: a name or a folder.")] = "ohlora",
    encoder: Annotated[str, typer.Option(help="embedded or sbert:DIR.")] = "embedded",
) -> None:
    """Fit lines/turns.tsv to lines/topics.toml and write lines/intent.safetensors beside them.

    turns.tsv has a topic, a tab and a turn a line; "none" is any other talk. A minute on one core
    for 30,000 turns.

    \b
    ohlora train intent my-persona/
    """
    if find_spec("scipy") is None:
        raise BadInput(
            "Fitting the classifier needs scipy: pip install scipy.",
            "분류기를 맞추려면 scipy가 필요해요: pip install scipy",
        )
    from ohlora.embedding import load_encoder
    from ohlora.intent import WEIGHTS
    from ohlora.persona import load_persona
    from ohlora.training.intent import train

    folder = load_persona(persona).folder / "lines"
    fitted = train(folder, load_encoder(encoder))
    print(f"{folder / WEIGHTS}: {len(fitted.topics)} topics")
