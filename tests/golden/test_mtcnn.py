"""MTCNN with its real weights against the reference: boxes 0.01 px, probabilities 1e-4."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from golden.fill import normal
from ohlora.models.mtcnn import MTCNN
from ohlora.vision.weights import load_mtcnn
from vision.fetch_mtcnn import mtcnn_folder


@pytest.fixture(scope="module")
def spec(golden_dir: Path) -> dict[str, Any]:
    return json.loads((golden_dir / "mtcnn" / "mtcnn.json").read_text())


@pytest.fixture(scope="module")
def weights() -> Path:
    folder = mtcnn_folder()
    if folder is None:
        pytest.skip("no MTCNN weights here: run python tests/vision/fetch_mtcnn.py")
    return folder


@pytest.fixture(scope="module")
def mtcnn(weights: Path) -> MTCNN:
    return load_mtcnn(weights)


def nets(mtcnn: MTCNN) -> dict[str, nn.Module]:
    return {"pnet": mtcnn.pnet, "rnet": mtcnn.rnet, "onet": mtcnn.onet}


def pictures(golden_dir: Path, spec: dict[str, Any]) -> list[tuple[dict[str, Any], np.ndarray]]:
    folder = golden_dir / "mtcnn"
    if not (folder / spec["images"][0]["file"]).is_file():
        pytest.skip("this copy of the golden folder has numbers only, no pictures")
    return [
        (case, np.asarray(Image.open(folder / case["file"]).convert("RGB")))
        for case in spec["images"]
    ]


def test_keys_and_shapes_are_those_of_the_published_files(spec: dict[str, Any]) -> None:
    for name, net in nets(MTCNN()).items():
        found = [[key, list(value.shape)] for key, value in net.state_dict().items()]
        assert found == [[key, shape] for key, shape, _ in spec["tensors"][name]]


def test_the_weights_are_the_published_files(weights: Path, spec: dict[str, Any]) -> None:
    for row in spec["weights"].values():
        data = (weights / row["ohlora_name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]


def test_raw_net_outputs_match_the_reference(
    golden_dir: Path, mtcnn: MTCNN, spec: dict[str, Any]
) -> None:
    expected = np.load(golden_dir / "mtcnn" / "nets.npz")
    for name, net in nets(mtcnn).items():
        row = spec["raw_nets"][name]["input"]
        x = torch.from_numpy(normal(row["seed_string"], tuple(row["shape"]), row["s"]))
        with torch.inference_mode():
            for i, out in enumerate(net(x)):
                assert np.abs(out.numpy() - expected[f"{name}.out{i}"]).max() < 1e-5


def test_faces_are_found_where_the_reference_found_them(
    golden_dir: Path, mtcnn: MTCNN, spec: dict[str, Any]
) -> None:
    for case, image in pictures(golden_dir, spec):
        (faces,) = mtcnn([image])
        if case["boxes"] is None:
            assert len(faces) == 0
            continue
        assert len(faces) == len(case["boxes"])
        assert np.abs(faces.boxes - np.array(case["boxes"])).max() < 0.01
        assert np.abs(faces.probs - np.array(case["probs"])).max() < 1e-4
        assert np.abs(faces.points - np.array(case["points"])).max() < 0.01


def test_a_batch_finds_what_one_picture_at_a_time_finds(
    golden_dir: Path, mtcnn: MTCNN, spec: dict[str, Any]
) -> None:
    images = [image for _, image in pictures(golden_dir, spec) if image.shape == (256, 256, 3)]
    for together, alone in zip(mtcnn(images), (mtcnn([i])[0] for i in images), strict=True):
        assert together.boxes.shape == alone.boxes.shape
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.01)
