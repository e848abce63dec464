"""Does she obey, and her face as a pack: directions, the acceptance test, the evaluation."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohlora.checkpoints.load import load_generator
from ohlora.directions import control
from ohlora.directions.draw import Drawer, from_weights, to_pixels
from ohlora.directions.fit import FitConfig, calibrate, describe, fit
from ohlora.directions.scorer import load_cnn_scorer, load_scorer
from ohlora.errors import OhloraError
from ohlora.evaluation.face_pictures import people_sheet
from ohlora.evaluation.face_run import FaceSetting
from ohlora.evaluation.face_run import run as evaluate
from ohlora.evaluation.report import write
from ohlora.face.latent import load_z
from ohlora.face.load import make_axes
from ohlora.face.pack import write_pack
from ohlora.face.pixels import encode
from ohlora.face.renderer import make_renderer
from ohlora.files import write_whole
from ohlora.models.protocol50 import NAMES, Judged
from ohlora.pipeline.faces import FACES
from ohlora.pipeline.generators import GENERATOR, RUN
from ohlora.pipeline.measure import parser_file
from ohlora.pipeline.sheets import save_sheet
from ohlora.pipeline.stage import Number, Picture, Told, Work
from ohlora.training.acceptance import Draw, Score, accept, drawer
from ohlora.training.property_cnn import NAME as PROPERTY_CNN

DIRECTIONS, HERS = "directions.safetensors", "her.safetensors"
SCALE, Z = "scores.json", "z.csv"
KO = {"eyes": "눈", "mouth": "입", "pose": "고개"}


@dataclass(frozen=True)
class Steering:
    fit: FitConfig = FitConfig()
    probes: int = 48  # pictures of her that calibrate the directions to her own face


def directions(work: Work[Steering]) -> Told:
    """FOLDER/directions.safetensors for any face, her.safetensors for hers."""
    made = work.inputs["domain"] / RUN
    weights = load_generator(made / GENERATOR)
    net = from_weights(weights, work.machine.torch_device)
    scorer = load_scorer(parser_file(work.inputs["parser"]), made / SCALE)
    found, ways = fit(net, scorer, work.options.fit, scorer=scorer.name, progress=work.progress)
    control.save(work.folder / DIRECTIONS, found)
    z = load_z(made / Z, weights.config.w_dim).astype(np.float64)
    own = calibrate(net, scorer, found, z, work.options.probes)
    control.save(work.folder / HERS, replace(own, scorer=scorer.name))
    write_whole(work.folder / "tried.json", (json.dumps(describe(ways), indent=1) + "\n").encode())
    best = ways[0]
    numbers = [
        Number("space", "공간", found.space),
        Number("error on held-out faces", "따로 둔 얼굴의 오차", best.error, "sd"),
    ]
    numbers += [
        Number(f"r on held-out faces, {name}", f"따로 둔 얼굴의 상관, {KO[name]}",
               round(float(np.nan_to_num(r)), 3))
        for name, r in zip(NAMES, best.r, strict=True)
    ]  # fmt: skip
    few = np.random.default_rng(work.options.fit.seed).standard_normal((4, weights.config.w_dim))
    sheet = people_sheet(Drawer(net, found), few, columns=2)
    write_whole(work.folder / "sheet.webp", encode(sheet))
    caption = Picture("random faces: eyes open, closed, mouth open, both poses",
                      "임의 얼굴: 뜬 눈, 감은 눈, 벌린 입, 양쪽 고개", "sheet.webp")  # fmt: skip
    return Told(tuple(numbers), (caption,))


@dataclass(frozen=True)
class Accept:
    zs: int = 30  # random latents of the 30 x 50 test
    faces: int = 100  # random faces of the evaluation
    pictures: int = 1_000  # of the domain, for KID and FID
    seed: int = 0


def accept_all(work: Work[Accept]) -> Told:
    """The 30 x 50 test of v3, v4 and the steered generator, then `ohlora eval face` of the last."""
    options, device = work.options, work.machine.torch_device
    numbers = []
    for number, (name, (draw, score, width)) in enumerate(contestants(work, device).items()):
        work.progress(f"acceptance test of {name}", number / 4)
        seed = torch.Generator().manual_seed(options.seed)
        zs = torch.randn(options.zs, width, generator=seed).to(device)
        judged = accept(draw, score, zs, work.folder / name, pictures=False)
        numbers += verdict(name, judged)
    made = work.inputs["domain"] / RUN
    setting = FaceSetting(
        generator=made / GENERATOR,
        parser=parser_file(work.inputs["parser"], "judges"),
        statistics=made / SCALE,
        domain=work.inputs["near"] / FACES,
        directions=work.inputs["directions"] / DIRECTIONS,
        z=made / Z,
        faces=options.faces,
        pictures=options.pictures,
        seed=options.seed,
        device=device,
    )
    more, pictures = evaluated(setting, work)
    return Told((*numbers, *more), pictures)


def evaluated(
    setting: FaceSetting, work: Work[Accept]
) -> tuple[tuple[Number, ...], tuple[Picture, ...]]:
    """`ohlora eval face` into FOLDER/evaluation; its bars and pictures."""
    results = work.folder / "evaluation"
    try:
        report = evaluate(setting, results, work.progress)
    except OhloraError as error:
        if type(error) is not OhloraError:  # a fault of files, disk or options
            raise
        # No face in any picture, or no picture at all: that is a verdict too.
        return (Number(error.en, error.ko, "0", "not reached"),), ()
    report.command = "ohlora pipeline run"
    write(results, report)
    numbers = tuple(
        Number(one.what, one.what, one.text(), "reached" if one.passed else "not reached")
        for one in report.numbers if one.passed is not None
    )  # fmt: skip
    shown = (Picture(one.title, one.title, f"evaluation/{one.file}") for one in report.pictures)
    return numbers, tuple(shown)


def contestants(work: Work[Accept], device: str) -> dict[str, tuple[Draw, Score, int]]:
    """Who draws, who measures, and the width of z, of each generator that takes the test."""
    cnn = load_cnn_scorer(work.inputs["property"] / PROPERTY_CNN)
    cnn.net.to(device)
    made = work.inputs["domain"] / RUN
    judge = load_scorer(parser_file(work.inputs["parser"], "judges"), made / SCALE)
    steer = control.load(work.inputs["directions"] / DIRECTIONS)

    def by(scorer: Any) -> Score:
        return lambda images: torch.from_numpy(scorer(to_pixels(images)))

    found: dict[str, tuple[Draw, Score, int]] = {}
    for name in ("v3", "v4"):
        net = from_weights(load_generator(work.inputs[name] / RUN / GENERATOR), device)
        found[name] = (drawer(net), by(cnn), net.config.w_dim)
    net = from_weights(load_generator(made / GENERATOR), device)
    steered = Drawer(net, steer)

    def draw(z: Tensor, wanted: Tensor) -> Tensor:
        return steered.image(z.cpu().numpy(), steer.knobs(wanted.cpu().numpy()))

    found["domain"] = (draw, by(judge), net.config.w_dim)
    return found


def verdict(name: str, judged: list[Judged]) -> list[Number]:
    """How many z passed, and each property's middle correlation."""
    passed = sum(one.passed for one in judged)
    rows = [Number(f"{name}: z that pass all six thresholds", f"{name}: 여섯 기준을 통과한 z",
                   f"{passed} / {len(judged)}")]  # fmt: skip
    for i, prop in enumerate(NAMES):
        r = np.nan_to_num([one.correlations[i] for one in judged])
        rows.append(Number(f"{name}: r of a z, {prop}, median", f"{name}: z의 상관, {KO[prop]}, "
                           "중앙값", round(float(np.median(r)), 3)))  # fmt: skip
    return rows


