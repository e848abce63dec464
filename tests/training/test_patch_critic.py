"""The critic of texture: sees patches, stays Lipschitz, has the share that was asked."""

from __future__ import annotations

import pytest
import torch

from ohlora.training.patch_critic import PatchCritic, balanced, hinge_loss, same_piece


def test_it_judges_patches_and_no_more() -> None:
    critic = PatchCritic().eval()
    picture = torch.zeros(1, 3, 64, 64)
    changed = picture.clone()
    changed[..., :4, :4] = 1
    with torch.no_grad():
        same = critic(picture) == critic(changed)
    assert same.shape == (1, 1, 8, 8)
    assert not same[..., 0, 0] and same[..., 4:, :].all() and same[..., :, 4:].all()


def test_spectral_normalisation_bounds_how_sharply_it_judges() -> None:
    torch.manual_seed(0)
    critic = PatchCritic()
    with torch.no_grad():
        for layer in critic.layers:
            layer.parametrizations.weight.original.mul_(100)
    for _ in range(20):  # a power iteration a forward
        critic(torch.randn(1, 3, 16, 16))
    norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2) for layer in critic.layers]
    assert all(float(norm.detach()) == pytest.approx(1, abs=0.05) for norm in norms)


def test_hinge_loss_is_satisfied_beyond_one() -> None:
    one = torch.ones(2, 1, 4, 4)
    assert hinge_loss(2 * one, -2 * one) == 0
    assert hinge_loss(0 * one, 0 * one) == 2


def test_the_same_piece_is_cut_from_both() -> None:
    picture = torch.arange(3 * 16 * 16.0).reshape(1, 3, 16, 16)
    pieces = [same_piece(picture, -picture) for _ in range(8)]
    assert all(torch.equal(a, -b) and a.shape[-2:] == (8, 8) for a, b in pieces)
    assert len({float(a[0, 0, 0, 0]) for a, _ in pieces}) > 1


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_critics_part_of_the_gradient_is_the_share_whatever_its_size(
    share: float, size: float
) -> None:
    drawn = torch.randn(2, 3, 8, 8, requires_grad=True)
    teacher, critic = drawn[:, :1].abs().sum(), size * drawn[:, 1:].square().sum()
    balanced(teacher, critic, drawn, share).backward()
    assert drawn.grad is not None
    ratio = drawn.grad[:, 1:].norm() / drawn.grad[:, :1].norm()
    assert float(ratio) == pytest.approx(share, rel=1e-4, abs=1e-6)
