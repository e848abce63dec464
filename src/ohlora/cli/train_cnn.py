"""`ohlora train parser|cnn|property|v3`: the networks that look at faces, and FineTune-v3."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from ohlora.cli.output import Json, print_json, say

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made, or gone on with.")]
Synth = Annotated[Path, typer.Option(help="A folder of `ohlora synth dataset`.")]
Lr = Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one) or cpu.")]
Seed = Annotated[int, typer.Option(min=0)]


def mount(app: typer.Typer) -> None:
    """Add the commands of this file to `ohlora train`."""
    app.command("parser")(parser)


def start() -> None:
    """Before a training: torch is there, and what happens is written. Raises BadInput."""
    from ohlora.cli.train import need_torch

    need_torch()
    logging.basicConfig(level=logging.INFO, format="%(message)s")


def parser(
    run_dir: RunDir,
    data: Synth,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3000,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 16,
    lr: Lr = None,
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the persons, to measure on.")
    ] = 0.1,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16: faster.")] = "bfloat16",
    save_every: Annotated[int, typer.Option(min=1, help="Steps.")] = 200,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = 7,
    as_json: Json = False,
) -> None:
    """Train the small face parser, which stands in where FaceXFormer's weights are absent.

    RUN_DIR/face_parser.safetensors (1.3 MB) is the result; put into OHLORA_HOME/models it is used
    by `ohlora vision`. RUN_DIR/report.json tells how well it parses persons it has never seen.

    \b
    ohlora synth dataset faces --count 4000 --size 256
    ohlora train parser runs/parser --data faces --steps 3000
    """
    start()
    from ohlora.training.face_parser import ParserConfig, train_parser
    from ohlora.training.loop import LoopConfig

    config = ParserConfig(held_out=held_out, **({} if lr is None else {"lr": lr}))
    loop = LoopConfig(
        steps=steps, batch_size=batch, precision=precision, ema=0.995, log_every=20,
        sample_every=save_every, save_every=save_every, threads=threads, device=device,
        seed=seed, channels_last=True,
    )  # fmt: skip
    path, report = train_parser(data, config, loop, run_dir)
    if as_json:
        print_json({"parser": str(path), "miou": report.miou, "score_r": report.score_r})
        return
    agreement = ", ".join(
        f"{name} {report.score_r[name] or 0:.3f}" for name in ("eyes", "mouth", "pose")
    )
    print(
        say(
            f"{path}: mIoU {report.miou:.3f} on {report.pictures} unseen pictures; r {agreement}",
            f"{path}: 처음 보는 그림 {report.pictures}장에서 mIoU {report.miou:.3f}, r {agreement}",
        )
    )
