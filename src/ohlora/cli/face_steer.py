"""`ohlora face directions|calibrate`: make a generator obey eyes, mouth and pose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ohlora.cli.output import Json, progress_bar, say
from ohlora.errors import BadInput

if TYPE_CHECKING:
    from ohlora.directions.scorer import Scorer

Generator = Annotated[Path, typer.Option(help="StyleGAN generator (.pth or .safetensors).")]
Parser = Annotated[
    Path | None, typer.Option(help="Face parser that measures pictures; needs --statistics.")
]
Cnn = Annotated[Path | None, typer.Option(help="Or a property CNN that scores them.")]
Statistics = Annotated[
    Path | None, typer.Option(help="Mean and deviation of the domain's raw scores (JSON).")
]
Mtcnn = Annotated[
    Path | None, typer.Option(help="Folder of mtcnn_{p,r,o}net.pt.", show_default="ours")
]
Device = Annotated[str, typer.Option(help="Where the generator runs: cpu, cuda ...")]


def mount(app: typer.Typer) -> None:
    """Add the commands of this file to `ohlora face`."""
    app.command("directions")(directions)
    app.command("calibrate")(calibrate)


def directions(
    out: Annotated[Path, typer.Option(help="File to write: .safetensors; a .json goes beside.")],
    generator: Generator,
    parser: Parser = None,
    statistics: Statistics = None,
    cnn: Cnn = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="label, w or style; again for more.", show_default="what fits"),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=20, help="Pictures for directions in w, style.")
    ] = 2000,
    faces: Annotated[int, typer.Option(min=4, help="Random faces for the response.")] = 48,
    settings: Annotated[int, typer.Option(min=4, help="Pictures of each.")] = 24,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    mtcnn: Mtcnn = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Learn to steer a generator: what to do so that the measured eyes, mouth and pose are those
    wished, on any face.

    A generator with labels is steered by them, one without by directions in w or in its styles,
    whichever misses least on faces held out. Measure with a parser other than the one that later
    judges. Draws and scores about 1,600 pictures for labels, 8,500 for w and style.

    \b
    ohlora face directions --generator g.safetensors --parser parser/ --statistics scale.json \\
        --out directions.safetensors
    """
    from ohlora.checkpoints.load import load_generator
    from ohlora.cli.face import report, save
    from ohlora.directions.control import save as save_directions
    from ohlora.directions.draw import from_weights
    from ohlora.directions.fit import FitConfig, describe, fit

    file_for(out, ".safetensors")
    weights = load_generator(generator.expanduser())
    scorer, name = load_scorer(parser, statistics, cnn, mtcnn)
    config = FitConfig(tuple(space or ()), samples, faces, settings, seed=seed)
    net = from_weights(weights, device)
    found, ways = fit(net, scorer, config, scorer=name, progress=progress_bar())
    save_directions(out, found)
    row = {"file": str(out), "space": found.space, "method": found.method,
           "generator": found.generator, "scorer": name, "tried": describe(ways)}  # fmt: skip
    save(out.with_suffix(".json"), (json.dumps(row, indent=1) + "\n").encode())
    best = ways[0]
    r = ", ".join(f"{value:.3f}" for value in best.r)
    report(row, as_json, say(
        f"{out}: {found.space} by {found.method}; on faces held out r {r}, error {best.error:.2f}",
        f"{out}: {found.space}, {found.method}; 따로 둔 얼굴에서 r {r}, 오차 {best.error:.2f}",
    ))  # fmt: skip


def calibrate(
    out: Annotated[Path, typer.Option(help="File to write: .safetensors.")],
    generator: Generator,
    directions: Annotated[Path, typer.Option(help="File of `ohlora face directions`.")],
    z: Annotated[
        Path | None, typer.Option("--z", help="Her face vector: CSV, .npy or .safetensors.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Without --z: a random face.")] = None,
    parser: Parser = None,
    statistics: Statistics = None,
    cnn: Cnn = None,
    probes: Annotated[int, typer.Option(min=3, help="Pictures of the face to measure.")] = 48,
    mtcnn: Mtcnn = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Fit directions to one face by measuring some pictures of it; for her own z.

    \b
    ohlora face calibrate --generator g.safetensors --directions directions.safetensors \\
        --z z.csv --parser parser/ --statistics scale.json --out her.safetensors
    """
    import numpy as np

    from ohlora.checkpoints.load import load_generator
    from ohlora.cli.face import face_vector, report
    from ohlora.directions import control, fit
    from ohlora.directions.draw import from_weights

    file_for(out, ".safetensors")
    weights = load_generator(generator.expanduser())
    vector = np.asarray(face_vector(z, seed, weights.config.w_dim), float)
    found = control.load(directions.expanduser())
    scorer, name = load_scorer(parser, statistics, cnn, mtcnn)
    own = fit.calibrate(from_weights(weights, device), scorer, found, vector, probes)
    own = replace(own, scorer=name)
    control.save(out, own)
    row = {"file": str(out), "space": own.space, "digest": own.digest, "probes": probes,
           "scorer": name}  # fmt: skip
    report(row, as_json, f"{out} ({probes} pictures, {name})")


def load_scorer(
    parser: Path | None, statistics: Path | None, cnn: Path | None, mtcnn: Path | None
) -> tuple[Scorer, str]:
    """Who measures, and a name for it. Raises BadInput when it is not said."""
    from ohlora.directions.scorer import load_cnn_scorer, load_scorer

    if cnn is not None:
        by_cnn = load_cnn_scorer(cnn.expanduser())
        return by_cnn, by_cnn.name
    if parser is None or statistics is None:
        raise BadInput(
            "Who measures? Give --parser FILE with --statistics FILE, or --cnn FILE.",
            "무엇으로 잴지 알 수 없어요. --parser와 --statistics, 또는 --cnn을 적어 주세요.",
        )
    by_parts = load_scorer(parser.expanduser(), statistics.expanduser(), mtcnn)
    return by_parts, by_parts.name


def file_for(out: Path, suffix: str) -> None:
    if out.suffix != suffix:
        raise BadInput(f"{out} must end in {suffix}.", f"{out}의 끝을 {suffix}로 적어 주세요.")
