"""MTCNN: find faces and five landmarks on each.

After Zhang et al. 2016, https://arxiv.org/abs/1604.02878. Three small nets in a row: P proposes
boxes on an image pyramid, R refines them, O gives the last word and the landmarks. Weights: the
files mtcnn_{p,r,o}net.pt of Oh-LoRA, which are those inside the package facenet-pytorch 2.6.0;
constants and rounding are that package's too, so that boxes agree with the published ones.

    image   [H, W, 3]  uint8 RGB
    boxes   [N, 4]     x1, y1, x2, y2 in pixels, largest first
    points  [N, 5, 2]  left eye, right eye, nose, left and right mouth corner (left in the picture)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ohlora.errors import ShapeError

MIN_FACE = 20  # pixels
PYRAMID_STEP = 0.709
CELL = 12  # pixels one P cell sees
STRIDE = 2
P_THRESHOLD, R_THRESHOLD, O_THRESHOLD = 0.6, 0.7, 0.7


@dataclass(frozen=True)
class Faces:
    boxes: np.ndarray  # float32 [N, 4]
    probs: np.ndarray  # float32 [N]
    points: np.ndarray  # float32 [N, 5, 2]

    def __len__(self) -> int:
        return len(self.boxes)


class PNet(nn.Module):
    """[B, 3, H, W] -> box corrections [B, 4, h, w] and face probabilities [B, 2, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 10, kernel_size=3)
        self.prelu1 = nn.PReLU(10)
        self.conv2 = nn.Conv2d(10, 16, kernel_size=3)
        self.prelu2 = nn.PReLU(16)
        self.conv3 = nn.Conv2d(16, 32, kernel_size=3)
        self.prelu3 = nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, kernel_size=1)
        self.conv4_2 = nn.Conv2d(32, 4, kernel_size=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = pool(self.prelu1(self.conv1(x)), 2)
        x = self.prelu2(self.conv2(x))
        x = self.prelu3(self.conv3(x))
        return self.conv4_2(x), self.conv4_1(x).softmax(dim=1)


class RNet(nn.Module):
    """[B, 3, 24, 24] -> box corrections [B, 4] and face probabilities [B, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 28, kernel_size=3)
        self.prelu1 = nn.PReLU(28)
        self.conv2 = nn.Conv2d(28, 48, kernel_size=3)
        self.prelu2 = nn.PReLU(48)
        self.conv3 = nn.Conv2d(48, 64, kernel_size=2)
        self.prelu3 = nn.PReLU(64)
        self.dense4 = nn.Linear(576, 128)
        self.prelu4 = nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = pool(self.prelu1(self.conv1(x)), 3)
        x = pool(self.prelu2(self.conv2(x)), 3)
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(flatten(x)))
        return self.dense5_2(x), self.dense5_1(x).softmax(dim=1)


class ONet(nn.Module):
    """[B, 3, 48, 48] -> box corrections [B, 4], landmarks [B, 10], probabilities [B, 2].

    Landmarks are five x, then five y, as fractions of the box.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3)
        self.prelu1 = nn.PReLU(32)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3)
        self.prelu2 = nn.PReLU(64)
        self.conv3 = nn.Conv2d(64, 64, kernel_size=3)
        self.prelu3 = nn.PReLU(64)
        self.conv4 = nn.Conv2d(64, 128, kernel_size=2)
        self.prelu4 = nn.PReLU(128)
        self.dense5 = nn.Linear(1152, 256)
        self.prelu5 = nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = pool(self.prelu1(self.conv1(x)), 3)
        x = pool(self.prelu2(self.conv2(x)), 3)
        x = pool(self.prelu3(self.conv3(x)), 2)
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(flatten(x)))
        return self.dense6_2(x), self.dense6_3(x), self.dense6_1(x).softmax(dim=1)


def pool(x: Tensor, size: int) -> Tensor:
    return nn.functional.max_pool2d(x, size, stride=2, ceil_mode=True)


