"""Base StyleGAN and FineTune-v1 and v4 on nets of 16 pixels."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from benchmarks.training import FrozenWeights, GraphKept, random_faces
from ohlora.cli.train import app as train_commands
from ohlora.errors import BadInput
from ohlora.models.discriminator import Discriminator, DiscriminatorConfig
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.stylegan import Blur, Generator
from ohlora.training import finetune_v1, finetune_v4
from ohlora.training.augment import augment
from ohlora.training.finetune_v1 import TRAIN_LOG, FineTune, FineTuneConfig, start_from
from ohlora.training.finetune_v4 import FineTuneV4
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.training.presets import ALL_SCORES, PRESETS
from ohlora.training.stylegan_base import BaseConfig, StyleganBase

CHANNELS = (16, 12, 8)  # 4, 8, 16 px
LOOP = LoopConfig(steps=4, batch_size=4, log_every=1, save_every=2, threads=1, device="cpu")
TINY = BaseConfig(3, 4, 16, CHANNELS, r1_every=2, augment=0.5)


def nets(labels: int) -> tuple[Generator, Discriminator]:
    torch.manual_seed(3)
    generator = Generator(GeneratorConfig(labels, 4, 16, CHANNELS, fused_from=16))
    shape = DiscriminatorConfig(labels, 4, tuple(reversed(CHANNELS)), fused_from=16)
    return generator, Discriminator(shape)


def tune(kind: type[FineTune] = FineTune, **changes: object) -> FineTune:
    base = finetune_v4.FAITHFUL if kind is FineTuneV4 else finetune_v1.FAITHFUL
    config = replace(base, **changes)  # type: ignore[arg-type]
    return kind(*nets(config.label_dim), config)


def frozen(recipe: FineTune) -> Iterator[tuple[str, torch.Tensor]]:
    for name, net in recipe.modules.items():
        kept = {id(p) for p in recipe.trained[name]}
        yield from ((f"{name}.{k}", p) for k, p in net.named_parameters() if id(p) not in kept)


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("plain", [GraphKept, FrozenWeights])
def test_the_trained_layers_get_the_gradients_of_a_step_with_everything_in_the_graph(
    plain: type[FineTune],
) -> None:
    data, found = random_faces(8, 16, 7), []
    for kind in (FineTune, plain):
        recipe = tune(kind, r1_gamma=1e3)  # a penalty that weighs as much as the rest
        if kind is plain:  # what trains is known from ours: here all of it may require gradients
            for name, module in tune().modules.items():
                keys = [key for key, p in module.named_parameters() if p.requires_grad]
                recipe.trained[name] = [recipe.modules[name].get_parameter(key) for key in keys]
        run = Run(recipe, data, LOOP, Path())
        run.update = lambda name: None  # type: ignore[method-assign]
        torch.manual_seed(5)
        recipe.discriminator_step(data.batch(0, 8, 0), run)
        of_d = [p.grad.clone() for p in recipe.trained["discriminator"]]
        recipe.generator_step(data.batch(1, 8, 0).labels, run)
        of_g = [p.grad.clone() for p in recipe.trained["generator"]]
        found.append(of_d + of_g)
        if kind is FineTune:
            assert all(p.grad is None for _, p in frozen(recipe))
    assert len(found[0]) == 6 + 17
    for ours, theirs in zip(*found, strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))


def test_fine_tuning_moves_only_the_mapping_net_and_the_last_three_layers(tmp_path: Path) -> None:
    recipe = tune()
    before = {name: snapshot(net) for name, net in recipe.modules.items()}
    train(recipe, random_faces(12, 16, 7), LOOP, tmp_path / "run")
    moved = {
        f"{name}.{key}".rpartition(".")[0]
        for name, net in recipe.modules.items()
        for key, value in net.state_dict().items()
        if not torch.equal(value, before[name][key])
    }
    assert moved == {
        "generator.mapping", "generator.truncation", "discriminator.layer4",
        "discriminator.layer5", "discriminator.layer6",
        *(f"generator.mapping.dense{i}" for i in range(8)),
    }  # fmt: skip


def test_the_generator_tries_until_its_loss_is_under_twice_the_discriminators() -> None:
    data = random_faces(8, 16, 7)
    for g_losses, want in (([9, 9, 1, 9], 3), ([9, 9, 9, 9], 4), ([1], 1), ([2, 1.99], 2)):
        recipe, left = tune(), list(g_losses)
        recipe.discriminator_step = lambda batch, run: (
            torch.tensor(1.0),
            torch.ones(8, 1),
            torch.zeros(8, 1),
        )  # type: ignore[method-assign]  # noqa: E501
        recipe.generator_step = lambda label, run, left=left: torch.tensor(float(left.pop(0)))  # type: ignore[method-assign]
        row = recipe.step(data.batch(0, 8, 0), Run(recipe, data, LOOP, Path()))
        assert row["g_train_count"] == want
        assert row["real_fake_auroc"] == 1


def test_the_faithful_preset_keeps_its_rate_and_the_default_follows_the_schedule(
    tmp_path: Path,
) -> None:
    rates = []
    for config in (finetune_v1.FAITHFUL, finetune_v1.DEFAULT):
        recipe = FineTune(*nets(7), config)
        loop = replace(LOOP, steps=None, epochs=5, batch_size=4)
        train(recipe, random_faces(4, 16, 7), loop, tmp_path / str(len(rates)))
        rates.append(recipe.optimizers["generator"].param_groups[0]["lr"])
    assert rates == [1e-4, pytest.approx(0.5e-4)]
    assert PRESETS["v1-faithful"].loop.ema == 0 < PRESETS["v1"].loop.ema


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_have_the_published_names_keys_and_columns(tmp_path: Path, suffix: str) -> None:
    recipe = tune(suffix=suffix, log_batches=2)
    loop = replace(LOOP, steps=None, epochs=2, ema=0.5)
    train(recipe, random_faces(12, 16, 7), loop, tmp_path)
    path = tmp_path / f"stylegan_gen_fine_tuned_v1{suffix}"
    state = load_file(path) if suffix != ".pth" else torch.load(path, weights_only=True)
    assert {k: v.shape for k, v in state.items()} == {
        k: v.shape for k, v in recipe.generator.state_dict().items()
    }
    average = load_file(tmp_path / "generator.ema.safetensors")
    assert torch.equal(state["mapping.dense3.weight"], average["mapping.dense3.weight"])
    assert (tmp_path / f"stylegan_dis_fine_tuned_v1{suffix}").is_file()
    with (tmp_path / "train_log.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert header == ["", *TRAIN_LOG]
    assert [row[:3] for row in rows] == [
        ["0", "0", "0"], ["1", "0", "2"], ["2", "1", "0"], ["3", "1", "2"]
    ]  # fmt: skip


def test_a_stopped_fine_tuning_goes_on_exactly(tmp_path: Path) -> None:
    data = random_faces(12, 16, 7)
    loop = replace(LOOP, steps=5, ema=0.5)
    train(tune(log_batches=1), data, loop, tmp_path / "whole")
    train(tune(log_batches=1), data, replace(loop, steps=2), tmp_path / "halves")
    train(tune(log_batches=1), data, loop, tmp_path / "halves")
    for name in ("generator", "generator.ema", "discriminator"):
        one, other = (load_file(tmp_path / f / f"{name}.safetensors") for f in ("whole", "halves"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    logs = [(tmp_path / f / "train_log.csv").read_text() for f in ("whole", "halves")]
    assert logs[0] == logs[1]


def test_fine_tuning_starts_from_a_pair_with_other_labels() -> None:
    torch.manual_seed(1)
    old = StyleganBase(replace(TINY, label_dim=0, embed_dim=0))
    states = [{k: v.numpy() for k, v in net.state_dict().items()} for net in old.modules.values()]
    config = FineTuneConfig(label_dim=7, embed_dim=4)
    generator, discriminator = start_from(states[0], states[1], config)
    assert generator.config == GeneratorConfig(7, 4, 16, CHANNELS)
    new = generator.state_dict()
    fresh = {k for k, v in new.items() if k not in states[0] or v.shape != states[0][k].shape}
    assert fresh == {"mapping.label_weight", "mapping.dense0.weight"}
    assert torch.equal(new["synthesis.layer3.weight"], old.generator.synthesis.layer3.weight)
    last = discriminator.state_dict()["layer6.weight"]
    assert last.shape == (1, 16 + 7)
    assert torch.equal(discriminator.layer5.weight, old.discriminator.layer5.weight)
    with pytest.raises(BadInput, match="generator and its discriminator"):
        start_from(states[1], states[0], config)


def test_base_training_resumes_exactly_and_draws_its_progress(tmp_path: Path) -> None:
    data = random_faces(12, 16, 3)
    loop = replace(LOOP, steps=5, ema=0.9, sample_every=5)
    torch.manual_seed(0)
    one = StyleganBase(TINY)
    start = snapshot(one.generator)
    train(one, data, loop, tmp_path / "whole")
    torch.manual_seed(0)
    train(StyleganBase(TINY), data, replace(loop, steps=3), tmp_path / "halves")
    train(StyleganBase(TINY), data, loop, tmp_path / "halves")
    for name in ("generator", "generator.ema", "discriminator"):
        a, b = (load_file(tmp_path / f / f"{name}.safetensors") for f in ("whole", "halves"))
        assert all(torch.equal(a[key], b[key]) for key in a)
    now = one.generator.state_dict()
    assert not torch.equal(now["synthesis.layer1.weight"], start["synthesis.layer1.weight"])
    assert (tmp_path / "whole" / "samples" / "000005.webp").is_file()


def test_base_training_runs_in_bfloat16_and_without_labels(tmp_path: Path) -> None:
    config = replace(TINY, label_dim=0, embed_dim=0)
    loop = replace(LOOP, precision="bfloat16", steps=2)
    recipe = StyleganBase(config)
    train(recipe, random_faces(8, 16, 0), loop, tmp_path)
    assert all(torch.isfinite(p).all() for p in recipe.generator.parameters())


def test_v4_draws_the_fifty_labels_of_the_test(tmp_path: Path) -> None:
    recipe = tune(FineTuneV4)
    train(recipe, random_faces(8, 16, 3), replace(LOOP, steps=2, sample_every=2), tmp_path)
    run = Run(recipe, random_faces(8, 16, 3), LOOP, tmp_path)
    assert recipe.samples(run).shape == (5 * 16, 10 * 16, 3)
    assert not (tmp_path / "stylegan_gen_fine_tuned_v1.safetensors").exists()


def test_augmentation_changes_pictures_smoothly_and_leaves_some_alone() -> None:
    torch.manual_seed(0)
    images = torch.rand(64, 3, 16, 16, requires_grad=True)
    changed = augment(images, 0.3)
    same = ((changed - images).abs() < 1e-6).flatten(1).all(dim=1)
    assert 0 < int(same.sum()) < 64
    (grad,) = torch.autograd.grad(changed.sum(), images)
    assert torch.isfinite(grad).all() and grad.abs().sum() > 0
    assert augment(images, 0.0) is images


def test_the_blur_has_exact_gradients_of_first_and_second_order() -> None:
    blur = Blur(3).double()
    x = torch.randn(2, 3, 5, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(blur, x) and torch.autograd.gradgradcheck(blur, x)
    with torch.no_grad():
        plain = blur(x)
    torch.testing.assert_close(blur(x).detach(), plain)


@pytest.fixture
def published(tmp_path: Path) -> list[str]:
    """Options for eight pictures of 16 pixels with v1's seven scores."""
    folder, rng = tmp_path / "filtered", np.random.default_rng(0)
    folder.mkdir()
    lines = ["," + ",".join(["img_no", *ALL_SCORES])]
    for i in range(8):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.png")
        lines.append(",".join([str(i), str(i), *(f"{x:.4f}" for x in rng.standard_normal(7))]))
    (tmp_path / "all_scores.csv").write_text("\n".join(lines) + "\n")
    rest = "--batch 4 --threads 1 --device cpu --sample-every 0".split()
    return ["--images", str(folder), "--table", str(tmp_path / "all_scores.csv"), *rest]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(train_commands, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_the_commands_go_from_nothing_to_v1_and_v4(tmp_path: Path, published: list[str]) -> None:
    base = tmp_path / "base"
    assert run("base", base, "--size", "16", "--width", "8", "--steps", "1", *published) == str(
        base
    )
    run("v1", tmp_path / "v1", "--start", base, "--epochs", "1", "--preset", "faithful", *published)
    assert (tmp_path / "v1" / "stylegan_dis_fine_tuned_v1.safetensors").is_file()
    gen = tmp_path / "v1" / "stylegan_gen_fine_tuned_v1.safetensors"
    critic = gen.with_name("stylegan_dis_fine_tuned_v1.safetensors")
    start = ("--start", gen, "--start-discriminator", critic)
    run("v4", tmp_path / "v4", *start, "--steps", 1, "--format", "pth", *published)
    state = torch.load(tmp_path / "v4" / "stylegan_gen_fine_tuned_v4.pth", weights_only=True)
    assert state["mapping.label_weight"].shape == (3, 16)
    with pytest.raises(BadInput, match="no preset 'v9'"):
        run("v1", tmp_path / "x", "--start", base, "--preset", "v9", *published)
    with pytest.raises(BadInput, match="Give --data"):
        run("v1", tmp_path / "x", "--start", base)
    with pytest.raises(BadInput, match="not 17"):
        run("base", tmp_path / "x", "--size", "17", *published)
