"""`ohlora face`: her face as pictures, from a generator or a frame pack."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ohlora.cli import face_steer
from ohlora.cli.output import Json, print_json, progress_bar, say
from ohlora.errors import BadInput, StoreError

if TYPE_CHECKING:
    from ohlora.face.latent import Z
    from ohlora.face.lattice import Axes
    from ohlora.face.renderer import Renderer

app = typer.Typer(no_args_is_help=True, help="Her face: draw it, look at it, steer it, pack it.")
face_steer.mount(app)

Generator = Annotated[Path, typer.Option(help="StyleGAN generator (.pth or .safetensors).")]
ZFile = Annotated[
    Path | None, typer.Option("--z", help="Her face vector: CSV, .npy or .safetensors.")
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Without --z: a random face, the same again.")
]
Runtime = Annotated[str, typer.Option(help="openvino (fast, no torch) or torch.")]
Directions = Annotated[
    Path | None,
    typer.Option(help="File of `ohlora face directions` or `calibrate`; none: plain labels."),
]
Psi = Annotated[float, typer.Option(min=0, max=1, help="Truncation psi: 0 is the mean face.")]
PICTURES = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}


@app.command("render")
def render(
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .webp or .jpg.")],
    generator: Generator,
    z: ZFile = None,
    seed: Seed = None,
    eyes: Annotated[float, typer.Option(help="Eyes open, standard deviations.")] = -1.2,
    mouth: Annotated[float, typer.Option(help="Mouth open, standard deviations.")] = -1.2,
    pose: Annotated[float, typer.Option(help="Head turned, standard deviations.")] = -1.2,
    noise: Annotated[
        float, typer.Option(min=0, help="Add this much noise to z (v1: 0.15); needs --seed.")
    ] = 0.0,
    directions: Directions = None,
    psi: Psi = 1.0,
    runtime: Runtime = "openvino",
    as_json: Json = False,
) -> None:
    """Draw one face with a generator of any published variant.

    \b
    ohlora face render --generator gen_v3.pth --z z.csv --eyes 1.2 --pose -1.2 --out face.png
    """
    from ohlora.expression import Expression
    from ohlora.face.pixels import encode

    kind = picture_kind(out)
    renderer = load_renderer(generator, z, seed, noise, psi, runtime, directions)
    pixels = renderer.render(Expression(eyes, mouth, pose))
    save(out, encode(pixels, kind))
    report(
        {"file": str(out), "size": renderer.size, "id": renderer.id, "follows": renderer.follows},
        as_json,
        f"{out} ({renderer.size} x {renderer.size})",
    )
    if not renderer.follows:
        note = say(
            "this generator takes no label: eyes, mouth and pose change nothing",
            "라벨이 없는 생성기라서 눈, 입, 고개 값은 쓰이지 않아요",
        )
        print(note, file=sys.stderr)


def with_levels(axes: Axes, name: str, given: str) -> Axes:
    """The axes with levels such as "-1.2,0,1.6" on one. Raises BadInput."""
    from ohlora.face.lattice import Axes
    from ohlora.face.pack import MAX_LEVELS

    try:
        levels = tuple(float(level) for level in given.split(","))
        if not 1 <= len(levels) <= MAX_LEVELS:
            raise ValueError(f"{len(levels)} levels")
        return Axes(**{**asdict(axes), name: levels})
    except ValueError as error:
        raise BadInput(
            f"--{name} wants 1 to {MAX_LEVELS} ascending numbers such as -1.2,0,1.6, got "
            f"{given!r}.",
            f"--{name}에는 -1.2,0,1.6처럼 커지는 숫자 1~{MAX_LEVELS}개를 적어 주세요. 받은 값: "
            f"{given!r}",
        ) from error


@app.command("pack")
def pack(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    generator: Generator,
    z: ZFile = None,
    seed: Seed = None,
    grid: Annotated[str, typer.Option(help="Levels of eyes x mouth x pose.")] = "4x5x7",
    eyes: Annotated[str | None, typer.Option(help="Their levels: -2.4,-1.2,0.2,1.6.")] = None,
    mouth: Annotated[str | None, typer.Option(help="Its levels.")] = None,
    pose: Annotated[str | None, typer.Option(help="Its levels.")] = None,
    blink: Annotated[
        float | None,
        typer.Option(help="Add closed eyes, drawn at this value, below the lowest of eyes."),
    ] = None,
    directions: Directions = None,
    licence: Annotated[str, typer.Option(help="Licence of the frames.")] = "unknown",
    psi: Psi = 1.0,
    runtime: Runtime = "openvino",
    as_json: Json = False,
) -> None:
    """Draw every expression of a grid into a frame pack, which any machine can show.

    Frames are as large as the generator draws them (64, 128, 256 ...); the page scales them.

    \b
    ohlora face pack --generator gen_v3.pth --z z.csv --out her_face
    ohlora face pack --generator g.safetensors --z z.csv --directions her.safetensors \\
        --grid 4x5x7 --blink -2.5 --out her_face
    ohlora serve --face pack:her_face
    """
    from ohlora.face.load import make_axes
    from ohlora.face.pack import write_pack
    from ohlora.face.pixels import encode
    from ohlora.face.rendered import STILL

    if (out / "index.json").exists():
        raise BadInput(
            f"{out} holds a frame pack already: name a new folder.",
            f"{out}에 이미 프레임 팩이 있어요. 새 폴더를 적어 주세요.",
        )
    try:
        axes = make_axes(grid)
    except ValueError as error:
        raise BadInput(
            f"The grid {grid!r} is not three numbers such as 4x5x7 ({error}).",
            f"{grid!r}는 4x5x7처럼 숫자 세 개여야 해요({error}).",
        ) from error
    for name, given in (("eyes", eyes), ("mouth", mouth), ("pose", pose)):
        if given is not None:
            axes = with_levels(axes, name, given)
    if blink is not None:
        if not blink < axes.eyes[0]:
            raise BadInput(
                f"Closed eyes must lie below the lowest level {axes.eyes[0]:g}, got {blink:g}.",
                f"감은 눈 값은 가장 낮은 단계 {axes.eyes[0]:g}보다 작아야 하는데 {blink:g}예요.",
            )
        axes = replace(axes, eyes=(blink, *axes.eyes), closed_eyes=0)
    renderer = load_renderer(generator, z, seed, 0.0, psi, runtime, directions)
    axes = axes if renderer.follows else STILL
    progress, frames = progress_bar(), {}
    for number, cell in enumerate(axes, start=1):
        frames[cell] = encode(renderer.render(axes.expression(cell)))
        progress(say("drawing her face", "얼굴을 그리는 중"), number / len(axes))
    notes = {"renderer": renderer.id, "generator": generator.name}
    if directions is not None:
        notes["directions"] = directions.name
    try:
        pack_id = write_pack(out, axes, frames, licence, notes)
    except OSError as error:
        raise unwritable(out, error) from error
    report(
        {"folder": str(out), "id": pack_id, "frames": len(frames)},
        as_json,
        f"{out} ({len(frames)} frames)",
    )


@app.command("sheet")
def sheet(
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .webp or .jpg.")],
    generator: Generator,
    z: ZFile = None,
    seed: Seed = None,
    directions: Directions = None,
    psi: Psi = 1.0,
    runtime: Runtime = "openvino",
    as_json: Json = False,
) -> None:
    """Draw one face in 7 poses x 5 mouths x 5 eyes on one sheet, to judge by eye.

    Columns are poses from -1.2 to 3.6, rows mouths from -1.2 to 1.6, in five blocks of eyes from
    -1.8 to 1.8 standard deviations.

    \b
    ohlora face sheet --generator g.safetensors --z z.csv --out sheet.png
    """
    import numpy as np

    from ohlora.evaluation.face_pictures import contact_sheet
    from ohlora.expression import Expression
    from ohlora.face.pixels import encode

    kind = picture_kind(out)
    renderer = load_renderer(generator, z, seed, 0.0, psi, runtime, directions)
    pixels = contact_sheet(
        lambda wishes: np.stack([renderer.render(Expression(*map(float, one))) for one in wishes]),
        progress=progress_bar(),
    )
    save(out, encode(pixels, kind))
    height, width, _ = pixels.shape
    row = {"file": str(out), "width": width, "height": height, "id": renderer.id}
    report(row, as_json, f"{out} ({width} x {height})")


@app.command("info")
def info(
    face: Annotated[
        str, typer.Argument(help="embedded, embedded:7, pack:FOLDER, or a generator's file.")
    ] = "embedded",
    as_json: Json = False,
) -> None:
    """Show what a face can do: variant or grid, size, licence.

    \b
    ohlora face info
    ohlora face info gen_v3.pth
    """
    if face == "embedded" or face.startswith(("pack:", "generator:")):
        from ohlora.face import load_face

        lattice = load_face(face)
        row = lattice.manifest()
        lattice.close()
        axes = ", ".join(f"{len(levels)} {name}" for name, levels in row["axes"].items())
        report(row, as_json, f"{row['size']} px, {axes}, {row['frames']} frames, {row['licence']}")
        return
    from ohlora.checkpoints.load import load_generator

    weights = load_generator(Path(face).expanduser())
    config = weights.config
    row = {
        "file": face,
        "variant": weights.variant,
        "size": config.resolution,
        "labels": config.label_dim,
        "embedding": config.embed_dim,
        "parameters": sum(array.size for array in weights.state.values()),
    }
    text = (
        f"StyleGAN generator {row['variant']}: {row['size']} px, {row['labels']} labels, "
        f"{row['parameters'] / 1e6:.1f} M numbers"
    )
    report(row, as_json, text)


def face_vector(z: Path | None, seed: int | None, dim: int) -> Z:
    """Her z from its file, or a random one. Raises BadInput when neither is given."""
    from ohlora.face.latent import load_z, random_z

    if z is None and seed is None:
        raise BadInput(
            "Whose face? Give her vector with --z FILE, or --seed N for a random one.",
            "누구의 얼굴인지 알 수 없어요. --z 파일이나 --seed 숫자를 적어 주세요.",
        )
    return random_z(seed or 0, dim) if z is None else load_z(z.expanduser(), dim)


def load_renderer(
    generator: Path, z: Path | None, seed: int | None, noise: float, psi: float, runtime: str,
    directions: Path | None = None,
) -> Renderer:  # fmt: skip
    from ohlora.checkpoints.load import load_generator
    from ohlora.directions import control
    from ohlora.face.latent import perturb
    from ohlora.face.renderer import make_renderer

    steer = None if directions is None else control.load(directions.expanduser())
    weights = load_generator(generator.expanduser())
    vector = face_vector(z, seed, weights.config.w_dim)
    if noise:
        vector = perturb(vector, seed or 0, noise)
    return make_renderer(weights, vector, psi=psi, runtime=runtime, directions=steer)


def picture_kind(out: Path) -> str:
    if out.suffix.lower() not in PICTURES:
        raise BadInput(
            f"{out} is no picture name: end it in {', '.join(PICTURES)}.",
            f"{out}의 끝을 {', '.join(PICTURES)} 중 하나로 적어 주세요.",
        )
    return PICTURES[out.suffix.lower()]


def save(out: Path, data: bytes) -> None:
    from ohlora.files import write_whole

    write_whole(out, data)


def unwritable(out: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{out} cannot be written ({error.strerror}): free space or name another place.",
        f"{out}에 쓸 수 없어요({error.strerror}). 공간을 비우거나 다른 곳을 적어 주세요.",
    )


def report(row: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(row)
    else:
        print(text)
