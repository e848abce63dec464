"""One run of the face evaluation: load what it needs, measure, draw the pictures of the report."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ohlora.checkpoints.load import load_generator
from ohlora.directions import control
from ohlora.directions.control import Array
from ohlora.directions.draw import Drawer, from_weights
from ohlora.directions.fit import CalibratingDrawer
from ohlora.directions.scorer import (
    PartScorer,
    load_face_parser,
    measure_statistics,
    parser_path,
    pick_statistics,
    raw_scores,
    read_statistics,
)
from ohlora.errors import BadInput
from ohlora.evaluation.face import (
    NEUTRAL,
    Draw,
    Pixels,
    Progress,
    against_domain,
    load_domain,
    measure_faces,
    summarise,
)
from ohlora.evaluation.face_features import load_features
from ohlora.evaluation.face_identity import Recogniser, load_recogniser, pack_numbers
from ohlora.evaluation.face_pictures import draw_pictures
from ohlora.evaluation.report import Number, Report, open_folder, unwritable
from ohlora.expression import Expression
from ohlora.face.latent import load_z
from ohlora.face.pack import FramePack
from ohlora.models.protocol50 import LABELS50

BATCH = 32


@dataclass(frozen=True)
class FaceSetting:
    generator: Path
    parser: Path
    statistics: Path | None = None
    domain: Path | None = None
    directions: Path | None = None
    probes: int = 0
    calibrator: Path | None = None
    z: Path | None = None
    pack: Path | None = None
    faces: int = 100
    pictures: int = 1000
    seed: int = 0
    mtcnn: Path | None = None
    device: str = "cpu"

    def check(self) -> None:
        """Raises BadInput when an option lacks another one."""
        if self.statistics is None and self.domain is None:
            raise BadInput(
                "Scores need a scale: give --statistics FILE, or --domain FOLDER to measure one.",
                "점수의 기준이 필요해요. --statistics 파일이나 --domain 폴더를 주세요.",
            )
        if self.probes and (self.directions is None or self.calibrator is None):
            raise BadInput(
                "--probes needs --directions FILE and --calibrator PARSER, which measures them.",
                "--probes에는 --directions 파일과 측정할 --calibrator 파서가 필요해요.",
            )


def run(setting: FaceSetting, out: Path | None, progress: Progress) -> Report:
    """Measure, and write the pictures of the report into `out`.

    Raises BadInput, CheckpointError, StoreError, OhloraError.
    """
    setting.check()
    if out:
        open_folder(out)
    weights = load_generator(setting.generator.expanduser())
    width = weights.config.w_dim
    her = None if setting.z is None else load_z(setting.z.expanduser(), width).astype(np.float64)
    steer = None if setting.directions is None else control.load(setting.directions.expanduser())
    if steer is not None and steer.z is not None:
        raise BadInput(
            "These directions were calibrated for one face, and random faces are judged here: give "
            "the file of `ohlora face directions`; --probes calibrates each face.",
            "한 얼굴에 맞춘 방향 파일이에요. 여기서는 무작위 얼굴을 재니 "
            "`ohlora face directions`의 파일을 주세요. --probes로 얼굴마다 맞출 수 있어요.",
        )
    net = from_weights(weights, setting.device)
    drawer = Drawer(net, steer)
    pipeline, name = load_face_parser(setting.parser.expanduser(), setting.mtcnn)
    pack = None if setting.pack is None else FramePack(setting.pack.expanduser())
    recogniser, features = load_recogniser(), load_features()

    domain = domain_scores = None
    if setting.domain is not None:
        domain = load_domain(setting.domain.expanduser(), drawer.size, setting.pictures)
        domain_scores = measure_raw(domain, PartScorer(pipeline, (np.zeros(3), np.ones(3))),
                                    progress)  # fmt: skip
    if setting.statistics is not None:
        scale = read_statistics(setting.statistics.expanduser())
    else:
        assert domain_scores is not None and setting.domain is not None
        measured = measure_statistics(domain_scores)
        scale = pick_statistics(measured, setting.domain)
        if out:
            measured.save(out / "face-statistics.json")
    scorer = PartScorer(pipeline, scale, name)

    draw: Draw = drawer
    if setting.probes and setting.calibrator is not None and steer is not None:
        other, _ = load_face_parser(setting.calibrator.expanduser(), setting.mtcnn)
        draw = CalibratingDrawer(net, steer, PartScorer(other, scale), setting.probes)
    z = np.random.default_rng(setting.seed).standard_normal((setting.faces, width))
    faces = measure_faces(draw, scorer, z, progress=progress, recogniser=recogniser)
    close = None
    if domain is not None and domain_scores is not None:
        wishes = scorer.standard(domain_scores)
        close = against_domain(drawer, domain, wishes, width, setting.seed, features, BATCH)
    told = described(setting, drawer, scorer, recogniser)
    if domain is not None:
        told["KID and FID"] = f"{len(domain)} pictures each, {features.name}"
    report = summarise(faces, told, close, features.name)
    if pack is not None:
        report.numbers += measure_pack(
            pack, faces.vectors[:, NEUTRAL], scorer, recogniser, progress
        )
    if out:
        try:
            report.pictures += draw_pictures(out, draw, faces, her, progress)
        except OSError as error:
            raise unwritable(out, error) from error
    return report


def measure_raw(
    images: Pixels, scorer: PartScorer, progress: Callable[[str, float], None]
) -> Array:
    """v2 scores [N, 3] of the domain's pictures, not standardised."""
    found = []
    for start in range(0, len(images), BATCH):
        found.append(raw_scores(scorer.parsed(images[start : start + BATCH])))
        progress("measuring the domain", min(1.0, (start + BATCH) / len(images)))
    return np.concatenate(found)


