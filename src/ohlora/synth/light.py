"""Eight directional lights; six cast shadows. Their sum is also the ambient occlusion.

Skin light is blurred a few millimetres, red the farthest: cheap subsurface scattering.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ohlora.synth import parameters
from ohlora.synth.geometry import gaussian_blur, unit
from ohlora.synth.raster import DepthBuffer
from ohlora.synth.strands import HAIR, Strands
from ohlora.synth.surface import BODY, LEFT_EYE, RIGHT_EYE, Meshes, Surface

SHADOW_MAP = 256  # pixels
REACH = 0.25  # metres from the centre to the edge of a shadow map
DEPTH = 1.2  # metres of depth in a shadow map
SCATTER_MM = (2.6, 1.3, 0.8)  # blur of red, green, blue light in skin


@dataclass(frozen=True)
class Lamp:
    direction: Tensor  # [3], towards the lamp
    color: Tensor  # [3]
    soft: bool  # several shadow samples far apart
    shadow: bool


@dataclass(frozen=True)
class Lit:
    """One lamp's effect on every pixel of a Surface."""

    lamp: Lamp
    visible: Tensor  # [P] 0..1
    facing: Tensor  # [P] cosine


def make_lamps(light: parameters.Light, device: torch.device) -> list[Lamp]:
    """Key first, then fill, rim, top, left, right, front, bounce."""
    azimuth, elevation = math.radians(light.azimuth), math.radians(light.elevation)

    def lamp(
        az: float, el: float, rgb: tuple[float, float, float], power: float,
        soft: bool = True, shadow: bool = True,
    ) -> Lamp:  # fmt: skip
        toward = (math.sin(az) * math.cos(el), -math.cos(az) * math.cos(el), math.sin(el))
        color = torch.tensor(rgb, device=device) * power
        return Lamp(torch.tensor(toward, device=device), color, soft, shadow)

    warm = (1.0, 0.93 - 0.05 * light.warmth, 0.85 - 0.12 * light.warmth)
    cool = (0.80, 0.88, 1.0)
    rad, fill = math.radians, light.fill
    behind = rad(150) if azimuth < 0 else rad(-150)
    return [
        lamp(azimuth, elevation, warm, light.key, soft=False),
        lamp(-1.3 * azimuth, rad(12), cool, 0.42 * fill),
        lamp(behind, rad(40), (1.0, 0.95, 0.9), 1.25, soft=False),
        lamp(0.0, rad(82), cool, 0.45 * fill),
        lamp(rad(-80), rad(35), cool, 0.27 * fill),
        lamp(rad(80), rad(35), cool, 0.27 * fill),
        lamp(0.0, rad(12), (1.0, 0.95, 0.92), 0.42 * fill, shadow=False),
        lamp(0.0, rad(-55), (1.0, 0.80, 0.70), 0.20 * fill, shadow=False),
    ]


def cast(s: Surface, meshes: Meshes, hair: Strands | None, lamps: list[Lamp]) -> list[Lit]:
    """How much of each lamp reaches each pixel."""
    center = meshes.points[: meshes.first[1]].mean(0)
    center = torch.stack([center[0], center[1], s.points[:, 2].median()])
    random = torch.Generator().manual_seed(1)
    jitter = (torch.rand(len(s.pixel), 2, generator=random).to(s.points.device) - 0.5) * 3
    solid = meshes.triangles[meshes.material == BODY].contiguous()
    on_mesh = (s.material <= RIGHT_EYE).float()[:, None]
    on_hair = s.material >= HAIR
    start = s.points + s.normals * on_mesh * 0.002
    some = None
    if hair is not None:
        count, steps, _ = hair.points.shape
        some = hair.segments(0).view(count, steps - 1, 2)[::3].reshape(-1, 2).contiguous()
    out = []
    for lamp in lamps:
        facing = s.normals @ lamp.direction
        visible = torch.ones_like(facing)
        if lamp.shadow:
            visible = shadow(lamp, center, meshes, solid, hair, some, start, jitter, on_hair)
        out.append(Lit(lamp, visible, facing))
    return out


