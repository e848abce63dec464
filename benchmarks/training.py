"""Training: a step of FineTune-v1 and v3 against the same with the frozen layers' graph kept.

    python -m benchmarks.training [--batch 2] [--rounds 3] [--threads 2] [--only v3]

Nets of the published size (256 px, random weights). One step of v1 is one update of the
discriminator and one of the generator. Variants take turns; times are the fastest of the rounds,
ratios medians of each round's own ratio.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

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
    "in all (tests/training/test_gan_recipes.py, test_finetune_v3.py)."
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


def finetune_v1(batch: int) -> dict[str, Callable[[], object]]:
    """One step by each variant, of nets that share their frozen weights."""
    data = random_faces(batch, 256, 7)
    config = replace(FAITHFUL, generator_tries=1)
    steps: dict[str, Callable[[], object]] = {}
    for name, kind in (("ours", FineTune), ("kept", GraphKept), ("frozen", FrozenWeights)):
        torch.manual_seed(0)
        recipe = kind(Generator(GENERATORS["v1"]), Discriminator(DISCRIMINATORS["v1"]), config)
        run = Run(recipe, data, LoopConfig(steps=1, batch_size=batch, device="cpu"), Path())
        run.closing = True
        steps[name] = lambda recipe=recipe, run=run: recipe.step(data.batch(0, batch, 0), run)
    return steps


def finetune_v3(batch: int) -> dict[str, Callable[[], object]]:
    """One step by each variant: ours measures three of seven properties, as in 9 of 10 steps."""
    data = random_faces(batch, 256, 7)
    steps: dict[str, Callable[[], object]] = {}
    for name, graph in (("ours", "needed"), ("kept", "kept"), ("frozen", "marked")):
        torch.manual_seed(0)
        nets = Generator(GENERATORS["v3"]), PropertyCNN(), GenderCNN()
        recipe = FineTuneV3(*nets, V3Config(graph=graph))
        run = Run(recipe, data, LoopConfig(steps=1, batch_size=batch, device="cpu"), Path())
        run.closing = True
        steps[name] = lambda recipe=recipe, run=run: recipe.step(data.batch(0, batch, 0), run)
    return steps


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=KINDS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [
        row
        for kind in ([options.only] if options.only else KINDS)
        for row in measure(kind, options.batch, options.rounds)
    ]
    print(json.dumps([row.to_dict() for row in rows], indent=1))


def measure(kind: str, batch: int, rounds: int) -> list[Row]:
    steps = KINDS[kind](batch)
    for step in steps.values():  # v3 measures all seven properties in its first step
        step()
    times = [{name: seconds(step) for name, step in steps.items()} for _ in range(rounds)]
    speed = {name: batch / min(row[name] for row in times) for name in steps}
    ratio = {name: median(row[name] / row["ours"] for row in times) for name in ("kept", "frozen")}
    return [
        Row(f"FineTune-{kind} step", speed["ours"], "images/s", ratio["kept"], "graph kept"),
        Row("the same, frozen layers' graph kept", speed["kept"], "images/s"),
        Row("the same, frozen weights marked only", speed["frozen"], "images/s",
            ratio["frozen"], "slower than ours"),
    ]  # fmt: skip


KINDS = {"v1": finetune_v1, "v3": finetune_v3}

if __name__ == "__main__":
    main()
