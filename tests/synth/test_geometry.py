"""Subdivision, rotations, depth buffer: laws, not pictures."""

from __future__ import annotations

import numpy as np
import torch

from ohlora.synth.geometry import rotation, smoothstep, subdivide, triangles_of, value_noise
from ohlora.synth.raster import DepthBuffer

CUBE = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
)
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def test_catmull_clark_of_a_cube_is_the_known_one() -> None:
    quads, matrix = subdivide(CUBE, 8, smooth=True)
    points = matrix @ CORNERS
    assert quads.shape == (24, 4) and points.shape == (8 + 12 + 6, 3)
    np.testing.assert_allclose(points[:8], CORNERS * 5 / 9)
    np.testing.assert_allclose(np.abs(points[-6:]).sum(1), 1)  # face points stay
    assert set(np.abs(points[8:20]).round(6).ravel().tolist()) == {0.0, 0.75}


def test_subdivision_keeps_constants_and_borders() -> None:
    sheet = np.array([[0, 1, 4, 3], [1, 2, 5, 4]])
    flat = np.array([[x, y] for y in (0.0, 1.0) for x in (0.0, 1.0, 2.0)])
    for smooth in (False, True):
        quads, matrix = subdivide(sheet, 6, smooth)
        np.testing.assert_allclose(matrix.sum(1), 1)
        new = matrix @ flat
        assert new.min() >= 0 and new.max() <= 2
        assert triangles_of(quads).max() < len(new)


def test_a_positive_yaw_turns_the_face_to_the_viewers_right() -> None:
    nose = torch.tensor([0.0, -1.0, 0.0])
    assert (rotation(20) @ nose)[0] > 0
    assert (rotation(0, -15) @ nose)[2] > 0  # see test_render for the sign of pitch
    torch.testing.assert_close(
        rotation(20, 5, 9) @ rotation(20, 5, 9).T, torch.eye(3), atol=1e-6, rtol=0
    )


def test_noise_is_the_same_for_the_same_seed_and_stays_in_range() -> None:
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    a, b = value_noise(points, 40.0, 1), value_noise(points, 40.0, 2)
    assert torch.equal(a, value_noise(points, 40.0, 1)) and not torch.equal(a, b)
    assert a.min() >= 0 and a.max() <= 1


def test_smoothstep_also_runs_backwards() -> None:
    x = torch.tensor([0.0, 0.5, 1.0])
    torch.testing.assert_close(smoothstep(1.0, 0.0, x), torch.tensor([1.0, 0.5, 0.0]))


def square(depth: float) -> torch.Tensor:
    return torch.tensor([[0.0, 0, depth], [8, 0, depth], [8, 8, depth], [0, 8, depth]])


def test_the_nearest_triangle_wins_in_any_order() -> None:
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    for near_first in (True, False):
        buffer = DepthBuffer(8, torch.device("cpu"))
        for depth in (0.2, 0.6) if near_first else (0.6, 0.2):
            buffer.triangles(square(depth), triangles)
        near = {0, 1} if near_first else {2, 3}
        assert set(buffer.ids().unique().tolist()) == near
        torch.testing.assert_close(buffer.depth(), torch.full((8, 8), 0.2))


def test_a_segment_is_as_thick_as_its_radius() -> None:
    buffer = DepthBuffer(16, torch.device("cpu"))
    ends = torch.tensor([[2.0, 8.0, 0.5], [14.0, 8.0, 0.5]])
    buffer.segments(ends, torch.full((2,), 2.0), torch.tensor([[0, 1]], dtype=torch.int32))
    assert int((buffer.ids()[:, 8] == 0).sum()) == 4
    assert int((buffer.ids()[:, 0] == 0).sum()) == 2  # the round cap, 1.5 pixels out
