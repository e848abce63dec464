"""Hair: guides grown over the skull in one Warp kernel, many children around each guide.

A guide leaves its root between the skin's normal and the way it is combed, then follows
gravity, stiffness and an optional pull to a knot, is kept off the skin and out of the face,
and stops at its length or at the cut height. Curls are helices wound around the guides.
Lengths in metres. `grow` makes the hair of the unposed head; Strands.follow poses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import warp as wp
from torch import Tensor

from ohlora.synth.geometry import smoothstep, unit, value_noise
from ohlora.synth.head import Head, Shape
from ohlora.synth.parameters import Hair
from ohlora.synth.raster import to_warp
from ohlora.synth.strands import HAIR, Strands, join, taper

STEPS = 22  # points on a strand
GUIDES, CHILDREN = 1000, 13  # guides, children per guide
STYLES = ("long", "bob", "curly", "short", "crop", "coils", "bun", "ponytail", "bald")

# The hairline: least elevation (degrees above the centre of the skull) at each azimuth
# (degrees, 0 is the forehead).
HAIRLINE = (
    (0, 20, 38, 52, 66, 80, 98, 108, 125, 150, 180),
    (28, 28, 27, 21, 9, 1, 10, 3, -22, -34, -38),
)
SKULL = (0.0, -0.045, 0.745)  # centre on the template


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
    roots: wp.array(dtype=wp.vec3),  # type: ignore
    directions: wp.array(dtype=wp.vec3),  # type: ignore
    numbers: wp.array2d(dtype=float),  # type: ignore
    knots: wp.array(dtype=wp.vec3),  # type: ignore
    face_y: float,
    steps: int,
    points: wp.array2d(dtype=wp.vec3),  # type: ignore
    normals: wp.array2d(dtype=wp.vec3),  # type: ignore
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
class Roots:
    points: Tensor  # [N, 3]
    normals: Tensor  # [N, 3]
    azimuth: Tensor  # [N] degrees 0 front .. 180 back
    height: Tensor  # [N] metres above the eyes
    edge: Tensor  # [N] 0 at the hairline .. 1 well inside
    above: Tensor  # [N] degrees above the hairline


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


class Scalp:
    """Where hair grows: triangles of the body above the hairline, found once on the template."""

    def __init__(self, head: Head) -> None:
        self.triangles = head.parts["body"].triangles.long()
        center = head.rest[self.triangles].mean(1)
        offset = center - torch.tensor(SKULL, device=head.device)
        flat = torch.hypot(offset[:, 0], offset[:, 1])
        self.azimuth = torch.rad2deg(torch.atan2(offset[:, 0].abs(), -offset[:, 1]))
        elevation = torch.rad2deg(torch.atan2(offset[:, 2], flat))
        least = np.interp(self.azimuth.cpu().numpy(), *HAIRLINE)
        ragged = 5.0 * (value_noise(center, 110.0, 3) - 0.5)
        self.above = elevation - torch.as_tensor(least, dtype=torch.float32).to(head.device)
        uv = head.parts["body"].uv[head.parts["body"].uv_triangles].mean(1)
        grows = (
            (self.above + ragged > 0)
            & (head.sample("ears", uv) < 0.5)
            & (center[:, 2] > 0.66)
            & (offset.norm(dim=1) > 0.06)
        )
        self.chosen = torch.nonzero(grows)[:, 0]
        self.coverage = self._per_vertex(smoothstep(0.0, 6.0, self.above) * grows.float(), head)
        a, b, c = head.rest[self.triangles[self.chosen]].unbind(1)
        self.area = torch.linalg.cross(b - a, c - a).norm(dim=1)

    def _per_vertex(self, value: Tensor, head: Head) -> Tensor:
        """[V] mean over the triangles around each vertex."""
        total = torch.zeros(len(head.rest), device=head.device)
        count = torch.zeros_like(total)
        index = self.triangles.reshape(-1)
        total.index_add_(0, index, value[:, None].expand(-1, 3).reshape(-1))
        count.index_add_(0, index, torch.ones(len(index), device=head.device))
        return total / count.clamp_min(1)

    def sample(self, shape: Shape, count: int, random: torch.Generator) -> Roots:
        device = self.area.device
        thin = 0.35 + 0.65 * smoothstep(0.0, 7.0, self.above[self.chosen])  # sparser at the edge
        picked = torch.multinomial((self.area * thin).cpu(), count, True, generator=random)
        triangle = self.chosen[picked.to(device)]
        corner = self.triangles[triangle]
        r = torch.rand(count, 2, generator=random).to(device)
        r = torch.where(r.sum(1, keepdim=True) > 1, 1 - r, r)
        w = torch.stack([1 - r.sum(1), r[:, 0], r[:, 1]], -1)[..., None]
        points = (shape.parts["body"][corner] * w).sum(1)
        eye_height = shape.eye_centers[:, 2].mean()
        return Roots(
            points,
            unit((shape.normals[corner] * w).sum(1)),
            self.azimuth[triangle],
            points[:, 2] - eye_height,
            smoothstep(0.0, 9.0, self.above[triangle]),
            self.above[triangle],
        )


def grow(head: Head, scalp: Scalp, shape: Shape, hair: Hair) -> Strands | None:
    """The hair of the unposed head, or None when there is none. The same for the same seed."""
    if hair.style == "bald":
        return None
    random = torch.Generator().manual_seed(hair.seed)
    roots = scalp.sample(shape, GUIDES, random)
    plan = make_plan(hair, shape, roots, random)
    points, normals = run(head, shape, roots.points, roots.normals, plan)
    parts = [clothe(hair, scalp.sample(shape, GUIDES * CHILDREN, random), roots, plan,
                    points, normals, random)]  # fmt: skip
    if hair.style in ("bun", "ponytail"):
        parts.append(knot_hair(head, shape, hair, plan.knot[0], random))
    return join(parts)


def make_plan(hair: Hair, shape: Shape, roots: Roots, random: torch.Generator) -> Plan:
    """How each guide is combed and cut, by style."""
    count, device = len(roots.points), roots.points.device

    def uniform(*size: int) -> Tensor:
        return torch.rand(*size, generator=random).to(device)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=random).to(device)

    def full(value: float) -> Tensor:
        return torch.full((count,), value, device=device)

    eye = shape.eye_centers.mean(0)
    x = roots.points[:, 0]
    side = torch.sign(x - hair.part + 0.002 * normal(count) + 1e-5)
    front = ((100 - roots.azimuth) / 60).clamp(0, 1)  # 1 at the forehead, 0 behind the ears
    top = smoothstep(0.0, 0.085, roots.height)
    # Locks: neighbours share lift and length, which gives volume instead of a smooth cap.
    lock = value_noise(roots.points, 55.0, hair.seed)
    plan = Plan(
        comb=torch.zeros(count, 3, device=device), rise=full(0.4),
        length=full(0.5), lift=full(0.004), cut=full(-9.0), gravity=full(1.1),
        stiffness=full(0.85), side=side, face=full(0.060), pull=full(0.0),
        knot=eye.expand(count, 3).clone(),
    )  # fmt: skip
    if hair.style in ("short", "crop"):
        back = 1 - front
        over = torch.stack([full(0.55 * hair.sweep), 0.9 * back - 0.35 * front, full(0.35)], 1)
        down = torch.stack([side * 0.06, 0.30 + 0.05 * back, full(-0.9)], 1)
        plan.comb = over * top[:, None] + down * (1 - top)[:, None]
        plan.length = hair.length * (0.30 + 0.80 * top) * (0.8 + 0.3 * uniform(count))
        plan.rise = 0.35 + (0.9 if hair.style == "crop" else 0.65) * top * hair.volume
        plan.lift = 0.0015 + hair.length * 0.16 * hair.volume * top * (0.4 + 0.9 * lock)
        plan.gravity, plan.stiffness, plan.face = full(0.30), full(1.25), full(0.0)
    elif hair.style == "coils":
        plan.comb = roots.normals + 0.35 * normal(count, 3)
        plan.rise, plan.gravity, plan.stiffness = full(3.0), full(0.10), full(2.0)
        plan.length = hair.length * (0.45 + 0.55 * roots.edge) * (0.85 + 0.3 * uniform(count))
        plan.lift, plan.face = full(0.002), full(0.0)
    elif hair.style in ("bun", "ponytail"):
        knot = eye + torch.tensor([0.0, 0.150, 0.045], device=device)
        if hair.style == "bun":
            knot = knot + torch.tensor([0.0, -0.045, 0.045], device=device) * hair.volume
        plan.knot = knot.expand(count, 3).clone()
        plan.comb = unit(knot - roots.points) + torch.stack([0 * x, 0 * x, 0.25 * front], 1)
        plan.pull, plan.length, plan.gravity = full(0.75), full(0.30), full(0.1)
        plan.rise = 0.25 + 0.35 * hair.volume * top
        plan.lift = 0.003 + 0.005 * hair.volume * top * (0.6 + lock)
        plan.face = full(0.0)
        loose = (roots.azimuth > 46) & (roots.azimuth < 66) & (roots.edge < 0.5)
        loose &= uniform(count) < (0.45 if hair.framing > 0.6 else 0.0)
        let_down(plan, loose, eye[2] - 0.03 - 0.05 * uniform(count), x, uniform(count))
    else:
        # Up and away from the parting first, then gravity takes it down over or behind the ears.
        away = side * (0.55 + 0.55 * front)
        back = (0.02 if hair.covers_ears else 0.42) - 0.15 * front
        plan.comb = torch.stack([away, back, -0.25 + 0.55 * front * top], 1)
        plan.rise = 0.35 + 0.55 * hair.volume * top
        plan.lift = (
            (0.0035 + 0.010 * lock + 0.004 * uniform(count)) * hair.volume * (0.55 + 0.75 * top)
        )
        ragged = 0.016 * normal(count) * (0.4 if hair.style == "bob" else 1.0)
        plan.cut = eye[2] - hair.length + ragged - 0.01 * front + 0.05 * (lock - 0.5)
        plan.gravity = full(1.25)
        loose = (roots.azimuth > 30) & (roots.azimuth < 85)
        loose &= uniform(count) < hair.framing
        plan.face = torch.where(loose, 0.046 + 0.012 * uniform(count), plan.face)
    if hair.fringe > 0:
        cut_fringe(plan, hair, roots, eye, uniform(count), normal(count), uniform(count))
    plan.comb = plan.comb + hair.mess * normal(count, 3)
    return plan


def let_down(plan: Plan, who: Tensor, cut: Tensor, x: Tensor, u: Tensor) -> None:
    """Leave these guides hanging at the temples of a tied style, close to the cheeks."""
    plan.pull = torch.where(who, 0.0, plan.pull)
    plan.cut = torch.where(who, cut, plan.cut)
    plan.gravity = torch.where(who, 1.6, plan.gravity)
    plan.lift = torch.where(who, 0.002 + 0.004 * u, plan.lift)
    plan.face = torch.where(who, 0.044, plan.face)
    plan.side = torch.where(who, torch.sign(x), plan.side)
    down = torch.stack([torch.sign(x) * 0.10, -0.10 + 0 * x, -0.6 + 0 * x], 1)
    plan.comb = torch.where(who[:, None], down, plan.comb)
    plan.rise = torch.where(who, 0.15, plan.rise)


def cut_fringe(
    plan: Plan, hair: Hair, roots: Roots, eye: Tensor, u: Tensor, n: Tensor, v: Tensor
) -> None:
    """Comb the front hair down over the forehead and cut it above the brows."""
    x = roots.points[:, 0]
    who = (roots.azimuth < 52) & (roots.above < 26) & (u < hair.fringe)
    forward = torch.stack([x * 3.0 - 0.25 * hair.sweep, -1.0 + 0 * x, 0.35 + 0 * x], 1)
    plan.comb = torch.where(who[:, None], forward, plan.comb)
    plan.cut = torch.where(who, eye[2] + 0.044 + 0.004 * n - 0.30 * x.abs(), plan.cut)
    plan.lift = torch.where(who, 0.004 + 0.007 * v, plan.lift)
    plan.face = torch.where(who, 0.0, plan.face)
    plan.pull = torch.where(who, 0.0, plan.pull)
    plan.gravity = torch.where(who, 1.1, plan.gravity)


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
    skin = wp.Mesh(points=to_warp(body, wp.vec3), indices=to_warp(triangles, wp.int32))
    points = torch.zeros(count, STEPS, 3, device=device)
    below = torch.zeros(count, STEPS, 3, device=device)
    roots, directions, knots = roots.contiguous(), directions.contiguous(), plan.knot.contiguous()
    wp.launch(
        grow_guides,
        dim=count,
        inputs=[
            skin.id, to_warp(roots, wp.vec3), to_warp(directions, wp.vec3),
            to_warp(numbers, wp.float32), to_warp(knots, wp.vec3),
            float(shape.eye_centers[:, 1].mean()) + 0.045, STEPS,
            to_warp(points, wp.vec3), to_warp(below, wp.vec3),
        ],
        device=str(device),
    )  # fmt: skip
    for _ in range(2):
        middle = 0.25 * points[:, :-2] + 0.5 * points[:, 1:-1] + 0.25 * points[:, 2:]
        points[:, 1:-1] = middle
    return points, below


def clothe(
    hair: Hair, roots: Roots, guide_roots: Roots, plan: Plan,
    guides: Tensor, normals: Tensor, random: torch.Generator,
) -> Strands:  # fmt: skip
    """Children: strands from their own roots that run along a near guide of their side."""
    count, device = len(roots.points), guides.device

    def uniform(*size: int) -> Tensor:
        return torch.rand(*size, generator=random).to(device)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=random).to(device)

    along = torch.linspace(0, 1, STEPS, device=device)
    guides = guides + curls(hair, guides, guide_roots, random)
    side = torch.sign(roots.points[:, 0] - hair.part + 1e-5)
    mine = torch.cat([roots.points, 0.03 * side[:, None]], 1)
    theirs = torch.cat([guide_roots.points, 0.03 * plan.side[:, None]], 1)
    near = torch.cdist(mine, theirs).topk(3, largest=False).indices
    pick = (uniform(count) ** 2 * 3).long().clamp(0, 2)
    guide = near[torch.arange(count, device=device), pick]

    tight = hair.clump * (0.6 + 0.4 * uniform(count))[:, None, None] * along[None, :, None]
    points = guides[guide] + (roots.points - guide_roots.points[guide])[:, None] * (1 - tight)
    # Fly-aways: a few strands leave the lock, all of them a little.
    frizz = (0.0004 + 0.007 * hair.mess) * (1 + 3.0 * (uniform(count, 1, 1) > 0.94))
    phase = along[None, :, None] * (6 + 8 * uniform(count, 1, 1)) + 6.28 * uniform(count, 1, 3)
    points = points + frizz * along[None, :, None] * (
        2.0 * normal(count, 1, 3) + 0.7 * normal(count, 1, 3) * torch.sin(phase)
    )
    # Strands end at different places; those at the hairline are short, fine baby hairs.
    keep = 1 - 0.25 * uniform(count) ** 2
    baby = (roots.edge < 0.35) & (uniform(count) < 0.5) & (roots.azimuth < 110)
    baby &= torch.tensor(hair.fringe == 0, device=device)
    keep = torch.where(baby, 0.35 + 0.4 * uniform(count), keep)
    points = resample(points, keep)
    depth = plan.lift / plan.lift.max().clamp_min(1e-6)
    thick = 0.00026 if hair.style != "coils" else 0.00034
    radius = taper(thick, count, along) * (0.55 + 0.45 * roots.edge)[:, None]
    return Strands(
        points=points,
        radius=radius,
        normals=normals[guide],
        along=along[None].expand(count, -1).contiguous(),
        random=0.6 * uniform(count) + 0.4 * uniform(len(guides))[guide],
        depth=depth[guide],
        material=HAIR,
    )


def curls(hair: Hair, guides: Tensor, roots: Roots, random: torch.Generator) -> Tensor:
    """Helix offsets [G, STEPS, 3]; neighbouring guides start at similar phases."""
    if hair.curl <= 0:
        return torch.zeros_like(guides)
    device = guides.device
    along = torch.linspace(0, 1, STEPS, device=device)
    tangent = unit(torch.cat([guides[:, 1:] - guides[:, :-1], guides[:, -1:] - guides[:, -2:-1]], 1)
                   + 1e-6)  # fmt: skip
    sideways = torch.tensor([0.0, 1.0, 0.0], device=device).expand_as(tangent)
    u = unit(torch.linalg.cross(tangent, sideways) + 1e-6)
    v = torch.linalg.cross(tangent, u)
    loose = torch.rand(len(guides), generator=random).to(device)
    start = 14.0 * value_noise(roots.points, 45.0, hair.seed + 1) + 1.5 * loose
    # Turns per length, so a short guide does not coil more tightly than a long one.
    length = (guides[:, 1:] - guides[:, :-1]).norm(dim=-1).sum(1)
    turns = hair.curl_turns * length / length.median().clamp_min(1e-3)
    phase = start[:, None] + 2 * math.pi * turns[:, None] * along
    size = hair.curl * smoothstep(0.02, 0.35, along) * (0.7 + 0.6 * loose[:, None])
    return size[..., None] * (u * torch.cos(phase)[..., None] + v * torch.sin(phase)[..., None])


def resample(points: Tensor, keep: Tensor) -> Tensor:
    """Shorten strands [N, S, 3] to the share keep [N] of their length, same point count."""
    steps = points.shape[1]
    where = torch.linspace(0, 1, steps, device=points.device)[None] * keep[:, None] * (steps - 1)
    low = where.floor().long().clamp(0, steps - 2)
    share = (where - low)[..., None]

    def at(index: Tensor) -> Tensor:
        return torch.gather(points, 1, index[..., None].expand(-1, -1, 3))

    return at(low) * (1 - share) + at(low + 1) * share


def knot_hair(
    head: Head, shape: Shape, hair: Hair, knot: Tensor, random: torch.Generator
) -> Strands:
    """The bun (a wound ball) or the tail that starts at the knot."""
    device, count = knot.device, 1800
    along = torch.linspace(0, 1, STEPS, device=device)
    spread = torch.randn(count, 3, generator=random).to(device)
    luck = torch.rand(count, generator=random).to(device)
    out = unit(knot - shape.eye_centers.mean(0) - torch.tensor([0, 0.06, -0.02], device=device))
    if hair.style == "bun":
        center = knot + out * 0.016
        axis = unit(out + 0.35 * spread)  # rings around the axis of the knot, each tilted
        u = unit(
            torch.linalg.cross(axis, torch.tensor([1.0, 0.2, 0.1], device=device).expand_as(axis))
        )
        v = torch.linalg.cross(axis, u)
        turn = 2 * math.pi * (luck[:, None] + 0.55 * along)
        offset = axis * ((luck * 7919) % 1 - 0.5)[:, None] * 0.040  # along the axis
        ring = (0.034**2 - (offset.norm(dim=1) ** 2)).clamp_min(1e-6).sqrt()
        ring = ring * (0.90 + 0.12 * ((luck * 104729) % 1))
        points = (
            center + offset[:, None]
            + ring[:, None, None] * (u[:, None] * torch.cos(turn)[..., None]
                                     + v[:, None] * torch.sin(turn)[..., None])
        )  # fmt: skip
        normals = unit(points - center)
        depth = torch.ones(count, device=device)
    else:
        guides = 120
        full = torch.ones(guides, device=device)
        start = knot + 0.006 * spread[:guides]
        side = torch.sign(torch.tensor(hair.part + 1e-5, device=device))
        plan = Plan(
            comb=out + torch.tensor([0.9, 0.0, 0.3], device=device) * side + 0.25 * spread[:guides],
            rise=0 * full, length=0.42 * full, lift=0.006 * full,
            cut=shape.eye_centers[0, 2] - hair.length + 0.02 * spread[:guides, 0],
            gravity=0.75 * full, stiffness=0.9 * full, side=side * full, face=0.075 * full,
            pull=0 * full, knot=knot.expand(guides, 3).clone(),
        )  # fmt: skip
        bundle, below = run(head, shape, start, unit(out + 0.2 * spread[:guides]), plan)
        pick = (luck * guides).long()
        points = bundle[pick] + 0.005 * spread[:, None] * (1 - 0.5 * along)[None, :, None]
        normals, depth = below[pick], 0.7 + 0.3 * luck
    return Strands(
        points=points,
        radius=taper(0.00028, count, along),
        normals=normals,
        along=(0.3 + 0.7 * along)[None].expand(count, -1).contiguous(),
        random=luck,
        depth=depth,
        material=HAIR,
    )
