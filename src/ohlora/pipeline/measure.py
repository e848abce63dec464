"""Eyes, hair, mouth, pose and background in numbers: parse, score, learn the scores.

Two small parsers are trained on the synthetic masks. The first measures where FaceXFormer's
weights are absent; the second takes part in nothing but the judgement at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.directions.scorer import load_face_parser
from ohlora.errors import BadInput, CheckpointError
from ohlora.models.protocol50 import pearson
from ohlora.pipeline.faces import FACES, KEPT
from ohlora.pipeline.sheets import save_sheet
from ohlora.pipeline.stage import Curve, Number, Picture, Told, Work
from ohlora.synth.dataset import read_manifest
from ohlora.training.face_files import read_columns
from ohlora.training.face_parser import NAME as PARSER
from ohlora.training.face_parser import ParserConfig, train_parser
from ohlora.training.loop import LoopConfig
from ohlora.training.property_cnn import PropertyConfig, scored_v1, train_property
from ohlora.vision.batch import run
from ohlora.vision.images import find_images, open_picture
from ohlora.vision.normalise import Normalisation
from ohlora.vision.parsed import TABLE, score_folder
from ohlora.vision.scores import Scores
from ohlora.vision.stages import FIRST, PARSED, SCORE_COLUMNS, SCORED, Parse, names_for
from ohlora.vision.table import Results, write_table
from ohlora.vision.weights import digest, facexformer_file, mtcnn_files

PARSED_FACES = "parsed"
SCORES, STATISTICS = "all_scores_v2.csv", "statistics.json"


def published_files() -> str:
    """Digests of the published networks that are at hand: another result when they come."""
    found = []
    for files in (facexformer_files, mtcnn_files):
        try:
            found += [digest(path) for path in files()]
        except CheckpointError:
            found.append("")
    return " ".join(found)


def facexformer_files() -> list[Path]:
    return [facexformer_file()]


@dataclass(frozen=True)
class Parser:
    loop: LoopConfig
    measures: ParserConfig = ParserConfig()  # trained where FaceXFormer is absent
    judges: ParserConfig = ParserConfig(widths=(12, 24, 48, 80, 112))  # used at the end only


def parser(work: Work[Parser]) -> Told:
    """FOLDER/judges and, where FaceXFormer is absent, FOLDER/measures: face_parser.safetensors."""
    faces = work.inputs["synthesise"] / FACES
    loop = replace(work.options.loop, device=work.machine.device, threads=work.machine.threads)
    configs = {"measures": work.options.measures, "judges": work.options.judges}
    try:
        facexformer_file()
        del configs["measures"]
        who = "FaceXFormer"
    except CheckpointError:
        who = "the small parser"
    numbers, curves = [Number("measures the pictures", "그림을 재는 것", who)], []
    for number, (name, config) in enumerate(configs.items()):
        own = replace(loop, seed=loop.seed + number)
        _, report = train_parser(faces, config, own, work.folder / name)
        ko = {"measures": "측정용", "judges": "판정용"}[name]
        numbers.append(Number(f"{name}: mIoU, unseen persons", f"{ko}: 처음 보는 인물의 mIoU",
                              round(report.miou, 3)))  # fmt: skip
        numbers += [
            Number(f"{name}: r of {p}", f"{ko}: {p} 상관", round(report.score_r[p] or 0.0, 3))
            for p in ("eyes", "mouth", "pose")
        ]
        curves.append(Curve(f"parser that {name}", f"{ko} 파서", f"{name}/log.jsonl",
                            ("loss", "unseen_miou")))  # fmt: skip
    return Told(tuple(numbers), (), tuple(curves))


def parser_file(folder: Path, name: str = "measures") -> Path:
    """The parser of the stage `parser` in `folder`, or FaceXFormer where it measures."""
    own = folder / name / PARSER
    return own if own.is_file() else facexformer_file()


@dataclass(frozen=True)
class Parsing:
    batch: int = 8  # pictures at a time


def parse(work: Work[Parsing]) -> Told:
    """FOLDER/parsed: what `ohlora vision parse` writes, of every kept picture."""
    folder = work.folder / PARSED_FACES
    pictures = work.inputs["filter"] / KEPT
    pipeline, name = load_face_parser(parser_file(work.inputs["parser"]))
    paths = find_images([str(pictures)])
    results = Results(folder / TABLE, PARSED, {"parser": name, "pictures": str(pictures)})
    stage = Parse(pipeline, folder, names_for(paths))
    counts = run(paths, stage, results, batch_size=work.options.batch, progress=work.progress)
    good = [row for row in results.rows if row["status"] == "ok"][:12]
    files = [(row["face_path"], row["parsing_visualization_path"]) for row in good]
    shown = [open_picture(folder / file).pixels for file in chain.from_iterable(files)]
    save_sheet(work.folder / "sheet.webp", shown, columns=12)
    return Told(
        (
            Number("measured by", "측정", name),
            Number("faces parsed", "파싱한 얼굴", counts["ok"]),
            Number("pictures without a face", "얼굴 없는 그림", counts.total() - counts["ok"]),
        ),
        (Picture("faces and their classes", "얼굴과 클래스", "sheet.webp"),),
    )  # fmt: skip


@dataclass(frozen=True)
class Scoring:
    """Nothing to choose: rules v2, standardised over the kept pictures."""


def score(work: Work[Scoring]) -> Told:
    """FOLDER/scores.csv as measured, all_scores_v2.csv standardised, statistics.json to undo it.

    Raises BadInput when fewer than two faces have all seven scores.
    """
    parsed = work.inputs["parse"] / PARSED_FACES
    settings = {"rules": "v2", "parsed": str(parsed)}
    results = Results(work.folder / "scores.csv", SCORED, settings, numbered=True)
    score_folder(parsed, results, "v2")
    good = [
        row
        for row in results.rows
        if row["status"] == "ok" and all(row[name] is not None for name in SCORE_COLUMNS)
    ]
    if len(good) < 2:
        raise BadInput(
            f"Only {len(good)} of {len(results.rows)} pictures have all seven scores: the parser "
            "finds no faces in them, train it longer.",
            f"그림 {len(results.rows)}장 중 점수가 다 있는 것이 {len(good)}장뿐이에요. 파서가 "
            "얼굴을 찾지 못하니 더 오래 학습해 주세요.",
        )
    table = {name: [row[name] for row in good] for name in SCORE_COLUMNS}
    statistics = Normalisation.fit(table)
    statistics.save(work.folder / STATISTICS)
    scaled = statistics.apply(table)
    names = [column.name for column in FIRST]
    rows = [
        {**{name: row[name] for name in names}, **{name: scaled[name][i] for name in SCORE_COLUMNS}}
        for i, row in enumerate(good)
    ]
    columns = SCORED[: len(FIRST) + len(SCORE_COLUMNS)]
    write_table(work.folder / SCORES, columns, rows, numbered=True)

    total = Number("faces with all scores", "점수가 다 있는 얼굴", len(good))
    faces = work.inputs["synthesise"] / FACES
    truth = true_scores(faces, [int(row["img_no"]) for row in good])
    agreement = [
        Number(f"r with the truth, {name}", f"실제 값과의 상관, {name}",
               round(float(np.nan_to_num(pearson(truth[:, i], np.array(table[column], float)))), 3))
        for i, (name, column) in enumerate(zip(Scores._fields, SCORE_COLUMNS, strict=True))
    ]  # fmt: skip
    return Told((total, *agreement))


def true_scores(folder: Path, numbers: list[int]) -> NDArray[np.float64]:
    """v2 scores on the exact masks [N, 7]; what is undefined there counts as 0."""
    names = tuple(f"score_{name}" for name in Scores._fields)
    table = read_columns(folder, int(read_manifest(folder)["plan"]["count"]), ("index", *names))
    columns = np.array([table[name] for name in names], float).T
    exact: NDArray[np.float64] = np.nan_to_num(columns[numbers])
    return exact


@dataclass(frozen=True)
class Property:
    loop: LoopConfig
    net: PropertyConfig = PropertyConfig()


def property_cnn(work: Work[Property]) -> Told:
    """The property CNN and FOLDER/all_scores_v2_cnn.csv, its answers: labels of v3 and v4."""
    data = scored_v1(work.inputs["filter"] / KEPT, work.inputs["score"] / SCORES)
    loop = replace(work.options.loop, device=work.machine.device, threads=work.machine.threads)
    trained = train_property(data, work.options.net, loop, work.folder)
    numbers = [
        Number("epochs", "에폭", trained.epochs),
        Number("validation loss without background_std", "background_std를 뺀 검증 손실",
               round(trained.valid_loss, 4)),
    ]  # fmt: skip
    numbers += [
        Number(f"r with the measured score, {name}", f"측정 점수와의 상관, {name}",
               round(float(np.nan_to_num(r)), 3))
        for name, r in trained.correlation.items()
    ]  # fmt: skip
    curve = Curve("property CNN", "속성 CNN", "run/log.jsonl",
                  ("loss", "val_loss_except_back_std"))  # fmt: skip
    return Told(tuple(numbers), (), (curve,))
