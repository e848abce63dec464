"""Why a training cannot go on: a loss that is no number, or a batch that memory does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ohlora.errors import OhloraError

if TYPE_CHECKING:
    from ohlora.training.loop import Data, LoopConfig, Recipe, Run


class TrainingError(OhloraError):
    """Training cannot go on: the loss is not a number, or the memory does not suffice."""

    code = "training"


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def largest_batch(recipe: Recipe, data: Data, run: Run) -> int:
    """Halve the batch until a step succeeds; 0 when none does. Spoils the weights in memory."""
    size = run.config.batch_size // 2
    while size:
        for optimizer in recipe.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        if run.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            recipe.step(data.batch(0, size, run.config.seed).to(run.device), run)
            return size
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    return 0


def too_large(config: LoopConfig, fits: int) -> TrainingError:
    asked = config.batch_size
    if not fits:
        return TrainingError(
            f"The memory does not hold a batch of {asked}, nor of 1: choose smaller networks.",
            f"메모리에 배치 {asked}은 물론 1도 들어가지 않아요. 더 작은 신경망을 쓰세요.",
        )
    passes = config.accumulate * -(-asked // fits)
    return TrainingError(
        f"The memory does not hold a batch of {asked}, but one of {fits} fits: give batch size "
        f"{fits} and accumulate {passes}, and another folder or a new start.",
        f"메모리에 배치 {asked}은 들어가지 않지만 {fits}는 들어가요. 배치 크기 {fits}, "
        f"accumulate {passes}로 새로 시작해 주세요.",
    )


def diverged(step: int, what: str) -> TrainingError:
    found = f" ({what})" if what else ""
    return TrainingError(
        f"The loss is not a number at step {step}{found}: training stopped, the last checkpoint "
        "is good; go on from it with a smaller learning rate.",
        f"{step}번째 스텝에서 손실이 숫자가 아니에요{found}. 마지막 체크포인트는 그대로이니 "
        "학습률을 낮춰 이어서 학습해 주세요.",
    )


def check_finite(step: int, *modules: nn.Module) -> None:
    """Raises TrainingError when a trained weight is not a number: nothing may be saved then."""
    for module in modules:
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                raise diverged(step, name)
