"""Training: steps of FineTune-v1 and v3 against the same with the frozen layers' graph kept, and
of the language model's adapter against trl (training_llm.py).

    python -m benchmarks.training [--batch 2] [--rounds 3] [--threads 2] [--cpu]

Nets of the published size (256 px, random weights). One step of v1 is one update of the
discriminator and one of the generator. Variants take turns; speeds are of the fastest round,
ratios medians of each round's own ratio. Peak memory is of a process of its own, one step.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks import training_llm
from benchmarks.report import Row
from ohlora.models.cnn import GenderCNN
from ohlora.models.discriminator import VARIANTS as DISCRIMINATORS
from ohlora.models.discriminator import Discriminator
from ohlora.models.generator_config import VARIANTS as GENERATORS
from ohlora.models.property_cnn import PropertyCNN
from ohlora.models.stylegan import Generator
from ohlora.training.face_data import Batch, FaceData
from ohlora.training.finetune_v1 import FAITHFUL, FineTune
from ohlora.training.finetune_v3 import FineTuneV3, V3Config
from ohlora.training.loop import LoopConfig, Run
from ohlora.training.losses import discriminator_loss, generator_loss, r1_penalty
from ohlora.training.stylegan_base import draw

NOTE = (
    "Nets of the published size; of v1 one discriminator and one generator update. With the "
    "graph kept, frozen layers get gradients that no optimiser uses, and fakes are not detached; "
    "with frozen weights, they are only marked as frozen. Of v3's seven property nets only three "
    "carry loss; ours are in no graph otherwise. The gradients of the trained layers are the same "
    "in all (tests/training/test_gan_recipes.py, test_finetune_v3.py). " + training_llm.NOTE
)


class GraphKept(FineTune):
    """The same step as a plain reading of the recipe computes it: everything is in the graph."""

    frozen_weights = False  # True: frozen weights are marked as such

    def __init__(self, *parts) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*parts)
        if not self.frozen_weights:
            for net in self.modules.values():
                net.requires_grad_(True)

    def discriminator_step(self, batch: Batch, run: Run):  # type: ignore[no-untyped-def]
        self.forget()
        net, label = self.discriminator, batch.labels
        with self.without_training(self.generator):
            fake = draw(self.generator, label, len(batch), self.config.style_mixing)
            images = batch.pixels().requires_grad_(True)
            real_logits, fake_logits = net(images, label), net(fake, label)
            loss = discriminator_loss(real_logits, fake_logits)
            loss = loss + self.config.r1_gamma / 2 * r1_penalty(real_logits, images)
            run.backward(loss)
        run.update("discriminator")
        return loss.detach(), real_logits.detach(), fake_logits.detach()

    def generator_step(self, label: torch.Tensor, run: Run) -> torch.Tensor:
        self.forget()
        fake = draw(self.generator, label, len(label), self.config.style_mixing)
        loss = generator_loss(self.discriminator(fake, label))
        run.backward(loss)
        run.update("generator")
        return loss.detach()

    def forget(self) -> None:
        for net in self.modules.values():
            net.zero_grad(set_to_none=True)

    def without_training(self, net: nn.Module) -> Frozen:
        return Frozen(net if self.frozen_weights else nn.Module())


class Frozen:
    """The net's trained parameters take no gradient inside."""

    def __init__(self, net: nn.Module) -> None:
        self.parameters = [p for p in net.parameters() if p.requires_grad]

    def __enter__(self) -> None:
        for p in self.parameters:
            p.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for p in self.parameters:
            p.requires_grad_(True)


class FrozenWeights(GraphKept):
    frozen_weights = True


def random_faces(count: int, size: int, labels: int) -> FaceData:
    rng = np.random.default_rng(0)
    return FaceData(
        images=rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8),
        labels=rng.standard_normal((count, labels)).astype(np.float32),
        names=tuple(str(i) for i in range(labels)),
        masks=None,
        persons=np.arange(count),
        numbers=np.arange(count),
        digest="random",
    )


GRAPHS = {"ours": "needed", "kept": "kept", "marked": "marked"}  # as FineTune-v3 calls them


def finetune_v1(name: str) -> FineTune:
    kind = {"ours": FineTune, "kept": GraphKept, "marked": FrozenWeights}[name]
    config = replace(FAITHFUL, generator_tries=1)
    return kind(Generator(GENERATORS["v1"]), Discriminator(DISCRIMINATORS["v1"]), config)


def finetune_v3(name: str) -> FineTuneV3:
    config = V3Config(graph=GRAPHS[name])
    return FineTuneV3(Generator(GENERATORS["v3"]), PropertyCNN(), GenderCNN(), config)


RECIPES = {"FineTune-v1": finetune_v1, "FineTune-v3": finetune_v3}


def step_of(recipe: str, name: str, batch: int) -> Callable[[], object]:
    """One training step of a fresh recipe; every variant starts from the same weights."""
    torch.manual_seed(0)
    data = random_faces(batch, 256, 7)
    made = RECIPES[recipe](name)
    run = Run(made, data, LoopConfig(steps=1, batch_size=batch, device="cpu"), Path())
    run.closing = True
    return lambda: made.step(data.batch(0, batch, 0), run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="CPU time: for a machine in use")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)  # recipe and variant
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        step_of(*options.memory, options.batch)()
        status = Path("/proc/self/status").read_text()  # ru_maxrss would be the parent's
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]
        return
    clock = time.process_time if options.cpu else time.perf_counter
    rows = [row for recipe in RECIPES for row in measure(recipe, options, clock)]
    rows += training_llm.measure(training_llm.settings(32), 20, options.rounds, clock)
    print(json.dumps([row.to_dict() for row in rows], indent=1))


def measure(recipe: str, options: argparse.Namespace, clock: Callable[[], float]) -> Iterator[Row]:
    def seconds(step: Callable[[], object]) -> float:
        start = clock()
        step()
        return clock() - start

    steps = {name: step_of(recipe, name, options.batch) for name in GRAPHS}
    for step in steps.values():
        step()
    times = [{name: seconds(step) for name, step in steps.items()} for _ in range(options.rounds)]
    speed = {name: options.batch / min(row[name] for row in times) for name in steps}
    ratio = {name: median(row[name] / row["ours"] for row in times) for name in steps}
    del steps, step  # several pairs of nets
    memory = {name: peak_memory(recipe, name, options) for name in ("ours", "kept")}
    yield Row(
        f"{recipe}, batch {options.batch}", speed["ours"], "images/s", ratio["kept"],
        "the frozen layers' graph kept",
    )  # fmt: skip
    yield Row(f"{recipe}, the graph kept", speed["kept"], "images/s")
    yield Row(
        f"{recipe}, weights marked as frozen only", speed["marked"], "images/s",
        ratio["marked"], "less than ours",
    )  # fmt: skip
    yield Row(
        f"{recipe}, peak memory", memory["ours"], "MB", memory["kept"] / memory["ours"],
        "less than with the graph kept",
    )  # fmt: skip


def peak_memory(recipe: str, name: str, options: argparse.Namespace) -> float:
    """MB of a process that takes one step."""
    command = [sys.executable, "-m", "benchmarks.training", "--memory", recipe, name]
    command += ["--batch", str(options.batch), "--threads", str(options.threads)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
