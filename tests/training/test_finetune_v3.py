"""FineTune-v3 at toy size: gradients, what is mended, the test after an epoch, faults."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora.errors import BadInput
from ohlora.models.cnn import GenderCNN
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.property_cnn import PROPERTIES, PropertyCNN
from ohlora.models.protocol50 import Judged
from ohlora.models.stylegan import Generator
from ohlora.training import finetune_v3
from ohlora.training.face_data import FaceData
from ohlora.training.faults import TrainingError
from ohlora.training.finetune_v3 import (
    DEFAULT,
    FAITHFUL,
    FineTuneV3,
    V3Config,
    finetune,
    mean_row,
    needed_scores,
    start_from,
)
from ohlora.training.loop import LoopConfig, Run

LOOP = LoopConfig(epochs=2, batch_size=2, log_every=1, save_every=50, threads=1, device="cpu")
FAILS = Judged((float("nan"), 0.0, 0.0), (9.0,) * 3, (9.0,) * 3, False)
TINY = V3Config(embed_dim=3, test_zs=1, test_pictures=False, log_batches=2)


def generator(label_dim: int = 7) -> Generator:
    torch.manual_seed(3)
    return Generator(GeneratorConfig(label_dim, 3, 8, channels=(4, 4, 4)))


def recipe(config: V3Config = TINY, label_dim: int = 7) -> FineTuneV3:
    drawn = generator(label_dim)
    torch.manual_seed(4)
    return FineTuneV3(drawn, PropertyCNN(unit=1), GenderCNN(unit=1), config)


def faces(count: int = 4, columns: int = 7) -> FaceData:
    rng = np.random.default_rng(4)
    return FaceData(
        images=rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8),
        labels=rng.normal(0, 1, (count, columns)).astype(np.float32),
        names=PROPERTIES[:columns],
        masks=None,
        persons=np.arange(count),
        numbers=np.arange(count),
        digest="v3",
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def gradients(graph: str, label_dim: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Of every parameter that has one after a step without update."""
    one = recipe(replace(TINY, graph=graph), label_dim)
    run = Run(one, faces(), LOOP, Path())
    torch.manual_seed(8)
    logged = one.step(faces().batch(0, 2, 1), run)
    nets = {**one.modules, **one.frozen}
    found = {
        f"{name}.{key}": p.grad
        for name, net in nets.items() for key, p in net.named_parameters() if p.grad is not None
    }  # fmt: skip
    return found, logged


@pytest.mark.parametrize("label_dim", [7, 3])
@pytest.mark.parametrize("graph", ["marked", "kept"])
def test_trained_gradients_are_those_of_the_whole_graph(graph: str, label_dim: int) -> None:
    ours, logged = gradients("needed", label_dim)
    whole, expected = gradients(graph, label_dim)
    assert set(ours) == set(whole)
    assert all(name.startswith(("generator.mapping.", "encoder.")) for name in ours)
    assert len(ours) == 17 + 16  # all of mapping and encoder
    for name, grad in ours.items():
        torch.testing.assert_close(grad, whole[name], rtol=1e-4, atol=1e-7, msg=name)
    assert logged == pytest.approx(expected, rel=1e-5)


def test_all_seven_scores_are_the_nets_own_and_three_have_a_graph() -> None:
    torch.manual_seed(1)
    net = PropertyCNN(unit=1).eval()
    images = torch.randn(2, 3, 256, 256, requires_grad=True)
    labels = torch.randn(2, 7)
    torch.testing.assert_close(needed_scores(net, images, labels, True), net(images))
    scores = needed_scores(net, images, labels, False)
    torch.testing.assert_close(scores[:, [1, 2, 5, 6]], labels[:, [1, 2, 5, 6]])
    (grad,) = torch.autograd.grad(scores[:, [0, 3, 4]].sum(), images)
    assert grad[:, :, 96:208].abs().sum() > 0
    assert grad[:, :, :96].abs().sum() == grad[:, :, 208:].abs().sum() == 0


