"""StyleGAN networks against the reference's numbers (golden/nets/stylegan_*).

Tolerances of golden/README.md: codes 1e-5, images 1e-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from golden.fill import Case, load_case
from ohlora.checkpoints.load import GeneratorWeights
from ohlora.models.generator_config import VARIANTS, tensor_shapes
from ohlora.models.stylegan import Generated, Generator

LODS = {"lod1.5": 1.5, "lod2": 2.0}


@pytest.fixture(scope="module", params=["original", "v1", "v3", "v4"])
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def case(golden_dir: Path, variant: str) -> Case:
    return load_case(golden_dir, f"stylegan_gen_{variant}")


@pytest.fixture(scope="module")
def generator(case: Case, variant: str) -> Iterator[Generator]:
    with torch.device("meta"):
        generator = Generator(VARIANTS[variant])
    state = {key: torch.from_numpy(value) for key, value in case.whole_state.items()}
    generator.load_state_dict(state, assign=True)
    with torch.no_grad():
        yield generator.eval()


def draw(case: Case, generator: Generator, samples: int = 2, **options: float) -> Generated:
    z = torch.from_numpy(case.input("z")[:samples])
    label = torch.from_numpy(case.input("label")[:samples]) if generator.config.label_dim else None
    return generator(z, label, **options)


def assert_image(image: Tensor, case: Case, name: str) -> None:
    middle = image.shape[-1] // 2
    centre = slice(middle - 8, middle + 8)
    views = {
        "avg32": F.avg_pool2d(image, image.shape[-1] // 32),
        "crop_center16": image[..., centre, centre],
        "crop_corner16": image[..., :16, :16],
    }
    for view, found in views.items():
        assert_close(found, case.arrays[f"{name}.{view}"], 1e-4)


def assert_close(found: Tensor, want: np.ndarray, atol: float) -> None:
    torch.testing.assert_close(found, torch.from_numpy(want), rtol=0, atol=atol)


def test_state_dict_has_the_published_keys_and_shapes_in_order(case: Case, variant: str) -> None:
    with torch.device("meta"):
        state = Generator(VARIANTS[variant]).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert list(shapes.items()) == list(case.shapes.items())
    assert list(tensor_shapes(VARIANTS[variant]).items()) == list(case.shapes.items())


def test_fixed_buffers_are_built_as_the_reference_builds_them() -> None:
    small = VARIANTS["original"].__class__(0, 0, 8, (4, 4))
    kernel = Generator(small).state_dict()["synthesis.layer2.blur.kernel"]
    assert torch.equal(kernel[3, 0] * 16, torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]))


def test_codes_styles_and_image_match_the_reference(case: Case, generator: Generator) -> None:
    out = draw(case, generator)
    assert_close(out.w, case.arrays["w"], 1e-5)
    assert_close(out.z, case.arrays["z_normalized"], 1e-5)
    if "embedding" in case.arrays:
        assert_close(out.embedding, case.arrays["embedding"], 1e-5)
    for index in (0, 1, 6, 13):
        assert_close(out.styles[index][:, :64], case.arrays[f"style{index:02d}"], 1e-5)
    assert_close(out.wp.mean(dim=2), case.arrays["wp_mean_per_layer"], 1e-5)
    assert_image(out.image, case, "plain")
    assert out.image.std() == pytest.approx(case.cases["plain"]["image"]["std"], rel=1e-5)


def test_truncation_matches_the_reference(case: Case, generator: Generator) -> None:
    out = draw(case, generator, samples=1, truncation_psi=0.7, truncation_layers=8)
    assert_image(out.image, case, "trunc_psi0.7_layers8")


@pytest.mark.parametrize("name", LODS)
def test_coarse_images_match_the_reference(case: Case, generator: Generator, name: str) -> None:
    assert_image(draw(case, generator, samples=1, lod=LODS[name]).image, case, name)


def test_mean_style_after_one_training_forward_matches(case: Case, generator: Generator) -> None:
    before = generator.truncation.w_avg.clone()
    generator.train()
    draw(case, generator, style_mixing_prob=0.0, w_avg_decay=0.995, lod=6.0)
    after = generator.truncation.w_avg.clone()
    generator.eval()
    generator.truncation.w_avg.copy_(before)
    assert_close(after, case.arrays["w_avg_after_one_train_forward"], 1e-5)


def test_openvino_draws_what_the_reference_draws(case: Case, variant: str) -> None:
    import openvino as ov

    from ohlora.face.codes import StyleCodes
    from ohlora.face.openvino import build_graph, compile_graph

    config = VARIANTS[variant]
    weights = GeneratorWeights(Path(variant), config, case.whole_state)
    label = case.input("label")[1:] if config.label_dim else np.zeros((1, 0), np.float32)
    styles = StyleCodes(weights, case.input("z")[1])(label)
    graph = build_graph(config, weights.state)
    image = compile_graph(ov.Core(), graph, "f32", None)([styles])[0]
    for view, part in {"crop_center16": slice(120, 136), "crop_corner16": slice(16)}.items():
        want = case.arrays[f"plain.{view}"][1:]
        np.testing.assert_allclose(image[..., part, part], want, rtol=0, atol=1e-4)