def flatten(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, W * H * C], the order of the Caffe weights these came from."""
    return x.permute(0, 3, 2, 1).flatten(1)


@dataclass
class Candidates:
    """Boxes on their way through the cascade, of all pictures of a batch together."""

    image: np.ndarray  # int64 [M], which picture
    boxes: np.ndarray  # float32 [M, 4]
    scores: np.ndarray  # float32 [M]
    shifts: np.ndarray  # float32 [M, 4], corrections as fractions of the box

    def __getitem__(self, keep: np.ndarray) -> Candidates:
        return Candidates(self.image[keep], self.boxes[keep], self.scores[keep], self.shifts[keep])

    @staticmethod
    def together(parts: Sequence[Candidates]) -> Candidates:
        nobody = Candidates(
            np.zeros(0, int), no_faces().boxes, no_faces().probs, no_faces().boxes
        )  # no parts at all: a picture smaller than the smallest face
        return Candidates(
            np.concatenate([part.image for part in (nobody, *parts)]),
            np.concatenate([part.boxes for part in (nobody, *parts)]),
            np.concatenate([part.scores for part in (nobody, *parts)]),
            np.concatenate([part.shifts for part in (nobody, *parts)]),
        )


class MTCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pnet, self.rnet, self.onet = PNet(), RNet(), ONet()

    @torch.inference_mode()
    def forward(self, images: Sequence[np.ndarray]) -> list[Faces]:
        """Find the faces of each picture; all must have one size. Raises ShapeError otherwise."""
        shapes = sorted({image.shape for image in images})
        if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][2] != 3:
            raise ShapeError(f"want images [H, W, 3] of one size, got {shapes}")
        device = self.pnet.conv1.weight.device
        pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()

        found = self.propose(pixels)
        found = found[inside(found.boxes, pixels)]
        if not len(found.boxes):
            return [no_faces() for _ in images]
        shifts, probs = self.rnet(look(pixels, found, 24))
        found = judged(found, shifts, probs, R_THRESHOLD)
        found = found[nms(found, 0.7)]
        found.boxes = squared(shifted(found.boxes, found.shifts, extra=1))

        found = found[inside(found.boxes, pixels)]
        if not len(found.boxes):
            return [no_faces() for _ in images]
        shifts, marks, probs = self.onet(look(pixels, found, 48))
        marks = marks.cpu().numpy()[probs[:, 1].cpu().numpy() > O_THRESHOLD]
        found = judged(found, shifts, probs, O_THRESHOLD)
        points = landmarks(found.boxes, marks)
        found.boxes = shifted(found.boxes, found.shifts, extra=1)
        keep = nms(found, 0.7, overlap_of_smaller)
        return [largest_first(found[keep], points[keep], i) for i in range(len(images))]

    def propose(self, pixels: Tensor) -> Candidates:
        """The first stage: square boxes that may hold a face."""
        height, width = pixels.shape[2:]
        scale = CELL / MIN_FACE
        levels = []
        while min(height, width) * scale >= CELL:
            size = (int(height * scale + 1), int(width * scale + 1))
            shifts, probs = self.pnet(normalised(resized(pixels, size)))
            image, y, x = (i.cpu().numpy() for i in torch.where(probs[:, 1] >= P_THRESHOLD))
            corner = STRIDE * np.stack([x, y], axis=1).astype(np.float32) + 1  # [M, 2]
            far = corner + (CELL - 1)
            level = Candidates(
                image,
                np.floor(np.concatenate([corner, far], axis=1) / np.float32(scale)),
                probs[:, 1].cpu().numpy()[image, y, x],
                shifts.permute(0, 2, 3, 1).cpu().numpy()[image, y, x],
            )
            levels.append(level[nms(level, 0.5)])
            scale *= PYRAMID_STEP
        found = Candidates.together(levels)
        found = found[nms(found, 0.7)]
        found.boxes = squared(shifted(found.boxes, found.shifts, extra=0))
        return found


def no_faces() -> Faces:
    return Faces(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
    )


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    return nn.functional.interpolate(pixels, size, mode="area")


def normalised(pixels: Tensor) -> Tensor:
    return (pixels - 127.5) * 0.0078125


def clipped(boxes: np.ndarray, pixels: Tensor) -> np.ndarray:
    """Whole pixels inside the picture, counted from 1: int [M, 4]."""
    height, width = pixels.shape[2:]
    x1, y1, x2, y2 = np.trunc(boxes).astype(int).T
    return np.stack([x1.clip(1), y1.clip(1), x2.clip(max=width), y2.clip(max=height)], axis=1)


def inside(boxes: np.ndarray, pixels: Tensor) -> np.ndarray:
    """Which boxes cover at least one pixel of the picture: bool [M]."""
    x1, y1, x2, y2 = clipped(boxes, pixels).T
    return (x2 >= x1) & (y2 >= y1)


def look(pixels: Tensor, found: Candidates, size: int) -> Tensor:
    """Cut the boxes out and bring them to size x size: [M, 3, size, size]."""
    crops = [
        resized(pixels[i : i + 1, :, y1 - 1 : y2, x1 - 1 : x2], (size, size))
        for i, (x1, y1, x2, y2) in zip(found.image, clipped(found.boxes, pixels), strict=True)
    ]
    return normalised(torch.cat(crops))


def judged(found: Candidates, shifts: Tensor, probs: Tensor, threshold: float) -> Candidates:
    scores = probs[:, 1].cpu().numpy()
    kept = Candidates(found.image, found.boxes, scores, shifts.cpu().numpy())
    return kept[scores > threshold]


def shifted(boxes: np.ndarray, shifts: np.ndarray, extra: int) -> np.ndarray:
    """Move each side by its fraction of the box's width or height (plus `extra` pixels)."""
    width = boxes[:, 2] - boxes[:, 0] + extra
    height = boxes[:, 3] - boxes[:, 1] + extra
    return boxes + shifts * np.stack([width, height, width, height], axis=1)


