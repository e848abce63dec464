"""Features for KID: EfficientNet-Lite0 where it is installed, else random filters that say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from evaluation.paper_faces import W, obedient
from ohlora.errors import CheckpointError
from ohlora.evaluation import face_features
from ohlora.evaluation.efficientnet import MEAN, WIDTH, EfficientNetLite0, SameConv
from ohlora.evaluation.face_features import Lite0Features, RandomFeatures, load_features
from ohlora.evaluation.face_numbers import closeness, kid


@pytest.fixture(scope="module")
def lite0() -> Lite0Features:
    features = load_features()
    if not isinstance(features, Lite0Features):
        pytest.skip("the extra `evaluation` is not installed")
    return features


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Forty paper faces of 128 pixels."""
    rng = np.random.default_rng(0)
    big = obedient(rng.standard_normal((40, W)), rng.uniform(-1, 1.5, (40, 3)))
    return np.stack([np.asarray(Image.fromarray(image).resize((128, 128))) for image in big])


def blurred(images: np.ndarray, radius: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(radius)
    return np.stack([np.asarray(Image.fromarray(image).filter(blur)) for image in images])


def check_that_kid_grows_with_blur(
    kid_of: Callable[[np.ndarray], float], faces: np.ndarray
) -> None:
    """kid_of(images) is held against the second half of the faces."""
    ours, theirs = np.split(faces, 2)
    itself, other, soft, softer = (
        kid_of(images) for images in (theirs, ours, blurred(ours, 2), blurred(ours, 5))
    )
    assert itself <= other < soft < softer
    assert abs(itself) < 0.1 * softer


def test_kid_of_the_stand_in_grows_with_blur(faces: np.ndarray) -> None:
    def kid_of(images: np.ndarray) -> float:
        return closeness(images, faces[20:], RandomFeatures(), standardised=True)["kid"]

    check_that_kid_grows_with_blur(kid_of, faces)


def test_kid_of_the_trained_net_grows_with_blur(lite0: Lite0Features, faces: np.ndarray) -> None:
    few = faces[::2]
    theirs = lite0(few[10:])
    assert theirs.shape == (10, 1280)
    check_that_kid_grows_with_blur(lambda images: kid(lite0(images), theirs)[0], few)


def test_the_floor_is_that_of_the_domain_alone(faces: np.ndarray) -> None:
    found = [closeness(images, faces[20:], RandomFeatures(), standardised=True)
             for images in (faces[:20], blurred(faces[:20], 5))]  # fmt: skip
    assert found[0]["floor"] == found[1]["floor"] < 0.1 * found[1]["kid"]


def test_without_the_extra_a_stand_in_is_used_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_features, "package_folder", lambda package: None)
    features = load_features()
    assert isinstance(features, RandomFeatures) and "stand-in" in features.name


def test_efficientnet_knows_a_palace_and_a_daisy(lite0: Lite0Features) -> None:
    """ImageNet's classes 698 and 985, on two photographs that scikit-learn carries."""
    datasets = pytest.importorskip("sklearn.datasets")
    for name, wanted in (("china.jpg", 698), ("flower.jpg", 985)):
        photo = datasets.load_sample_image(name)[:, 106:533]
        small = Image.fromarray(photo).resize((224, 224), Image.Resampling.BICUBIC)
        x = torch.tensor(np.asarray(small)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            assert int(lite0.net((x - MEAN) / WIDTH).argmax()) == wanted


def test_a_convolution_pads_as_tensorflow_does() -> None:
    """Even sides: nothing left and above, the odd pixel right and below."""
    conv = SameConv(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    counted = conv(torch.ones(1, 1, 4, 4))
    assert counted[0, 0].tolist() == [[9, 6], [6, 4]]
    assert conv(torch.ones(1, 1, 5, 5)).shape[2:] == (3, 3)


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    state = {f"_{key}": value for key, value in EfficientNetLite0().state_dict().items()}
    save_file(state, tmp_path / "right.safetensors")
    assert not EfficientNetLite0.load(tmp_path / "right.safetensors").training
    save_file({"_fc.bias": torch.zeros(2)}, tmp_path / "wrong.safetensors")
    with pytest.raises(CheckpointError, match="EfficientNet-Lite0") as caught:
        EfficientNetLite0.load(tmp_path / "wrong.safetensors")
    assert caught.value.ko != caught.value.en
