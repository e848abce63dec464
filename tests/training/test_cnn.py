"""Gender and quality CNNs in five folds, and what their answers are used for."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ohlora.errors import BadInput
from ohlora.models.cnn import GenderCNN, QualityCNN
from ohlora.training import cnn, ensemble
from ohlora.training.cnn import (
    CnnConfig,
    FoldRecipe,
    check_labels,
    measures,
    probabilities,
    split,
    train_folds,
    v1_faithful,
)
from ohlora.training.ensemble import (
    COLUMNS,
    copy_kept,
    judge_faces,
    keep_women,
    read_hand_labels,
    score,
    v1_faces,
)
from ohlora.training.face_data import FaceData
from ohlora.training.faults import TrainingError
from ohlora.training.loop import LoopConfig, train
from ohlora.vision.weights import load_cnns

LOOP = LoopConfig(epochs=3, batch_size=4, log_every=1, save_every=50, threads=1, device="cpu")
EASY = CnnConfig("gender", folds=2, unit=1, good_enough=99.0)


def faces(count: int = 12, labels: int = 1) -> FaceData:
    """Bright faces are women and good pictures."""
    bright = np.arange(count) % 2
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 80, (count, 3, 16, 16))
    return FaceData(
        images=(noise + 150 * bright[:, None, None, None]).astype(np.uint8),
        labels=np.repeat(bright[:, None], labels, 1).astype(np.float32),
        names=COLUMNS[:labels],
        masks=None,
        persons=np.arange(count),
        numbers=np.arange(count),
        digest=f"cnn {count} {labels}",
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("stratified", [False, True])
def test_every_row_is_checked_once_and_never_by_a_net_that_learned_it(stratified: bool) -> None:
    labels = (np.arange(53) < 5).astype(float)
    seen = []
    for learn, check in split(labels, 5, stratified, seed=3):
        assert not set(learn) & set(check) and len(learn) + len(check) == 53
        assert len(check) in (10, 11)
        if stratified:
            assert labels[check].sum() == 1
        seen += check.tolist()
    assert sorted(seen) == list(range(53))
    again = [check.tolist() for _, check in split(labels, 5, stratified, seed=3)]
    assert sum(again, []) == seen


def test_measures_of_an_epoch_count_and_leave_the_undefined_empty() -> None:
    row = measures(np.array([0.9, 0.6, 0.4, 0.2]), np.array([1.0, 0, 1, 0]), 0.5)
    assert (row["tp"], row["tn"], row["fp"], row["fn"]) == (1, 1, 1, 1)
    assert row["val_accuracy"] == row["val_f1_score"] == 0.5
    assert row["val_auroc"] == pytest.approx(0.75)
    assert row["val_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.8]).mean())
    none = measures(np.array([0.1, 0.2]), np.array([1.0, 1.0]), 0.5)
    assert none["val_precision"] is none["val_f1_score"] is none["val_auroc"] is None
    assert none["val_recall"] == 0.0


def test_folds_leave_the_published_files_and_go_on_without_training_twice(
    tmp_path: Path, monkeypatch
) -> None:
    folds = train_folds(faces(), EASY, LOOP, tmp_path)
    assert [fold.good for fold in folds] == [True, True]
    detail = rows(tmp_path / "log" / "epoch_detail_gender_0.csv")
    assert list(detail[0]) == [
        "epoch", "val_loss", "val_accuracy", "tp", "tn", "fp", "fn", "val_recall",
        "val_precision", "val_f1_score", "val_auroc",
    ]  # fmt: skip
    assert len(detail) >= 3
    log = rows(tmp_path / "log" / "train_log_gender.csv")
    assert [row["fold_no"] for row in log] == ["0", "1"] and log[0]["success"] == "True"
    losses = json.loads(log[0]["val_loss_list"])
    assert float(log[0]["min_val_loss"]) == min(losses) == folds[0].loss
    assert int(log[0]["best_epoch"]) == int(np.argmin(losses))
    kept = torch.load(tmp_path / "models" / "gender_model_1.pt", weights_only=True)
    net = GenderCNN(unit=1)
    net.load_state_dict(kept)
    assert np.array_equal(probabilities(net.eval(), faces()), probabilities(folds[1].best, faces()))

    before = (tmp_path / "models" / "gender_model_0.pt").read_bytes()
    monkeypatch.setattr(FoldRecipe, "step", None)
    train_folds(faces(), EASY, LOOP, tmp_path)
    assert (tmp_path / "models" / "gender_model_0.pt").read_bytes() == before


def test_files_of_five_folds_open_where_the_published_ones_do(tmp_path: Path) -> None:
    config = replace(EASY, kind="quality", folds=5)
    train_folds(faces(10), config, replace(LOOP, epochs=1), tmp_path)
    nets = load_cnns("quality-cnn", tmp_path / "models")
    assert len(nets) == 5 and all(isinstance(net, QualityCNN) for net in nets)


def test_a_fold_that_fails_starts_anew_with_other_weights_until_the_limit(tmp_path: Path) -> None:
    config = replace(EASY, good_enough=0.0, retries=2)
    folds = train_folds(faces(8), config, replace(LOOP, epochs=1), tmp_path)
    assert [fold.tries for fold in folds] == [3, 3] and not any(fold.good for fold in folds)
    log = rows(tmp_path / "log" / "train_log_gender.csv")
    assert [row["fold_no"] for row in log] == ["0", "0", "0", "1", "1", "1"]
    losses = [float(row["min_val_loss"]) for row in log]
    assert len(set(losses[:3])) == 3
    assert folds[0].loss == min(losses[:3])


def test_without_a_limit_a_fold_is_trained_until_it_is_good(tmp_path: Path, monkeypatch) -> None:
    assert v1_faithful("gender").retries is None
    answers = iter([0.9, 0.8, 0.7, 0.6, 0.1, 0.1])  # loss of each try of both folds

    def epoch_end(self: FoldRecipe, run: object) -> dict[str, float]:
        self.rows.append({"epoch": 0, "val_loss": next(answers)})
        self.best_epoch = 0
        return {}

    monkeypatch.setattr(FoldRecipe, "epoch_end", epoch_end)
    monkeypatch.setattr(cnn, "AGREES", 99.0)
    config = replace(EASY, good_enough=0.2, retries=None)
    folds = train_folds(faces(8), config, replace(LOOP, epochs=1), tmp_path)
    assert [fold.tries for fold in folds] == [5, 1]


def test_early_stop_waits_for_patience_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(EASY, lr=0.0, patience=3)  # nothing is learned: epoch 0 stays the best
    recipe = FoldRecipe(config, faces(4), seed=1)
    train(recipe, faces(8), replace(LOOP, epochs=50), tmp_path)
    assert len(recipe.rows) == 4 and recipe.best_epoch == 0


def test_the_learning_rate_falls_and_rises_again(tmp_path: Path) -> None:
    recipe = FoldRecipe(replace(EASY, period=2), faces(4), seed=1)
    rates = []
    real = recipe.step

    def step(batch, run):  # type: ignore[no-untyped-def]
        rates.append(recipe.optimizers["net"].param_groups[0]["lr"])
        return real(batch, run)

    recipe.step = step  # type: ignore[method-assign]
    train(recipe, faces(4), replace(LOOP, epochs=5), tmp_path)
    assert rates == pytest.approx([5e-5, 2.5e-5, 0, 2.5e-5, 5e-5])


def test_a_stopped_fold_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    def recipe() -> FoldRecipe:
        return FoldRecipe(EASY, faces(4), seed=1)

    whole, halves = recipe(), recipe()
    train(whole, faces(8), LOOP, tmp_path / "whole")
    train(recipe(), faces(8), replace(LOOP, steps=3), tmp_path / "halves")
    train(halves, faces(8), LOOP, tmp_path / "halves")
    for name in ("net", "best"):
        one, other = (tmp_path / n / f"{name}.safetensors" for n in ("whole", "halves"))
        assert one.read_bytes() == other.read_bytes()
    assert whole.rows == halves.rows and whole.best_epoch == halves.best_epoch


def test_a_best_net_that_measures_differently_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    real = cnn.measures

    def off(*args):  # type: ignore[no-untyped-def]
        row = real(*args)
        off.calls += 1
        return row if off.calls < 4 else {**row, "val_loss": row["val_loss"] + 1e-3}

    off.calls = 0
    monkeypatch.setattr(cnn, "measures", off)
    with pytest.raises(TrainingError, match="fold 0"):
        train_folds(faces(8), EASY, LOOP, tmp_path)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("labels,message", [
    ([0, 1, 2, 1, 0, 1], "picture 2 is 2"), ([0, 1, np.nan, 1, 0, 1], "picture 2 is nan"),
    ([1, 1, 1, 1, 1, 1], "have gender 1: label some of the other"),
])  # fmt: skip
def test_wrong_labels_get_one_sentence(labels, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = replace(faces(6), labels=np.array(labels, np.float32)[:, None])
    with pytest.raises(BadInput, match=message) as caught:
        train_folds(data, EASY, LOOP, tmp_path)
    assert caught.value.ko != caught.value.en


def test_too_few_pictures_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(BadInput, match="there are 3"):
        check_labels(faces(3), CnnConfig("gender"))
    with pytest.raises(BadInput, match="no CNN for 'age'"):
        check_labels(faces(9), CnnConfig("age"))


def test_nets_score_in_eval_mode_and_only_on_request_with_dropout() -> None:
    torch.manual_seed(5)
    nets: list[nn.Module] = [GenderCNN(unit=1).train() for _ in range(2)]
    plain = score(nets, faces())
    assert np.array_equal(plain, score(nets, faces())) and not nets[0].training
    assert not np.array_equal(plain, score(nets, faces(), dropout=True))
    assert plain.shape == (12, 2) and not nets[0].training


def test_the_rest_is_scored_collected_and_filtered(tmp_path: Path, monkeypatch) -> None:
    data = faces(8, labels=2)
    labelled = np.arange(8) < 5
    labels = data.labels.copy()
    labels[5:] = np.nan
    data = replace(data, labels=labels)
    answers = np.array([[0.9, 0.60001], [0.95, 0.85], [0.3, 0.1]])
    monkeypatch.setattr(ensemble, "score", lambda nets, rest, dropout: answers)
    configs = {name: replace(EASY, kind=name) for name in COLUMNS}
    judged = judge_faces(data, labelled, configs, replace(LOOP, epochs=1), tmp_path)

    gender = rows(tmp_path / "inference_result" / "gender.csv")
    assert gender[0] == {
        "img_no": "5", "img_path": "000005.jpg", "property_gender_final_score": "0.75",
        "score_model_0": "0.9", "score_model_1": "0.6",
    }  # fmt: skip
    everything = rows(tmp_path / "all_image_quality_and_gender.csv")
    assert [row["gender_score"] for row in everything] == [
        "0.0", "1.0", "0.0", "1.0", "0.0", "0.75", "0.9", "0.2",
    ]  # fmt: skip
    assert judged.kept.tolist() == [False, True, False, True, False, False, True, False]
    assert [row["img_no"] for row in rows(tmp_path / "filtered.csv")] == ["1", "3", "6"]


def test_the_filter_takes_its_own_limits() -> None:
    scores = {"gender": np.array([0.7, 0.6999, 1]), "quality": np.array([0.9, 1, 0.8999])}
    assert keep_women(scores).tolist() == [True, False, False]


def test_the_original_hands_on_its_last_nets_with_dropout(tmp_path: Path, monkeypatch) -> None:
    used = []
    monkeypatch.setattr(
        ensemble, "score", lambda nets, rest, dropout: used.append((nets, dropout))
        or np.zeros((len(rest), len(nets))),
    )  # fmt: skip
    kept = []
    monkeypatch.setattr(
        ensemble, "train_folds", lambda *args: kept.append(train_folds(*args)) or kept[-1]
    )
    data, labelled = faces(8, labels=2), np.arange(8) < 6
    for number, config in enumerate((EASY, replace(EASY, faithful=True))):
        configs = {name: replace(config, kind=name) for name in COLUMNS}
        judge_faces(data, labelled, configs, LOOP, tmp_path / str(number))
    assert used[0] == ([fold.best for fold in kept[0]], False)
    assert used[2] == ([fold.last for fold in kept[2]], True)


@pytest.fixture
def v1_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(folder / f"{i:06d}.jpg")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_v1s_layout_is_read_with_and_without_labels(v1_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("img_name,quality,gender\n0,1,0\n1,0,1\n")
    data, labelled = v1_faces(v1_folder, table, tmp_path / "cnn")
    assert labelled.tolist() == [True, True, False, False]
    assert data.labels[:2].tolist() == [[0, 1], [1, 0]] and np.isnan(data.labels[2:]).all()
    assert copy_kept(v1_folder, data.numbers[[1, 3]], tmp_path / "kept") == 2
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["000001.jpg", "000003.jpg"]

    table.write_text("img_name,quality,gender\n0,1,0\n7,0,1\n")
    with pytest.raises(BadInput, match="first 000007"):
        v1_faces(v1_folder, table, tmp_path / "cnn")
    table.write_text("img_name,gender\n0,1\n")
    with pytest.raises(BadInput, match="no table of hand labels"):
        read_hand_labels(table)
