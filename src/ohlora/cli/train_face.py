"""`ohlora train base|v1|v4`: the face GANs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohlora.cli.train_cnn import Device, RunDir, Threads
from ohlora.errors import BadInput

if TYPE_CHECKING:
    from ohlora.training.face_data import FaceData
    from ohlora.training.finetune_v1 import FineTuneConfig
    from ohlora.training.presets import Preset

Data = Annotated[Path | None, typer.Option(help="Folder of `ohlora synth dataset`.")]
Images = Annotated[Path | None, typer.Option(help="Instead: folder of 000000.jpg ...")]
Table = Annotated[Path | None, typer.Option(help="With --images: CSV with img_no and scores.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimizer steps in all.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the data in all.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Pictures a step.")]
Accumulate = Annotated[int, typer.Option(min=1, help="Batches whose gradients make one step.")]
Precision = Annotated[str, typer.Option(help="float32 or bfloat16.")]
SaveEvery = Annotated[int | None, typer.Option(min=1, help="Steps.")]
SampleEvery = Annotated[int | None, typer.Option(min=0, help="Steps; 0: no pictures.")]
Seed = Annotated[int, typer.Option()]
PresetName = Annotated[
    str, typer.Option(help="default, or faithful: as published, flaws included.")
]
Start = Annotated[
    Path, typer.Option(help="Run folder of `ohlora train base` or v1, or a generator's file.")
]
StartCritic = Annotated[
    Path | None, typer.Option(help="The discriminator's file, if --start is not a run folder.")
]
Format = Annotated[str, typer.Option("--format", help="safetensors, or pth: as published.")]


def mount(app: typer.Typer) -> None:
    app.command("base")(base)
    app.command("v1")(v1)
    app.command("v4")(v4)


def base(
    run_dir: RunDir,
    data: Data = None,
    images: Images = None,
    table: Table = None,
    size: Annotated[int, typer.Option(help="Pixels: 16, 32 ... 256.")] = 256,
    width: Annotated[int, typer.Option(min=8, help="Channels of the coarse layers, 512.")] = 512,
    labels: Annotated[bool, typer.Option(help="Learn eyes, mouth and pose as labels.")] = True,
    augment: Annotated[
        float, typer.Option(min=0, max=1, help="For small data sets: 0.6; see docs/training.md.")
    ] = 0.0,
    lr: Annotated[float | None, typer.Option(min=0, help="Of both nets.")] = None,
    steps: Steps = None,
    batch: Batch = None,
    accumulate: Accumulate = 1,
    precision: Precision = "float32",
    save_every: SaveEvery = None,
    sample_every: SampleEvery = None,
    threads: Threads = None,
    device: Device = "auto",
    seed: Seed = 7,
) -> None:
    """Train a StyleGAN from nothing. RUN_DIR/generator.ema.safetensors is the result.

    \b
    ohlora synth dataset faces --count 4000 --size 128
    ohlora train base runs/base --data faces --size 128 --width 256
    """
    preset = started("base")
    from ohlora.training.loop import train
    from ohlora.training.randomness import seed_all
    from ohlora.training.stylegan_base import BaseConfig, StyleganBase

    channels = widths(size, width)
    columns = preset.columns if labels else ()
    recipe = replace(
        preset.recipe if isinstance(preset.recipe, BaseConfig) else BaseConfig(),
        label_dim=len(columns), channels=channels, w_dim=width, augment=augment,
        embed_dim=16 if labels else 0, **given(lr=lr),
    )  # fmt: skip
    faces = read_faces(preset if labels else replace(preset, columns=()), data, images, table, size)
    loop = replace(
        preset.loop, accumulate=accumulate, precision=precision, threads=threads, device=device,
        seed=seed, **given(steps=steps, batch_size=batch, save_every=save_every,
                           sample_every=sample_every),
    )  # fmt: skip
    seed_all(seed)  # the first weights too
    print(train(StyleganBase(recipe), faces, loop, run_dir))


def fine_tuning(version: str, told: str) -> Callable[..., None]:
    """The command v1 or v4: they take the same options."""

    def command(
        run_dir: RunDir,
        start: Start,
        start_discriminator: StartCritic = None,
        data: Data = None,
        images: Images = None,
        table: Table = None,
        preset: PresetName = "default",
        suffix: Format = "safetensors",
        epochs: Epochs = None,
        steps: Steps = None,
        batch: Batch = None,
        accumulate: Accumulate = 1,
        precision: Precision = "float32",
        save_every: SaveEvery = None,
        sample_every: SampleEvery = None,
        threads: Threads = None,
        device: Device = "auto",
        seed: Seed = 7,
    ) -> None:
        chosen, config = recipe_of(version, preset, suffix)
        from ohlora.models.generator_config import LABELS
        from ohlora.training.finetune_v1 import FineTune, start_from
        from ohlora.training.finetune_v4 import FineTuneV4
        from ohlora.training.loop import train
        from ohlora.training.randomness import seed_all

        seed_all(seed)  # of what starts at random
        nets = start_from(*read_start(start, start_discriminator), config)
        size = nets[0].config.resolution
        faces = read_faces(chosen, data, images, table, size)
        faces.check(labels=len(LABELS[config.label_dim]), size=size)
        if steps and not epochs:  # the preset's end does not come first
            chosen = replace(chosen, loop=replace(chosen.loop, epochs=None))
        loop = replace(
            chosen.loop, accumulate=accumulate, precision=precision, threads=threads,
            device=device, seed=seed, **given(epochs=epochs, steps=steps, batch_size=batch,
                                              save_every=save_every, sample_every=sample_every),
        )  # fmt: skip
        print(train((FineTuneV4 if version == "v4" else FineTune)(*nets, config), faces, loop,
                    run_dir))  # fmt: skip

    command.__doc__ = told
    return command


v1 = fine_tuning(
    "v1",
    """FineTune-v1: a trained GAN learns seven labels; only mapping net and critic's end move.

    \b
    ohlora train v1 runs/v1 --start stylegan_model.pth --preset faithful \\
        --images synthesize_results_filtered --table all_scores.csv
    """,
)
v4 = fine_tuning(
    "v4",
    """FineTune-v4: as v1, from v1's weights, with eyes, mouth and pose only.

    \b
    ohlora train v4 runs/v4 --start runs/v1 --data faces
    """,
)


def recipe_of(version: str, preset: str, suffix: str) -> tuple[Preset, FineTuneConfig]:
    """The preset that was named, and its recipe. Raises BadInput."""
    if preset not in ("default", "faithful", f"{version}-faithful"):
        raise BadInput(
            f"There is no preset {preset!r}: use default or faithful.",
            f"{preset!r} 프리셋은 없어요. default나 faithful을 쓰세요.",
        )
    if suffix not in ("safetensors", "pth"):
        raise BadInput(
            f"Files are written as safetensors or pth, not {suffix!r}.",
            f"파일 형식은 safetensors나 pth예요. {suffix!r}은(는) 안 돼요.",
        )
    chosen = started(version if preset == "default" else f"{version}-faithful")
    from ohlora.training.finetune_v1 import FineTuneConfig

    assert isinstance(chosen.recipe, FineTuneConfig)
    return chosen, replace(chosen.recipe, suffix=f".{suffix}")


def started(preset: str) -> Preset:
    from ohlora.cli.train import need_torch

    need_torch()
    from ohlora.training.presets import PRESETS

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return PRESETS[preset]


def given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def widths(size: int, width: int) -> tuple[int, ...]:
    """Channels per resolution: as published, narrowed to `width`. Raises BadInput."""
    sizes = [4 << i for i in range(2, 7)]
    if size not in sizes:
        raise BadInput(
            f"A StyleGAN draws {', '.join(map(str, sizes))} pixels, not {size}.",
            f"StyleGAN은 {', '.join(map(str, sizes))}픽셀을 그려요. {size}픽셀은 안 돼요.",
        )
    published = (512, 512, 512, 512, 256, 128, 64)
    return tuple(min(c, c * width // 512) for c in published[: sizes.index(size) + 3])


def read_faces(
    preset: Preset, data: Path | None, images: Path | None, table: Path | None, size: int
) -> FaceData:
    """A synthetic set, its labels standardised, or v1's pictures with v1's scores as they are."""
    from ohlora.training.face_data import FaceData

    if data is not None and images is None:
        faces = FaceData.from_synth(data, preset.columns_of_synth(), size)
        return faces.standardised() if preset.columns else faces
    if data is None and images is not None and table is not None:
        return FaceData.from_csv(images, table, preset.columns, size)
    raise BadInput(
        "Give --data FOLDER, or --images FOLDER with --table CSV.",
        "--data 폴더를 주거나, --images 폴더와 --table CSV를 함께 주세요.",
    )


def read_start(start: Path, discriminator: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """State dicts of generator and discriminator. Raises CheckpointError."""
    from ohlora.checkpoints.load import load_state_dict

    if start.is_dir():
        average = start / "generator.ema.safetensors"
        generator = average if average.exists() else start / "generator.safetensors"
        return load_state_dict(generator), load_state_dict(start / "discriminator.safetensors")
    return (
        load_state_dict(start, part="generator"),
        load_state_dict(discriminator or start, part="discriminator"),
    )
