"""The training loop: resume, faults, and what it writes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ohlora.errors import BadInput, CheckpointError, StoreError
from ohlora.training import run_folder
from ohlora.training.faults import TrainingError
from ohlora.training.loop import LoopConfig, Run, one_step, train
from training.toy import Toy, ToyConfig, toy_data

CONFIG = LoopConfig(
    steps=40, batch_size=16, ema=0.9, log_every=1, save_every=10, threads=1, device="cpu"
)


def weights(run_dir: Path, name: str = "net") -> list[torch.Tensor]:
    return list(load_file(run_dir / f"{name}.safetensors").values())


def rows(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A run that was never stopped."""
    return train(Toy(), toy_data(), CONFIG, tmp_path / "whole")


def test_a_stopped_run_ends_bit_by_bit_like_one_that_went_through(
    whole: Path, tmp_path: Path
) -> None:
    train(Toy(), toy_data(), replace(CONFIG, steps=17), tmp_path / "halves")
    torch.manual_seed(99)  # nothing of this process's random state may matter
    train(Toy(), toy_data(), CONFIG, tmp_path / "halves")
    assert same(weights(whole), weights(tmp_path / "halves"))
    assert same(weights(whole, "net.ema"), weights(tmp_path / "halves", "net.ema"))


def test_a_killed_run_ends_bit_by_bit_like_one_that_went_through(
    whole: Path, tmp_path: Path
) -> None:
    code = f"""
import sys, time; sys.path[:0] = {[str(Path(__file__).parent.parent)]!r}
from pathlib import Path
from training.toy import Toy, toy_data
from ohlora.training.loop import LoopConfig, train
class Slow(Toy):
    def step(self, batch, run):
        time.sleep(0.02 if run.step > 12 else 0)
        return super().step(batch, run)
Slow.__name__ = "Toy"
train(Slow(), toy_data(), {CONFIG!r}, Path({str(tmp_path / "killed")!r}))
"""
    child = subprocess.Popen([sys.executable, "-c", code])
    log = tmp_path / "killed" / "log.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        if log.exists() and '"step": 14,' in log.read_text():
            break
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "killed" / "net.safetensors").exists()
    train(Toy(), toy_data(), CONFIG, tmp_path / "killed")
    assert same(weights(whole), weights(tmp_path / "killed"))
    assert same(weights(whole, "net.ema"), weights(tmp_path / "killed", "net.ema"))
    steps = [row["step"] for row in rows(tmp_path / "killed") if "loss" in row]
    assert steps == list(range(1, 41))  # repeated steps are not logged twice


def test_pictures_drawn_on_the_way_change_nothing(whole: Path, tmp_path: Path) -> None:
    train(Toy(), toy_data(), replace(CONFIG, sample_every=3), tmp_path / "drawn")
    assert same(weights(whole), weights(tmp_path / "drawn"))
    assert (tmp_path / "drawn" / "samples" / "000003.webp").read_bytes()[8:12] == b"WEBP"


def test_the_newest_two_checkpoints_are_kept_and_a_half_written_one_is_passed_over(
    whole: Path, tmp_path: Path
) -> None:
    folder = whole / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step_000030", "step_000040"]
    (folder / ".step_000050.1.part").mkdir()
    newest = folder / "step_000040" / "state.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    (whole / "net.safetensors").unlink()
    expected = weights(whole, "net.ema")
    train(Toy(), toy_data(), CONFIG, whole)
    assert same(weights(whole, "net.ema"), expected)
    assert sorted(path.name for path in folder.iterdir()) == ["step_000030", "step_000040"]


