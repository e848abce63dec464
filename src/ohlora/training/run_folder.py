"""The files of one training run.

RUN_DIR/
  config.json                     what is trained; another configuration is refused
  log.jsonl                       one row every log_every steps, one an epoch
  tensorboard/                    the same, where the package tensorboard is installed
  samples/000500.webp             pictures for the eye
  checkpoints/step_000500/        state.pt: tensors and plain data; the newest are kept
  generator.safetensors           the finished networks, generator.ema.safetensors averaged

A checkpoint gets its name when it is whole, so a killed run never leaves half of one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ohlora.checkpoints.tensors import BROKEN
from ohlora.errors import CheckpointError, StoreError
from ohlora.face.pixels import encode
from ohlora.files import write_whole

if TYPE_CHECKING:
    from ohlora.training.loop import Run

log = logging.getLogger(__name__)
# What a resumed run may change: it does not alter what a step computes.
FREE = {
    "steps", "epochs", "log_every", "sample_every", "save_every", "keep", "threads", "device",
}  # fmt: skip


class RunFolder:
    """Raises StoreError whenever the disk takes no more; what was there stays."""

    def __init__(
        self, path: Path, wanted: dict[str, Any], keep: int = 2, *, writes: bool = True
    ) -> None:
        """wanted: {"recipe", "loop", "settings", "data"}, plain data that tell what is trained.

        Raises CheckpointError when the folder belongs to another configuration.
        """
        self.path, self.keep, self.writes = path, keep, writes
        self.board: Any = None
        self.claim(json.loads(json.dumps(wanted)))

    def claim(self, wanted: dict[str, Any]) -> None:
        path = self.path / "config.json"
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                wrong = list(differences(found, wanted))
            except (ValueError, AttributeError):
                wrong = ["an unreadable config.json"]
            if wrong:
                raise CheckpointError(
                    self.path,
                    f"holds a run with {', '.join(wrong)}: give the same settings, or another "
                    "folder.",
                    f"다른 설정({', '.join(wrong)})의 학습이 들어 있어요. 같은 설정을 주거나 다른 "
                    "폴더를 쓰세요.",
                )
        if self.writes:
            with self.writing():
                (self.path / "checkpoints").mkdir(parents=True, exist_ok=True)
                write_whole(path, (json.dumps(wanted, indent=1) + "\n").encode())

    @property
    def checkpoints(self) -> list[Path]:
        """Whole ones, oldest first."""
        return sorted((self.path / "checkpoints").glob("step_[0-9]*"))

    def load_latest(self, device: torch.device) -> dict[str, Any] | None:
        """State of the newest readable checkpoint; None when there is none."""
        for folder in reversed(self.checkpoints):
            try:
                state: dict[str, Any] = torch.load(
                    folder / "state.pt", map_location=device, weights_only=True
                )
                return state
            except BROKEN as error:
                log.warning("%s cannot be read (%s): an older one is taken", folder, error)
        if self.checkpoints:
            raise CheckpointError(
                self.checkpoints[-1],
                "none of the checkpoints can be read: start anew in another folder.",
                "읽을 수 있는 체크포인트가 없어요. 다른 폴더에서 새로 시작해 주세요.",
            )
        return None

    def restore(self, run: Run, state: dict[str, Any]) -> None:
        """Raises CheckpointError when the networks have other shapes."""
        try:
            run.load_state(state)
        except (RuntimeError, ValueError, KeyError) as error:
            first = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(
                self.path, f"its checkpoint is of other networks ({first}): give the same "
                "settings, or another folder.",
                f"다른 신경망의 체크포인트예요({first}). 같은 설정을 주거나 다른 폴더를 쓰세요.",
            ) from error  # fmt: skip

    def begin(self, step: int) -> None:
        """Forget what was logged after `step`: those steps are done again."""
        if not self.writes:
            return
        path = self.path / "log.jsonl"
        if path.exists():
            rows = [row for line in path.read_text().splitlines() if (row := parsed(line))]
            kept = [json.dumps(row) + "\n" for row in rows if row["step"] <= step]
            with self.writing():
                write_whole(path, "".join(kept).encode())
        self.board = open_board(self.path / "tensorboard", step)

    def note(self, step: int, **row: float) -> None:
        if not self.writes:
            return
        known = {name: value if math.isfinite(value) else None for name, value in row.items()}
        with self.writing(), (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": round(time.time(), 1), **known}) + "\n")
        if self.board:
            for name, value in row.items():
                self.board.add_scalar(name, value, step)

    def picture(self, step: int, pixels: NDArray[np.uint8] | None) -> None:
        if pixels is None or not self.writes:
            return
        with self.writing():
            (self.path / "samples").mkdir(exist_ok=True)
            write_whole(self.path / "samples" / f"{step:06d}.webp", encode(pixels))

    def save(self, step: int, state: Callable[[], dict[str, Any]]) -> None:
        if not self.writes:
            return
        with self.new_checkpoint(step) as part:
            with (part / "state.pt").open("wb") as file:
                torch.save(state(), file)

    @contextmanager
    def new_checkpoint(self, step: int) -> Iterator[Path]:
        """An empty folder that becomes checkpoints/step_NNNNNN when it is whole."""
        target = self.path / "checkpoints" / f"step_{step:06d}"
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        with self.writing():
            try:
                part.mkdir()
                yield part
                for path in part.iterdir():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
                shutil.rmtree(target, ignore_errors=True)
                os.replace(part, target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            for old in self.checkpoints[: -self.keep]:
                shutil.rmtree(old, ignore_errors=True)
            for dead in target.parent.glob(".step_*.part"):  # of killed runs
                shutil.rmtree(dead, ignore_errors=True)

    def export(self, modules: Mapping[str, nn.Module], averaged: Mapping[str, nn.Module]) -> None:
        """NAME.safetensors and NAME.ema.safetensors, float32."""
        if not self.writes:
            return
        with self.writing():
            for name, module in modules.items():
                write_weights(self.path / f"{name}.safetensors", module)
            for name, module in averaged.items():
                write_weights(self.path / f"{name}.ema.safetensors", module)
        if self.board:
            self.board.close()

    @contextmanager
    def writing(self) -> Any:
        try:
            yield
        except (OSError, RuntimeError) as error:
            # torch's own file writer turns a full disk into a RuntimeError.
            if isinstance(error, RuntimeError) and "write" not in str(error):
                raise
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise StoreError(
                f"{self.path} cannot be written ({reason}): make room and run the same command "
                "again; it goes on from the last checkpoint.",
                f"{self.path}에 쓸 수 없어요({reason}). 공간을 비우고 같은 명령을 다시 실행하면 "
                "마지막 체크포인트부터 이어져요.",
            ) from error


def write_weights(path: Path, module: nn.Module) -> None:
    """A network's state dict as safetensors, whole or not at all. Raises OSError."""
    from safetensors.torch import save

    state = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    write_whole(path, save(state, metadata={"format": "pt"}))


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What the run in the folder has and the wanted one has not, as `name value` texts."""
    wrong = [f"{k} {found.get(k)}" for k in ("recipe", "data") if found.get(k) != wanted[k]]
    for part in ("loop", "settings"):
        old, new = found.get(part) or {}, wanted[part] or {}
        for name in {**old, **new}:
            free = part == "loop" and name in FREE
            if not free and old.get(name) != new.get(name):
                wrong.append(f"{name} {old.get(name)}")
    return wrong


def parsed(line: str) -> dict[str, Any]:
    """A row of the log; {} for one that was cut."""
    try:
        row: dict[str, Any] = json.loads(line)
        return row
    except ValueError:
        return {}


def open_board(path: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(path), purge_step=step)
