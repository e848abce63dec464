"""Skin, lips, mouth and clothes: colour and class of every visible point of the body.

Places are given on the template (metres), so a blush sits on the cheek of any face.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ohlora.synth.brows import brow_area
from ohlora.synth.geometry import smoothstep, value_noise
from ohlora.synth.head import Head
from ohlora.synth.parameters import Person
from ohlora.synth.surface import BODY, LOWER_TEETH, TONGUE, UPPER_TEETH, Surface

NOSE_REACH = 0.42  # a point belongs to the nose above this


@dataclass(frozen=True)
class Finish:
    """How body pixels reflect, [P] each, 0 elsewhere."""

    lips: Tensor
    matt: Tensor  # 1 inside the mouth and on cloth: no highlight
    ears: Tensor


def hair_tint(person: Person) -> Tensor:
    """Colour of brows: between hair and skin."""
    hair, skin = torch.tensor(person.hair.color), torch.tensor(person.skin.tone)
    tint = hair * 0.5 + skin * 0.05 + 0.004
    return tint * (1 - person.brow.lightness) + skin * 0.5 * person.brow.lightness


def paint_body(s: Surface, head: Head, coverage: Tensor, person: Person) -> Finish:
    """Fill albedo and label of BODY pixels. coverage [V]: where hair grows, 0..1."""
    rows = torch.nonzero(s.material == BODY)[:, 0]
    skin, device = person.skin, s.points.device
    part = head.parts["body"]
    rest = s.at_vertices(rows, head.rest)
    uv = (part.uv[part.uv_triangles[s.triangle[rows]]] * s.weight[rows][..., None]).sum(1)
    x, y, z = rest[:, 0].abs(), rest[:, 1], rest[:, 2]
    lips = smoothstep(0.3, 0.7, head.sample("lips", uv))
    inside = head.sample("inside-mouth", uv) > 0.5
    lid, ear = head.sample("eyelids", uv), head.sample("ears", uv)
    drop = s.at_vertices(rows, head.mouth_drop)

    def color(*rgb: float) -> Tensor:
        return torch.tensor(rgb, device=device)

    def spot(cx: float, cz: float, sx: float, sz: float) -> Tensor:
        front = (y < -0.06).float()
        return torch.exp(-(((x - cx) / sx) ** 2) - ((z - cz) / sz) ** 2) * front

    def mix(base: Tensor, other: Tensor, share: Tensor) -> Tensor:
        return base * (1 - share[:, None]) + other * share[:, None]

    tone = color(*skin.tone)
    mottle = 0.6 * value_noise(rest, 90.0, skin.seed) + 0.4 * value_noise(rest, 260.0, skin.seed)
    fine = value_noise(rest, 900.0, skin.seed + 1) - 0.5
    out = tone * (1 + (0.10 * (mottle - 0.5) + 0.05 * fine)[:, None] * color(0.7, 1.0, 1.1))
    blush = skin.blush * (spot(0.046, 0.695, 0.020, 0.016) + 0.15 * spot(0, 0.63, 0.020, 0.012))
    blush = (blush + 0.35 * spot(0, 0.69, 0.012, 0.010) + 0.25 * ear).clamp(0, 1)
    out = mix(out, out * color(1.10, 0.72, 0.70), blush)
    tired = 0.30 * spot(0.030, 0.716, 0.018, 0.006)
    out = out * (1 - tired[:, None] * color(0.25, 0.32, 0.30))
    out = mix(out, out * color(0.55, 0.35, 0.35), 0.6 * skin.lid * lid)
    out = out * (1 - 0.16 * lid[:, None])
    liner = skin.liner * s.at_vertices(rows, head.lid_line)
    out = mix(out, color(0.10, 0.08, 0.08) * out, liner)
    if skin.freckles > 0:
        dots = (value_noise(rest, 330.0, 3) > 0.74) & (spot(0, 0.70, 0.06, 0.016) > 0.2)
        out = out * (1 - skin.freckles * dots.float()[:, None] * color(0.22, 0.38, 0.45))
    if skin.stubble > 0:
        jaw = smoothstep(0.674, 0.655, z) * smoothstep(0.0, -0.05, y) * smoothstep(0.60, 0.62, z)
        moustache = 0.9 * spot(0, 0.674, 0.022, 0.006)
        grain = (0.5 + 0.7 * value_noise(rest, 900.0, 1)).clamp(0, 1)
        beard = (jaw + moustache).clamp(0, 1) * grain * skin.stubble * (1 - lips)
        out = out * (1 - 0.55 * beard[:, None]) + 0.02 * beard[:, None] * color(0.3, 0.4, 0.6)

    bare = tone * (
        color(0.88, 0.58, 0.56) * person.gender + color(0.92, 0.70, 0.65) * (1 - person.gender)
    )
    lip = bare * (1 - skin.lip) + color(*skin.lip_color) * skin.lip
    creases = value_noise(rest * color(6.0, 1.0, 1.0), 120.0, 2) - 0.5
    seam = 1 - 0.35 * smoothstep(0.75, 1.0, head.sample("inside-mouth", uv) + 0.4 * lips)
    out = mix(out, lip * ((1 + 0.15 * creases) * seam)[:, None], lips)

    brow = brow_area(rest, person.brow)
    out = mix(out, hair_tint(person).to(device), 0.35 * brow * person.brow.density)
    scalp = torch.zeros_like(x)
    if person.hair.style != "bald":
        scalp = s.at_vertices(rows, coverage)
        under = color(*person.hair.color) * 0.45 + 0.06 * tone
        out = mix(out, under, 0.85 * scalp)
    out = torch.where(inside[:, None], color(0.25, 0.055, 0.05), out)
    collar = 0.594 + person.neckline + 0.28 * (x - 0.03).clamp_min(0)
    collar = collar - 0.25 * (-y - 0.02).clamp_min(0)
    cloth = smoothstep(0.0, -0.004, z - collar)
    weave = 0.85 + 0.3 * value_noise(rest, 500.0, 4)
    out = mix(out, color(*person.cloth) * weave[:, None], cloth)
    s.albedo[rows] = out

    label = torch.ones(len(rows), dtype=torch.int64, device=device)
    label[cloth > 0.5] = 0
    label[scalp > 0.5] = 10
    label[s.at_vertices(rows, head.nose) > NOSE_REACH] = 6
    label[(brow > 0.5) & (rest[:, 0] <= 0)] = 2  # left in the picture
    label[(brow > 0.5) & (rest[:, 0] > 0)] = 3
    label[(lips > 0.5) & (drop <= 0.45)] = 7
    label[(lips > 0.5) & (drop > 0.45)] = 9
    label[inside] = 8
    s.label[rows] = label

    def everywhere(value: Tensor) -> Tensor:
        out = torch.zeros(len(s.pixel), device=device)
        out[rows] = value
        return out

    return Finish(
        everywhere(lips), everywhere(torch.maximum(inside.float(), cloth)), everywhere(ear)
    )


def paint_mouth(s: Surface, turn: Tensor, moved: Tensor) -> None:
    """Tongue and teeth; the teeth are one band with dark gaps between them."""
    device = s.points.device
    tongue = s.material == TONGUE
    s.albedo[tongue] = torch.tensor((0.50, 0.16, 0.15), device=device)
    s.label[tongue] = 8
    for material, width in ((UPPER_TEETH, 0.0076), (LOWER_TEETH, 0.0056)):
        rows = torch.nonzero(s.material == material)[:, 0]
        if not len(rows):
            continue
        local = (s.points[rows] - moved) @ turn
        # The middle gap lies between the two front teeth.
        gap = torch.remainder(local[:, 0] + width / 2, width) - width / 2
        shade = 1 - 0.22 * torch.exp(-((gap / 0.00045) ** 2))
        # Molars are in the dark; so is the tongue's side of the row, seen from the side.
        behind = local[:, 1] - local[:, 1].min()
        shade = shade * (1 - 0.93 * smoothstep(0.003, 0.013, behind))
        inner = (s.normals[rows] * s.view[rows]).sum(1) < 0.05
        shade = torch.where(inner, 0.12 * shade, shade)
        gum = torch.tensor((0.30, 0.08, 0.07), device=device) * 0.35
        enamel = torch.tensor((0.78, 0.73, 0.66), device=device)
        s.albedo[rows] = enamel * shade[:, None] + gum * (1 - shade[:, None])
        s.label[rows] = 8