def test_accumulated_passes_give_the_gradient_of_the_whole_batch() -> None:
    class Plain(Toy):
        def step(self, batch, run):  # type: ignore[no-untyped-def]
            mean = batch.pixels().mean(dim=(2, 3))
            loss = (self.modules["net"](mean) - batch.labels).square().mean()
            run.backward(loss)
            run.update("net")
            return {"loss": loss.detach()}

    found = []
    for size, passes in ((20, 1), (5, 4)):
        recipe, data = Plain(), toy_data()
        config = replace(CONFIG, batch_size=size, accumulate=passes, steps=1)
        run = Run(recipe, data, config, Path())
        recipe.optimizers["net"].step = lambda: None  # type: ignore[method-assign]
        recipe.optimizers["net"].zero_grad = lambda set_to_none: None  # type: ignore[method-assign]
        one_step(recipe, data, run)
        found.append([p.grad for p in recipe.modules["net"].parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_bfloat16_learns_what_float32_learns(tmp_path: Path) -> None:
    for precision in ("float32", "bfloat16"):
        train(Toy(), toy_data(), replace(CONFIG, precision=precision), tmp_path / precision)
    one, other = weights(tmp_path / "float32"), weights(tmp_path / "bfloat16")
    assert not same(one, other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, atol=0.02, rtol=0)


def test_a_loss_that_is_not_a_number_stops_and_the_last_checkpoint_is_good(
    whole: Path, tmp_path: Path
) -> None:
    recipe = Toy()
    recipe.poison = 34
    with pytest.raises(TrainingError, match="not a number at step 34") as caught:
        train(recipe, toy_data(), CONFIG, tmp_path / "nan")
    assert "34" in caught.value.ko
    train(Toy(), toy_data(), CONFIG, tmp_path / "nan")
    assert same(weights(whole), weights(tmp_path / "nan"))


def test_out_of_memory_names_the_batch_that_fits(tmp_path: Path) -> None:
    recipe = Toy()
    recipe.limit = 5
    with pytest.raises(TrainingError, match="batch of 16, but one of 4 fits.*accumulate 4"):
        train(recipe, toy_data(), CONFIG, tmp_path / "oom")
    recipe.limit = 0
    with pytest.raises(TrainingError, match="nor of 1"):
        train(recipe, toy_data(), CONFIG, tmp_path / "oom")


def test_a_full_disk_loses_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, path = torch.save, tmp_path / "full"

    def full(state: object, file: object) -> None:
        if state["step"] == 30:  # type: ignore[index]
            raise OSError(errno.ENOSPC, "No space left on device")
        real(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder.torch, "save", full)
        with pytest.raises(StoreError, match="No space left on device"):
            train(Toy(), toy_data(), CONFIG, path)
    names = sorted(entry.name for entry in (path / "checkpoints").iterdir())
    assert names == ["step_000010", "step_000020"]
    train(Toy(), toy_data(), CONFIG, path)
    assert same(weights(whole), weights(path))


def test_another_configuration_is_refused_in_one_sentence(whole: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a run with batch_size 16"):
        train(Toy(), toy_data(), replace(CONFIG, batch_size=8), whole)
    with pytest.raises(CheckpointError, match="holds a run with lr 0.01"):
        train(Toy(ToyConfig(lr=0.5)), toy_data(), CONFIG, whole)
    with pytest.raises(CheckpointError, match="holds a run with data toy 50 8 1"):
        train(Toy(), toy_data(51), CONFIG, whole)


def test_a_checkpoint_of_other_networks_is_refused(whole: Path) -> None:
    wide = Toy(ToyConfig(width=4))
    wide.config = ToyConfig()  # as if the code had changed under the same settings
    with pytest.raises(CheckpointError, match="is of other networks.*shape"):
        train(wide, toy_data(), CONFIG, whole)


@pytest.mark.parametrize(
    "wrong", [{"steps": None}, {"batch_size": 0}, {"precision": "float8"}, {"steps": 0}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        replace(CONFIG, **wrong).check()  # type: ignore[arg-type]


def test_a_run_told_to_stop_stays_stopped(tmp_path: Path) -> None:
    class Short(Toy):
        def epoch_end(self, run: Run) -> dict[str, float | torch.Tensor]:
            if self.epochs == 2:
                run.stop()
            return super().epoch_end(run)

    train(Short(), toy_data(), CONFIG, tmp_path / "run")
    assert (
        rows(tmp_path / "run")[-1]["step"] == 10
    )  # the third pass over 50 pictures ends in the tenth batch of 16
    again = Short()
    train(again, toy_data(), CONFIG, tmp_path / "run")
    assert again.epochs == 3
