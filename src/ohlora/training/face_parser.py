"""Train the small face parser on synthetic faces, whose masks are exact.

    path, report = train_parser(folder, ParserConfig(), LoopConfig(steps=3000, ema=0.995), run_dir)

It learns on crops such as the pipeline makes: the face's box moved and stretched at random, so
that nothing depends on one detector; sometimes the whole picture. Blur, noise, softness and
colour casts make it bear drawn faces. Loss: cross-entropy + Dice (Milletari et al. 2016,
https://arxiv.org/abs/1606.04797), which does not let the background drown the eyes.

    RUN_DIR/face_parser.safetensors   float16, what vision.weights loads
    RUN_DIR/report.json               measured on persons it has never seen
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.models.face_parser import WIDTHS, FaceUNet, make_face_parser, parse_classes
from ohlora.models.face_parts import CLASSES
from ohlora.models.protocol50 import pearson
from ohlora.training.face_data import FaceData
from ohlora.training.face_files import read_columns, short_hash
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.vision.detect import SIZE, crop_face
from ohlora.vision.overlay import COLOURS
from ohlora.vision.parse import MEAN, STD, preprocess
from ohlora.vision.scores import Scores, scores_v2

Boxes = NDArray[np.float64]  # [N, 4]: x1, y1, x2, y2 in pixels
MIRRORED = [0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10]  # classes of a face in a mirror
WHOLE_SHARE = 0.1  # of the crops: the whole picture
NAME = "face_parser.safetensors"


@dataclass(frozen=True)
class ParserConfig:
    lr: float = 3e-3  # AdamW; rises over `warm_up`, falls to 0 at the end (half a cosine)
    warm_up: float = 0.03  # share of the training
    held_out: float = 0.1  # share of the persons, the last ones
    jitter: float = 0.1  # how far each side of a box strays: deviation, share of the box
    widths: tuple[int, ...] = WIDTHS


@dataclass(frozen=True)
class Crops:
    images: Tensor  # float32 [B, 3, 224, 224], normalised
    classes: Tensor  # int64 [B, 224, 224]

    def to(self, device: torch.device) -> Crops:
        return Crops(self.images.to(device), self.classes.to(device))


class CropData:
    """Faces cut out of pictures, as a stream of batches. Pure: the same batch is the same."""

    def __init__(self, faces: FaceData, boxes: Boxes, jitter: float) -> None:
        self.faces, self.boxes, self.jitter = faces, boxes, jitter
        self.digest = short_hash([faces.digest, jitter])

    def __len__(self) -> int:
        return len(self.faces)

    def subset(self, rows: NDArray[Any]) -> CropData:
        return CropData(self.faces.subset(rows), self.boxes[rows], self.jitter)

    def batch(self, number: int, size: int, seed: int) -> Crops:
        dice = torch.Generator().manual_seed(seed * 1_000_003 + number)
        taken = self.faces.take(self.faces.stream(number * size, size, seed))
        assert taken.masks is not None
        images, classes = [], []
        for image, mask, row in zip(taken.images, taken.masks, taken.rows.tolist(), strict=True):
            box = self.stray(self.boxes[row], dice)
            picture, parts = cut(image, box), cut(mask[None], box, exact=True)[0].long()
            if torch.rand((), generator=dice) < 0.5:
                picture, parts = picture.flip(2), torch.tensor(MIRRORED)[parts.flip(1)]
            images.append(spoil(picture, dice))
            classes.append(parts)
        return Crops(normalise(torch.stack(images)), torch.stack(classes))

    def stray(self, box: NDArray[np.float64], dice: torch.Generator) -> tuple[int, int, int, int]:
        limit = self.faces.size
        if torch.rand((), generator=dice) < WHOLE_SHARE:
            return 0, 0, limit, limit
        x1, y1, x2, y2 = box.tolist()
        wide, high = x2 - x1, y2 - y1
        moves = torch.randn(4, generator=dice).clamp(-2, 2) * self.jitter
        moved = torch.tensor(box) + moves * torch.tensor([wide, high, wide, high])
        low = moved[:2].round().clamp(0, limit - 8).int().tolist()
        high_end = moved[2:].round().clamp(8, limit).int().tolist()
        x1, y1 = low
        return x1, y1, max(high_end[0], x1 + 8), max(high_end[1], y1 + 8)

    def plain(self, size: int) -> Iterator[tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]]:
        """Crops and class maps as the pipeline cuts them: every row once, in lists of `size`."""
        for start in range(0, len(self), size):
            taken = self.faces.take(np.arange(start, min(start + size, len(self))))
            assert taken.masks is not None
            boxes = self.boxes[start : start + size]
            images = taken.images.permute(0, 2, 3, 1).numpy()
            crops = [crop_face(image, box) for image, box in zip(images, boxes, strict=True)]
            maps = [cut_mask(m, box) for m, box in zip(taken.masks.numpy(), boxes, strict=True)]
            yield crops, maps


def parser_data(folder: Path, jitter: float = ParserConfig.jitter) -> CropData:
    """A folder of `ohlora synth dataset`. Raises BadInput on a damaged one."""
    faces = FaceData.from_synth(folder, ("quality",))
    boxes = np.array(read_columns(folder, len(faces), ("index", "crop"))["crop"], np.float64)
    return CropData(faces, boxes, jitter)


def split_persons(data: CropData, held_out: float) -> tuple[CropData, CropData]:
    """The last share of the persons is never learned from. Raises BadInput below two persons."""
    persons = np.unique(data.faces.persons)
    kept_back = math.ceil(held_out * len(persons))
    if not 0 < kept_back < len(persons):
        raise BadInput(
            f"The data set has {len(persons)} persons and {kept_back} would be held out: it needs "
            "at least one to learn from and one to be tested on.",
            f"데이터셋의 인물이 {len(persons)}명이고 시험용이 {kept_back}명이에요. 학습과 시험에 "
            "한 명 이상씩 있어야 해요.",
        )
    unseen = np.isin(data.faces.persons, persons[-kept_back:])
    return data.subset(~unseen), data.subset(unseen)


def cut(picture: Tensor, box: Sequence[int], exact: bool = False) -> Tensor:
    """uint8 [C, H, W] -> float [C, 224, 224]: 0..1 smoothed, or the nearest pixel as it is."""
    x1, y1, x2, y2 = box
    part = picture[None, :, y1:y2, x1:x2].float()
    if exact:
        return F.interpolate(part, (SIZE, SIZE), mode="nearest-exact")[0]
    return F.interpolate(part, (SIZE, SIZE), mode="bilinear", antialias=True)[0] / 255


def cut_mask(mask: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    part = Image.fromarray(mask).crop(tuple(int(side) for side in box))
    return np.asarray(part.resize((SIZE, SIZE), Image.Resampling.NEAREST))


def spoil(picture: Tensor, dice: torch.Generator) -> Tensor:
    """Light, colour, softness and noise of less than perfect pictures. float [3, H, W], 0..1."""

    def amount(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=dice))

    gain = 1 + 0.06 * torch.randn(3, 1, 1, generator=dice)
    picture = (picture - 0.5) * amount(0.75, 1.25) + 0.5
    picture = picture.clamp_min(0) ** amount(0.75, 1.35) * gain
    kind = amount(0, 1)
    if kind < 0.3:  # as of a coarse generator
        small = F.interpolate(picture[None], scale_factor=1 / amount(1.3, 3.5), mode="bilinear",
                              antialias=True)  # fmt: skip
        picture = F.interpolate(small, picture.shape[1:], mode="bilinear")[0]
    elif kind < 0.6:
        picture = blur(picture, amount(0.4, 2.0))
    if amount(0, 1) < 0.5:
        picture = picture + amount(0, 0.07) * torch.randn(picture.shape, generator=dice)
    return picture.clamp(0, 1)


def blur(picture: Tensor, sigma: float) -> Tensor:
    offsets = torch.arange(-5, 6)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    x = F.pad(picture[:, None], (5, 5, 5, 5), mode="reflect")
    return F.conv2d(F.conv2d(x, kernel), kernel.transpose(2, 3))[:, 0]


def normalise(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def parsing_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy plus 1 - Dice, averaged over the classes but background."""
    logits = logits.float()
    shares = logits.softmax(1)
    truth = F.one_hot(classes, len(CLASSES)).permute(0, 3, 1, 2).to(shares.dtype)
    both = (shares * truth).sum((0, 2, 3))
    either = shares.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    dice = (2 * both + 1) / (either + 1)  # + 1 pixel: a part that is not there costs nothing
    # Not weighted by class: weights would move the borders, and the scores measure sizes.
    return F.cross_entropy(logits, classes) + 1 - dice[1:].mean()


