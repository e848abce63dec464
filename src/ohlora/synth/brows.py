"""Brows and lashes as strands. Metres on the template's front (x left of the middle, z up)."""

from __future__ import annotations

import torch
from torch import Tensor

from ohlora.synth.geometry import barycentric, smoothstep, unit
from ohlora.synth.head import Head, Shape
from ohlora.synth.parameters import Brow, Person, Scene
from ohlora.synth.raster import DepthBuffer
from ohlora.synth.strands import BROW_LEFT, BROW_RIGHT, LASH, Strands, taper

INNER, WIDTH = 0.0135, 0.043  # where a brow starts, how far it goes outwards
VIEW, VIEW_SIZE = 1024, 0.24  # pixels and metres of the front view of the template


class Front:
    """Finds the skin point in front of which a template coordinate (x, z) lies."""

    def __init__(self, head: Head) -> None:
        self.triangles = head.parts["body"].triangles
        scale = VIEW / VIEW_SIZE
        self.screen = torch.stack(
            [(head.rest[:, 0] + 0.12) * scale, (0.85 - head.rest[:, 2]) * scale,
             head.rest[:, 1] + 0.5], -1
        ).contiguous()  # fmt: skip
        buffer = DepthBuffer(VIEW, head.device)
        buffer.triangles(self.screen, self.triangles)
        self.ids = buffer.ids()
        self.scale = scale

    def at(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices [N, 3] and weights [N, 3] of the skin at (x, z)."""
        px, py = (x + 0.12) * self.scale, (0.85 - z) * self.scale
        row, column = py.long().clamp(0, VIEW - 1), px.long().clamp(0, VIEW - 1)
        corner = self.triangles[self.ids[row, column].clamp_min(0)].long()
        a, b, c = self.screen[corner][..., :2].unbind(1)
        return corner, barycentric(a, b, c, torch.stack([px, py], -1))


def brow_line(u: Tensor, arch: float = 1.0) -> Tensor:
    """Height z of the brow's middle; u is 0 at the nose, 1 at the temple."""
    return 0.7462 + 0.0070 * arch * torch.sin((0.95 * u + 0.05).clamp(0, 1) * 2.35) - 0.0035 * u


def brow_half_height(u: Tensor, thickness: float) -> Tensor:
    full = 0.0062 * (1 - 0.72 * u) * smoothstep(-0.25, 0.25, u) + 0.0012
    return full * thickness


def brow_area(rest: Tensor, brow: Brow) -> Tensor:
    """[N] 0..1: how much the template point lies in a brow (for tint and mask)."""
    u = (rest[:, 0].abs() - INNER) / WIDTH
    inside = u.clamp(0, 1)
    half = brow_half_height(inside, brow.thickness) + 0.0004
    ends = smoothstep(-0.04, 0.06, u) * smoothstep(1.12, 1.0, u)
    away = (rest[:, 2] - brow_line(inside, brow.arch) + 0.0004).abs() / half
    return ends * smoothstep(1.0, 0.5, away) * (rest[:, 1] < -0.06)


def make_brows(front: Front, shape: Shape, brow: Brow) -> list[Strands]:
    """Left and right brow, on the posed face."""
    random = torch.Generator().manual_seed(5)
    device = shape.normals.device
    count = int(360 * brow.density)
    along = torch.tensor([0.0, 0.35, 0.7, 1.0], device=device)
    out = []
    for side, material in ((1.0, BROW_LEFT), (-1.0, BROW_RIGHT)):
        u, across, luck = torch.rand(3, count, generator=random).to(device)
        across = across - 0.5
        x = INNER + WIDTH * u
        z = brow_line(u, brow.arch) + across * brow_half_height(u, brow.thickness)
        # Hairs stand up near the nose and lie flat towards the temple.
        lean = torch.deg2rad(70 - 75 * u.clamp(0, 0.8) / 0.8 - 50 * across * (1 - u))
        lean = lean - 0.15 * (u > 0.6)
        length = (0.0072 - 0.002 * u) * (0.8 + 0.4 * luck) * (0.75 + 0.25 * brow.thickness)
        points, normals = [], []
        for t in along.tolist():
            corner, weight = front.at(
                side * (x + length * t * torch.cos(lean - 0.5 * t)),
                z + 0.8 * length * t * torch.sin(lean - 0.6 * t),
            )
            normal = unit((shape.normals[corner] * weight[..., None]).sum(1))
            skin = (shape.parts["body"][corner] * weight[..., None]).sum(1)
            points.append(skin + normal * (0.0004 + 0.0011 * t))
            normals.append(normal)
        out.append(
            Strands(
                points=torch.stack(points, 1),
                radius=taper(0.00021, count, along),
                normals=torch.stack(normals, 1),
                along=along[None].expand(count, -1).contiguous(),
                random=luck,
                depth=torch.ones(count, device=device),
                material=material,
            )
        )
    return out


def make_lashes(head: Head, shape: Shape, person: Person, scene: Scene) -> list[Strands]:
    """Upper lashes from the asset's lash hull, swept outwards; men have short ones."""
    quads = head.lashes[head.lashes[:, 4] == 1]
    corner = shape.vertices[quads[:, :4]]
    outward = torch.where(quads[:, 5] == 1, -1.0, 1.0)[:, None]
    device, per_quad = shape.normals.device, 3
    along = torch.tensor([0.0, 0.5, 1.0], device=device)
    # Shut lids: lashes point down and out instead of forward and up.
    shut = 1 - min(1.0, scene.eyes)
    sweep = torch.tensor([0.0014, 0.0, 0.0], device=device) * outward
    sweep = sweep + torch.tensor([0.0, -0.0010, 0.0006 - 0.0030 * shut], device=device)
    points = []
    for k in range(per_quad):
        f = (k + 0.5) / per_quad
        root = corner[:, 0] * (1 - f) + corner[:, 1] * f
        tip = corner[:, 3] * (1 - f) + corner[:, 2] * f
        reach = (tip - root) * (0.75 * person.lashes)
        bend = (sweep * person.lashes) @ shape.turn.T
        points.append(torch.stack([root, root + 0.5 * reach + 0.2 * bend, root + reach + bend], 1))
    joined = torch.cat(points)
    count = len(joined)
    return [
        Strands(
            points=joined,
            radius=taper(0.00022, count, along),
            normals=torch.zeros_like(joined),
            along=along[None].expand(count, -1).contiguous(),
            random=torch.zeros(count, device=device),
            depth=torch.ones(count, device=device),
            material=LASH,
        )
    ]