@dataclass(frozen=True)
class Pack:
    grid: str = "4x5x7"  # levels of eyes, mouth, pose
    closed: float = -2.5  # eyes of the blink, standard deviations; below -1.2
    runtime: str = "openvino"
    licence: str = "Apache-2.0"  # of the frames; the whole domain is drawn by this program


def pack(work: Work[Pack]) -> Told:
    """FOLDER/pack for `ohlora serve --face pack:...`, and generator, z, directions beside it."""
    made, steered = work.inputs["domain"] / RUN, work.inputs["directions"]
    for path in (made / GENERATOR, made / Z, steered / DIRECTIONS, steered / HERS):
        shutil.copyfile(path, work.folder / path.name)
    weights = load_generator(made / GENERATOR)
    z = load_z(made / Z, weights.config.w_dim)
    renderer = make_renderer(
        weights, z, runtime=work.options.runtime, directions=control.load(steered / HERS)
    )
    axes = make_axes(work.options.grid)
    axes = replace(axes, eyes=(work.options.closed, *axes.eyes), closed_eyes=0)
    frames, shown = {}, []
    for number, cell in enumerate(axes, start=1):
        pixels = renderer.render(axes.expression(cell))
        frames[cell] = encode(pixels)
        shown.append(pixels)
        work.progress("drawing her face", number / len(axes))
    notes = {"renderer": renderer.id, "options": asdict(work.options)}
    pack_id = write_pack(work.folder / "pack", axes, frames, work.options.licence, notes)
    spread = [shown[i] for i in np.linspace(0, len(shown) - 1, min(24, len(shown))).astype(int)]
    save_sheet(work.folder / "sheet.webp", spread, columns=12)
    size = sum(path.stat().st_size for path in (work.folder / "pack").iterdir()) / 1e6
    return Told(
        (
            Number("frames", "프레임", len(frames)),
            Number("size", "크기", renderer.size, "px"),
            Number("pack", "팩", round(size, 2), "MB"),
            Number("id", "id", pack_id),
        ),
        (Picture("frames of the pack", "팩의 프레임", "sheet.webp"),),
    )
