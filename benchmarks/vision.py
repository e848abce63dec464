"""Vision: faces found, parsed and scored per second, against v1's way of doing it.

    python -m benchmarks.vision [--threads 2] [--mtcnn FOLDER] [--facexformer FILE] [--repeat 3]

Prints rows (report.py): a picture as v1 did it (both networks built and their files read anew, then
the scores pixel by pixel), as we do it on each runtime and with the small parser in FaceXFormer's
place, the detector alone, and the seven property scores alone. The pictures are frames of the
embedded face; with random weights the maps are noise, so scores are timed on a drawn face whose
eyes, hair and mouth have the sizes of a parsed one. v1 also wrote three PNGs and read them back,
which is left out on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks.report import Row  # noqa: E402
from ohlora.models.face_parser import FaceUNet, make_face_parser, parse_classes  # noqa: E402
from ohlora.models.facexformer import FaceXFormer  # noqa: E402
from ohlora.models.mtcnn import MTCNN  # noqa: E402
from ohlora.paths import embedded  # noqa: E402
from ohlora.vision.images import open_picture  # noqa: E402
from ohlora.vision.parse import Parser, TorchParser  # noqa: E402
from ohlora.vision.scores import scores_v2  # noqa: E402
from ohlora.vision.stages import FaceParser  # noqa: E402
from ohlora.vision.weights import load_mtcnn, load_parser, mtcnn_files  # noqa: E402
from vision.fetch_mtcnn import fetch, mtcnn_folder  # noqa: E402
from vision.plain_scores import plain_scores_v2  # noqa: E402

PICTURES = 8
RUNTIMES = [f"{runtime}{short}" for runtime in ("torch", "openvino") for short in ("", "_bf16")]
NAMES = [*RUNTIMES, "small_parser"]
NOTE = (
    "One picture: face found, parsed, scored. FaceXFormer of the published size with random "
    "weights (as fast as trained ones), MTCNN's real weights. v1 built both networks anew for "
    "every picture, read their files (from memory here) and scored pixel by pixel. The small "
    "parser is another network, trained on synthetic faces: it stands in where FaceXFormer's "
    "weights are absent."
)
clock = time.perf_counter


def best(run: Callable[[], object], times: int) -> float:
    """Milliseconds of the fastest of `times` runs: the one that was disturbed least."""
    found = []
    for _ in range(times):
        start = clock()
        run()
        found.append(clock() - start)
    return min(found) * 1e3


def drawn_face() -> tuple[np.ndarray, np.ndarray]:
    """A class map as a parsed face has it, and a noisy picture of it."""
    image = Image.new("L", (224, 224), 0)
    draw = ImageDraw.Draw(image)
    draw.ellipse((25, 5, 200, 235), fill=10)
    draw.ellipse((55, 35, 170, 210), fill=1)
    draw.ellipse((72, 100, 100, 113), fill=4)
    draw.ellipse((124, 98, 152, 112), fill=5)
    draw.polygon([(112, 105), (100, 145), (125, 145)], fill=6)
    draw.ellipse((90, 160, 135, 185), fill=9)
    draw.pieslice((90, 160, 135, 185), 180, 360, fill=7)
    draw.ellipse((95, 168, 130, 178), fill=8)
    rng = np.random.default_rng(0)
    return np.asarray(image), rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)


def as_v1(path: Path, mtcnn_folder: Path, facexformer: Path) -> None:
    """One picture as v1 does it: everything is built and read anew."""
    mtcnn = MTCNN()
    nets = (mtcnn.pnet, mtcnn.rnet, mtcnn.onet)
    for net, file in zip(nets, mtcnn_files(mtcnn_folder), strict=True):
        net.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    net = FaceXFormer()
    for name, layer in net.backbone.named_modules():  # torchvision's Swin draws these two as well
        if isinstance(layer, nn.Linear):
            if ".mlp." in name:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.trunc_normal_(layer.weight, std=0.02)
    state = torch.load(facexformer, map_location="cpu", weights_only=True)
    net.load_state_dict(state["state_dict_backbone"])
    FaceParser(mtcnn.eval(), TorchParser(net.eval()))([open_picture(path)])


def parser_named(name: str, weights: Path) -> Parser:
    if name == "small_parser":
        net = make_face_parser(FaceUNet().state_dict())
        return lambda crops: list(parse_classes(net, crops).numpy())
    runtime, _, short = name.partition("_")
    return load_parser(weights, runtime=runtime, precision="bfloat16" if short else "float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--mtcnn", type=Path)
    parser.add_argument("--facexformer", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="CPU time: for a machine in use")
    options = parser.parse_args()
    global clock
    clock = time.process_time if options.cpu else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["OHLORA_HOME"] = temporary
        found = measure(options, Path(temporary))
    print(json.dumps([row.to_dict() for row in as_rows(found)], indent=1))


def as_rows(found: dict[str, float]) -> list[Row]:
    """The measured times as rows; each runtime against loading the networks for every picture."""
    v1 = found["reload"] + found["scores_v2_plain"]
    rows = [Row("one picture, networks loaded for each (v1's way)", v1, "ms")]
    for name in NAMES:
        what = f"one picture among {PICTURES}, {name.replace('_', ' ')}"
        ratio = found[f"speedup_{name}"]
        ours = found[f"{name}_{PICTURES}"] + found["scores_v2"]
        rows.append(Row(what, ours, "ms", ratio, "v1's way"))
    rows += [Row(f"MTCNN alone, batch {n}", found[f"mtcnn_{n}"], "ms") for n in (1, PICTURES)]
    ratio = found["speedup_scores"]
    return [*rows, Row("scores v2", found["scores_v2"], "ms", ratio, "pixel by pixel in Python")]


def measure(options: argparse.Namespace, temporary: Path) -> dict[str, float]:
    folder = options.mtcnn or mtcnn_folder() or fetch()
    weights = options.facexformer
    if weights is None:
        weights = temporary / "segmentation_model.pt"
        torch.save({"state_dict_backbone": FaceXFormer().state_dict()}, weights)
    frames = sorted((embedded() / "face" / "pack").glob("*.webp"))[:PICTURES]
    pictures = [open_picture(path) for path in frames]
    repeat, result = options.repeat, {"threads": options.threads, "load": os.getloadavg()[0]}

    as_v1(frames[0], folder, weights)  # the file is in the page cache from here on
    reload = best(lambda: as_v1(frames[0], folder, weights), repeat)
    result["reload"] = reload
    mtcnn = load_mtcnn(folder)
    for name in NAMES:
        stage = FaceParser(mtcnn, parser_named(name, weights))
        stage(pictures[:1])
        for size in (1, PICTURES):
            some = pictures[:size]
            result[f"{name}_{size}"] = best(lambda s=stage, p=some: s(p), repeat) / size
    for size in (1, PICTURES):
        pixels = [picture.pixels for picture in pictures[:size]]
        result[f"mtcnn_{size}"] = best(lambda p=pixels: mtcnn(p), 3 * repeat) / size

    face = drawn_face()
    assert np.allclose(scores_v2(*face), plain_scores_v2(*face), rtol=0, atol=1e-9)
    fast = best(lambda: scores_v2(*face), 100)
    plain = best(lambda: plain_scores_v2(*face), repeat)
    result |= {"scores_v2": fast, "scores_v2_plain": plain, "speedup_scores": plain / fast}
    for name in NAMES:
        ours = result[f"{name}_{PICTURES}"]
        result[f"speedup_{name}"] = (reload + plain) / (ours + fast)
    return {key: round(value, 3) for key, value in result.items()}


if __name__ == "__main__":
    main()
