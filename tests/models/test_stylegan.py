"""Laws of the StyleGAN networks, on small ones."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ohlora.errors import ShapeError
from ohlora.models.discriminator import (
    Discriminator,
    DiscriminatorConfig,
    make_discriminator,
    minibatch_deviation,
)
from ohlora.models.generator_config import (
    VARIANTS,
    GeneratorConfig,
    config_of,
    layers,
    tensor_shapes,
    variant_of,
)
from ohlora.models.stylegan import Generator, make_generator, widen_kernel

SMALL = GeneratorConfig(label_dim=3, embed_dim=2, w_dim=8, channels=(6, 6, 4), fused_from=16)
JUDGE = DiscriminatorConfig(label_dim=3, group=2, channels=(4, 6, 6), fused_from=16)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(SMALL)
    for name, value in generator.named_parameters():
        if name.endswith("apply_noise.weight"):
            torch.nn.init.normal_(value, std=0.5)
    return generator.eval()


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def label() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(2))


def test_the_same_z_and_label_draw_the_same_bits(generator: Generator, z, label) -> None:
    first, again = (generator(z, label).image for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == (4, 3, 16, 16)


def test_eval_mode_leaves_the_mean_style_alone(generator: Generator, z, label) -> None:
    before = generator.truncation.w_avg.clone()
    generator(z, label)
    assert torch.equal(generator.truncation.w_avg, before)


def test_a_training_forward_moves_the_mean_style_by_half_a_percent(
    generator: Generator, z, label
) -> None:
    out = generator.train()(z, label)
    torch.testing.assert_close(generator.truncation.w_avg, 0.005 * out.w.mean(0))
    with torch.autocast("cpu", torch.bfloat16):  # the mean stays float32
        generator(z, label)
    assert generator.truncation.w_avg.dtype == torch.float32
    held = generator.truncation.w_avg.clone()
    generator(z, label, w_avg_decay=1.0)
    assert torch.equal(generator.truncation.w_avg, held)


def test_psi_zero_is_the_mean_face_and_psi_one_changes_nothing(
    generator: Generator, z, label
) -> None:
    generator.truncation.w_avg.normal_()
    mean = generator(z, label, truncation_psi=0.0, truncation_layers=6).wp
    assert torch.equal(mean, generator.truncation.w_avg.expand(4, 6, 8))
    plain, kept = generator(z, label).wp, generator(z, label, truncation_psi=1.0).wp
    assert torch.equal(plain, kept)
    some = generator(z, label, truncation_psi=0.5, truncation_layers=2).wp
    assert torch.equal(some[:, 2:], plain[:, 2:]) and not torch.equal(some[:, :2], plain[:, :2])


def test_styles_given_per_layer_pass_through_truncation(generator: Generator) -> None:
    wp = torch.randn(2, 6, 8)
    assert torch.equal(generator.truncation(wp, 1.0, 0), wp)


def test_style_mixing_takes_the_last_layers_from_another_face(
    generator: Generator, z, label
) -> None:
    generator.train()
    torch.manual_seed(3)
    mixed = generator(z, label, style_mixing_prob=1.0)
    own = mixed.w[:, None].expand(-1, 6, -1)
    same = [torch.equal(mixed.wp[:, i], own[:, i]) for i in range(6)]
    cutoff = same.index(False)
    assert 1 <= cutoff <= 5 and not any(same[cutoff:])
    plain = generator(z, label, style_mixing_prob=0.0)
    assert torch.equal(plain.wp, plain.w[:, None].expand(-1, 6, -1))


def test_fresh_noise_changes_the_picture_and_fixed_noise_does_not(
    generator: Generator, z, label
) -> None:
    fixed = generator(z, label).image
    torch.manual_seed(4)
    fresh = generator(z, label, fresh_noise=True).image
    assert not torch.allclose(fixed, fresh)


def test_whole_lods_repeat_pixels_and_halves_blend(generator: Generator, z, label) -> None:
    images = {lod: generator(z, label, lod=lod).image for lod in (0.0, 0.5, 1.0, 2.0)}
    assert torch.equal(F.avg_pool2d(images[1.0], 2).repeat_interleave(2, 2).repeat_interleave(2, 3),
                       images[1.0])  # fmt: skip
    torch.testing.assert_close(images[0.5], (images[0.0] + images[1.0]) / 2)
    for lod in (-0.5, 2.5):
        with pytest.raises(ValueError, match="lod must lie in 0..2"):
            generator(z, label, lod=lod)


def test_widened_kernel_is_upsampling_and_the_turned_kernel_in_one() -> None:
    x, weight = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    want = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, padding=1)
    kernel = widen_kernel(weight.flip(2, 3)).transpose(0, 1)
    found = F.conv_transpose2d(x, kernel, stride=2, padding=1)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("z_shape", "label_shape"), [((2, 9), (2, 3)), ((2, 8), (2, 4)), ((2, 8), (1, 3)), ((8,), (3,))]
)
def test_a_wrong_z_or_label_says_what_is_wanted(generator: Generator, z_shape, label_shape) -> None:
    with pytest.raises(ShapeError, match=r"z \[B, 8\] and label \[B, 3\]") as caught:
        generator(torch.zeros(z_shape), torch.zeros(label_shape))
    assert "모양" in caught.value.ko


def test_a_missing_or_needless_label_is_refused(generator: Generator) -> None:
    with pytest.raises(ShapeError, match="label None"):
        generator(torch.zeros(2, 8))
    plain = Generator(GeneratorConfig(0, 0, 8, (4, 4)))
    with pytest.raises(ShapeError, match="no label"):
        plain(torch.zeros(2, 8), torch.zeros(2, 3))


def test_a_loaded_generator_is_in_eval_mode_and_frozen(generator: Generator) -> None:
    loaded = make_generator(SMALL, generator.state_dict())
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(RuntimeError, match="Missing key"):
        make_generator(SMALL, {})


def test_a_configuration_is_read_back_from_its_tensors() -> None:
    for config in VARIANTS.values():
        found = config_of(tensor_shapes(config))
        assert tensor_shapes(found) == tensor_shapes(config)
    assert [variant_of(VARIANTS[name]) for name in ("original", "v1", "v3", "v4")] == [
        "original", "v1", "v3", "v4",
    ]  # fmt: skip
    assert variant_of(SMALL) is None
    assert list(layers(SMALL))[-2].upsample == "fused"
    with pytest.raises(KeyError):
        config_of({})


def test_fresh_stored_weights_carry_the_learning_rate() -> None:
    torch.manual_seed(0)
    state = Generator(GeneratorConfig(0, 0, 64, (8, 8))).state_dict()
    assert state["mapping.dense0.weight"].std().item() == pytest.approx(100, rel=0.1)
    assert state["synthesis.layer1.weight"].std().item() == pytest.approx(1, rel=0.1)


def test_the_discriminator_learns_through_every_tensor(label) -> None:
    torch.manual_seed(0)
    judge = Discriminator(JUDGE)
    image = torch.randn(4, 3, 16, 16, requires_grad=True)
    logits = judge(image, label)
    assert logits.shape == (4, 1)
    (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    slope.square().sum().backward()  # the R1 penalty needs a second derivative
    for name, parameter in judge.named_parameters():
        used = parameter.grad is not None
        assert used == (
            not name.startswith(("input1", "input2")) and not name.endswith("layer6.bias")
        ), name


def test_deviation_channel_is_zero_for_equal_pictures_and_grows_with_their_spread() -> None:
    one = torch.randn(1, 3, 4, 4)
    equal = minibatch_deviation(one.repeat(4, 1, 1, 1), 4)
    assert equal.shape == (4, 4, 4, 4)
    assert equal[:, 3].max() < 1e-3
    spread = minibatch_deviation(torch.cat([one, -one, one, -one]), 4)
    assert torch.equal(spread[:, 3], spread[:1, 3].expand(4, 4, 4))
    assert spread[0, 3, 0, 0].item() == pytest.approx(one.abs().mean().item(), abs=1e-4)


def test_groups_are_made_of_pictures_a_stride_apart() -> None:
    a, b = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    mixed = minibatch_deviation(torch.cat([a, b, a, b]), 2)  # groups (0, 2) and (1, 3)
    assert mixed[:, 1].max() < 1e-3
    with pytest.raises(ShapeError, match="groups of 3"):
        minibatch_deviation(torch.zeros(4, 1, 4, 4), 3)


def test_the_discriminator_names_the_shapes_it_wants() -> None:
    judge = make_discriminator(JUDGE, Discriminator(JUDGE).state_dict())
    assert not judge.training
    wanted = r"image \[B, 3, 16, 16\] and label \[B, 3\]"
    for image, label in (
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 3)),
        (torch.zeros(2, 3, 16, 16), None),
    ):
        with pytest.raises(ShapeError, match=wanted):
            judge(image, label)
    with pytest.raises(ValueError, match="lod"):
        judge(torch.zeros(2, 3, 16, 16), torch.zeros(2, 3), lod=9)
