"""What the camera sees: one row per covered pixel of the enlarged picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ohlora.synth.camera import Camera
from ohlora.synth.geometry import barycentric, unit, vertex_normals
from ohlora.synth.raster import DepthBuffer
from ohlora.synth.strands import Strands

BODY, TONGUE, UPPER_TEETH, LOWER_TEETH, LEFT_EYE, RIGHT_EYE = range(6)  # materials of meshes


@dataclass(frozen=True)
class Meshes:
    """All triangles of a picture in one list, in the order of the materials."""

    points: Tensor  # [V, 3] metres
    triangles: Tensor  # [T, 3] int32
    normals: Tensor  # [V, 3]
    material: Tensor  # [T]
    first: tuple[int, ...]  # first vertex of each material


def stack(parts: list[tuple[Tensor, Tensor]]) -> Meshes:
    """(points, triangles) of each material -> Meshes."""
    first = [0]
    for points, _ in parts:
        first.append(first[-1] + len(points))
    points = torch.cat([p for p, _ in parts])
    triangles = torch.cat([t + first[i] for i, (_, t) in enumerate(parts)]).int().contiguous()
    material = torch.cat(
        [torch.full((len(t),), i, device=t.device) for i, (_, t) in enumerate(parts)]
    )
    return Meshes(points, triangles, vertex_normals(points, triangles), material, tuple(first))


@dataclass
class Surface:
    """P covered pixels; `mesh` and `strand` are the rows that show triangles or strands."""

    pixel: Tensor  # [P] row * size + column
    points: Tensor  # [P, 3] metres
    normals: Tensor  # [P, 3]
    tangents: Tensor  # [P, 3], zero on meshes
    material: Tensor  # [P]
    view: Tensor  # [P, 3] towards the camera
    triangle: Tensor  # [P], -1 on strands
    corner: Tensor  # [P, 3] vertices, 0 on strands
    weight: Tensor  # [P, 3]
    along: Tensor  # [P] of strands: 0 root .. 1 tip
    random: Tensor  # [P]
    depth: Tensor  # [P] 0 on the skin .. 1 outermost
    albedo: Tensor  # [P, 3] to be painted
    label: Tensor  # [P] class, to be painted
    size: int

    def at_vertices(self, rows: Tensor, values: Tensor, first: int = 0) -> Tensor:
        """Interpolate per-vertex values [V] or [V, C] at these rows of meshes."""
        weight = self.weight[rows]
        picked = values[self.corner[rows] - first]
        return (picked * (weight[..., None] if values.dim() > 1 else weight)).sum(1)


def look(meshes: Meshes, strands: list[Strands], camera: Camera, inside_mouth: Tensor) -> Surface:
    """Draw everything and resolve what each pixel shows.

    inside_mouth [body triangles]: teeth and tongue are seen only through those, so no tooth
    can poke out of a cheek when the head turns with an open mouth.
    """
    size, device = camera.size, meshes.points.device
    screen = camera.project(meshes.points)
    behind = (meshes.material >= TONGUE) & (meshes.material <= LOWER_TEETH)
    mouth_parts = torch.nonzero(behind)[:, 0]
    body_only = DepthBuffer(size, device)
    body_count = int((meshes.material == BODY).sum())
    body_only.triangles(screen, meshes.triangles[:body_count].contiguous())
    skin = body_only.ids()

    points = torch.cat([s.points.reshape(-1, 3) for s in strands])
    strand_screen = camera.project(points)
    radius = torch.cat([s.radius.reshape(-1) for s in strands]) * camera.pixels_per_metre
    segments, first = [], 0
    for each in strands:
        segments.append(each.segments(first))
        first += each.radius.numel()
    pairs = torch.cat(segments).contiguous()
    buffer = DepthBuffer(size, device)
    buffer.triangles(screen, meshes.triangles)
    buffer.segments(strand_screen, radius.contiguous(), pairs)
    ids = buffer.ids()

    shows_mouth_part = (ids >= int(mouth_parts[0])) & (ids <= int(mouth_parts[-1]))
    hidden = shows_mouth_part & (skin >= 0) & ~inside_mouth[skin.clamp_min(0)]
    ids = torch.where(hidden, skin, ids)

    row, column = torch.nonzero(ids >= 0).unbind(1)
    id = ids[row, column]
    at = torch.stack([column + 0.5, row + 0.5], -1).float()
    is_mesh = id < len(meshes.triangles)
    count = len(id)

    def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(count, *shape, dtype=dtype, device=device)

    s = Surface(
        pixel=row * size + column, points=zeros(3), normals=zeros(3), tangents=zeros(3),
        material=zeros(dtype=torch.int64), view=zeros(3), triangle=zeros(dtype=torch.int64) - 1,
        corner=zeros(3, dtype=torch.int64), weight=zeros(3), along=zeros(), random=zeros(),
        depth=zeros(), albedo=zeros(3), label=zeros(dtype=torch.int64), size=size,
    )  # fmt: skip

    triangle = id[is_mesh]
    corner = meshes.triangles[triangle].long()
    a, b, c = screen[corner][..., :2].unbind(1)
    weight = barycentric(a, b, c, at[is_mesh])
    s.triangle[is_mesh], s.corner[is_mesh], s.weight[is_mesh] = triangle, corner, weight
    s.points[is_mesh] = (meshes.points[corner] * weight[..., None]).sum(1)
    s.normals[is_mesh] = unit((meshes.normals[corner] * weight[..., None]).sum(1))
    s.material[is_mesh] = meshes.material[triangle]

    on_strand = ~is_mesh
    segment = id[on_strand] - len(meshes.triangles)
    start, end = pairs[segment].long().unbind(1)
    a, b = strand_screen[start][:, :2], strand_screen[end][:, :2]
    run = b - a
    t = (((at[on_strand] - a) * run).sum(1) / (run * run).sum(1).clamp_min(1e-6)).clamp(0, 1)

    def between(values: Tensor) -> Tensor:
        share = t[:, None] if values.dim() > 1 else t
        return values[start] * (1 - share) + values[end] * share

    def per_point(name: str) -> Tensor:
        return torch.cat(
            [getattr(x, name)[:, None].expand_as(x.radius).reshape(-1) for x in strands]
        )

    s.points[on_strand] = between(points)
    s.tangents[on_strand] = unit(between(torch.cat([x.tangents.reshape(-1, 3) for x in strands])))
    s.normals[on_strand] = unit(between(torch.cat([x.normals.reshape(-1, 3) for x in strands])))
    s.along[on_strand] = between(torch.cat([x.along.reshape(-1) for x in strands]))
    s.random[on_strand] = per_point("random")[start]
    s.depth[on_strand] = per_point("depth")[start]
    kinds = torch.cat([torch.full((x.radius.numel(),), x.material, device=device) for x in strands])
    s.material[on_strand] = kinds[start]
    s.view = unit(camera.place - s.points)
    return s
