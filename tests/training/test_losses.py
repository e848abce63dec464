"""The losses against the reference's numbers (golden/train/losses.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from golden.fill import load_case, normal, uniform
from ohlora.models.discriminator import VARIANTS, Discriminator
from ohlora.models.generator_config import LABELS
from ohlora.training.losses import (
    discriminator_loss,
    generator_loss,
    r1_penalty,
    real_fake_auroc,
    vae_loss,
)


@pytest.fixture(scope="module")
def golden(golden_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((golden_dir / "train" / "losses.json").read_text())
    return found


@pytest.fixture(scope="module", params=["v1", "v4"])
def case(request: pytest.FixtureRequest, golden: dict[str, Any], golden_dir: Path) -> Case:
    return Case(request.param, golden[f"stylegan_dis_{request.param}"], golden_dir)


class Case:
    """A discriminator with the golden weights, its inputs, and what the reference computed."""

    def __init__(self, variant: str, want: dict[str, Any], golden_dir: Path) -> None:
        self.want, name = want, f"stylegan_dis_{variant}"
        state = load_case(golden_dir, name).whole_state
        with torch.device("meta"):
            self.net = Discriminator(VARIANTS[variant])
        tensors = {key: torch.from_numpy(value) for key, value in state.items()}
        self.net.load_state_dict(tensors, assign=True)
        self.net.eval().requires_grad_(False)
        for key in want["trainable"]:
            self.net.get_parameter(key).requires_grad_(True)
        real, fake = (
            normal(f"train|{name}|{what}", (4, 3, 32, 32), s).repeat(8, axis=2).repeat(8, axis=3)
            for what, s in (("real", 0.5), ("fake", 0.8))
        )
        labels = VARIANTS[variant].label_dim
        self.real, self.fake = torch.from_numpy(real), torch.from_numpy(fake)
        self.label = torch.from_numpy(normal(f"train|{name}|label", (4, labels)))

        images = self.real.clone().requires_grad_(True)
        real = self.net(images, self.label)
        with torch.no_grad():
            features = self.net.features(self.fake)  # of frozen layers
        fake = self.net.judge(features, self.label)
        plain, penalty = discriminator_loss(real, fake), r1_penalty(real, images)
        named = {key: self.net.get_parameter(key) for key in want["trainable"]}
        first = torch.autograd.grad(plain, list(named.values()), retain_graph=True)
        second = torch.autograd.grad(penalty, list(named.values()), allow_unused=True)
        self.real_logits, self.fake_logits = real.detach(), fake.detach()
        self.plain, self.penalty = float(plain.detach()), float(penalty.detach())
        self.gradients = {
            key: (g, torch.zeros_like(g) if p is None else p)
            for key, g, p in zip(named, first, second, strict=True)
        }

    def gradient(self, key: str, gamma: float) -> Tensor:
        plain, penalty = self.gradients[key]
        return plain + gamma / 2 * penalty


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-3)


def test_discriminator_loss_and_penalty_match_the_reference(case: Case) -> None:
    want = case.want
    assert case.plain == pytest.approx(want["d_loss_without_penalty"], abs=1e-5)
    assert case.penalty == near(want["r1_penalty"])
    assert case.plain + 5 * case.penalty == pytest.approx(want["d_loss_r1_gamma10"], abs=1e-5)
    assert case.plain + 5e4 * case.penalty == near(want["d_loss_r1_gamma1e5"])


def test_gradients_match_the_reference(case: Case) -> None:
    """With gamma 1e5 the gradient of the penalty outweighs the rest."""
    for key, length in case.want["d_grad_l2_gamma10"].items():
        assert float(case.gradient(key, 10).norm()) == near(length)
    for key, want in case.want["d_grads_gamma1e5"].items():
        grad = case.gradient(key, 1e5)
        assert float(grad.norm()) == near(want["l2"])
        atol = 1e-3 * want["l2"] / grad.numel() ** 0.5
        np.testing.assert_allclose(grad.flatten()[:8].numpy(), want["first8"], 1e-3, atol)


def test_generator_loss_and_scores_match_the_reference(case: Case) -> None:
    real, fake = case.real_logits, case.fake_logits
    assert float(generator_loss(fake)) == pytest.approx(case.want["g_loss"], abs=1e-5)
    assert float(real.mean()) == pytest.approx(case.want["real_scores_mean"], abs=1e-5)
    assert float(fake.mean()) == pytest.approx(case.want["fake_scores_mean"], abs=1e-5)
    assert real_fake_auroc(real, fake) == pytest.approx(case.want["real_fake_auroc"], abs=1e-9)


def test_auroc_counts_a_tie_as_half() -> None:
    assert real_fake_auroc(torch.tensor([1.0, 0.0]), torch.tensor([0.0, -1.0])) == 0.875


@pytest.mark.parametrize("number", range(6))
def test_v3_loss_matches_the_reference(golden: dict[str, Any], number: int) -> None:
    want = golden["vae_loss_v3"][number]
    n, seed = want["n"], want["seed_prefix"]
    scores, labels = (torch.from_numpy(normal(seed + key, (n, 7))) for key in ("scores", "labels"))
    gender = torch.from_numpy(uniform(seed + "gender", (n, 1)))
    mu = torch.from_numpy(normal(seed + "mu", (n, 512), 0.3))
    logvar = torch.from_numpy(normal(seed + "logvar", (n, 512), 0.2))
    loss = vae_loss(scores, labels, gender, mu, logvar)
    parts = {"total_loss": loss.total, "mse": loss.properties, "gender_loss": loss.gender}
    parts |= {"mu_loss": loss.mu, "logvar_loss": loss.logvar}
    for i, name in enumerate(LABELS[7]):
        short = name.replace("background", "back")
        parts |= {f"{short}_mse": loss.squared[i], f"{short}_abs": loss.absolute[i]}
    assert float(loss.total) == pytest.approx(want["total_loss"], abs=1e-5)
    found = {name: pytest.approx(float(value), abs=6e-5) for name, value in parts.items()}
    assert found == want["rounded_parts"]
