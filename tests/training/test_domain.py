"""Supervised training on the domain, on toy pictures: a colour per person, a bar per expression."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ohlora.checkpoints.load import load_generator
from ohlora.errors import BadInput
from ohlora.face.latent import load_z
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.stylegan import Generator, make_generator
from ohlora.synth.near import CODE_SIZE, code_of
from ohlora.training.domain import (
    DomainConfig,
    draw,
    fitting,
    her_z,
    latent,
    picture_loss,
    read_domain,
    targets,
    train_domain,
)
from ohlora.training.loop import LoopConfig

SIZE, PEOPLE = 16, 60
CONFIG = DomainConfig(channels=(16, 16, 16), w_dim=64, steps=240, lr=5e-3, coarse=((0.3, 1.0),))


def toy_folder(folder: Path, who: str = "her", people: int = PEOPLE) -> Path:
    """Two pictures a person, as `ohlora synth dataset` writes them."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(2 * people):
        person = index // 2
        eyes, mouth, pose = random.normal(size=3)
        picture = np.full((SIZE, SIZE, 3), 128 + 40 * np.tanh(code_of(person, 0.3)[0]), np.uint8)
        picture[: SIZE // 2] = 128 + 50 * np.tanh(eyes)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[: SIZE // 2] = 4
        measured = {"eyes": eyes, "mouth": mouth, "roll": pose}
        scores = {"score_eyes": 9 + eyes, "score_mouth": mouth, "score_pose": pose}
        rows.append({"index": index, "person": person, "image": png(picture), "mask": png(mask),
                     **measured, **scores})  # fmt: skip
    (folder / "shards").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "shards" / "00000.parquet")
    plan = {"count": len(rows), "size": SIZE, "seed": 0, "who": who, "spread": 1.0,
            "own_share": 0.3}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"plan": plan, "digest": "toy"}))
    return folder


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_folder(tmp_path_factory.mktemp("domain") / "near")


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    loop = LoopConfig(steps=240, batch_size=8, ema=0.9, log_every=10, sample_every=60, threads=1)
    return train_domain(folder, CONFIG, loop, tmp_path_factory.mktemp("run"))


def test_people_who_are_kept_out_never_train(folder: Path) -> None:
    domain = read_domain(folder, SIZE)
    trained, held = set(domain.train.faces.persons), set(domain.held.faces.persons)
    assert trained and held and not trained & held
    assert len(domain.train) + len(domain.held) == 2 * PEOPLE


def test_labels_are_deviations_from_everyday_expressions(folder: Path) -> None:
    domain = read_domain(folder, SIZE)
    undone = domain.labels.undo(domain.held.faces.labels)
    assert domain.labels.names == ("eyes", "mouth", "roll")
    assert domain.scores.mean[0] == pytest.approx(9 + domain.labels.mean[0], abs=1e-4)
    assert np.isfinite(undone).all()


def test_the_generator_learns_person_and_expression(folder: Path, run: Path) -> None:
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    quality = [row["held_psnr"] for row in rows if "held_psnr" in row]
    assert quality[-1] > quality[0] + 3  # decibels, on people never seen
    weights = load_generator(run / "generator.ema.safetensors")
    assert weights.config == GeneratorConfig(3, 16, 64, (16, 16, 16))
    state = {name: torch.from_numpy(array.copy()) for name, array in weights.state.items()}
    generator = make_generator(weights.config, state)
    z = torch.from_numpy(load_z(run / "z.csv", 64)).expand(2, -1)
    shut, wide = draw(generator, z, torch.tensor([[-2.0, 0, 0], [2.0, 0, 0]]), 0.0)[:, :, :7]
    assert float((wide - shut).mean()) > 0.1  # the upper half follows the first label
    assert (run / "samples" / "000060.webp").is_file()


def test_her_z_is_the_zero_code_and_the_same_every_time(run: Path) -> None:
    z = her_z(64)
    assert not z[:CODE_SIZE].any() and z[CODE_SIZE:].all()
    assert np.array_equal(z, load_z(run / "z.csv", 64))


def test_numbers_that_mean_nothing_are_drawn_anew() -> None:
    codes = torch.zeros(4, CODE_SIZE)
    one, other = latent(codes, 64), latent(codes, 64)
    assert torch.equal(one[:, :CODE_SIZE], codes) and not torch.equal(one, other)


def test_the_loss_is_zero_for_the_truth_and_sees_the_face_most(folder: Path) -> None:
    batch = read_domain(folder, SIZE).held.take([0, 1]).faces
    real, weight = targets(batch, 0.0, face_weight=6.0)
    assert float(picture_loss(real, real, weight)) == 0
    upper, lower = real.clone(), real.clone()
    upper[:, :, 2:4] += 0.2
    lower[:, :, -4:-2] += 0.2
    assert picture_loss(upper, real, weight) > 3 * picture_loss(lower, real, weight)


def test_a_smaller_generator_can_grow(run: Path) -> None:
    grown = Generator(GeneratorConfig(3, 16, 64, (16, 16, 16, 8)))
    grown.load_state_dict(fitting(run / "generator.ema.safetensors", grown))
    small = load_generator(run / "generator.ema.safetensors")
    assert np.array_equal(grown.synthesis.layer5.weight.detach(),
                          small.state["synthesis.layer5.weight"])  # fmt: skip


def test_a_generator_of_other_channels_is_refused(run: Path) -> None:
    other = Generator(GeneratorConfig(3, 16, 64, (16, 16, 12)))
    with pytest.raises(BadInput, match="is of another generator"):
        fitting(run / "generator.ema.safetensors", other)


def test_a_critic_joins_and_resumes(folder: Path, tmp_path: Path) -> None:
    config = DomainConfig(channels=(16, 16, 16), w_dim=64, steps=8, coarse=(), critic=0.1)
    for steps in (4, 8):
        loop = LoopConfig(steps=steps, batch_size=8, log_every=4, save_every=4, threads=1)
        train_domain(folder, config, loop, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "critic_loss" in row] == [4, 8]


def test_a_data_set_of_anyone_or_of_too_few_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="draw one with"):
        read_domain(toy_folder(tmp_path / "anyone", who="anyone"), SIZE)
    with pytest.raises(BadInput, match="too few people"):
        read_domain(toy_folder(tmp_path / "few", people=3), SIZE)
