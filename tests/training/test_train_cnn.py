"""`ohlora train parser|cnn|property|v3` from files to files, at toy size."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from ohlora.cli.train import app
from ohlora.errors import BadInput, CheckpointError, OhloraError
from ohlora.models.cnn import GenderCNN
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.property_cnn import PROPERTIES
from ohlora.models.stylegan import Generator
from ohlora.training import face_parser
from training.test_parser import toy_crops

QUICK = ["--threads", "1", "--device", "cpu", "--save-every", "50"]


def ohlora(*arguments: object) -> str:
    """Run a command; errors raised on purpose come out as they are."""
    result = CliRunner().invoke(app, [str(one) for one in (*arguments, *QUICK)])
    if isinstance(result.exception, OhloraError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """v1's layout: bright faces are women."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(8):
        Image.new("RGB", (8, 8), (30 + 150 * (i % 2), 20 * i, 60)).save(folder / f"{i:06d}.png")
    (tmp_path / "labels.csv").write_text(
        "img_name,quality,gender\n" + "".join(f"{i},{i // 2 % 2},{i % 2}\n" for i in range(6))
    )
    rng = np.random.default_rng(0)
    with (tmp_path / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", "img_no", "img_path", *(f"{name}_score" for name in PROPERTIES)])
        for i in range(8):
            writer.writerow([i, i, "", *rng.normal(0, 1, 7).round(4).tolist()])
    return folder


def test_cnns_from_hand_labels_to_the_pictures_that_are_kept(
    pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cnn"
    options = ["--images", pictures, "--labels", tmp_path / "labels.csv", "--folds", 2,
               "--retries", 0, "--epochs", 1, "--batch", 3, "--unit", 1]  # fmt: skip
    said = json.loads(ohlora("cnn", out, *options, "--copy-to", tmp_path / "kept", "--json"))
    assert said["pictures"] == 8 and said["good"] == {"gender": False, "quality": False}
    kept = list(csv.DictReader((out / "filtered.csv").read_text().splitlines()))
    assert len(list((tmp_path / "kept").iterdir())) == said["kept"] == len(kept)
    assert {row["img_no"] for row in kept} >= {"3"}  # labelled a woman, and good
    assert "log/train_log_gender.csv" in ohlora("cnn", out, *options)


def test_property_cnn_and_v3_follow_each_other(pictures: Path, tmp_path: Path) -> None:
    source = ["--images", pictures, "--scores", tmp_path / "scores.csv", "--epochs", 1]
    said = json.loads(ohlora("property", tmp_path / "p", *source, "--unit", 1, "--json"))
    assert said["epochs"] == 1 and set(said["correlation"]) == set(PROPERTIES)

    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(7, 16, 8, channels=(4, 4)))
    torch.save(generator.state_dict(), tmp_path / "v1.pth")
    torch.save(GenderCNN(unit=1).state_dict(), tmp_path / "gender_model_0.pt")
    run = tmp_path / "v3"
    nets = ["--property-cnn", tmp_path / "p" / "stylegan_gen_fine_tuned_v2_cnn.pth",
            "--gender-cnn", tmp_path / "gender_model_0.pt"]  # fmt: skip
    ohlora("v3", run, *source, *nets, "--generator", tmp_path / "v1.pth", "--test-zs", 1,
           "--no-pictures", "--preset", "v1-faithful")  # fmt: skip
    assert (run / "train_log_v3.csv").is_file() and (run / "generator.safetensors").is_file()
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["faithful"] and settings["stop_after"] == 1000


def test_the_parser_tells_how_well_it_parses(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(face_parser, "parser_data", lambda folder, jitter: toy_crops(4, jitter))
    said = json.loads(ohlora("parser", tmp_path / "run", "--data", tmp_path, "--steps", 1,
                             "--batch", 2, "--lr", 0.01, "--held-out", 0.5, "--json"))  # fmt: skip
    assert Path(said["parser"]).stat().st_size < 2_000_000 and 0 <= said["miou"] < 1


def weights(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    found: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return found


def check_that_weights_follow_from_the_seed(train: Callable[[Path, int], Path], out: Path) -> None:
    """train(folder, seed) -> file of weights. What the process drew before does not matter."""
    found = []
    for number, seed in enumerate((7, 7, 8)):
        torch.rand(number)
        found.append(weights(train(out / str(number), seed)))
    one, again, other = found
    assert all(torch.equal(value, again[key]) for key, value in one.items())
    assert any(not torch.equal(value, other[key]) for key, value in one.items())


def test_a_parser_follows_from_its_seed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(face_parser, "parser_data", lambda folder, jitter: toy_crops(4, jitter))

    def parser(out: Path, seed: int) -> Path:
        ohlora("parser", out, "--data", tmp_path, "--steps", 2, "--batch", 2,
               "--held-out", 0.5, "--seed", seed)  # fmt: skip
        return out / "face_parser.safetensors"

    check_that_weights_follow_from_the_seed(parser, tmp_path)
    nets = [face_parser.ParserRecipe(face_parser.ParserConfig(), None, s).net for s in (7, 8)]
    assert not torch.equal(*(next(net.parameters()) for net in nets))  # the first weights too


def test_cnns_follow_from_their_seed(pictures: Path, tmp_path: Path) -> None:
    def cnns(out: Path, seed: int) -> Path:
        ohlora("cnn", out, "--images", pictures, "--labels", tmp_path / "labels.csv",
               "--folds", 2, "--retries", 0, "--epochs", 1, "--batch", 3, "--unit", 1,
               "--seed", seed)  # fmt: skip
        return out / "models" / "gender_model_1.pt"

    check_that_weights_follow_from_the_seed(cnns, tmp_path)


def test_a_property_cnn_follows_from_its_seed(pictures: Path, tmp_path: Path) -> None:
    def properties(out: Path, seed: int) -> Path:
        ohlora("property", out, "--images", pictures, "--scores", tmp_path / "scores.csv",
               "--epochs", 1, "--unit", 1, "--seed", seed)  # fmt: skip
        return out / "stylegan_gen_fine_tuned_v2_cnn.pth"

    check_that_weights_follow_from_the_seed(properties, tmp_path)


def test_half_an_input_and_unknown_presets_are_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--images together with --labels"):
        ohlora("cnn", tmp_path / "cnn", "--images", pictures)
    with pytest.raises(BadInput, match="--images together with --scores"):
        ohlora("property", tmp_path / "p")
    with pytest.raises(BadInput, match="no preset 'v2'"):
        ohlora("property", tmp_path / "p", "--data", tmp_path, "--preset", "v2")
    with pytest.raises(CheckpointError, match="ohlora models pull property-cnn"):
        ohlora("v3", tmp_path / "v3", "--data", tmp_path, "--generator", tmp_path / "v1.pth")
