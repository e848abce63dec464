"""The 30 x 50 test, with generators that obey, ignore and half obey."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ohlora.face.latent import load_z
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.protocol50 import LABELS50
from ohlora.models.stylegan import Generator
from ohlora.training.acceptance import accept, drawer, label_rows


def draw(z: Tensor, wanted: Tensor) -> Tensor:
    """Three grey bands as bright as the labels; a z that starts below 0 ignores the mouth."""
    obeyed = wanted * torch.where(z[:, :1] < 0, torch.tensor([1.0, 0.0, 1.0]), torch.ones(3))
    return (obeyed / 4)[:, None, :, None].expand(-1, 3, -1, 8).repeat_interleave(2, dim=2)


def score(images: Tensor) -> Tensor:
    return images[:, 0, ::2, 0] * 4


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_z_that_obeys_passes_and_one_that_ignores_a_label_does_not(tmp_path: Path) -> None:
    zs = torch.tensor([[1.0, 0.5], [-1.0, 0.25]])
    judged = accept(draw, score, zs, tmp_path, batch=7)
    assert [one.passed for one in judged] == [True, False]
    assert judged[0].errors == pytest.approx((0, 0, 0), abs=1e-6)

    each = rows(tmp_path / "result_each_z.csv")
    assert [row["passed"] for row in each] == ["O", "X"]
    assert each[0]["pose_corr"] == "1.0" and each[1]["mouth_corr"] == ""
    assert float(each[1]["mouth_mae"]) == pytest.approx(np.abs(LABELS50[:, 1]).mean(), abs=1e-4)
    result = rows(tmp_path / "0" / "test_result.csv")
    assert len(result) == 50
    assert result[1] == {
        "eyes_score": "-1.8", "eyes_label": "-1.8", "mouth_score": "-1.2",
        "mouth_label": "-1.2", "pose_score": "0.0", "pose_label": "0.0",
    }  # fmt: skip
    pictures = sorted(path.name for path in (tmp_path / "1").glob("*.png"))
    assert pictures == [f"test_img_{i:03d}.png" for i in range(50)]
    last = np.asarray(Image.open(tmp_path / "0" / "test_img_049.png"))
    assert last[5, 0, 0] == round((3.6 / 4 + 1) * 127.5)


def test_the_kept_vectors_can_be_used_as_faces(tmp_path: Path) -> None:
    z = torch.randn(1, 12)
    accept(draw, score, z, tmp_path, pictures=False)
    assert np.array_equal(load_z(tmp_path / "test_zs.csv", 12), z[0].numpy())
    assert not list(tmp_path.rglob("*.png"))


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert accept(draw, score, torch.ones(1, 2))[0].passed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("label_dim", [3, 7])
def test_our_generators_get_the_labels_in_their_own_columns(label_dim: int) -> None:
    wanted = torch.tensor([[1.0, 2.0, 3.0]])
    label = label_rows(wanted, label_dim)
    assert label.tolist() == [{3: [1, 2, 3], 7: [1, 0, 0, 2, 3, 0, 0]}[label_dim]]
    config = GeneratorConfig(label_dim, 4, 8, channels=(4, 4), fused_from=999)
    generator = Generator(config).eval()
    z = torch.randn(1, 8)
    assert torch.equal(drawer(generator)(z, wanted), generator(z, label).image)
