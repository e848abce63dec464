"""From painted surfaces and light to linear colour, then to a display picture."""

from __future__ import annotations

import torch
from torch import Tensor

from ohlora.synth.geometry import smoothstep, unit
from ohlora.synth.light import Lit
from ohlora.synth.parameters import Hair, Person
from ohlora.synth.skin import Finish, hair_tint
from ohlora.synth.strands import BROW_LEFT, BROW_RIGHT, HAIR, LASH
from ohlora.synth.surface import BODY, LOWER_TEETH, TONGUE, Surface

LASH_LABEL = -1  # takes the class of what is around it


def paint_strands(s: Surface, person: Person) -> None:
    """Colour and class of hair, brows and lashes."""
    hair, device = person.hair, s.points.device
    rows = torch.nonzero(s.material == HAIR)[:, 0]
    along = s.along[rows][:, None]
    color = torch.tensor(hair.color, device=device) * (0.72 + 0.56 * s.random[rows][:, None])
    color = color * (0.66 + 0.34 * smoothstep(0.0, 0.25, along))  # darker roots
    tip = torch.tensor(hair.tip_color, device=device)
    dyed = smoothstep(0.35, 1.0, along) * hair.ombre
    s.albedo[rows] = color * (1 - dyed) + tip * dyed
    s.label[rows] = 10
    for material, label in ((BROW_LEFT, 3), (BROW_RIGHT, 2)):
        s.albedo[s.material == material] = hair_tint(person).to(device)
        s.label[s.material == material] = label
    s.albedo[s.material == LASH] = torch.tensor((0.012, 0.009, 0.008), device=device)
    s.label[s.material == LASH] = LASH_LABEL


def shade(s: Surface, person: Person, finish: Finish, wet: Tensor, lit: list[Lit],
          light: Tensor) -> Tensor:  # fmt: skip
    """[P, 3] linear colour. light [P, 3]: irradiance."""
    teeth = (s.material > TONGUE) & (s.material <= LOWER_TEETH)
    # Enamel lets light through: teeth are not black in the shadow of the lip.
    color = s.albedo * torch.where(teeth[:, None], 0.72 * light + 0.16, light)
    grazing = (1 - (s.normals * s.view).sum(1).clamp(0, 1)) ** 5
    moist = ((s.material >= TONGUE) & (s.material <= LOWER_TEETH)).float()
    power = 34 + 25 * finish.lips + 50 * moist
    strength = (0.15 * person.skin.shine + 0.07 * finish.lips + 0.10 * moist) * (1 - finish.matt)
    solid = ((s.material < HAIR) & (wet < 0.5)).float()
    for i, each in enumerate(lit[:4]):
        half = unit(each.lamp.direction + s.view)
        toward = (s.normals * half).sum(1).clamp_min(0)
        shine = toward**power * (strength + (1 - strength) * 0.5 * grazing * (1 - finish.matt))
        shine = shine * each.visible * (each.facing > 0) * solid * 0.8
        color = color + shine[:, None] * each.lamp.color
        # Catch-lights: the key and fill lamps as small discs on the cornea.
        glint = {0: 1.0, 1: 0.35}.get(i, 0.0) * 2.2 * smoothstep(0.962, 0.975, toward)
        color = color + (0.9 * wet * glint * each.visible.clamp_min(0.5))[:, None] * (
            each.lamp.color
        )
    tone = torch.tensor(person.skin.tone, device=color.device).clamp_min(0.25)
    rim = (s.material == BODY).float() * grazing**0.7 * 0.10 * (1 - finish.matt)
    color = color + rim[:, None] * light * tone
    rows = torch.nonzero(s.material == HAIR)[:, 0]
    if len(rows):
        color[rows] = shade_hair(s, rows, person.hair, lit, light)
    return color


def shade_hair(s: Surface, rows: Tensor, hair: Hair, lit: list[Lit], light: Tensor) -> Tensor:
    """Two-lobe strand shading after Kajiya and Kay 1989 with Marschner's shifted highlights."""
    tangent, normal, view = s.tangents[rows], s.normals[rows], s.view[rows]
    albedo, jitter = s.albedo[rows], (s.random[rows][:, None] - 0.5) * 0.22
    first, second = (
        unit(tangent + (0.10 + jitter) * normal),
        unit(tangent + (jitter - 0.14) * normal),
    )
    white = torch.tensor([1.0, 0.97, 0.92], device=albedo.device)
    total = torch.zeros_like(albedo)

    def across(a: Tensor, b: Tensor) -> Tensor:
        return (1 - (a * b).sum(-1) ** 2).clamp_min(0).sqrt()

    for i, each in enumerate(lit):
        half = unit(each.lamp.direction + view)
        gloss = 0.11 * across(first, half)[:, None] ** 80 * white
        glow = 0.55 * across(second, half)[:, None] ** 18 * albedo
        body = 0.26 * across(tangent, each.lamp.direction)[:, None] * albedo
        seen = each.visible[rows] * smoothstep(-0.3, 0.4, each.facing[rows])
        seen = seen * (1.0 if i in (0, 2) else 0.7)
        total += (gloss + glow + body) * seen[:, None] * each.lamp.color
    # Between the locks it is dark; the tips of thin hair let light through.
    inner = 0.40 + 0.60 * s.depth[rows][:, None].sqrt()
    floor = 0.10 * albedo
    return (albedo * light[rows] * 0.85 + total) * inner + floor


def tone_map(linear: Tensor, exposure: float) -> Tensor:
    """Linear [..., 3] -> display 0..1: a filmic curve, a little saturation, sRGB."""
    x = linear.clamp_min(0) * 0.60 * exposure
    x = ((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)
    grey = (x * torch.tensor([0.3, 0.6, 0.1], device=x.device)).sum(-1, keepdim=True)
    x = (grey + (x - grey) * 1.14).clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-6) ** (1 / 2.4) - 0.055)
