"""The detector around its networks: suppression, boxes, odd pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ohlora.errors import ShapeError
from ohlora.models.mtcnn import (
    MTCNN,
    Candidates,
    landmarks,
    nms,
    overlap,
    overlap_of_smaller,
    shifted,
    squared,
)


def candidates(rows: list[tuple[int, float, list[float]]]) -> Candidates:
    image, scores, boxes = zip(*rows, strict=True)
    return Candidates(
        np.array(image), np.array(boxes, np.float32), np.array(scores, np.float32), np.zeros(0)
    )


def test_suppression_keeps_the_best_of_overlapping_boxes_in_each_picture() -> None:
    found = candidates(
        [
            (0, 0.8, [0, 0, 10, 10]),
            (0, 0.9, [1, 0, 11, 10]),
            (0, 0.7, [20, 20, 30, 30]),
            (1, 0.6, [0, 0, 10, 10]),
        ]
    )
    assert nms(found, 0.5).tolist() == [1, 2, 3]


def test_a_box_inside_another_is_suppressed_only_by_the_smaller_measure() -> None:
    found = candidates([(0, 0.9, [0, 0, 100, 100]), (0, 0.8, [40, 40, 60, 60])])
    assert len(nms(found, 0.7, overlap)) == 2
    assert len(nms(found, 0.7, overlap_of_smaller)) == 1


def test_boxes_without_area_do_not_break_the_measures() -> None:
    flat = candidates([(0, 0.9, [5, 5, 5, 5]), (0, 0.8, [5, 5, 5, 5])])
    assert len(nms(flat, 0.7)) == 2


def test_squared_boxes_keep_their_centre_and_their_longer_side() -> None:
    box = squared(np.array([[10, 20, 30, 80]], np.float32))[0]
    assert box.tolist() == [-10, 20, 50, 80]


def test_shifts_and_landmarks_are_fractions_of_the_box() -> None:
    box = np.array([[10, 20, 30, 60]], np.float32)
    assert shifted(box, np.array([[0.1, 0.1, 0, 0]]), extra=0).tolist() == [[12, 24, 30, 60]]
    marks = np.array([[0, 1, 0.5, 0, 1, 0, 0, 0.5, 1, 1]])
    assert landmarks(box, marks)[0, :3].tolist() == [[9, 19], [30, 19], [19.5, 39.5]]


@pytest.mark.parametrize("shape", [(5, 5, 3), (11, 300, 3), (20, 20, 3), (21, 400, 3)])
def test_tiny_and_narrow_pictures_have_no_faces_and_no_errors(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    (faces,) = MTCNN().eval()([np.zeros(shape, np.uint8)])
    assert faces.boxes.shape == (0, 4) and faces.points.shape == (0, 5, 2)


def test_networks_that_see_faces_everywhere_still_give_sound_boxes() -> None:
    torch.manual_seed(3)
    mtcnn = MTCNN().eval()
    with torch.no_grad():
        for head in (mtcnn.pnet.conv4_1, mtcnn.rnet.dense5_1, mtcnn.onet.dense6_1):
            head.bias += torch.tensor([-9.0, 9.0])
        for head in (mtcnn.pnet.conv4_2, mtcnn.rnet.dense5_2, mtcnn.onet.dense6_2):
            head.weight *= 20  # boxes pushed far out of the picture
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    first, second = mtcnn([image, image[:, ::-1].copy()])
    for faces in (first, second):
        assert np.isfinite(faces.boxes).all()
        areas = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
        assert (np.diff(areas) <= 0).all()


def test_pictures_of_different_sizes_are_refused_in_one_batch() -> None:
    with pytest.raises(ShapeError, match="one size"):
        MTCNN()([np.zeros((30, 30, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)])
