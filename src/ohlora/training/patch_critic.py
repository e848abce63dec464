"""A critic of texture: is this piece of a picture drawn by the renderer, or by the generator?

A few strided convolutions that judge overlapping patches (PatchGAN, Isola et al. 2017,
https://arxiv.org/abs/1611.07004, section 3.2) under spectral normalisation (Miyato et al. 2018,
https://arxiv.org/abs/1802.05957), trained with the hinge loss. It knows no label and no person:
what is where the teacher says; the critic only asks that hair looks like hair.

    pictures  [B, 3, S, S]  about [-1, 1], S a multiple of 8
    logits    [B, 1, S/8, S/8]  positive: real; each sees a patch of 38 pixels
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (3, 32, 64, 128)


class PatchCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1))
            for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)
        )
        self.judge = spectral_norm(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        logits: Tensor = self.judge(x)
        return logits.float()


def hinge_loss(on_real: Tensor, on_fake: Tensor) -> Tensor:
    """Mean over patches; 0 once each side is beyond 1."""
    return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()


def same_piece(*pictures: Tensor) -> tuple[Tensor, ...]:
    """One random square of half the size, the same of each [B, C, R, R] (torch's generator)."""
    size = pictures[0].shape[-1] // 2
    top, left = torch.randint(0, size + 1, (2,)).tolist()
    return tuple(x[..., top : top + size, left : left + size] for x in pictures)


def balanced(teacher: Tensor, critic: Tensor, drawn: Tensor, share: float) -> Tensor:
    """A loss whose gradient at `drawn` is the teacher's, plus the critic's at `share` of its norm.

    So one number fits any resolution and any stage of training (the adaptive weight of Esser et al.
    2021, https://arxiv.org/abs/2012.09841, section 3.1, taken at the picture).
    """
    towards_teacher = torch.autograd.grad(teacher, drawn, retain_graph=True)[0]
    towards_critic = torch.autograd.grad(critic, drawn)[0]
    weight = share * towards_teacher.norm() / (towards_critic.norm() + 1e-12)
    return (drawn * (towards_teacher + weight * towards_critic)).sum()
