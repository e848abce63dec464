# mypy: ignore-errors
"""Guides: the few hundred curves that hair follows, grown over the skull in one Warp kernel.

A guide leaves its root between the skin's normal and the way it is combed, then follows
gravity, stiffness and an optional pull to a knot, is kept off the skin and out of the face,
and stops at its length or at the cut height. Lengths in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import warp as wp
from torch import Tensor

from ohlora.synth.geometry import unit
from ohlora.synth.head import Head, Shape
from ohlora.synth.raster import to_warp, torch_stream

STEPS = 22  # points on a strand


@wp.struct
class Guide:
    segment: float  # length of a step
    lift: float  # distance kept from the skin
    cut: float  # height of the cut
    gravity: float
    stiffness: float
    side: float  # -1 right, 1 left
    face: float  # half width of the face it keeps out of; 0 for a fringe
    pull: float  # towards the knot, 0..1
    knot: wp.vec3


@wp.kernel
def grow_guides(
    skin: wp.uint64,
    roots: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    numbers: wp.array2d(dtype=float),
    knots: wp.array(dtype=wp.vec3),
    face_y: float,
    steps: int,
    points: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
):
    i = wp.tid()
    g = Guide()
    g.segment = numbers[i, 0]
    g.lift = numbers[i, 1]
    g.cut = numbers[i, 2]
    g.gravity = numbers[i, 3]
    g.stiffness = numbers[i, 4]
    g.side = numbers[i, 5]
    g.face = numbers[i, 6]
    g.pull = numbers[i, 7]
    g.knot = knots[i]
    p = roots[i]
    d = directions[i]
    n = d
    growing = int(1)  # noqa: UP018  Warp: a variable, not a constant
    for s in range(steps):
        t = float(s) / float(steps)
        near = wp.mesh_query_point_sign_normal(skin, p, 0.15)
        gap = float(1.0)  # noqa: UP018
        if near.result:
            foot = wp.mesh_eval_position(skin, near.face, near.u, near.v)
            away = p - foot
            gap = wp.length(away) * near.sign
            n = wp.mesh_eval_face_normal(skin, near.face)
            if wp.abs(gap) > 1.0e-5:
                n = wp.normalize(away * near.sign)
            wanted = g.lift * wp.min(1.0, 0.15 + 4.0 * t)
            if gap < wanted:
                p = foot + n * (wanted * 0.6 + wp.max(gap, 0.0) * 0.4)
        points[i, s] = p
        normals[i, s] = n
        if growing == 1:
            f = d * g.stiffness - wp.vec3(0.0, 0.0, g.gravity * (0.35 + t))
            to_knot = g.knot - p
            far = wp.length(to_knot)
            if g.pull > 0.0:
                f = d * g.stiffness * (1.0 - g.pull) + to_knot / wp.max(far, 0.001) * g.pull * 2.0
                if far < 0.012:
                    growing = 0
            if g.face > 0.0 and p[1] < face_y and wp.abs(p[0]) < g.face:
                inside = wp.clamp((face_y - p[1]) * 40.0, 0.0, 1.0)
                f = f + wp.vec3(g.side * 1.3, 0.5, 0.0) * inside
            d = wp.normalize(f)
            into = wp.dot(d, n)
            if into < 0.0 and gap < g.lift * 1.8 + 0.001:
                d = wp.normalize(d - n * into * 0.95)  # slide along the skin
            p = p + d * g.segment
            if p[2] < g.cut:
                growing = 0


@dataclass
class Plan:
    """One row per guide; what the kernel needs."""

    comb: Tensor  # [N, 3]
    rise: Tensor  # [N] how steeply it leaves the skin
    length: Tensor
    lift: Tensor
    cut: Tensor
    gravity: Tensor
    stiffness: Tensor
    side: Tensor
    face: Tensor
    pull: Tensor
    knot: Tensor  # [N, 3]


def run(
    head: Head, shape: Shape, roots: Tensor, normals: Tensor, plan: Plan
) -> tuple[Tensor, Tensor]:
    """Guides as points and skin normals [N, STEPS, 3]."""
    count, device = len(roots), roots.device
    tangent = plan.comb - (plan.comb * normals).sum(1, keepdim=True) * normals * 0.8
    directions = unit(unit(tangent) + normals * plan.rise[:, None])
    numbers = torch.stack(
        [plan.length / STEPS, plan.lift, plan.cut, plan.gravity, plan.stiffness, plan.side,
         plan.face, plan.pull], 1
    ).float().contiguous()  # fmt: skip
    body = shape.parts["body"].contiguous()
    triangles = head.parts["body"].triangles.reshape(-1).contiguous()
    points = torch.zeros(count, STEPS, 3, device=device)
    below = torch.zeros(count, STEPS, 3, device=device)
    roots, directions, knots = roots.contiguous(), directions.contiguous(), plan.knot.contiguous()
    face_y = float(shape.eye_centers[:, 1].mean()) + 0.045
    with torch_stream(device):
        skin = wp.Mesh(points=to_warp(body, wp.vec3), indices=to_warp(triangles, wp.int32))
        wp.launch(
            grow_guides,
            dim=count,
            inputs=[
                skin.id, to_warp(roots, wp.vec3), to_warp(directions, wp.vec3),
                to_warp(numbers, wp.float32), to_warp(knots, wp.vec3), face_y, STEPS,
                to_warp(points, wp.vec3), to_warp(below, wp.vec3),
            ],
            device=str(device),
        )  # fmt: skip
    for _ in range(2):
        middle = 0.25 * points[:, :-2] + 0.5 * points[:, 1:-1] + 0.25 * points[:, 2:]
        points[:, 1:-1] = middle
    return points, below
