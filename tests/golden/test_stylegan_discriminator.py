"""StyleGAN discriminators against the reference's numbers (golden/nets/stylegan_dis_*), 1e-5."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from golden.fill import Case, load_case
from ohlora.models.discriminator import VARIANTS, Discriminator


@pytest.fixture(scope="module", params=["original", "v1", "v4"])
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def case(golden_dir: Path, variant: str) -> Case:
    return load_case(golden_dir, f"stylegan_dis_{variant}")


@pytest.fixture(scope="module")
def discriminator(case: Case, variant: str) -> Discriminator:
    with torch.device("meta"):
        net = Discriminator(VARIANTS[variant])
    state = {key: torch.from_numpy(value) for key, value in case.whole_state.items()}
    net.load_state_dict(state, assign=True)
    return net.eval()


def test_state_dict_has_the_published_keys_and_shapes_in_order(
    case: Case, discriminator: Discriminator
) -> None:
    shapes = {key: tuple(value.shape) for key, value in discriminator.state_dict().items()}
    assert list(shapes.items()) == list(case.shapes.items())


@pytest.mark.parametrize(
    ("name", "batch", "lod"), [("out4", 4, 0), ("out4_lod1.5", 4, 1.5), ("out3", 3, 0)]
)
def test_logits_match_the_reference(
    case: Case, discriminator: Discriminator, name: str, batch: int, lod: float
) -> None:
    image = torch.from_numpy(case.input(f"image{batch}"))
    label = None
    if discriminator.config.label_dim:
        label = torch.from_numpy(case.input(f"label{batch}"))
    with torch.inference_mode():
        logits = discriminator(image, label, lod=lod)
    torch.testing.assert_close(logits, torch.from_numpy(case.arrays[name]), rtol=0, atol=1e-5)