class ParserRecipe:
    averaged = ("parser",)

    def __init__(self, config: ParserConfig, unseen: CropData, seed: int = 7) -> None:
        self.config, self.unseen = config, unseen
        torch.manual_seed(seed)
        self.net = FaceUNet(config.widths)
        self.modules: dict[str, nn.Module] = {"parser": self.net}
        self.optimizers = {"parser": torch.optim.AdamW(self.net.parameters(), lr=config.lr)}
        self.schedulers: dict[str, Any] = {}

    def step(self, batch: Crops, run: Run) -> dict[str, Tensor]:
        for group in self.optimizers["parser"].param_groups:
            group["lr"] = self.config.lr * pace(run.progress, self.config.warm_up)
        loss = parsing_loss(self.net.train()(batch.images), batch.classes)
        run.backward(loss)
        run.update("parser")
        return {"loss": loss.detach()}

    def epoch_end(self, run: Run) -> dict[str, float]:
        few = self.unseen.subset(np.arange(min(len(self.unseen), 64)))
        return {"unseen_miou": measure(self.best(run), few).miou}

    def samples(self, run: Run) -> NDArray[np.uint8]:
        """Eight unseen faces, their true and their found classes."""
        crops, maps = next(self.unseen.plain(8))
        found = parse_classes(self.best(run), preprocess(crops)).numpy()
        rows = (crops, COLOURS[np.stack(maps)], COLOURS[found])
        return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)

    def best(self, run: Run) -> FaceUNet:
        return run.averaged.get("parser", self.net).eval()

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...


