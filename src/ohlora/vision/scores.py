"""Seven property scores measured on a parsed face, as Oh-LoRA v1 trained its StyleGAN with.

    classes  uint8 [224, 224]     class of every pixel, order models.face_parts.CLASSES
    image    uint8 [224, 224, 3]  v2: the face crop that was parsed
                                  v1: the whole picture resized to 224 (the original's choice)

v1 and v2 are the two rule sets of all_scores.csv and all_scores_v2.csv, exact to the last pixel.
Lengths are in pixels of the 224 x 224 map, brightness in 0..255 averaged over the channels.
A score is None where the picture has nothing to measure and the rules name no number for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import ShapeError

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Sums = NDArray[np.uint16]  # the three channels added: 0..765, so that sorting stays exact

SIZE = 224
LEFT_EYE, RIGHT_EYE, NOSE, UPPER_LIP, INNER_MOUTH, LOWER_LIP, HAIR = 4, 5, 6, 7, 8, 9, 10
LEFT, RIGHT = slice(0, 168), slice(56, 224)  # columns where each eye is looked for
NO_BACKGROUND = (192.0, 0.0)
NO_HAIR_COLOR = 127.5


class Scores(NamedTuple):
    """In the order of PROPERTIES and of the original's columns."""

    eyes: float | None
    hair_color: float | None
    hair_length: float | None
    mouth: float | None
    pose: float | None
    background_mean: float | None
    background_std: float | None


def scores_v1(classes: Pixels, image: Pixels) -> Scores:
    """Raises ShapeError on a wrong map or image."""
    sums = channel_sums(classes, image)
    mean, deviation = background(classes, sums)
    return Scores(
        eyes_v1(classes),
        hair_color_v1(classes, sums),
        hair_length_v1(classes),
        mouth_v1(classes),
        pose_v1(classes),
        mean,
        deviation,
    )


def scores_v2(classes: Pixels, image: Pixels) -> Scores:
    """Raises ShapeError on a wrong map or image. Pose is inf or nan when it is undefined."""
    sums = channel_sums(classes, image)
    mean, deviation = background(classes, sums)
    return Scores(
        eyes_v2(classes),
        hair_color_v2(classes, sums),
        hair_length_v2(classes),
        mouth_v2(classes),
        pose_v2(classes),
        mean,
        deviation,
    )


VERSIONS: dict[str, Callable[[Pixels, Pixels], Scores]] = {"v1": scores_v1, "v2": scores_v2}


def channel_sums(classes: Pixels, image: Pixels) -> Sums:
    if classes.shape != (SIZE, SIZE) or image.shape != (SIZE, SIZE, 3):
        raise ShapeError(
            f"want classes [{SIZE}, {SIZE}] and an image [{SIZE}, {SIZE}, 3], "
            f"got {list(classes.shape)} and {list(image.shape)}"
        )
    wide = image.astype(np.uint16)
    sums: Sums = wide[:, :, 0] + wide[:, :, 1] + wide[:, :, 2]
    return sums


def background(classes: Pixels, sums: Sums) -> tuple[float, float]:
    """Mean and deviation of brightness in the upper half, the darkest and lightest 5 % left out."""
    values = np.sort(sums[:112][classes[:112] == 0])
    if len(values) > 1:
        values = values[int(0.05 * len(values)) : int(0.95 * len(values))]
    count = len(values)
    if count == 0:
        return NO_BACKGROUND
    values = values.astype(np.int64)
    total, squares = int(values.sum()), int(values @ values)
    # Whole numbers up to the last division: the variance loses no digit.
    deviation = math.sqrt(count * squares - total * total) / count
    return total / count / 3, deviation / 3


# v1


def eyes_v1(classes: Pixels) -> float:
    """Mean height of the eyes. Rows 140..167 are not looked at: the original stops early too."""
    rows = slice(56, 140)
    left = row_span(classes[rows, LEFT] == LEFT_EYE)
    return (left + row_span(classes[rows, RIGHT] == RIGHT_EYE)) / 2


def hair_color_v1(classes: Pixels, sums: Sums) -> float | None:
    """Median brightness of the hair; None without hair (the original stops there)."""
    values = sums[classes == HAIR]
    return float(np.median(values)) / 3 if len(values) else None


