"""Laws of the face networks that no golden number states."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ohlora.errors import ShapeError
from ohlora.models.cnn import GenderCNN, QualityCNN
from ohlora.models.cvae import CVAEEncoder, sample_z
from ohlora.models.facexformer import FaceXFormer
from ohlora.models.property_cnn import MergedPropertyCNN, PropertyCNN
from ohlora.models.swin import Block, Swin, from_windows, to_windows

CNNS: list[type[nn.Module]] = [GenderCNN, QualityCNN, PropertyCNN, MergedPropertyCNN]


@pytest.mark.parametrize("net", CNNS)
def test_thin_cnns_are_the_same_networks_with_fewer_channels(net: type[nn.Module]) -> None:
    thin = net(unit=2).eval()
    with torch.device("meta"):
        full = net()
    assert list(thin.state_dict()) == list(full.state_dict())
    with torch.inference_mode():
        out = thin(torch.zeros(2, 3, 256, 256))
    assert len(out) == 2
    torch.testing.assert_close(out[0], out[1])


@pytest.mark.parametrize("net", CNNS)
def test_a_picture_of_another_size_is_refused(net: type[nn.Module]) -> None:
    with pytest.raises(ShapeError, match="256"):
        net(unit=1)(torch.zeros(1, 3, 224, 224))


def test_each_property_looks_only_at_its_own_part_of_the_picture() -> None:
    torch.manual_seed(0)
    net = PropertyCNN(unit=2).eval()
    image = torch.rand(1, 3, 256, 256)
    changed = image.clone()
    changed[:, :, 170:200, 100:150] = 0  # the mouth, and below the middle
    with torch.inference_mode():
        moved = ((net(image) - net(changed)).abs() > 1e-5)[0].tolist()
    assert moved == [False, True, True, True, False, False, False]


def test_encoder_refuses_a_label_of_another_length() -> None:
    with torch.device("meta"):
        encoder = CVAEEncoder()
        with pytest.raises(ShapeError, match=r"label \[B, 7\]"):
            encoder(torch.zeros(2, 3, 256, 256), torch.zeros(2, 3))


def test_latents_are_drawn_around_the_mean_and_pass_gradients_on() -> None:
    mean = torch.full((2, 512), 3.0, requires_grad=True)
    tight = sample_z(mean, torch.full((2, 512), -60.0))
    torch.testing.assert_close(tight, mean)
    tight.sum().backward()
    assert mean.grad is not None and bool((mean.grad == 1).all())
    wide = sample_z(mean, torch.zeros(2, 512), torch.Generator().manual_seed(1))
    assert abs(float((wide - mean).detach().std()) - 1) < 0.1


def test_windows_are_put_back_where_they_were_cut() -> None:
    x = torch.arange(2 * 14 * 21 * 3.0).view(2, 14, 21, 3)
    assert torch.equal(from_windows(to_windows(x), 14, 21), x)


def test_shifted_windows_do_not_see_around_the_edge_of_the_picture() -> None:
    torch.manual_seed(0)
    block = Block(32, 1, 14, shifted=True).eval()
    x = torch.randn(1, 14, 14, 32)
    changed = x.clone()
    changed[0, 13, 13] = -x[0, 13, 13]
    with torch.inference_mode():
        moved = (block(x) - block(changed)).abs().amax(dim=-1)[0] > 1e-5
    assert bool(moved[13, 13]) and bool(moved[10, 10])
    assert not bool(moved[:10].any()) and not bool(moved[:, :10].any())


def test_backbone_gives_four_maps_each_half_as_large_and_twice_as_deep() -> None:
    with torch.inference_mode():
        maps = Swin(32, (1, 1, 2, 1)).eval()(torch.zeros(1, 3, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (32, 56, 56),
        (64, 28, 28),
        (128, 14, 14),
        (256, 7, 7),
    ]
    with pytest.raises(ShapeError, match="224"):
        Swin(32, (1, 1, 1, 1))(torch.zeros(1, 3, 256, 256))


def test_faces_of_a_batch_are_parsed_independently() -> None:
    torch.manual_seed(0)
    net = FaceXFormer(swin=32, middle_depth=2, width=64).eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        both, alone = net(images), net(images[1:])
    assert both["parsing"].shape == (2, 11, 224, 224)
    for name, value in alone.items():
        np.testing.assert_allclose(both[name][1:].numpy(), value.numpy(), atol=1e-4)
