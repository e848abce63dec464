"""Property scores the slow way: the rules of spec and original, pixel by pixel in plain Python.

The oracle that vision/scores.py is tested against, and what it is measured against in
benchmarks/vision.py. Farthest pixels are searched among all pairs.
"""

from __future__ import annotations

import math

import numpy as np

SIZE = 224
HALF = SIZE // 2


def plain_scores_v2(classes: np.ndarray, image: np.ndarray) -> list[float]:
    """eyes, hair_color, hair_length, mouth, pose, background_mean, background_std."""
    left = pixels(classes, 4, range(56, 168), range(0, 168))
    right = pixels(classes, 5, range(56, 168), range(56, 224))
    eyes = max(plain_opening(left), plain_opening(right))
    mean, deviation = plain_background(classes, image)
    return [
        eyes,
        plain_hair_color(classes, image),
        plain_hair_length(classes),
        plain_mouth(classes),
        plain_pose(left, right),
        mean,
        deviation,
    ]


def pixels(classes: np.ndarray, wanted: int, rows: range, columns: range) -> list[tuple[int, int]]:
    """(x, y) column by column, downwards."""
    return [(x, y) for x in columns for y in rows if classes[y, x] == wanted]


def plain_opening(eye: list[tuple[int, int]]) -> float:
    columns: dict[int, list[int]] = {}
    for x, y in eye:
        columns.setdefault(x, []).append(y)
    height = max((max(rows) - min(rows) for rows in columns.values()), default=0)
    longest, cosine = 0, 1.0
    for i, (x1, y1) in enumerate(eye):
        for x2, y2 in eye[:i]:
            distance = (x1 - x2) ** 2 + (y1 - y2) ** 2
            if distance > longest:
                longest, cosine = distance, abs(x1 - x2) / math.sqrt(distance)
    return height * cosine


def plain_pose(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> float:
    if not left or not right:
        return 0.0
    rise = sum(y for _, y in right) / len(right) - sum(y for _, y in left) / len(left)
    run = sum(x for x, _ in right) / len(right) - sum(x for x, _ in left) / len(left)
    if run == 0:
        return math.nan if rise == 0 else math.copysign(math.inf, rise)
    return rise / run


def brightness(image: np.ndarray, x: int, y: int) -> float:
    red, green, blue = image[y, x]
    return (int(red) + int(green) + int(blue)) / 3


def plain_hair_color(classes: np.ndarray, image: np.ndarray) -> float:
    hair = pixels(classes, 10, range(SIZE), range(SIZE))
    values = sorted(brightness(image, x, y) for x, y in hair)
    values = values[int(0.1 * len(values)) : int(0.9 * len(values))]
    return sum(values) / len(values) if values else 127.5


def plain_hair_length(classes: np.ndarray) -> float:
    length = 0.0
    for y in range(56, SIZE):
        left = sum(1 for x in range(HALF) if classes[y, x] == 10)
        right = sum(1 for x in range(HALF, SIZE) if classes[y, x] == 10)
        if left + right >= 20:
            length += 1
            if y == SIZE - 1:
                length += max(left - 10, 0) / 2 + max(right - 10, 0) / 2
    return length


def plain_mouth(classes: np.ndarray) -> float:
    counts = {7: 0, 8: 0, 9: 0}
    for y in range(SIZE):
        for x in range(SIZE):
            if classes[y, x] in counts:
                counts[classes[y, x]] += 1
    total = sum(counts.values())
    return counts[8] / total if total else 0.0


def plain_background(classes: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    found = pixels(classes, 0, range(HALF), range(SIZE))
    values = sorted(brightness(image, x, y) for x, y in found)
    if not values:
        return 192.0, 0.0
    if len(values) > 1:
        values = values[int(0.05 * len(values)) : int(0.95 * len(values))]
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
