"""The published files of the face networks, and files that are something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ohlora.errors import BadInput, CheckpointError
from ohlora.models.cnn import GenderCNN, QualityCNN
from ohlora.models.property_cnn import MergedPropertyCNN, PropertyCNN
from ohlora.vision.weights import load_cnns, load_parser

FILES: dict[str, tuple[type[nn.Module], list[str]]] = {
    "gender-cnn": (GenderCNN, [f"gender_model_{i}.pt" for i in range(5)]),
    "quality-cnn": (QualityCNN, [f"quality_model_{i}.pt" for i in range(5)]),
    "property-cnn": (PropertyCNN, ["stylegan_gen_fine_tuned_v2_cnn.pth"]),
    "v3-merged-property-cnn": (MergedPropertyCNN, ["ohlora_v3_merged_property_cnn.pth"]),
}


@pytest.mark.parametrize("row", FILES)
def test_published_names_load_the_right_network_without_dropout(tmp_path: Path, row: str) -> None:
    kind, names = FILES[row]
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        torch.save(kind(unit=2).state_dict(), tmp_path / name)
    nets = load_cnns(row, tmp_path)
    assert len(nets) == len(names) and all(type(net) is kind for net in nets)
    image = torch.rand(2, 3, 256, 256)
    with torch.inference_mode():
        scores = [net(image) for net in nets]
        for score, net in zip(scores, nets, strict=True):
            torch.testing.assert_close(net(image), score)
    assert len({float(s[0, 0]) for s in scores}) == len(names)


def test_a_missing_fold_and_a_wrong_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gender_model_0.pt.*ohlora models pull gender-cnn"):
        load_cnns("gender-cnn", tmp_path)
    for i in range(5):
        torch.save(QualityCNN(unit=2).state_dict(), tmp_path / f"gender_model_{i}.pt")
    with pytest.raises(CheckpointError, match="gender_model_0.pt"):
        load_cnns("gender-cnn", tmp_path)


def test_a_device_that_is_not_there_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="--device cpu"):
        load_cnns("property-cnn", tmp_path, device="cuda")
    weights = tmp_path / "segmentation_model.pt"
    weights.write_bytes(b"x")
    with pytest.raises(BadInput, match="--device cpu"):
        load_parser(weights, device="cuda")
