"""Hair: guides (guides.py), combed by style (hairstyles.py), and many children around each.

`grow` makes the hair of the unposed head; Strands.follow poses it. Curls are helices wound
around the guides. Lengths in metres.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ohlora.synth.geometry import smoothstep, unit, value_noise
from ohlora.synth.guides import STEPS, Plan, run
from ohlora.synth.hairstyles import make_plan
from ohlora.synth.head import Head, Shape
from ohlora.synth.parameters import Hair
from ohlora.synth.scalp import Roots, Scalp
from ohlora.synth.strands import HAIR, Strands, join, taper

GUIDES, CHILDREN = 1000, 13  # guides, children per guide


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
    wild = (0.0004 + 0.007 * hair.mess) * (0.4 if hair.style == "crop" else 1.0)
    frizz = wild * (1 + 3.0 * (uniform(count, 1, 1) > 0.94))
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
    ring: Tensor = u * torch.cos(phase)[..., None] + v * torch.sin(phase)[..., None]
    return size[..., None] * ring


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
