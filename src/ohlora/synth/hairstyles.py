"""Hair styles: how each guide is combed, lifted, cut and tied. Metres."""

from __future__ import annotations

import torch
from torch import Tensor

from ohlora.synth.geometry import smoothstep, unit, value_noise
from ohlora.synth.guides import Plan
from ohlora.synth.head import Shape
from ohlora.synth.parameters import Hair
from ohlora.synth.scalp import Roots

STYLES = ("long", "bob", "curly", "short", "crop", "coils", "bun", "ponytail", "bald")


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


def cut_fringe(
    plan: Plan, hair: Hair, roots: Roots, eye: Tensor, u: Tensor, n: Tensor, v: Tensor
) -> None:
    """Comb the front hair down over the forehead and cut it above the brows."""
    x = roots.points[:, 0]
    who = (roots.azimuth < 52) & (roots.above < 26) & (u < hair.fringe)
    forward = torch.stack([x * 3.0 - 0.25 * hair.sweep, -1.0 + 0 * x, 0.35 + 0 * x], 1)
    plan.comb = torch.where(who[:, None], forward, plan.comb)
    plan.cut = torch.where(who, eye[2] + 0.050 + 0.004 * n - 0.30 * x.abs(), plan.cut)
    plan.lift = torch.where(who, 0.004 + 0.007 * v, plan.lift)
    plan.face = torch.where(who, 0.0, plan.face)
    plan.pull = torch.where(who, 0.0, plan.pull)
    plan.gravity = torch.where(who, 1.1, plan.gravity)
