"""Losses of the face networks: pure functions, numbers as in golden/train/losses.json.

logits   [B, 1]            of the discriminator; positive: real
scores   [B, 7]            of the property CNN, standard deviations, order LABELS[7]
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ohlora.models.generator_config import LABELS

MU_WEIGHT, LOGVAR_WEIGHT = 0.2, 0.05
OBEYED = tuple(LABELS[7].index(name) for name in ("eyes", "mouth", "pose"))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Non-saturating loss (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, sec. 3)."""
    return F.softplus(fake.float()).mean() + F.softplus(-real.float()).mean()


def generator_loss(fake: Tensor) -> Tensor:
    return F.softplus(-fake.float()).mean()


def r1_penalty(real: Tensor, images: Tensor) -> Tensor:
    """Mean over the batch of |d sum(logits) / d image|^2; images [B, 3, R, R] require grad.

    Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, eq. 9 without gamma / 2.
    """
    (grad,) = torch.autograd.grad(real.float().sum(), images, create_graph=True)
    return grad.float().square().sum(dim=(1, 2, 3)).mean()


def real_fake_auroc(real: Tensor, fake: Tensor) -> float:
    """Probability that a real picture scores above a fake one; ties count half."""
    above = real.flatten()[:, None] - fake.flatten()[None]
    return float((above.sign().mean() + 1) / 2)


@dataclass(frozen=True)
class VaeLoss:
    """FineTune-v3's loss and its parts; `squared` and `absolute` hold a mean error per label."""

    total: Tensor
    properties: Tensor  # mean of the squared errors of eyes, mouth and pose
    gender: Tensor
    mu: Tensor
    logvar: Tensor
    squared: Tensor  # [7]
    absolute: Tensor  # [7]


def vae_loss(scores: Tensor, labels: Tensor, gender: Tensor, mu: Tensor, logvar: Tensor) -> VaeLoss:
    """Published FineTune-v3: the picture obeys the label, is a woman, and z stays near zero.

    scores, labels [B, 7]; gender [B, 1], 1 a woman; mu, logvar [B, 512]. The terms of mu and
    logvar are plain squares, not a Kullback-Leibler divergence.
    """
    error = scores.float() - labels.float()
    squared = error.square().mean(dim=0)
    properties = squared[list(OBEYED)].mean()
    woman = (gender.float() - 1).square().mean()
    mu_loss, logvar_loss = mu.float().square().mean(), logvar.float().square().mean()
    return VaeLoss(
        total=properties + woman + MU_WEIGHT * mu_loss + LOGVAR_WEIGHT * logvar_loss,
        properties=properties,
        gender=woman,
        mu=mu_loss,
        logvar=logvar_loss,
        squared=squared,
        absolute=error.abs().mean(dim=0),
    )