def hair_length_v1(classes: Pixels) -> float | None:
    """Last row with hair; hair cut off by the lower edge counts longer the wider it is."""
    hair = classes == HAIR
    rows = np.flatnonzero(hair.any(axis=1))
    if len(rows) == 0:
        return None
    return float(rows[-1]) + np.count_nonzero(hair[-1]) / 2


def mouth_v1(classes: Pixels) -> float:
    """Height of the lips and height of the opening, added."""
    lips = (classes == UPPER_LIP) | (classes == LOWER_LIP)
    return float(row_span(lips) + row_span(classes == INNER_MOUTH))


def pose_v1(classes: Pixels) -> float:
    """How the nose leans: minus the correlation of its columns and rows; nan without one."""
    y, x = np.nonzero(classes == NOSE)
    if len(y) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return -float(x @ y) / spread if spread else math.nan


def row_span(mask: Mask) -> int:
    """Last row minus first row with any pixel, 0 if there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[-1] - rows[0]) if len(rows) else 0


# v2


def eyes_v2(classes: Pixels) -> float:
    """The wider open eye: its height times the cosine of its slant."""
    return max(opening(eye) for eye in eye_masks(classes))


def pose_v2(classes: Pixels) -> float:
    """Slope of the line between the middles of the eyes; 0 if an eye is hidden."""
    left, right = eye_masks(classes)
    left_y, left_x = np.divmod(np.flatnonzero(left), left.shape[1])
    right_y, right_x = np.divmod(np.flatnonzero(right), right.shape[1])
    if len(left_y) == 0 or len(right_y) == 0:
        return 0.0
    rise = right_y.mean() - left_y.mean()
    run = (right_x + RIGHT.start).mean() - left_x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(rise / run)


def eye_masks(classes: Pixels) -> tuple[Mask, Mask]:
    rows = classes[56:168]
    return rows[:, LEFT] == LEFT_EYE, rows[:, RIGHT] == RIGHT_EYE


def opening(eye: Mask) -> float:
    """Height of the tallest column times the cosine of the longest line across the eye.

    Of several longest lines the original takes the first it meets: ends are listed column by
    column, downwards, and compared pair by pair (i, then every j before it).

    The ends of a longest line are corners of the convex hull, so in each column only the top
    and the bottom pixel can be one: at most 336 candidates, in the order of the full list.
    """
    columns = np.flatnonzero(eye.any(axis=0))
    if len(columns) == 0:
        return 0.0
    top = eye[:, columns].argmax(axis=0)
    bottom = len(eye) - 1 - eye[::-1, columns].argmax(axis=0)
    height = int((bottom - top).max())
    if height == 0:
        return 0.0

    y = np.stack([top, bottom], axis=1).ravel()
    x = columns.repeat(2)
    dy, dx = y[:, None] - y, x[:, None] - x
    # argmax finds the first of equals, row i by row i; a column of one pixel lists it twice,
    # which changes nothing.
    longest = np.tril(dx * dx + dy * dy).argmax()
    across, down = dx.flat[longest], dy.flat[longest]
    return height * abs(float(across)) / math.hypot(across, down)


def hair_color_v2(classes: Pixels, sums: Sums) -> float:
    """Mean brightness of the hair, the darkest and lightest tenth left out."""
    values = np.sort(sums[classes == HAIR])
    values = values[int(0.1 * len(values)) : int(0.9 * len(values))]
    return float(values.mean()) / 3 if len(values) else NO_HAIR_COLOR


def hair_length_v2(classes: Pixels) -> float:
    """Rows from 56 down with at least 20 pixels of hair, more if the lower edge cuts it off."""
    hair = classes == HAIR
    counts = hair[56:].view(np.uint8).sum(axis=1, dtype=np.uint16)
    length = float(np.count_nonzero(counts >= 20))
    if counts[-1] >= 20:
        left, right = (int(np.count_nonzero(half)) for half in np.split(hair[-1], 2))
        length += max(left - 10, 0) / 2 + max(right - 10, 0) / 2
    return length


def mouth_v2(classes: Pixels) -> float:
    """Share of the mouth that is open."""
    upper, inner, lower = (
        np.count_nonzero(classes == part) for part in (UPPER_LIP, INNER_MOUTH, LOWER_LIP)
    )
    return inner / (upper + inner + lower) if inner else 0.0
