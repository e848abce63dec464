"""The loop every face network is trained in: one process on a CPU, one or many GPUs.

A recipe says what is trained and what one step does; the loop gives it batches, averages its
weights, writes checkpoints, and goes on exactly where a killed run stopped.

    train(recipe, data, LoopConfig(steps=20_000), run_dir)     again with run_dir: goes on

Files in run_dir: run_folder.py. Many GPUs: `accelerate launch --multi_gpu -m ohlora train ...`;
every process draws its own batches of `batch_size` and gradients are averaged before an update.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ohlora.errors import BadInput
from ohlora.training.faults import (
    check_finite,
    diverged,
    is_out_of_memory,
    largest_batch,
    too_large,
)
from ohlora.training.randomness import random_state, seed_all, set_random_state
from ohlora.training.run_folder import RunFolder

log = logging.getLogger(__name__)
Logged = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class LoopConfig:
    steps: int | None = None  # optimiser steps in all; this or epochs, whichever ends first
    epochs: int | None = None  # passes over the data
    batch_size: int = 16  # pictures a process and a pass
    accumulate: int = 1  # passes whose gradients are averaged into one step
    precision: str = "float32"  # or "bfloat16": autocast, weights stay float32
    ema: float = 0.0  # decay of the averaged weights a step; 0: no averaging
    log_every: int = 10  # steps
    sample_every: int = 0  # steps; 0: no pictures
    save_every: int = 500  # steps
    keep: int = 2  # newest checkpoints
    seed: int = 7
    threads: int | None = None  # CPU threads; the same number again resumes bit by bit
    device: str = "auto"  # or "cpu"
    channels_last: bool = False  # memory format of the networks

    def check(self) -> None:
        """Raises BadInput."""
        numbers = (self.batch_size, self.accumulate, self.log_every, self.save_every, self.keep)
        ends = [end for end in (self.steps, self.epochs) if end is not None]
        if not ends or min(*ends, *numbers) < 1:
            raise BadInput(
                "Training needs a number of steps or epochs, and batch size, accumulation and "
                "intervals of at least 1.",
                "학습에는 스텝 수나 에폭 수가 있어야 하고, 배치와 간격은 1 이상이어야 해요.",
            )
        if self.precision not in ("float32", "bfloat16") or self.device not in ("auto", "cpu"):
            raise BadInput(
                f"Precision is float32 or bfloat16 and device auto or cpu, not {self.precision!r} "
                f"and {self.device!r}.",
                "precision은 float32나 bfloat16, device는 auto나 cpu로 정해 주세요.",
            )


class Recipe(Protocol):
    """What is trained, and how. Optional attributes: `frozen` (dict of networks only moved to the
    device), `config` (a dataclass or dict; a run with another one is refused), `saved(run)` (called
    after a checkpoint), `finish(run)` (called when training is done; what it returns is logged),
    `exported` (names of the modules that are written at the end, by default all)."""

    modules: dict[str, nn.Module]  # saved and restored; those of `frozen` are not
    optimizers: dict[str, Optimizer]
    schedulers: dict[str, LRScheduler]
    averaged: tuple[str, ...]  # modules that get an averaged copy: run.averaged[name]

    def step(self, batch: Any, run: Run) -> Logged:
        """One batch: run.backward(loss), run.update("name"), as often as the recipe wants.

        Runs under autocast when the precision is bfloat16. Of what it returns, names that end in
        "loss" must stay finite numbers.
        """

    def epoch_end(self, run: Run) -> Logged:
        """After a pass over the data: validation, schedulers, run.stop()."""

    def samples(self, run: Run) -> NDArray[np.uint8] | None:
        """A picture for the eye [H, W, 3]; may draw random numbers, the run does not notice."""

    def extra_state(self) -> dict[str, Any]:
        """Counters and such to be restored: plain numbers, text, lists, dicts, tensors."""

    def load_extra_state(self, state: dict[str, Any]) -> None: ...


class Data(Protocol):
    """Optional attribute: `digest`, a text that names the data."""

    def __len__(self) -> int: ...

    def batch(self, number: int, size: int, seed: int) -> Any:
        """Batch `number` of an endless stream; has .to(device). Pure: resume sees the same."""


class Run:
    """What a recipe sees of the loop. `step` counts finished optimiser steps."""

    def __init__(self, recipe: Recipe, data: Data, config: LoopConfig, path: Path) -> None:
        from accelerate import Accelerator

        self.recipe, self.config, self.size = recipe, config, len(data)
        self.path = path  # of the run folder
        self.accelerator = Accelerator(cpu=config.device == "cpu")
        self.device, self.rank = self.accelerator.device, self.accelerator.process_index
        self.world, self.main = self.accelerator.num_processes, self.accelerator.is_main_process
        self.step, self.stopped, self.closing = 0, False, False
        moved = {**recipe.modules, **getattr(recipe, "frozen", {})}
        for module in moved.values():
            module.to(self.device)
            if config.channels_last:
                module.to(memory_format=torch.channels_last)
        if self.world > 1:
            for module in recipe.modules.values():
                for tensor in (*module.parameters(), *module.buffers()):
                    torch.distributed.broadcast(tensor.data, 0)
        names = recipe.averaged if config.ema else ()
        self.averaged = {
            name: deepcopy(recipe.modules[name]).eval().requires_grad_(False) for name in names
        }

    @property
    def epoch(self) -> int:
        """Passes over the data that are finished."""
        per_step = self.config.batch_size * self.config.accumulate * self.world
        return self.step * per_step // self.size

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0..1."""
        ends = []
        if self.config.steps:
            ends.append(self.step / self.config.steps)
        if self.config.epochs:
            ends.append(self.epoch / self.config.epochs)
        return min(1.0, max(ends))

    def autocast(self, on: bool = True) -> torch.autocast:
        on = on and self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def backward(self, loss: Tensor, inputs: Iterable[Tensor] | None = None) -> None:
        """Add the gradients of loss / accumulate. On a CPU raises TrainingError on a NaN.

        With `inputs`, only of these parameters, and nothing is computed that they do not need.
        """
        if self.device.type == "cpu" and not bool(torch.isfinite(loss)):
            raise diverged(self.step + 1, "")
        with self.autocast(False):
            part = loss / self.config.accumulate if self.config.accumulate > 1 else loss
            part.backward(inputs=None if inputs is None else list(inputs))
        torch.clear_autocast_cache()  # its casts belong to the graph that is gone now

    def update(self, name: str) -> None:
        """Step and clear optimiser `name`, if this pass is the last of the step."""
        if not self.closing:
            return
        optimizer = self.recipe.optimizers[name]
        if self.world > 1:
            self.average_gradients(optimizer)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.clear_autocast_cache()

    def average_gradients(self, optimizer: Optimizer) -> None:
        grads = [
            p.grad for group in optimizer.param_groups for p in group["params"]
            if p.grad is not None
        ]  # fmt: skip
        flat = self.accelerator.reduce(torch.cat([grad.flatten() for grad in grads]), "mean")
        for grad, mean in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(mean.view_as(grad))

    def stop(self) -> None:
        """End training after this step."""
        self.stopped = True

    @torch.no_grad()
    def average_weights(self) -> None:
        # Warm-up: a young average follows fast, or short runs would remember their random start.
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, copy in self.averaged.items():
            source = self.recipe.modules[name]
            pairs = [
                (mine.data, theirs.data)
                for mine, theirs in zip(copy.parameters(), source.parameters(), strict=True)
                if theirs.requires_grad
            ]
            if pairs:
                torch._foreach_lerp_(*(list(side) for side in zip(*pairs, strict=True)), 1 - decay)
            for mine, theirs in zip(copy.buffers(), source.buffers(), strict=True):
                mine.copy_(theirs)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on; tensors and plain data only."""
        recipe = self.recipe
        state = {
            "step": self.step,
            "stopped": self.stopped,
            "modules": {name: module.state_dict() for name, module in recipe.modules.items()},
            "averaged": {name: module.state_dict() for name, module in self.averaged.items()},
            "optimizers": {name: one.state_dict() for name, one in recipe.optimizers.items()},
            "schedulers": {name: one.state_dict() for name, one in recipe.schedulers.items()},
            "extra": recipe.extra_state(),
            "random": random_state(),
        }
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        recipe = self.recipe
        self.step, self.stopped = state["step"], state["stopped"]
        owners: list[tuple[str, Mapping[str, Any]]] = [
            ("modules", recipe.modules), ("averaged", self.averaged),
            ("optimizers", recipe.optimizers), ("schedulers", recipe.schedulers),
        ]  # fmt: skip
        for part, owned in owners:
            for name, one in owned.items():
                one.load_state_dict(state[part][name])
        recipe.load_extra_state(state["extra"])
        set_random_state(state["random"])
        if self.rank:  # only the first process's numbers are kept
            seed_all(self.config.seed + 1_000_003 * self.step + self.rank)


def train(recipe: Recipe, data: Data, config: LoopConfig, run_dir: Path) -> Path:
    """Train in place and write the networks to run_dir; called again, go on from there.

    Returns run_dir. On a CPU a resumed run ends bit by bit like one that was never stopped.
    Raises BadInput (settings, empty data), CheckpointError (run_dir belongs to another
    configuration), StoreError (full disk), TrainingError (NaN, out of memory).
    """
    config.check()
    if not len(data):
        raise BadInput(
            "The data set has no picture to train on.", "데이터셋에 학습할 그림이 없어요."
        )
    if config.threads:
        torch.set_num_threads(config.threads)
    run = Run(recipe, data, config, run_dir)
    folder = RunFolder(run_dir, described(recipe, data, config), config.keep, writes=run.main)
    seed_all(config.seed + run.rank)
    if (state := folder.load_latest(run.device)) is not None:
        folder.restore(run, state)
        log.info("going on from step %d", run.step)
    folder.begin(run.step)

    started, first = time.monotonic(), run.step
    with shown(run) as show:
        while not (run.stopped or run.progress >= 1):
            epoch = run.epoch
            logged = one_step(recipe, data, run)
            run.step += 1
            run.average_weights()
            if run.epoch > epoch:
                row = numbers(recipe.epoch_end(run))
                folder.note(run.step, epoch=run.epoch, **row)
            last = run.stopped or run.progress >= 1
            saves = last or run.step % config.save_every == 0
            if saves or run.step % config.log_every == 0:
                row = numbers(logged)
                if bad := [k for k, v in row.items() if k.endswith("loss") and not isfinite(v)]:
                    raise diverged(run.step, ", ".join(bad))
                speed = (run.step - first) / (time.monotonic() - started)
                folder.note(run.step, **row, steps_per_s=round(speed, 3))
                show(row)
            if config.sample_every and run.step % config.sample_every == 0:
                folder.picture(run.step, draw_samples(recipe, run))
            if saves:
                check_finite(run.step, *recipe.modules.values())
                folder.save(run.step, run.state)
                if saved := getattr(recipe, "saved", None):
                    saved(run)
    if finish := getattr(recipe, "finish", None):
        if row := numbers(finish(run) or {}):
            folder.note(run.step, **row)
    exported = getattr(recipe, "exported", tuple(recipe.modules))
    folder.export({name: recipe.modules[name] for name in exported}, run.averaged)
    run.accelerator.wait_for_everyone()
    return run_dir


def described(recipe: Recipe, data: Data, config: LoopConfig) -> dict[str, Any]:
    """What is trained, as RunFolder wants it."""
    settings = getattr(recipe, "config", None)
    return {
        "recipe": type(recipe).__name__,
        "loop": asdict(config),
        "settings": asdict(settings) if is_dataclass(settings) else settings,
        "data": getattr(data, "digest", None),
    }


def one_step(recipe: Recipe, data: Data, run: Run) -> Logged:
    """`accumulate` passes of the recipe, the last of which updates. Raises TrainingError."""
    config, logged = run.config, {}
    for i in range(config.accumulate):
        run.closing = i == config.accumulate - 1
        number = (run.step * config.accumulate + i) * run.world + run.rank
        batch = data.batch(number, config.batch_size, config.seed).to(run.device)
        try:
            with run.autocast():
                logged = recipe.step(batch, run)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not is_out_of_memory(error):
                raise
            raise too_large(config, largest_batch(recipe, data, run)) from error
    return logged


def draw_samples(recipe: Recipe, run: Run) -> NDArray[np.uint8] | None:
    kept = random_state()
    try:
        with torch.no_grad(), run.autocast():
            return recipe.samples(run) if run.main else None
    finally:
        set_random_state(kept)


def numbers(logged: Logged) -> dict[str, float]:
    return {
        name: float(value.detach() if isinstance(value, Tensor) else value)
        for name, value in logged.items()
    }


@contextmanager
def shown(run: Run) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A bar with the time left on a terminal, log lines elsewhere."""
    if not (run.main and sys.stderr.isatty()):
        yield lambda row: log.info("step %d %s", run.step, worded(row))
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"step {run.step}", total=1.0, completed=run.progress)
        yield lambda row: bar.update(
            task, completed=run.progress, description=f"step {run.step}  {worded(row)}"
        )


def worded(row: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items())
