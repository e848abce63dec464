"""`ohlora train domain`: a generator learns the synthetic domain with the renderer as teacher."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from ohlora.errors import BadInput


def mount(app: typer.Typer) -> None:
    app.command("domain")(domain)


def domain(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made, or gone on with.")],
    data: Annotated[Path, typer.Option(help="Folder of `ohlora synth dataset --who her`.")],
    channels: Annotated[
        str, typer.Option(help="Per resolution from 4 px: six numbers are 128 px, seven 256.")
    ] = "256,256,192,128,64,32",
    steps: Annotated[int, typer.Option(min=1)] = 8_000,
    until: Annotated[
        int | None, typer.Option(min=1, help="Stop earlier than the schedule's end.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 8,
    lr: Annotated[float, typer.Option(min=0, help="Peak learning rate.")] = 1e-2,
    critic: Annotated[
        float, typer.Option(min=0, help="A critic of texture: its share of the gradient, e.g. 0.5.")
    ] = 0.0,
    coarse: Annotated[bool, typer.Option(help="Begin at low resolutions.")] = True,
    start_from: Annotated[
        Path | None, typer.Option(help="A generator.safetensors, also of a lower resolution.")
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="A fifth faster; needs a C++ compiler.")
    ] = False,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "bfloat16",
    save_every: Annotated[int, typer.Option(min=1, help="Steps.")] = 500,
    sample_every: Annotated[int, typer.Option(min=0, help="Steps; 0: never.")] = 500,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    """Train a generator on pictures of her and women near her; resumable.

    RUN_DIR/generator.ema.safetensors is the result, with z.csv (she), labels.json and scores.json
    (the scales of the labels).

    \b
    ohlora synth dataset near --who her --count 6000 --size 128
    ohlora train domain runs/her --data near
    """
    from ohlora.cli.train import need_torch

    need_torch()
    from ohlora.training.domain import DomainConfig, train_domain
    from ohlora.training.loop import LoopConfig

    try:
        widths = tuple(int(width) for width in channels.split(","))
    except ValueError:
        widths = ()
    if not 2 <= len(widths) <= 9 or min(widths) < 1:
        raise BadInput(
            f"--channels wants numbers like 256,256,192,128,64,32, got {channels!r}.",
            f"--channels에는 256,256,192,128,64,32 같은 숫자를 적어 주세요. 받은 값: {channels!r}",
        )
    config = DomainConfig(
        channels=widths, steps=steps, lr=lr, critic=critic, compile=compile,
        coarse=DomainConfig.coarse if coarse else (),
        start_from=str(start_from) if start_from else None,
    )  # fmt: skip
    loop = LoopConfig(
        steps=until or steps, batch_size=batch, precision=precision, ema=0.998, log_every=50,
        sample_every=sample_every, save_every=save_every, seed=seed, threads=threads,
        device=device, channels_last=False,
    )  # fmt: skip
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(train_domain(data, config, loop, run_dir))