def pace(progress: float, warm_up: float) -> float:
    """Learning rate as a share of its peak: a ramp, then half a cosine down to 0."""
    if progress < warm_up:
        return max(0.02, progress / warm_up)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


@dataclass(frozen=True)
class ParserReport:
    pictures: int
    miou: float  # mean over the classes that occur, 0..1
    iou: dict[str, float]  # by class
    score_r: dict[str, float | None]  # Pearson's r of v2 scores of true and of found classes
    score_error: dict[str, float]  # their mean absolute difference, in standard deviations


def measure(net: FaceUNet, data: CropData, batch: int = 16) -> ParserReport:
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)  # truth, found
    true: list[Scores] = []
    found: list[Scores] = []
    for crops, maps in data.plain(batch):
        guesses = parse_classes(net, preprocess(crops)).numpy()
        for crop, truth, guess in zip(crops, maps, guesses, strict=True):
            pairs = truth.astype(np.int64) * len(CLASSES) + guess
            counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
            true.append(scores_v2(truth, crop))
            found.append(scores_v2(guess, crop))
    hits, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
    occurs = counts.sum(1) > 0
    iou = {name: float(hits[i] / union[i]) for i, name in enumerate(CLASSES) if occurs[i]}
    r: dict[str, float | None] = {}
    error: dict[str, float] = {}
    for name, x, y in zip(Scores._fields, np.array(true, float).T, np.array(found, float).T,
                          strict=True):  # fmt: skip
        sound = np.isfinite(x) & np.isfinite(y)
        agreement = pearson(x[sound], y[sound])
        r[name] = agreement if math.isfinite(agreement) else None  # one side never varies
        spread = float(x[sound].std()) or 1.0
        error[name] = float(np.abs(x - y)[sound].mean() / spread)
    return ParserReport(len(true), float(np.mean(list(iou.values()))), iou, r, error)


def train_parser(
    folder: Path, config: ParserConfig, loop: LoopConfig, run_dir: Path
) -> tuple[Path, ParserReport]:
    """Train, write RUN_DIR/face_parser.safetensors, measure it on unseen persons.

    Raises BadInput on a data set that is damaged or of one person, and what `train` raises.
    """
    learned, unseen = split_persons(parser_data(folder, config.jitter), config.held_out)
    recipe = ParserRecipe(config, unseen, loop.seed)
    train(recipe, learned, loop, run_dir)
    finished = run_dir / ("parser.ema.safetensors" if loop.ema else "parser.safetensors")
    path = export(finished, run_dir / NAME)
    report = measure(load(path), unseen)
    write_whole(run_dir / "report.json", (json.dumps(asdict(report), indent=1) + "\n").encode())
    return path, report


def export(source: Path, target: Path) -> Path:
    """The same weights in float16: half the size, the same classes but for a few pixels."""
    from safetensors.torch import load_file, save

    state = {k: v.half() if v.is_floating_point() else v for k, v in load_file(source).items()}
    write_whole(target, save(state, metadata={"format": "pt"}))
    return target


def load(path: Path) -> FaceUNet:
    from safetensors.torch import load_file

    return make_face_parser(load_file(path))