def test_only_mapping_and_encoder_change(tmp_path: Path) -> None:
    one = recipe()
    before = {k: v.clone() for k, v in one.generator.state_dict().items()}
    encoder = [p.clone() for p in one.encoder.parameters()]
    cnns = [p.clone() for net in one.frozen.values() for p in net.parameters()]
    finetune(one, faces(), replace(LOOP, epochs=1), tmp_path)
    changed = {k for k, v in one.generator.state_dict().items() if not torch.equal(v, before[k])}
    assert "mapping.label_weight" in changed and "mapping.dense7.bias" in changed
    assert all(name.startswith("mapping.") or name == "truncation.w_avg" for name in changed)
    assert not all(
        torch.equal(a, b) for a, b in zip(encoder, one.encoder.parameters(), strict=True)
    )
    after = [p for net in one.frozen.values() for p in net.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(cnns, after, strict=True))


def test_the_default_has_no_dropout_and_shows_the_gender_cnn_what_it_knows() -> None:
    seen: dict[bool, torch.Tensor] = {}
    for faithful in (False, True):
        one = recipe(replace(TINY, faithful=faithful))
        one.gender_cnn.forward = lambda image, f=faithful: seen.setdefault(f, image)[:, :1, 0, 0]  # type: ignore[method-assign]
        image = 3 * torch.randn(2, 3, 256, 256)
        labels, code = torch.zeros(2, 7), torch.zeros(2, 8)
        losses = [one.judge(image, labels, code, code, True).squared for _ in range(2)]
        assert torch.equal(*losses) is not faithful
    assert seen[False].min() == 0 and seen[False].max() == 1
    assert seen[True].min() < -3


def test_an_epoch_ends_with_the_test_and_its_files(tmp_path: Path, monkeypatch) -> None:
    passes = Judged((1.0, 1.0, 1.0), (0.0,) * 3, (0.0,) * 3, True)
    calls: list[tuple[object, ...]] = []

    def accept(draw, score, zs, folder, **options):  # type: ignore[no-untyped-def]
        calls.append((zs.shape, folder.name, options["pictures"]))
        return [passes if len(calls) == 2 else FAILS] * len(zs)

    monkeypatch.setattr(finetune_v3, "accept", accept)
    monkeypatch.setattr(finetune_v3, "RANDOM", 2)
    config = replace(TINY, test_zs=3, test_pictures=True)
    one = recipe(config)
    finetune(one, faces(), LOOP, tmp_path)
    assert calls == [((2, 8), "epoch_0000", True), ((3, 8), "epoch_0001", True)]
    folder = tmp_path / "inference_test_during_finetuning_v3" / "epoch_0001"
    mus = rows(folder / "test_mus.csv")
    assert len(mus) == 4 and len(mus[0]) == 8  # batches so far
    assert len(rows(folder / "test_log_vars.csv")) == 4
    assert len(rows(folder / "test_random_gen_result.csv")) == 2
    assert len(list((folder / "random").glob("*.png"))) == 2
    stem = "stylegan_gen_fine_tuned_v3_ckpt"
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == [
        f"{stem}_0001_enc.pth", f"{stem}_0001_gen.pth",
    ]  # fmt: skip
    kept = torch.load(tmp_path / f"{stem}_0001_gen.pth", weights_only=True)
    assert torch.equal(kept["mapping.label_weight"], one.generator.mapping.label_weight)


def test_the_real_test_runs_on_what_was_encoded(tmp_path: Path) -> None:
    finetune(recipe(), faces(), replace(LOOP, epochs=1), tmp_path)
    folder = tmp_path / "inference_test_during_finetuning_v3" / "epoch_0000"
    (each,) = rows(folder / "result_each_z.csv")
    assert each["passed"] == "X"  # an untrained net does not obey
    assert len(rows(folder / "0" / "test_result.csv")) == 50
    assert not list(tmp_path.glob("*.pth"))


