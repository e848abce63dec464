"""One string names a face: "embedded", "embedded:7", "pack:DIR" or "generator:FILE;z=FILE[;...]".

embedded is she; embedded:SEED is another woman of her generator, the same for the same seed.
FILE is a path or a catalog id: generator:stylegan-v3-generator;z=z-vector is v1's face.
Options of a generator: runtime=openvino|torch, psi=0..1, grid=4x5x7 (levels of eyes, mouth, pose),
noise=0..1 (v1: 0.15), directions=FILE (of `ohlora face directions` or `calibrate`).
"""

from __future__ import annotations

from pathlib import Path

from ohlora.errors import BadInput
from ohlora.face.lattice import Axes, Lattice
from ohlora.face.pack import MAX_LEVELS, FramePack
from ohlora.paths import embedded

OPTIONS = ("z", "runtime", "psi", "grid", "noise", "directions")
OTHER_AXES = Axes(  # of the embedded generator: all it was taught; the lowest eyes are shut
    eyes=(-3.5, -2.4, -1.2, 0.2, 1.6),
    mouth=(-1.2, -0.7, 0.0, 0.75, 1.5),
    pose=tuple(round(-3.6 + 0.6 * i, 1) for i in range(13)),
    closed_eyes=0,
)


def load_face(spec: str = "embedded") -> Lattice:
    """Load the face that `spec` names; a generator then draws its grid in the background.

    Raises BadInput for a spec of another form, CheckpointError for files that do not work.
    """
    kind, _, rest = spec.partition(":")
    if spec == "embedded":
        return Lattice(FramePack(embedded() / "face" / "pack"))
    if kind == "embedded" and rest.isdecimal():
        return _other_face(int(rest))
    if kind == "pack" and rest:
        return Lattice(FramePack(Path(rest).expanduser()))
    if kind == "generator" and rest:
        return _generator_face(rest)
    raise BadInput(
        f"Unknown face {spec!r}: write embedded, embedded:NUMBER, pack:DIR or "
        "generator:FILE;z=FILE.",
        f"{spec!r} 얼굴을 알 수 없어요. embedded, embedded:숫자, pack:폴더, generator:파일;z=파일 "
        "중 하나로 적어 주세요.",
    )


def _other_face(seed: int) -> Lattice:
    from ohlora.checkpoints.load import load_generator
    from ohlora.face.latent import random_z
    from ohlora.face.rendered import RenderedFrames
    from ohlora.face.renderer import make_renderer

    weights = load_generator(embedded() / "face" / "generator.safetensors")
    renderer = make_renderer(weights, random_z(seed, weights.config.w_dim))
    frames = RenderedFrames(renderer, OTHER_AXES)
    frames.draw_ahead()
    return Lattice(frames)


def _generator_face(rest: str) -> Lattice:
    from ohlora.checkpoints.load import load_generator
    from ohlora.checkpoints.named import path_of
    from ohlora.directions import control as directions
    from ohlora.face.latent import load_z
    from ohlora.face.rendered import GENERATOR_AXES, RenderedFrames, RestlessFrames
    from ohlora.face.renderer import make_renderer

    file, *parts = rest.split(";")
    options = dict(part.partition("=")[::2] for part in parts)
    if "z" not in options or not set(options) <= set(OPTIONS):
        raise _bad_options(rest)
    try:
        psi, noise = float(options.get("psi", "1")), float(options.get("noise", "0"))
        axes = make_axes(options["grid"]) if "grid" in options else GENERATOR_AXES
    except ValueError as error:
        raise _bad_options(rest) from error
    weights = load_generator(path_of(file))
    z = load_z(path_of(options["z"]), weights.config.w_dim)
    runtime = options.get("runtime", "openvino")
    steered = directions.load(path_of(options["directions"])) if "directions" in options else None
    renderer = make_renderer(weights, z, psi=psi, runtime=runtime, noise=noise, directions=steered)
    if noise:
        return Lattice(RestlessFrames(renderer, axes))
    frames = RenderedFrames(renderer, axes)
    frames.draw_ahead()
    return Lattice(frames)


def make_axes(grid: str) -> Axes:
    """ "4x5x7": that many levels of eyes, mouth and pose over the range that v1's rules use.

    Raises ValueError for another form.
    """
    eyes, mouth, pose = (int(count) for count in grid.split("x"))
    if not all(1 <= count <= MAX_LEVELS for count in (eyes, mouth, pose)):
        raise ValueError(f"1 to {MAX_LEVELS} levels per axis")
    return Axes(_levels(eyes, 1.6), _levels(mouth, 1.6), _levels(pose, 3.6))


def _levels(count: int, last: float, first: float = -1.2) -> tuple[float, ...]:
    step = (last - first) / max(1, count - 1)
    return tuple(round(first + step * i, 3) for i in range(count))


def _bad_options(rest: str) -> BadInput:
    return BadInput(
        f"The face generator:{rest} cannot be read: write generator:FILE;z=FILE and, if wanted, "
        ";runtime=openvino|torch ;psi=0..1 ;grid=4x5x7 ;noise=0..1 ;directions=FILE.",
        f"generator:{rest} 얼굴을 읽을 수 없어요. generator:파일;z=파일 뒤에 필요하면 "
        ";runtime=openvino|torch ;psi=0..1 ;grid=4x5x7 ;noise=0..1 ;directions=파일을 적어 "
        "주세요.",
    )
