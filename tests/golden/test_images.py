"""Box enlargement and FaceXFormer's input, exactly as the reference computes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.nn.functional import avg_pool2d

from ohlora.vision.detect import crop_face, enlarge
from ohlora.vision.parse import face_pixels, preprocess


def test_boxes_are_enlarged_as_in_the_reference(golden_dir: Path) -> None:
    arrays = np.load(golden_dir / "funcs" / "images.npz")
    rows = zip(arrays["bbox_in"], arrays["bbox_wh"], arrays["bbox_adjusted"], strict=True)
    for box, (width, height), expected in rows:
        np.testing.assert_allclose(enlarge(box, width, height), expected, rtol=0, atol=1e-9)


def test_detected_boxes_lead_to_the_reference_s_crops(golden_dir: Path) -> None:
    spec = json.loads((golden_dir / "mtcnn" / "mtcnn.json").read_text())
    for case in spec["images"]:
        if case["boxes"]:
            box = enlarge(case["boxes"][0], *case["size"])
            np.testing.assert_allclose(box, case["adjusted_first_box"], rtol=0, atol=1e-9)
            assert [int(side) for side in box] == case["crop_box_int"]


def test_face_crop_reaches_the_network_as_in_the_reference(golden_dir: Path) -> None:
    spec = json.loads((golden_dir / "mtcnn" / "mtcnn.json").read_text())
    first = spec["images"][0]
    path = golden_dir / "mtcnn" / first["file"]
    if not path.is_file():
        pytest.skip("this copy of the golden folder has numbers only, no pictures")
    arrays = np.load(golden_dir / "funcs" / "images.npz")
    crop = crop_face(np.asarray(Image.open(path).convert("RGB")), first["crop_box_int"])
    inputs = preprocess([crop])
    part = (slice(100, 116), slice(100, 116))
    assert np.abs(inputs[0, :, *part].numpy() - arrays["face_input_crop"]).max() < 1e-6
    coarse = avg_pool2d(inputs, 8)[0].numpy()
    assert np.abs(coarse - arrays["face_input_avg28"]).max() < 1e-5
    (face,) = face_pixels(inputs)
    assert np.array_equal(face[part], arrays["face_uint8_crop"])
    coarse = face.reshape(28, 8, 28, 8, 3).mean(axis=(1, 3))
    assert np.abs(coarse - arrays["face_uint8_avg28"]).max() < 1e-3