def test_the_log_has_measured_batches_and_a_row_for_the_epoch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(finetune_v3, "accept", lambda *args, **options: [FAILS])
    finetune(recipe(), faces(6), replace(LOOP, epochs=1), tmp_path)
    log = rows(tmp_path / "train_log_v3.csv")
    assert list(log[0])[:7] == [
        "epoch", "batch_idx", "total_loss", "mse", "gender_loss", "mu_loss", "logvar_loss",
    ]  # fmt: skip
    assert list(log[0])[7:14] == [f"{name}_mse" for name in PROPERTIES]
    assert list(log[0])[14:] == [f"{name}_abs" for name in PROPERTIES]
    assert [row["batch_idx"] for row in log] == ["0", "2", "-"]
    measured = [float(row["hair_color_mse"]) for row in log]
    assert measured[2] == pytest.approx((measured[0] + measured[1]) / 2) and measured[0] > 0


def test_means_leave_out_what_was_not_measured() -> None:
    some = {"total_loss": 1.0, **dict.fromkeys(finetune_v3.LOSSES[1:], 0.0)}
    empty = dict.fromkeys(finetune_v3.EACH)
    means = mean_row([{**some, **empty, "eyes_mse": 4.0}, {**some, **empty, "total_loss": 2.0}])
    assert means["total_loss"] == 1.5 and means["eyes_mse"] == 4.0 and means["pose_abs"] is None


def test_training_stops_without_progress_but_the_original_goes_on_for_1000_epochs(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(finetune_v3, "accept", lambda *args, **options: [FAILS])
    monkeypatch.setattr(finetune_v3, "RANDOM", 1)
    monkeypatch.setattr(
        finetune_v3, "mean_row", lambda rows: {"total_loss": 1.0}
    )  # never better than the first epoch
    loop = replace(LOOP, epochs=6)
    still = recipe(replace(TINY, patience=2))
    finetune(still, faces(2), loop, tmp_path / "default")
    assert still.epochs == 3 and still.best_epoch == 0
    faithful = recipe(replace(TINY, patience=2, stop_after=FAITHFUL.stop_after))
    finetune(faithful, faces(2), loop, tmp_path / "faithful")
    assert faithful.epochs == 6
    assert FAITHFUL.stop_after == 1000 and FAITHFUL.patience == 40 and DEFAULT.stop_after == 0


def test_a_stopped_training_ends_bit_by_bit_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(finetune_v3, "RANDOM", 1)
    finetune(recipe(), faces(), LOOP, tmp_path / "whole")
    finetune(recipe(), faces(), replace(LOOP, steps=3), tmp_path / "halves")
    torch.manual_seed(77)
    finetune(recipe(), faces(), LOOP, tmp_path / "halves")
    for name in ("generator.safetensors", "encoder.safetensors", "train_log_v3.csv"):
        one, other = (tmp_path / n / name for n in ("whole", "halves"))
        assert one.read_bytes() == other.read_bytes(), name


def test_a_loss_that_is_no_number_stops_at_its_step(tmp_path: Path) -> None:
    data = faces()
    data.labels[:] = 1e30
    with pytest.raises(TrainingError, match="step 1"):
        finetune(recipe(), data, LOOP, tmp_path)


def test_a_start_keeps_the_picture_and_draws_the_label_anew() -> None:
    source = generator()
    state = {key: value.numpy() for key, value in source.state_dict().items()}
    begun = start_from(state)
    assert begun.config.embed_dim == 24 and begun.mapping.label_weight.shape == (7, 24)
    assert torch.equal(begun.mapping.dense1.weight, source.mapping.dense1.weight)
    assert torch.equal(begun.synthesis.layer0.const, source.synthesis.layer0.const)
    assert start_from({k: v.numpy() for k, v in generator(3).state_dict().items()}).config == (
        replace(generator(3).config, embed_dim=24)
    )
    with pytest.raises(BadInput, match="FineTune-v1's"):
        start_from({"conv1.0.weight": np.zeros(3)})


def test_labels_of_another_width_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="takes 7 labels, the data has 3"):
        finetune(recipe(), faces(columns=3), LOOP, tmp_path)
