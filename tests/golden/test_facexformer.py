"""FaceXFormer against the reference's numbers: 1e-3, and 99.9 % of the parsed pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from golden.fill import Case, load_case
from golden.pictures import picture
from ohlora.models.facexformer import FaceXFormer


@pytest.fixture(scope="module")
def case(golden_dir: Path) -> Case:
    return load_case(golden_dir, "facexformer")


@pytest.fixture(scope="module")
def net(case: Case) -> Iterator[FaceXFormer]:
    net = FaceXFormer()
    state = {key: torch.from_numpy(value) for key, value in case.state.items()}
    missing = net.load_state_dict(state, strict=False, assign=True).missing_keys
    assert all(key.endswith("relative_position_index") for key in missing)
    with torch.inference_mode():
        yield net.eval()


@pytest.fixture(scope="module")
def image(case: Case) -> Tensor:
    row = case.spec["meta"]["inputs"]["image"]
    return picture(row, row["shape"][2], row["shape"][0])


def test_its_505_keys_and_shapes_are_those_of_the_published_file(
    net: FaceXFormer, case: Case
) -> None:
    state = net.state_dict()
    assert list(state) == case.keys and len(state) == 505
    assert {key: tuple(value.shape) for key, value in state.items()} == case.shapes
    assert sum(value.numel() for value in state.values()) == case.spec["n_elements"]


def test_backbone_features_match_the_reference(net: FaceXFormer, case: Case, image: Tensor) -> None:
    for i, feature in enumerate(net.backbone(image)):
        expected = case.arrays[f"feat{i}_mean_c"]
        assert np.abs(feature.mean(dim=(2, 3)).numpy() - expected).max() < 1e-3


def test_parsing_and_every_head_match_the_reference(
    net: FaceXFormer, case: Case, image: Tensor
) -> None:
    out = net(image)
    for name in ("landmarks", "headpose", "attributes", "age", "gender", "race", "visibility"):
        assert np.abs(out[name].numpy() - case.arrays[name]).max() < 1e-3, name
    parsing = out["parsing"]
    assert parsing.shape == tuple(case.arrays["seg_shape"])
    same = parsing.argmax(dim=1).numpy() == case.arrays["seg_argmax"]
    assert same.mean() >= 0.999
    coarse = F.avg_pool2d(parsing, 8).numpy()
    assert np.abs(coarse - case.arrays["seg_avg"]).max() < 1e-3
    crop = parsing[..., 100:108, 60:68].numpy()
    assert np.abs(crop - case.arrays["seg_crop"]).max() < 1e-3
