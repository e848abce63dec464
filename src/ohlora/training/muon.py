"""Muon: momentum whose matrices are made orthogonal before they are added.

K. Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"
(https://kellerjordan.github.io/posts/muon/), with the step length of Liu et al. 2025
(https://arxiv.org/abs/2502.16982, sec. 2.2). For weights of two and more dimensions; biases and
single vectors belong to Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the published quintic iteration
ITERATIONS = 5
STEP = 0.4  # root mean square of an update, relative to the learning rate


class Muon(torch.optim.Optimizer):
    def __init__(self, params: Iterable[Any], lr: float = 1e-2, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = closure() if closure else None
        for group in self.param_groups:
            beta = group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - beta)
                update = p.grad.lerp(mean, beta).flatten(1)  # Nesterov; a kernel is one row
                length = STEP * max(update.shape) ** 0.5
                p.add_(orthogonal(update).view_as(p), alpha=-group["lr"] * length)
        return loss


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix [N, M] with all singular values near 1 (0.7..1.2), in bfloat16 arithmetic."""
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.T).float()
