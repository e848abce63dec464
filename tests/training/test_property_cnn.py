"""The property CNN: what it logs, when it stops, and the labels it writes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ohlora.errors import BadInput
from ohlora.models.property_cnn import PROPERTIES
from ohlora.training import property_cnn
from ohlora.training.face_data import FaceData, LabelScale
from ohlora.training.loop import LoopConfig, train
from ohlora.training.property_cnn import (
    PropertyConfig,
    PropertyRecipe,
    answers,
    scored_synth,
    train_property,
    validated,
)
from ohlora.vision.weights import load_cnns

LOOP = LoopConfig(epochs=2, batch_size=4, log_every=1, save_every=50, threads=1, device="cpu")
TINY = PropertyConfig(unit=1)


def faces(count: int = 10, columns: int = 7) -> FaceData:
    rng = np.random.default_rng(4)
    return FaceData(
        images=rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8),
        labels=rng.normal(0, 1, (count, columns)).astype(np.float32),
        names=tuple(f"score_{name}" for name in PROPERTIES)[:columns],
        masks=None,
        persons=np.arange(count),
        numbers=np.arange(count)[::-1].copy(),
        digest="property",
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_epoch_is_judged_without_the_deviation_of_the_background() -> None:
    truth = np.random.default_rng(0).normal(0, 1, (9, 7)).astype(np.float32)
    found = truth.copy()
    found[:, 6] += 3
    row = validated(found, truth)
    assert row["valid_loss"] == pytest.approx(9 / 7)
    assert row["val_loss_except_back_std"] == pytest.approx(0, abs=1e-9)
    assert row["back_std_score_abs_diff"] == pytest.approx(3)
    assert row["mouth_score_corr"] == pytest.approx(1)
    assert validated(found[:1], truth[:1])["eyes_score_corr"] is None


def test_training_leaves_the_published_files(tmp_path: Path) -> None:
    data = faces()
    scale = LabelScale(data.names, (1.0,) * 7, (2.0,) * 7)
    config = replace(TINY, unit=2, lr=1e-3)
    trained = train_property(replace(data, scale=scale), config, LOOP, tmp_path)
    epochs = rows(tmp_path / "log" / "train_log_v2_cnn.csv")
    names = ("eyes", "hair_color", "hair_length", "mouth", "pose", "back_mean", "back_std")
    assert list(epochs[0])[:4] == ["", "epoch", "valid_loss", "val_loss_except_back_std"]
    assert list(epochs[0])[4:11] == [f"{name}_score_loss" for name in names]
    assert list(epochs[0])[11:18] == [f"{name}_score_abs_diff" for name in names]
    assert list(epochs[0])[18:] == [f"{name}_score_corr" for name in names]
    assert len(epochs) == trained.epochs == 2
    losses = [float(row["val_loss_except_back_std"]) for row in epochs]
    assert trained.valid_loss == min(losses) and trained.best_epoch == int(np.argmin(losses))
    assert len(rows(tmp_path / "log" / "train_log_v2_cnn_val_log.csv")) == 2  # 1 picture, 2 epochs
    assert LabelScale.load(tmp_path / "scale.json") == scale

    (net,) = load_cnns("property-cnn", tmp_path)
    assert np.array_equal(answers(net, data), answers(trained.net, data))
    new = rows(tmp_path / "all_scores_v2_cnn.csv")
    assert list(new[0]) == ["img_no", "img_path", *(f"{name}_score" for name in PROPERTIES)]
    assert [row["img_no"] for row in new] == [str(i) for i in range(10)]
    assert float(new[0]["pose_score"]) == pytest.approx(answers(net, data)[-1, 4], abs=6e-5)
    both = rows(tmp_path / "compare" / "all_scores_v2_vs_cnn.csv")[0]
    assert float(both["eyes_v2"]) == pytest.approx(data.labels[-1, 0], abs=6e-5)
    assert float(both["eyes_diff"]) == pytest.approx(
        float(both["eyes_v2_cnn"]) - float(both["eyes_v2"]), abs=2e-4
    )
    assert trained.correlation["mouth"] == pytest.approx(
        np.corrcoef(data.labels[:, 3], trained.labels[:, 3])[0, 1]
    )


def test_a_finished_training_is_not_done_again(tmp_path: Path, monkeypatch) -> None:
    first = train_property(faces(), TINY, LOOP, tmp_path)
    monkeypatch.setattr(PropertyRecipe, "step", None)
    second = train_property(faces(), TINY, LOOP, tmp_path)
    assert np.array_equal(first.labels, second.labels)


def test_the_original_labels_with_dropout(tmp_path: Path) -> None:
    plain = train_property(faces(), TINY, LOOP, tmp_path / "default")
    faithful = train_property(faces(), replace(TINY, faithful=True), LOOP, tmp_path / "v1")
    assert np.array_equal(answers(plain.net, faces()), answers(faithful.net, faces()))
    assert not np.array_equal(plain.labels, faithful.labels)
    assert not faithful.net.training


def test_training_stops_after_patience_and_keeps_the_best(tmp_path: Path) -> None:
    recipe = PropertyRecipe(replace(TINY, lr=0.0, patience=2), faces(3))
    train(recipe, faces(4), replace(LOOP, epochs=30), tmp_path)
    assert len(recipe.rows) == 3 and recipe.best_epoch == 0


def test_a_stopped_training_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    whole, halves = PropertyRecipe(TINY, faces(3)), PropertyRecipe(TINY, faces(3))
    train(whole, faces(8), LOOP, tmp_path / "whole")
    train(PropertyRecipe(TINY, faces(3)), faces(8), replace(LOOP, steps=3), tmp_path / "halves")
    torch.manual_seed(11)
    train(halves, faces(8), LOOP, tmp_path / "halves")
    one, other = (tmp_path / n / "best.safetensors" for n in ("whole", "halves"))
    assert one.read_bytes() == other.read_bytes()
    assert whole.rows == halves.rows and whole.shown == halves.shown


def test_wrong_labels_and_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="takes 7 labels, the data has 3"):
        train_property(faces(columns=3), TINY, LOOP, tmp_path)
    with pytest.raises(BadInput, match="at least 2"):
        train_property(faces(1), TINY, LOOP, tmp_path)


def test_synthetic_scores_that_are_undefined_are_left_out(tmp_path: Path, monkeypatch) -> None:
    data = faces(6)
    data.labels[2, 4] = np.inf
    monkeypatch.setattr(FaceData, "from_synth", lambda *args: data)
    scored = scored_synth(tmp_path)
    assert scored.numbers.tolist() == [5, 4, 2, 1, 0]
    assert scored.labels.mean(0) == pytest.approx(np.zeros(7), abs=1e-6)
    assert scored.scale is not None
    data.labels[:, 4] = np.nan
    with pytest.raises(BadInput, match="no face was found"):
        scored_synth(tmp_path)


def test_the_short_names_are_those_of_the_properties() -> None:
    long = tuple(name.replace("background", "back") for name in PROPERTIES)
    assert property_cnn.SHORT == long
