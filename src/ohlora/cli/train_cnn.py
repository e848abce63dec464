"""`ohlora train parser|cnn|property|v3`: the networks that look at faces, and FineTune-v3."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.output import Json, print_json, say
from ohlora.errors import BadInput

if TYPE_CHECKING:
    from ohlora.training.face_data import FaceData
    from ohlora.training.loop import LoopConfig

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Made, or gone on with.")]
Synth = Annotated[Path, typer.Option(help="A folder of `ohlora synth dataset`.")]
Pictures = Annotated[
    Path | None, typer.Option(help="In place of --data: a folder of 000000.jpg, 000001.jpg ...")
]
Preset = Annotated[str, typer.Option(help="default, or v1-faithful: the original's mistakes too.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="At most; early stop comes before.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures a step.")]
Unit = Annotated[int, typer.Option(min=1, help="Width of the net; 32 as published.")]
SaveEvery = Annotated[int, typer.Option(min=1, help="Steps.")]
Lr = Annotated[float | None, typer.Option(min=0, help="Peak learning rate.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads.")]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one) or cpu.")]
Seed = Annotated[int, typer.Option(min=0)]


def mount(app: typer.Typer) -> None:
    """Add the commands of this file to `ohlora train`."""
    app.command("parser")(parser)
    app.command("cnn")(cnn)
    app.command("property")(properties)
    app.command("v3")(v3)


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

    config = ParserConfig(held_out=held_out)
    config = config if lr is None else replace(config, lr=lr)
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


def faithful(preset: str) -> bool:
    """Raises BadInput."""
    if preset not in ("default", "v1-faithful"):
        raise BadInput(
            f"There is no preset {preset!r}: use default or v1-faithful.",
            f"{preset!r} 프리셋은 없어요. default나 v1-faithful을 쓰세요.",
        )
    return preset == "v1-faithful"


def one_source(data: Path | None, images: Path | None, table: Path | None, option: str) -> None:
    """Raises BadInput unless there is a synthetic data set, or pictures and their table."""
    if (data is None) == (images is None) or (images is None) != (table is None):
        raise BadInput(
            f"Give either --data, or --images together with {option}.",
            f"--data를 주거나, --images와 {option}를 함께 주세요.",
        )


def loop_of(
    epochs: int | None, batch: int, threads: int | None, device: str, seed: int, save_every: int
) -> LoopConfig:
    from ohlora.training.loop import LoopConfig

    # The original has no limit of epochs; its early stop ends it long before this one.
    return LoopConfig(
        epochs=epochs or 10_000, batch_size=batch, threads=threads, device=device, seed=seed,
        save_every=save_every,
    )  # fmt: skip


def cnn(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; run again to go on.")],
    data: Annotated[Path | None, typer.Option(help="A folder of `ohlora synth dataset`.")] = None,
    images: Pictures = None,
    labels: Annotated[
        Path | None, typer.Option(help="With --images: CSV of img_name, quality, gender.")
    ] = None,
    labelled: Annotated[
        int | None,
        typer.Option(min=1, help="With --data: learn from so many, the rest is scored."),
    ] = None,
    copy_to: Annotated[
        Path | None, typer.Option(help="With --images: copy the pictures that are kept here.")
    ] = None,
    preset: Preset = "default",
    folds: Annotated[int, typer.Option(min=2, help="Nets of each kind.")] = 5,
    retries: Annotated[
        int, typer.Option(min=0, help="New nets for a fold that fails; v1-faithful: no limit.")
    ] = 3,
    epochs: Epochs = None,
    batch: Batch = 16,
    unit: Unit = 32,
    save_every: SaveEvery = 500,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = 7,
    as_json: Json = False,
) -> None:
    """Train the gender and quality CNNs, score the other faces, keep the good ones of women.

    \b
    ohlora train cnn runs/cnn --data faces --labelled 800
    ohlora train cnn runs/cnn --images synthesize_results --labels hand_labels.csv
    """
    start()
    import numpy as np

    from ohlora.training.cnn import CnnConfig, v1_faithful
    from ohlora.training.ensemble import COLUMNS, copy_kept, judge_faces, synth_faces, v1_faces

    one_source(data, images, labels, "--labels")
    mistakes = faithful(preset)
    if data is not None:
        faces = synth_faces(data)
        known = np.arange(len(faces)) < (labelled or len(faces))
    else:
        assert images is not None and labels is not None
        faces, known = v1_faces(images, labels, out)
    configs = {
        name: replace(
            v1_faithful(name) if mistakes else CnnConfig(name, retries=retries),
            folds=folds,
            unit=unit,
        )
        for name in COLUMNS
    }
    loop = loop_of(epochs, batch, threads, device, seed, save_every)
    judged = judge_faces(faces, known, configs, loop, out)
    if copy_to is not None and images is not None:
        copy_kept(images, faces.numbers[judged.kept], copy_to)
    kept, count = int(judged.kept.sum()), len(faces)
    if as_json:
        print_json({"out": str(out), "pictures": count, "kept": kept, "good": judged.good})
        return
    for name in (name for name in COLUMNS if not judged.good[name]):
        print(
            say(
                f"Some {name} nets did not reach their goal: see log/train_log_{name}.csv.",
                f"목표에 이르지 못한 {name} 신경망이 있어요. log/train_log_{name}.csv를 보세요.",
            )
        )
    print(say(f"{out}: {kept} of {count} pictures kept", f"{out}: {count}장 중 {kept}장 남김"))


def scored(data: Path | None, images: Path | None, scores: Path | None) -> FaceData:
    """Pictures with seven scores in standard deviations. Raises BadInput."""
    from ohlora.training.property_cnn import scored_synth, scored_v1

    one_source(data, images, scores, "--scores")
    if data is not None:
        return scored_synth(data)
    assert images is not None and scores is not None
    return scored_v1(images, scores)


Scored = Annotated[Path | None, typer.Option(help="With --images: a table as all_scores_v2.csv.")]


def properties(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; run again to go on.")],
    data: Annotated[Path | None, typer.Option(help="A folder of `ohlora synth dataset`.")] = None,
    images: Pictures = None,
    scores: Scored = None,
    preset: Preset = "default",
    epochs: Epochs = None,
    batch: Batch = 16,
    unit: Unit = 32,
    save_every: SaveEvery = 500,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = 7,
    as_json: Json = False,
) -> None:
    """Train the property CNN on measured scores, then label every picture with it.

    OUT/stylegan_gen_fine_tuned_v2_cnn.pth and OUT/all_scores_v2_cnn.csv are the results.

    \b
    ohlora train property runs/property --data faces
    """
    start()
    from ohlora.training.property_cnn import PropertyConfig, train_property

    config = PropertyConfig(unit=unit, faithful=faithful(preset))
    faces = scored(data, images, scores)
    loop = loop_of(epochs, batch, threads, device, seed, save_every)
    trained = train_property(faces, config, loop, out)
    if as_json:
        print_json({
            "out": str(out), "epochs": trained.epochs, "best_epoch": trained.best_epoch,
            "valid_loss": trained.valid_loss, "correlation": trained.correlation,
        })  # fmt: skip
        return
    found = ", ".join(f"{name} {r:.3f}" for name, r in trained.correlation.items())
    print(
        say(
            f"{out}: loss {trained.valid_loss:.4f} in epoch {trained.best_epoch}; r {found}",
            f"{out}: 에폭 {trained.best_epoch}에서 손실 {trained.valid_loss:.4f}, r {found}",
        )
    )


def v3(
    run_dir: RunDir,
    generator: Annotated[Path, typer.Option(help="Weights of FineTune-v1's generator.")],
    data: Annotated[Path | None, typer.Option(help="A folder of `ohlora synth dataset`.")] = None,
    images: Pictures = None,
    scores: Scored = None,
    property_cnn: Annotated[
        Path | None, typer.Option(help="Of `ohlora train property`.", show_default="published")
    ] = None,
    gender_cnn: Annotated[
        Path | None, typer.Option(help="gender_model_0.pt.", show_default="published")
    ] = None,
    preset: Preset = "default",
    epochs: Epochs = None,
    batch: Batch = 8,
    test_zs: Annotated[int, typer.Option(min=1, help="Latents of the acceptance test.")] = 30,
    pictures: Annotated[bool, typer.Option(help="Keep the pictures of the tests.")] = True,
    save_every: SaveEvery = 500,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = 7,
) -> None:
    """FineTune-v3: a generator learns to obey labels, judged by CNNs; tested after every epoch.

    \b
    ohlora train v3 runs/v3 --generator stylegan_gen_fine_tuned_v1.pth --data faces
    """
    start()

    from ohlora.checkpoints.load import load_generator
    from ohlora.training.finetune_v3 import (
        DEFAULT,
        FAITHFUL,
        FineTuneV3,
        finetune,
        load_judges,
        start_from,
    )
    from ohlora.training.randomness import seed_all

    chosen = FAITHFUL if faithful(preset) else DEFAULT
    config = replace(chosen, test_zs=test_zs, test_pictures=pictures)
    seed_all(seed)  # of what starts at random
    nets = load_judges(property_cnn, gender_cnn)
    begun = start_from(load_generator(generator).state, config)
    faces = scored(data, images, scores)
    loop = loop_of(epochs, batch, threads, device, seed, save_every)
    print(finetune(FineTuneV3(begun, *nets, config), faces, loop, run_dir))
