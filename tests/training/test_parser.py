"""The small face parser: its net, its crops, its training, and where it stands in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ohlora.errors import BadInput, CheckpointError, ShapeError
from ohlora.models.face_parser import FaceUNet, make_face_parser, parse_classes
from ohlora.training import face_parser
from ohlora.training.face_data import FaceData
from ohlora.training.face_parser import (
    CropData,
    ParserConfig,
    ParserRecipe,
    export,
    load,
    measure,
    pace,
    parsing_loss,
    split_persons,
    train_parser,
)
from ohlora.training.faults import TrainingError
from ohlora.training.loop import LoopConfig, train
from ohlora.vision import weights
from ohlora.vision.images import open_picture
from ohlora.vision.parse import preprocess
from ohlora.vision.stages import FaceParser, Score
from vision.fakes import SquareDetector, portrait

SKIN, HAIR, DARK, RED = (220, 180, 150), (70, 40, 20), (20, 20, 60), (190, 40, 60)
TINY = ParserConfig(widths=(4, 8, 8), lr=0.01, held_out=0.25)
LOOP = LoopConfig(steps=4, batch_size=2, log_every=1, save_every=2, threads=1, device="cpu")


def toy_face(number: int, size: int = 64) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """A drawn head with hair, two eyes and a mouth, its classes and its box."""
    dice = np.random.default_rng(number)
    x, y = dice.integers(26, 38, 2).tolist()
    low = y - 3 + number % 4  # the eyes' lower edge
    image = Image.new("RGB", (size, size), tuple(dice.integers(90, 200, 3).tolist()))
    mask = Image.new("L", (size, size), 0)
    parts = (
        (10, HAIR, (x - 18, y - 22, x + 18, y + 18)), (1, SKIN, (x - 13, y - 15, x + 13, y + 18)),
        (4, DARK, (x - 9, y - 5, x - 3, low)), (5, DARK, (x + 3, y - 5, x + 9, low)),
        (9, RED, (x - 6, y + 8, x + 6, y + 12)),
    )  # fmt: skip
    for part, colour, box in parts:
        ImageDraw.Draw(image).ellipse(box, fill=colour)
        ImageDraw.Draw(mask).ellipse(box, fill=part)
    return np.asarray(image), np.asarray(mask), [x - 20, y - 24, x + 20, y + 20]


def toy_crops(count: int = 8, jitter: float = 0.1) -> CropData:
    drawn = [toy_face(i) for i in range(count)]
    faces = FaceData(
        images=np.stack([image.transpose(2, 0, 1) for image, _, _ in drawn]),
        labels=np.zeros((count, 0), np.float32),
        names=(),
        masks=np.stack([mask for _, mask, _ in drawn]),
        persons=np.arange(count) // 2,
        numbers=np.arange(count),
        digest="toy",
    )
    return CropData(faces, np.array([box for _, _, box in drawn], float), jitter)


def test_the_default_net_is_small_and_takes_what_facexformer_takes(tmp_path: Path) -> None:
    net = FaceUNet()
    assert 0.5e6 < sum(p.numel() for p in net.parameters()) < 1e6
    crops = preprocess([np.zeros((224, 224, 3), np.uint8)])
    assert net.eval()(crops).shape == (1, 11, 224, 224)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    from safetensors.torch import save_file

    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert export(tmp_path / "net.safetensors", tmp_path / "half").stat().st_size < 2_000_000
    with pytest.raises(ShapeError, match="multiple of 32"):
        net(torch.zeros(1, 3, 100, 100))


def test_width_is_read_off_the_weights_and_half_precision_changes_hardly_a_pixel() -> None:
    torch.manual_seed(1)
    net = FaceUNet((4, 8, 8)).eval()
    half = make_face_parser(
        {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    )
    assert half.widths == (4, 8, 8) and not half.training
    crops = torch.randn(2, 3, 64, 64)
    same = (parse_classes(net, crops) == parse_classes(half, crops)).float().mean()
    assert same > 0.99
    with pytest.raises((KeyError, RuntimeError)):
        make_face_parser({"conv1.0.weight": torch.zeros(1)})


def test_crops_are_pure_and_their_classes_belong_to_them() -> None:
    data = toy_crops()
    one, again, other = data.batch(3, 4, 7), data.batch(3, 4, 7), data.batch(4, 4, 7)
    assert torch.equal(one.images, again.images) and torch.equal(one.classes, again.classes)
    assert not torch.equal(one.images, other.images)
    assert set(one.classes.unique().tolist()) <= {0, 1, 4, 5, 9, 10}
    for classes in one.classes:  # mirrored or not, the left eye is on the left
        left, right = (classes == 4).nonzero(), (classes == 5).nonzero()
        assert left[:, 1].float().mean() < right[:, 1].float().mean()


def test_a_face_that_is_not_spoilt_keeps_its_colours_under_its_classes(monkeypatch) -> None:
    monkeypatch.setattr(face_parser, "spoil", lambda picture, dice: picture)
    batch = toy_crops(jitter=0.3).batch(0, 6, 1)
    lips = torch.tensor(RED) / 255
    expected = (lips - torch.tensor(face_parser.MEAN)) / torch.tensor(face_parser.STD)
    for image, classes in zip(batch.images, batch.classes, strict=True):
        if (classes == 9).sum() > 50:
            torch.testing.assert_close(image[:, classes == 9].median(1)[0], expected, atol=0.3,
                                       rtol=0)  # fmt: skip


def test_the_loss_is_least_for_the_truth_and_sees_small_parts() -> None:
    classes = torch.zeros(1, 64, 64, dtype=torch.long)
    classes[0, 30:33, 20:26] = 4
    perfect = 30 * torch.nn.functional.one_hot(classes, 11).permute(0, 3, 1, 2).float()
    blind = perfect.clone()
    blind[:, 0], blind[:, 4] = 30, 0
    assert parsing_loss(perfect, classes) < 1e-3
    assert parsing_loss(blind, classes) > parsing_loss(perfect, classes) + 0.09


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [pace(i / 100, 0.05) for i in range(101)]
    assert rates[0] > 0 and max(rates) == pytest.approx(1) and rates[100] == pytest.approx(0)
    assert all(a <= b for a, b in zip(rates[:5], rates[1:6], strict=True))
    assert all(a >= b for a, b in zip(rates[6:], rates[7:], strict=False))


def test_unseen_persons_are_never_learned_from() -> None:
    learned, unseen = split_persons(toy_crops(), 0.3)
    assert set(learned.faces.persons) == {0, 1} and set(unseen.faces.persons) == {2, 3}
    one_person = toy_crops(2)
    with pytest.raises(BadInput, match="1 persons"):
        split_persons(one_person, 0.1)


def test_a_perfect_net_has_full_marks(monkeypatch) -> None:
    data = toy_crops(4)
    maps = iter([maps for _, maps in data.plain(2)])
    monkeypatch.setattr(
        face_parser, "parse_classes", lambda net, crops: torch.from_numpy(np.stack(next(maps)))
    )
    report = measure(FaceUNet((4,)), data, batch=2)
    assert report.miou == 1 and set(report.iou) == {
        "background", "face", "left eye", "right eye", "lower lip", "hair",
    }  # fmt: skip
    assert report.pictures == 4
    assert report.score_r["eyes"] == pytest.approx(1) and report.score_error["pose"] == 0
    assert report.score_r["mouth"] is None  # no mouth is open: nothing to correlate


def test_training_learns_unseen_faces_and_writes_what_it_measured(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(face_parser, "parser_data", lambda folder, jitter: toy_crops(12, jitter))
    loop = replace(LOOP, steps=30, batch_size=4, ema=0.8, save_every=30, sample_every=30)
    config = replace(TINY, widths=(8, 16, 16), lr=0.02)
    path, measured = train_parser(tmp_path / "faces", config, loop, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["pictures"] == measured.pictures == 4 and report["miou"] == measured.miou
    untrained = measure(FaceUNet(config.widths).eval(), split_persons(toy_crops(12), 0.25)[1])
    assert report["miou"] > 2 * untrained.miou and report["iou"]["hair"] > 0.3
    assert load(path).widths == (8, 16, 16)
    assert (tmp_path / "run" / "samples" / "000030.webp").is_file()


def test_an_interrupted_training_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    learned, unseen = split_persons(toy_crops(), 0.25)
    train(ParserRecipe(TINY, unseen), learned, LOOP, tmp_path / "whole")
    stopping = ParserRecipe(TINY, unseen)
    real, stopping.step = stopping.step, None  # type: ignore[assignment]

    def killed(batch, run):  # type: ignore[no-untyped-def]
        if run.step == 3:
            raise KeyboardInterrupt
        return real(batch, run)

    stopping.step = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(stopping, learned, LOOP, tmp_path / "halves")
    train(ParserRecipe(TINY, unseen), learned, LOOP, tmp_path / "halves")
    one, other = (tmp_path / n / "parser.safetensors" for n in ("whole", "halves"))
    assert one.read_bytes() == other.read_bytes()


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path, monkeypatch) -> None:
    learned, unseen = split_persons(toy_crops(), 0.25)
    monkeypatch.setattr(
        face_parser, "parsing_loss", lambda logits, classes: logits.sum() * float("nan")
    )
    with pytest.raises(TrainingError, match="step 1"):
        train(ParserRecipe(TINY, unseen), learned, LOOP, tmp_path)


@pytest.fixture
def small_parser(own_home: Path, monkeypatch) -> Path:
    """A small parser under OHLORA_HOME, and nothing embedded."""
    from safetensors.torch import save_file

    monkeypatch.setattr(weights, "embedded", lambda: own_home / "nothing")
    path = own_home / "models" / "face_parser.safetensors"
    path.parent.mkdir(parents=True)
    torch.manual_seed(2)
    save_file({k: v.half() if v.is_floating_point() else v
               for k, v in FaceUNet((4, 8)).state_dict().items()}, path)  # fmt: skip
    return path


def test_the_small_parser_stands_in_where_facexformer_is_absent(
    small_parser: Path, tmp_path: Path
) -> None:
    crops = preprocess([np.full((224, 224, 3), 99, np.uint8)] * 2)
    maps = weights.load_parser()(crops)
    assert [one.shape for one in maps] == [(224, 224)] * 2 and maps[0].dtype == np.uint8
    net = load(small_parser)
    assert np.array_equal(maps[0], parse_classes(net, crops).numpy()[0])
    assert weights.parser_file() == small_parser
    faces = Score(FaceParser(SquareDetector(), weights.load_parser()))  # type: ignore[arg-type]
    (row,) = faces([open_picture(portrait(tmp_path / "red.png"))])
    assert row.fields is not None and "eyes_score" in row.fields


def test_facexformer_is_used_where_it_is_present(small_parser: Path) -> None:
    from ohlora.checkpoints import load_catalog
    from ohlora.checkpoints.state import file_path

    row = load_catalog()["facexformer"]
    published = file_path(row, row.files[0])
    published.parent.mkdir(parents=True, exist_ok=True)
    published.write_bytes(b"x")
    assert weights.parser_file() == published
    published.unlink()
    small_parser.unlink()
    with pytest.raises(CheckpointError, match="ohlora models pull facexformer"):
        weights.parser_file()


def test_another_network_is_no_parser(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "face_parser.safetensors"
    save_file({"stem.0.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(CheckpointError, match="found another network"):
        weights.load_parser(path)
