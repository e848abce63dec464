"""The CNNs and the CVAE encoder against the reference's numbers; tolerance 1e-5."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from golden.fill import Case, filled, load_case
from golden.pictures import picture
from ohlora.models.cnn import GenderCNN, QualityCNN
from ohlora.models.cvae import CVAEEncoder
from ohlora.models.property_cnn import MergedPropertyCNN, PropertyCNN

NETS: dict[str, type[nn.Module]] = {
    "gender_cnn": GenderCNN,
    "quality_cnn": QualityCNN,
    "property_cnn": PropertyCNN,
    "cvae_encoder_v3": CVAEEncoder,
}


def load(net: nn.Module, case: Case) -> nn.Module:
    net.load_state_dict({key: torch.from_numpy(value) for key, value in case.state.items()})
    return net.eval()


@pytest.mark.parametrize("name", NETS)
def test_keys_and_shapes_are_those_of_the_published_file(golden_dir: Path, name: str) -> None:
    with torch.device("meta"):
        state = NETS[name]().state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == load_case(golden_dir, name).shapes
    assert list(state) == load_case(golden_dir, name).keys


@pytest.mark.parametrize("name", ["gender_cnn", "quality_cnn", "property_cnn"])
def test_cnn_scores_match_the_reference(golden_dir: Path, name: str) -> None:
    case = load_case(golden_dir, name)
    row = case.spec["meta"]["inputs"]["image"]
    with torch.inference_mode():
        scores = load(NETS[name](), case)(picture(row, row["shape"][2], row["shape"][0]))
    assert np.abs(scores.numpy() - case.arrays["out"]).max() < 1e-5


def test_cvae_encoder_matches_the_reference(golden_dir: Path) -> None:
    case = load_case(golden_dir, "cvae_encoder_v3")
    row = case.spec["meta"]["inputs"]["image"]
    image, label = picture(row, row["shape"][2], row["shape"][0]), case.input("label")
    with torch.inference_mode():
        mean, logvar = load(CVAEEncoder(), case)(image, torch.from_numpy(label))
    assert np.abs(mean.numpy() - case.arrays["mu"]).max() < 1e-5
    assert np.abs(logvar.numpy() - case.arrays["logvar"]).max() < 1e-5


def test_merged_eight_score_cnn_matches_the_reference(golden_dir: Path) -> None:
    spec = json.loads((golden_dir / "later" / "merged_property_cnn.json").read_text())
    expected = np.load(golden_dir / "later" / "merged_property_cnn.npz")["out"]
    net = MergedPropertyCNN()
    assert list(net.state_dict()) == [key for key, *_ in spec["tensors"]]
    net.load_state_dict(
        {
            key: torch.from_numpy(filled(spec["seed_prefix"] + key, tuple(shape), fill))
            for key, shape, _, fill in spec["tensors"]
        }
    )
    with torch.inference_mode():
        scores = net.eval()(picture(spec["input"], 256, len(expected)))
    assert np.abs(scores.numpy() - expected).max() < 1e-5
