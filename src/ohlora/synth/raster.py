# mypy: ignore-errors
"""Depth-buffer drawing of triangles and hair segments with NVIDIA Warp, on CPU and CUDA.

Each pixel holds one 64-bit number, depth in the high half and the primitive's id in the low
half, so one atomic minimum keeps the nearest primitive and the result does not depend on the
order of drawing.

Screen points are [N, 3]: x and y in pixels (y down), depth in (0, 1), small is near.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import warp as wp
from torch import Tensor

EMPTY = 2**62

wp.config.log_level = wp.LOG_WARNING
wp.init()


@wp.func
def keep_nearest(buffer: wp.array(dtype=wp.int64), cell: int, depth: float, id: int):
    if depth > 0.0 and depth < 1.0:
        packed = (wp.int64(depth * 1.0e9) << wp.int64(32)) | wp.int64(id)
        wp.atomic_min(buffer, cell, packed)


@wp.kernel
def draw_triangles(
    points: wp.array(dtype=wp.vec3),
    triangles: wp.array(dtype=wp.vec3i),
    width: int,
    height: int,
    first_id: int,
    buffer: wp.array(dtype=wp.int64),
):
    i = wp.tid()
    a = points[triangles[i][0]]
    b = points[triangles[i][1]]
    c = points[triangles[i][2]]
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if wp.abs(area) < 1.0e-9:
        return
    left = wp.max(0, int(wp.floor(wp.min(a[0], wp.min(b[0], c[0])) - 0.5)))
    right = wp.min(width - 1, int(wp.ceil(wp.max(a[0], wp.max(b[0], c[0])))))
    top = wp.max(0, int(wp.floor(wp.min(a[1], wp.min(b[1], c[1])) - 0.5)))
    bottom = wp.min(height - 1, int(wp.ceil(wp.max(a[1], wp.max(b[1], c[1])))))
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            px = float(x) + 0.5
            py = float(y) + 0.5
            wa = ((b[0] - px) * (c[1] - py) - (b[1] - py) * (c[0] - px)) / area
            wb = ((c[0] - px) * (a[1] - py) - (c[1] - py) * (a[0] - px)) / area
            wc = 1.0 - wa - wb
            if wa >= -1.0e-5 and wb >= -1.0e-5 and wc >= -1.0e-5:
                depth = wa * a[2] + wb * b[2] + wc * c[2]
                keep_nearest(buffer, y * width + x, depth, i + first_id)


@wp.kernel
def draw_segments(
    points: wp.array(dtype=wp.vec3),
    radius: wp.array(dtype=float),
    segments: wp.array(dtype=wp.vec2i),
    width: int,
    height: int,
    first_id: int,
    buffer: wp.array(dtype=wp.int64),
):
    i = wp.tid()
    a = points[segments[i][0]]
    b = points[segments[i][1]]
    ra = radius[segments[i][0]]
    rb = radius[segments[i][1]]
    r = wp.max(ra, rb)
    left = wp.max(0, int(wp.floor(wp.min(a[0], b[0]) - r - 0.5)))
    right = wp.min(width - 1, int(wp.ceil(wp.max(a[0], b[0]) + r)))
    top = wp.max(0, int(wp.floor(wp.min(a[1], b[1]) - r - 0.5)))
    bottom = wp.min(height - 1, int(wp.ceil(wp.max(a[1], b[1]) + r)))
    if right - left > 200 or bottom - top > 200:
        return  # a runaway strand
    dx = b[0] - a[0]
    dy = b[1] - a[1]
    squared = dx * dx + dy * dy + 1.0e-8
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            px = float(x) + 0.5 - a[0]
            py = float(y) + 0.5 - a[1]
            t = wp.clamp((px * dx + py * dy) / squared, 0.0, 1.0)
            ex = px - t * dx
            ey = py - t * dy
            reach = ra + (rb - ra) * t
            if ex * ex + ey * ey <= reach * reach:
                keep_nearest(buffer, y * width + x, a[2] + (b[2] - a[2]) * t, i + first_id)


class DepthBuffer:
    """Draw into a square picture; ids count up in the order of the calls."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size, self.device, self.drawn = size, device, 0
        self.cells = torch.full((size * size,), EMPTY, dtype=torch.int64, device=device)

    def triangles(self, points: Tensor, triangles: Tensor) -> None:
        """points [N, 3] on screen, triangles [T, 3] int32."""
        self._launch(
            draw_triangles, len(triangles),
            [to_warp(points, wp.vec3), to_warp(triangles, wp.vec3i)],
        )  # fmt: skip

    def segments(self, points: Tensor, radius: Tensor, segments: Tensor) -> None:
        """points [N, 3] on screen, radius [N] in pixels, segments [S, 2] int32."""
        self._launch(
            draw_segments, len(segments),
            [to_warp(points, wp.vec3), to_warp(radius, wp.float32), to_warp(segments, wp.vec2i)],
        )  # fmt: skip

    def ids(self) -> Tensor:
        """[size, size] int64, -1 where nothing was drawn."""
        ids = self.cells & 0xFFFFFFFF
        return torch.where(self.cells < EMPTY, ids, -1).view(self.size, self.size)

    def depth(self) -> Tensor:
        """[size, size] float32, 1 where nothing was drawn."""
        depth = (self.cells >> 32).float() * 1e-9
        return torch.where(self.cells < EMPTY, depth, 1.0).view(self.size, self.size)

    def _launch(self, kernel: wp.Kernel, count: int, arrays: list[wp.array]) -> None:
        if count:
            inputs = [*arrays, self.size, self.size, self.drawn, to_warp(self.cells, wp.int64)]
            with torch_stream(self.device):
                wp.launch(kernel, dim=count, inputs=inputs, device=str(self.device))
        self.drawn += count


def torch_stream(device: torch.device) -> AbstractContextManager[object]:
    """On CUDA, Warp works in PyTorch's stream, so each sees what the other wrote."""
    if device.type != "cuda":
        return nullcontext()
    return wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)))


def to_warp(tensor: Tensor, dtype: type) -> wp.array:
    """The same memory as a Warp array; the caller keeps the tensor alive."""
    assert tensor.is_contiguous()
    return wp.from_torch(tensor, dtype=dtype)
