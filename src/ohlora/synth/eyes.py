"""Eyeballs: spheres with a cornea fitted to the asset's eye hulls, and a painted iris."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ohlora.synth.geometry import rotation, smoothstep, unit, value_noise
from ohlora.synth.head import Shape
from ohlora.synth.parameters import Person, Scene
from ohlora.synth.surface import LEFT_EYE, RIGHT_EYE, Surface

AROUND, RINGS = 40, 28
TOE_OUT = 2.0  # degrees: eyes of a relaxed face diverge from the hull's axis a little
SCLERA = (0.80, 0.765, 0.73)


def make_eyeball(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Unit directions [N, 3] (pole towards -y), triangles [T, 3] int32, radii [N] with cornea."""
    angle = torch.cat(
        [torch.linspace(0, 0.62, RINGS // 2), torch.linspace(0.62, 2.0, RINGS // 2 + 1)[1:]]
    )
    around = torch.arange(AROUND) * (2 * math.pi / AROUND)
    directions = torch.stack(
        [
            torch.sin(angle)[:, None] * torch.cos(around),
            -torch.cos(angle)[:, None].expand(-1, AROUND),
            torch.sin(angle)[:, None] * torch.sin(around),
        ],
        -1,
    ).reshape(-1, 3)
    triangles = []
    for ring in range(RINGS - 1):
        for k in range(AROUND):
            a, b = ring * AROUND + k, ring * AROUND + (k + 1) % AROUND
            triangles += [[a, b, b + AROUND], [a, b + AROUND, a + AROUND]]
    bulge = 1 + 0.07 * (1 - smoothstep(0.0, 0.62, angle))
    radii = bulge[:, None].expand(-1, AROUND).reshape(-1)
    return (
        directions.to(device),
        torch.tensor(triangles, dtype=torch.int32, device=device),
        radii.to(device),
    )


def eye_turns(shape: Shape, scene: Scene) -> list[Tensor]:
    """[3, 3] for the left and right eye, from eye to world."""
    gaze = rotation(scene.gaze[0], scene.gaze[1]).to(shape.turn)
    return [shape.turn @ gaze @ rotation(-toe).to(shape.turn) for toe in (TOE_OUT, -TOE_OUT)]


def place_eyeballs(
    ball: tuple[Tensor, Tensor, Tensor], shape: Shape, scene: Scene
) -> list[tuple[Tensor, Tensor]]:
    """(points, triangles) of the left and right eye. Shut lids push the ball back a little,
    so it does not show through the crack."""
    directions, triangles, radii = ball
    shut = max(0.0, 1 - scene.eyes)
    back = shape.turn @ torch.tensor([0.0, 0.0018 * shut**2, 0.0], device=radii.device)
    size = 0.985 - 0.02 * shut
    out = []
    for i, turn in enumerate(eye_turns(shape, scene)):
        local = directions * (radii * shape.eye_radii[i] * size)[:, None]
        out.append((shape.eye_centers[i] + back + local @ turn.T, triangles))
    return out


def paint_eyes(s: Surface, shape: Shape, person: Person, scene: Scene, key: Tensor) -> Tensor:
    """Fill albedo and label of eye pixels; returns wetness [P] 0..1. key: towards the key light.

    The person's left eye is the right one in the picture, class 5.
    """
    wet = torch.zeros(len(s.pixel), device=s.points.device)
    iris_color = torch.tensor(person.iris, device=s.points.device)
    for i, (material, label) in enumerate(((LEFT_EYE, 5), (RIGHT_EYE, 4))):
        rows = torch.nonzero(s.material == material)[:, 0]
        if not len(rows):
            continue
        turn = eye_turns(shape, scene)[i]
        local = unit((s.points[rows] - shape.eye_centers[i]) @ turn)
        angle = torch.acos((-local[:, 1]).clamp(-1, 1))
        u = angle / person.iris_radius  # 0 pupil's centre .. 1 limbus
        around = torch.atan2(local[:, 2], local[:, 0])
        spokes = 0.6 * fibres(around, u * 1.2, 6, 7) + 0.4 * fibres(around, u * 2, 16, 9)
        iris = iris_color * (0.55 + 1.0 * spokes)[:, None]
        iris = iris * (0.75 + 0.9 * smoothstep(1.0, 0.45, u))[:, None]
        collar = smoothstep(0.75, 0.5, u)[:, None]
        iris = iris + iris_color * 0.5 * collar * torch.tensor([1.25, 1.0, 0.7]).to(iris)
        # Light entering the cornea lights the far side of the iris.
        k = key @ turn
        caustic = -(local[:, 0] * k[0] + local[:, 2] * k[2]) / person.iris_radius
        iris = iris * (1 + 0.8 * caustic.clamp(-0.6, 1.2))[:, None]
        iris = iris * (1 - 0.75 * smoothstep(0.80, 1.0, u))[:, None]
        pupil = person.pupil
        iris = iris * smoothstep(pupil - 0.05, pupil + 0.05, u)[:, None] + 0.004
        rim = smoothstep(0.75, 1.15, angle)
        white = torch.tensor(SCLERA).to(iris) * (1 - 0.25 * rim)[:, None]
        white = white * torch.stack([torch.ones_like(rim), 1 - 0.18 * rim, 1 - 0.18 * rim], -1)
        share = smoothstep(1.06, 0.96, u)[:, None]
        # The upper lid shades the top of the ball.
        lid = 1 - 0.35 * smoothstep(0.25, 0.75, local[:, 2])[:, None]
        s.albedo[rows] = (white * (1 - share) + iris * share) * lid
        s.label[rows] = label
        wet[rows] = 1
    return wet


def fibres(around: Tensor, u: Tensor, count: int, seed: int) -> Tensor:
    ring = torch.stack([torch.cos(around) * count, torch.sin(around) * count, u], -1)
    return value_noise(ring, 2.0, seed)