def shadow(
    lamp: Lamp, center: Tensor, meshes: Meshes, solid: Tensor, hair: Strands | None,
    some: Tensor | None, points: Tensor, jitter: Tensor, on_hair: Tensor,
) -> Tensor:  # fmt: skip
    """[P] share of the lamp seen, from a depth map of the body and one of the hair."""
    d = lamp.direction
    up = [0.0, 0.0, 1.0] if abs(float(d[2])) < 0.95 else [0.0, 1.0, 0.0]
    u = unit(torch.linalg.cross(d, torch.tensor(up, device=d.device)))
    v = torch.linalg.cross(u, d)

    def project(p: Tensor) -> Tensor:
        q, half = p - center, SHADOW_MAP / 2
        return torch.stack(
            [(q @ u) / REACH * half + half, (q @ v) / REACH * half + half, 0.5 - (q @ d) / DEPTH],
            -1,
        ).contiguous()

    body = DepthBuffer(SHADOW_MAP, d.device)
    body.triangles(project(meshes.points), solid)
    body_depth, hair_depth = body.depth(), None
    if hair is not None and some is not None:
        strands = DepthBuffer(SHADOW_MAP, d.device)
        flat = hair.points.reshape(-1, 3)
        strands.segments(project(flat), torch.ones(len(flat), device=d.device), some)
        hair_depth = strands.depth()
    here = project(points)
    spread = 2.5 if lamp.soft else 1.4
    total = torch.zeros(len(points), device=d.device)
    offsets = ((0.0, 0.0), (1.0, 0.4), (-0.4, 1.0), (-1.0, -0.4))
    for ox, oy in offsets:
        column = (here[:, 0] + ox * spread + jitter[:, 0]).long().clamp(0, SHADOW_MAP - 1)
        row = (here[:, 1] + oy * spread + jitter[:, 1]).long().clamp(0, SHADOW_MAP - 1)
        behind = (here[:, 2] - body_depth[row, column]) * DEPTH  # metres
        seen = 1 - ((behind - 0.004) / 0.006).clamp(0, 1)
        if hair_depth is not None:
            into = (here[:, 2] - hair_depth[row, column]) * DEPTH
            through = torch.exp(-(into - 0.003).clamp_min(0) / 0.016)
            blocked = 1 - ((into - 0.004) / 0.008).clamp(0, 0.92)
            seen = seen * torch.where(on_hair, through, blocked)
        total += seen
    return total / len(offsets)


def irradiance(s: Surface, lit: list[Lit], pixels_per_mm: float) -> Tensor:
    """[P, 3] light arriving, wrapped around soft materials and scattered in skin."""
    total = torch.zeros_like(s.points)
    on_hair = s.material >= HAIR
    eye = (s.material == LEFT_EYE) | (s.material == RIGHT_EYE)
    for each in lit:
        skin = ((each.facing + 0.25) / 1.25).clamp_min(0)
        strand = ((each.facing + 0.6) / 1.6).clamp_min(0) * 0.9
        visible = torch.where(eye, 0.62 + 0.38 * each.visible, each.visible)
        total += (torch.where(on_hair, strand, skin) * visible)[:, None] * each.lamp.color
    ambient = torch.tensor((0.10, 0.10, 0.11), device=total.device)
    total = 0.60 * total + 0.7 * ambient * (0.6 + 0.4 * s.normals[:, 2:3])

    skin = torch.nonzero(s.material == BODY)[:, 0]
    image = torch.zeros(s.size * s.size, 4, device=total.device)
    image[s.pixel[skin], :3] = total[skin]
    image[s.pixel[skin], 3] = 1
    image = image.view(1, s.size, s.size, 4).permute(0, 3, 1, 2)
    for channel, mm in enumerate(SCATTER_MM):
        blurred = gaussian_blur(image[:, [channel, 3]], mm * pixels_per_mm)[0]
        soft = (blurred[0] / blurred[1].clamp_min(1e-3)).reshape(-1)[s.pixel[skin]]
        total[skin, channel] = 0.12 * total[skin, channel] + 0.88 * soft
    return total
