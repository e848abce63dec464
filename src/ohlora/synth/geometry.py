"""Small geometry shared by the synthetic domain. Metres; x left of the face, y back, z up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 at `low`, 1 at `high`, smooth between; `low` may be above `high`."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def unit(v: Tensor) -> Tensor:
    length: Tensor = v.norm(dim=-1, keepdim=True)
    return v / length.clamp_min(1e-9)


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Tensor:
    """[3, 3] from degrees: yaw about z, pitch about x, roll about y."""
    y, p, r = math.radians(yaw), math.radians(pitch), math.radians(roll)
    about_z = torch.tensor(
        [[math.cos(y), -math.sin(y), 0], [math.sin(y), math.cos(y), 0], [0, 0, 1]]
    )
    about_x = torch.tensor(
        [[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]]
    )
    about_y = torch.tensor(
        [[math.cos(r), 0, math.sin(r)], [0, 1, 0], [-math.sin(r), 0, math.cos(r)]]
    )
    return about_z @ about_x @ about_y


def vertex_normals(points: Tensor, triangles: Tensor) -> Tensor:
    """Area-weighted unit normals [V, 3]."""
    index = triangles.long()
    a, b, c = points[index].unbind(1)
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points)
    for corner in range(3):
        total.index_add_(0, index[:, corner], face)
    return unit(total)


def barycentric(a: Tensor, b: Tensor, c: Tensor, p: Tensor) -> Tensor:
    """Weights [N, 3] of 2-D points p [N, 2] in triangles a, b, c [N, 2]."""

    def cross(u: Tensor, v: Tensor) -> Tensor:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    area = cross(b - a, c - a)
    area = torch.where(area.abs() < 1e-12, torch.full_like(area, 1e-12), area)
    wb, wc = cross(p - a, c - a) / area, cross(b - a, p - a) / area
    return torch.stack([1 - wb - wc, wb, wc], -1)


def value_noise(points: Tensor, per_metre: float, seed: int = 0) -> Tensor:
    """Smooth noise in [0, 1] at points [..., 3]; the same everywhere for the same seed."""
    q = points * per_metre
    cell = q.floor()
    t = q - cell
    t = t * t * (3 - 2 * t)
    cell = cell.long()
    total = torch.zeros(points.shape[:-1], device=points.device)
    for corner in range(8):
        dx, dy, dz = corner & 1, corner >> 1 & 1, corner >> 2
        weight = (
            (t[..., 0] if dx else 1 - t[..., 0])
            * (t[..., 1] if dy else 1 - t[..., 1])
            * (t[..., 2] if dz else 1 - t[..., 2])
        )
        total += weight * _hash(cell[..., 0] + dx, cell[..., 1] + dy, cell[..., 2] + dz, seed)
    return total


def _hash(x: Tensor, y: Tensor, z: Tensor, seed: int) -> Tensor:
    n = (x * 374761393 + y * 668265263 + z * 2147483647 + seed * 1274126177) & 0x7FFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF).float() / 65535


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """[1, C, H, W] blurred with sigma in pixels, zero outside the picture."""
    radius = int(sigma * 2.5) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1.0) / max(sigma, 1e-3)) ** 2)
    kernel = (kernel / kernel.sum()).to(image)
    channels = image.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    image = torch.nn.functional.conv2d(image, across, padding=(0, radius), groups=channels)
    return torch.nn.functional.conv2d(image, down, padding=(radius, 0), groups=channels)


def triangles_of(quads: Ints) -> Ints:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def subdivide(quads: Ints, count: int, smooth: bool) -> tuple[Ints, Any]:
    """One step of quad subdivision as a constant matrix.

    quads [F, 4] over `count` points -> quads [4 F, 4], and a scipy matrix [count + E + F, count]
    that makes the new points from the old. `smooth`: Catmull-Clark with sharp borders; else
    plain bilinear (for uv). Catmull and Clark 1978.
    """
    import scipy.sparse as sparse

    faces = len(quads)
    sides = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, edge_of = np.unique(sides, axis=0, return_inverse=True)
    edge_of = edge_of.reshape(faces, 4)
    keep = sparse.identity(count, format="csr")

    def matrix(rows: Ints, columns: Ints, value: float, shape: tuple[int, int]) -> Any:
        return sparse.csr_matrix((np.full(len(rows), value), (rows, columns)), shape)

    face_rows = np.repeat(np.arange(faces), 4)
    face_point = matrix(face_rows, quads.ravel(), 0.25, (faces, count))
    edge_rows = np.repeat(np.arange(len(edges)), 2)
    middle = matrix(edge_rows, edges.ravel(), 0.5, (len(edges), count))
    edge_point, vertex_point = middle, keep
    if smooth:
        border = np.bincount(edge_of.ravel(), minlength=len(edges)) == 1
        edge_faces = matrix(edge_of.ravel(), face_rows, 1.0, (len(edges), faces))
        inner = np.where(border, 0.0, 0.25)
        edge_point = (
            sparse.diags(np.where(border, 1.0, 0.5)) @ middle
            + sparse.diags(inner) @ (edge_faces @ face_point)
        )  # fmt: skip
        vertex_faces = matrix(quads.ravel(), face_rows, 1.0, (count, faces))
        vertex_edges = matrix(edges.ravel(), edge_rows, 1.0, (count, len(edges)))
        n_faces = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
        n = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
        mean_face = sparse.diags(1 / (n * n_faces)) @ (vertex_faces @ face_point)
        mean_edge = sparse.diags(2 / (n * n)) @ (vertex_edges @ middle)
        inside = mean_face + mean_edge + sparse.diags((n - 3) / n) @ keep
        at_border = vertex_edges @ sparse.diags(border.astype(float))
        n_border = np.maximum(np.asarray(at_border.sum(1)).ravel(), 1)
        along = sparse.diags(0.5 / n_border) @ (at_border @ middle) + 0.5 * keep
        on_border = np.zeros(count)
        on_border[edges[border].ravel()] = 1
        vertex_point = sparse.diags(1 - on_border) @ inside + sparse.diags(on_border) @ along
    corners = [
        np.stack(
            [
                quads[:, i],
                count + edge_of[:, i],
                count + len(edges) + np.arange(faces),
                count + edge_of[:, i - 1],
            ],
            1,
        )
        for i in range(4)
    ]
    stacked = sparse.vstack([vertex_point, edge_point, face_point]).tocsr()
    return np.stack(corners, 1).reshape(-1, 4), stacked