def squared(boxes: np.ndarray) -> np.ndarray:
    """Make each box a square as large as its longer side, around the same centre."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    side = np.maximum(width, height)
    x1 = boxes[:, 0] + width * 0.5 - side * 0.5
    y1 = boxes[:, 1] + height * 0.5 - side * 0.5
    return np.stack([x1, y1, x1 + side, y1 + side], axis=1)


def landmarks(boxes: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Fractions [M, 10] of boxes [M, 4] to pixels [M, 5, 2]."""
    start = boxes[:, None, :2]
    size = boxes[:, None, 2:] - start + 1
    return start + size * marks.reshape(-1, 2, 5).transpose(0, 2, 1) - 1


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box [4] with others [M, 4]."""
    common, area, areas = areas_of(box, others, extra=0)
    return common / np.maximum(area + areas - common, 1e-9)


def overlap_of_smaller(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over the smaller box; pixels counted at both ends."""
    common, area, areas = areas_of(box, others, extra=1)
    return common / np.maximum(np.minimum(area, areas), 1e-9)


def areas_of(box: np.ndarray, others: np.ndarray, extra: int) -> tuple:
    """Areas of the intersections [M], of the box, and of the others [M]."""
    corner, far = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = (far - corner + extra).clip(0).prod(axis=1)
    area = (box[2:] - box[:2] + extra).prod()
    areas = (others[:, 2:] - others[:, :2] + extra).prod(axis=1)
    return common, area, areas


def nms(found: Candidates, threshold: float, measure=overlap) -> np.ndarray:
    """Non-maximum suppression within each picture: indices to keep, best score first."""
    order = np.argsort(-found.scores, kind="stable")
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        apart = measure(found.boxes[best], found.boxes[order]) <= threshold
        order = order[apart | (found.image[order] != found.image[best])]
    return np.array(keep, dtype=int)


def largest_first(found: Candidates, points: np.ndarray, image: int) -> Faces:
    mine = np.flatnonzero(found.image == image)
    sides = found.boxes[mine, 2:] - found.boxes[mine, :2]
    mine = mine[np.argsort(-sides.prod(axis=1), kind="stable")]
    return Faces(found.boxes[mine], found.scores[mine], points[mine])