def measure_pack(
    pack: FramePack,
    people: Array,
    scorer: PartScorer,
    recogniser: Recogniser,
    progress: Progress,
) -> list[Number]:
    """How far the frames of a pack are from its resting frame; people: others' resting faces."""
    eyes, mouth, pose = LABELS50[NEUTRAL]
    rest = pack.axes.nearest(Expression(eyes, mouth, pose))
    vectors = []
    cells = [rest, *(cell for cell in pack.axes if cell != rest)]
    for start in range(0, len(cells), BATCH):
        frames = [Image.open(io.BytesIO(pack.frame(cell))) for cell in cells[start : start + BATCH]]
        images = np.stack([np.asarray(frame.convert("RGB")) for frame in frames])
        vectors.append(recogniser(images, scorer.parsed(images)))
        progress("measuring the pack", min(1.0, (start + BATCH) / len(cells)))
    found = np.concatenate(vectors)
    return pack_numbers(found[1:], found[0], people, recogniser)


def described(
    setting: FaceSetting, drawer: Drawer, scorer: PartScorer, recogniser: Recogniser
) -> dict[str, object]:
    """What was measured, with what: the line under the report's title."""
    steer = drawer.directions
    how = "labels as they are"
    if setting.directions is not None:
        how = f"{steer.space} by {steer.method} {steer.digest}, measured by {steer.scorer}"
    if setting.probes and setting.calibrator is not None:
        same = parser_path(setting.calibrator.expanduser()) == parser_path(
            setting.parser.expanduser()
        )
        how += f", {setting.probes} probes a face"
        how += " measured by the SAME parser that judges" if same else " by another parser"
    elif scorer.name and steer.scorer == scorer.name:
        how += " (the SAME parser that judges)"
    found: dict[str, object] = {
        "generator": f"{setting.generator.name}@{drawer.digest[:8]}, {drawer.size} px",
        "directions": how,
        "parser": scorer.name,
        "statistics": setting.statistics.name if setting.statistics else "of the domain",
        "faces": f"{setting.faces} random, seed {setting.seed}",
        "labels": "50 of FineTune-v3's test",
        "identity": recogniser.name,
    }
    if setting.pack is not None:
        found["pack"] = setting.pack.name
    return found
