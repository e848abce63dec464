"""Her face: one fresh frame of the full-size generator on each runtime, and a frame of the lattice.

    python -m benchmarks.face [--rounds 9] [--threads 2]

The generator has the shape of FineTune-v3 (256 px, 22.7 billion products a frame) and the weights
of the golden files. Every round draws one frame on each runtime in turn; times are medians over the
rounds, ratios medians of each round's own ratio, so that a busy machine disturbs them less.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benchmarks.report import Row
from conftest import find_golden
from golden.fill import load_case
from ohlora.checkpoints.load import GeneratorWeights
from ohlora.expression import Expression
from ohlora.face import Lattice
from ohlora.face.codes import Array
from ohlora.face.openvino import OpenVinoRenderer
from ohlora.face.rendered import RenderedFrames
from ohlora.face.renderer import make_label
from ohlora.face.torch_renderer import TorchRenderer
from ohlora.models.generator_config import VARIANTS

NOTE = (
    "A fresh frame is one pass of the full 256 px generator (FineTune-v3, made-up weights) for a "
    "new expression; decibels are PSNR against float32 over the range of the picture. A lattice "
    "frame is one that was drawn before. Runtimes take turns, frame by frame; a ratio is the "
    "median over the rounds, each round compared with itself."
)
FACE = Expression(1.2, 0.4, -1.2)
Draw = Callable[[], Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.rounds, options.threads, Path(folder))
    print(json.dumps([row.to_dict() for row in rows], indent=1))


def measure(rounds: int, threads: int, folder: Path) -> list[Row]:
    import torch

    torch.set_num_threads(threads)
    case = load_case(find_golden(), "stylegan_gen_v3")
    weights = GeneratorWeights(Path("v3"), VARIANTS["v3"], case.whole_state)
    z = case.input("z")[0]
    plain = TorchRenderer(weights, z)
    draws: dict[str, Draw] = {"PyTorch float32": lambda: plain.image(FACE)}
    for precision, name in (("f32", "float32"), ("bf16", "bfloat16"), ("int8", "int8")):
        fast = OpenVinoRenderer(weights, z, precision=precision, threads=threads)
        draws[f"OpenVINO {name}"] = lambda fast=fast: fast.image(FACE)
    if importlib.util.find_spec("onnxruntime"):
        draws["ONNX Runtime float32"] = onnx_runtime(plain, z, threads)

    images = {name: draw() for name, draw in draws.items()}  # also compiles and warms up
    for draw in draws.values():
        draw()
    times = take_turns(draws, rounds)
    reference, base = images["PyTorch float32"], times["PyTorch float32"]
    count = "1 thread" if threads == 1 else f"{threads} threads"
    rows = []
    for name, seconds in times.items():
        what, value = f"fresh frame, {name}, {count}", median(seconds) * 1e3
        if name == "PyTorch float32":
            rows.append(Row(what, value, "ms"))
            continue
        ratio = median(plain / own for plain, own in zip(base, seconds, strict=True))
        rows.append(Row(what, value, "ms", ratio, "the speed of PyTorch float32"))
    for name in ("OpenVINO bfloat16", "OpenVINO int8"):
        rows.append(Row(f"likeness to float32, {name}", psnr(reference, images[name]), "dB"))
    return rows + lattice_rows(plain, folder, median(base))


def take_turns(draws: dict[str, Draw], rounds: int) -> dict[str, list[float]]:
    """Seconds of each in every round, drawn one after the other."""
    times: dict[str, list[float]] = {name: [] for name in draws}
    for _ in range(rounds):
        for name, draw in draws.items():
            start = time.perf_counter()
            draw()
            times[name].append(time.perf_counter() - start)
    return times


def lattice_rows(renderer: TorchRenderer, folder: Path, fresh: float) -> list[Row]:
    """A frame from memory, and the first time after a restart, from disk."""
    frames = RenderedFrames(renderer, folder=folder)
    face = Lattice(frames)
    cell = face.nearest(FACE)
    face.frame(cell)
    memory = median_of(lambda: face.frame(cell), 1000)
    frames.close()

    def restart() -> None:
        again = RenderedFrames(renderer, folder=folder)
        start = time.perf_counter()
        again.frame(cell)
        disk.append(time.perf_counter() - start)

    disk: list[float] = []
    for _ in range(21):
        restart()
    against = "the speed of a fresh PyTorch frame"
    return [
        Row("lattice frame, from memory", memory * 1e6, "µs", fresh / memory, against),
        Row("lattice frame, from disk", median(disk) * 1e6, "µs", fresh / median(disk), against),
    ]


def median_of(run: Callable[[], Any], times: int) -> float:
    """Median seconds of one call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return median(found)


def onnx_runtime(plain: TorchRenderer, z: Array, threads: int) -> Draw:
    """The plain network, exported by PyTorch, on ONNX Runtime."""
    import onnxruntime
    import torch

    class Drawn(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.generator = plain._generator

        def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return self.generator(z, label, lod=0.0).image

    label = make_label(FACE, 7)
    exported = io.BytesIO()
    inputs = (torch.from_numpy(z[None]), torch.from_numpy(label))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(torch.jit.trace(Drawn().eval(), inputs))  # folds the kernels
        torch.onnx.export(frozen, inputs, exported, input_names=["z", "label"], dynamo=False)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        exported.getvalue(), settings, providers=["CPUExecutionProvider"]
    )
    feed = {"z": z[None], "label": label}
    return lambda: session.run(None, feed)[0][0]


def psnr(want: Array, found: Array) -> float:
    """Decibels over the range of the wanted picture."""
    error = float(np.mean((want - found) ** 2))
    return 20 * float(np.log10(np.ptp(want) / np.sqrt(error)))


if __name__ == "__main__":
    main()
