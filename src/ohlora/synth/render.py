"""One call from parameters to a picture, its mask and its labels.

renderer = Renderer()
shot = renderer.render(Face(), size=256)
shot.image   [256, 256, 3] uint8 RGB      shot.mask [256, 256] uint8, CLASSES
shot.labels  measured properties, see labels.py
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ohlora.errors import BadInput
from ohlora.synth.background import paint_background
from ohlora.synth.brows import Front, make_brows, make_lashes
from ohlora.synth.camera import aim
from ohlora.synth.degrade import degrade
from ohlora.synth.eyes import make_eyeball, paint_eyes, place_eyeballs
from ohlora.synth.hair import grow
from ohlora.synth.hairstyles import STYLES
from ohlora.synth.head import Shape, load_head
from ohlora.synth.labels import Labels, measure, reduce_classes
from ohlora.synth.light import cast, irradiance, make_lamps
from ohlora.synth.parameters import Face, Person, Scene
from ohlora.synth.scalp import Scalp
from ohlora.synth.shade import paint_strands, shade, tone_map
from ohlora.synth.skin import paint_body, paint_mouth
from ohlora.synth.strands import Strands
from ohlora.synth.surface import look, stack

HAIR_KEPT = 8  # people whose hair is remembered
TEETH_BACK, TEETH_DOWN, TEETH_NARROW = 0.0020, 0.0045, 0.90  # mend of the asset's low-poly teeth


@dataclass(frozen=True)
class Shot:
    image: NDArray[np.uint8]  # [S, S, 3] RGB
    mask: NDArray[np.uint8]  # [S, S] class 0..10
    labels: Labels


class Renderer:
    """Deterministic: the same Face gives the same picture on the same kind of device."""

    def __init__(self, device: str = "cpu", asset: Path | None = None) -> None:
        self.device = torch.device(device)
        self.head = load_head(asset, device)
        self.scalp = Scalp(self.head)
        self.front = Front(self.head)
        self.eyeball = make_eyeball(self.device)
        self._hair: OrderedDict[str, tuple[Strands | None, float]] = OrderedDict()

    @torch.inference_mode()
    def render(self, face: Face, size: int = 256, oversample: int = 3) -> Shot:
        """Draw at `size * oversample` pixels and shrink. Raises BadInput on a bad size."""
        if not 32 <= size <= 1024 or not 1 <= oversample <= 6:
            raise BadInput(
                f"A picture is 32 to 1024 pixels and oversampled 1 to 6 times; got {size}, "
                f"{oversample}.",
                f"그림 크기는 32~1024, 확대는 1~6배여야 해요. 받은 값: {size}, {oversample}.",
            )
        person, scene = face.person, face.scene
        shape = self.head.shape(person, scene)
        camera = aim(shape, scene, size * oversample)
        lamps = make_lamps(scene.light, self.device)
        hair = self._posed_hair(person, shape)
        meshes = stack(self._solid(shape, scene))
        strands = [*make_brows(self.front, shape, person.brow),
                   *make_lashes(self.head, shape, person, scene)]  # fmt: skip
        if hair is not None:
            strands.insert(0, hair)
        s = look(meshes, strands, camera, self.head.inside_mouth)
        finish = paint_body(s, self.head, self.scalp.coverage, person)
        paint_mouth(s, shape.turn, shape.moved)
        wet = paint_eyes(s, shape, person, scene, lamps[0].direction)
        paint_strands(s, person)
        lit = cast(s, meshes, hair, lamps)
        light = irradiance(s, lit, camera.pixels_per_metre / 1000)
        color = shade(s, person, finish, wet, lit, light)

        linear = paint_background(scene.background, camera.size, self.device).reshape(-1, 3)
        linear[s.pixel] = color
        classes = torch.zeros(camera.size**2, dtype=torch.int64, device=self.device)
        classes[s.pixel] = s.label
        display = tone_map(linear, scene.light.exposure).T.reshape(1, 3, camera.size, camera.size)
        small = torch.nn.functional.avg_pool2d(display, oversample)[0].permute(1, 2, 0)
        clean = (small.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
        classes = classes.view(camera.size, camera.size)
        mask = reduce_classes(classes, oversample)
        labels = measure(clean, mask, classes, shape, camera, scene.damage)
        return Shot(degrade(clean, scene.damage), mask, labels)

    def _posed_hair(self, person: Person, shape: Shape) -> Strands | None:
        """Grown once per person (the slow part), then moved with the head."""
        if person.hair.style not in STYLES:
            raise BadInput(
                f"There is no hair style {person.hair.style!r}: pick one of {', '.join(STYLES)}.",
                f"{person.hair.style!r} 머리 모양은 없어요. 가능한 것: {', '.join(STYLES)}.",
            )
        key = repr((person.hair, sorted(person.shape.items()), person.gender, person.age,
                    person.weight, person.african, person.asian, person.caucasian))  # fmt: skip
        if key not in self._hair:
            still = self.head.shape(person)
            chin = float(still.eye_centers[:, 2].mean()) - 0.12
            self._hair[key] = (grow(self.head, self.scalp, still, person.hair), chin)
            while len(self._hair) > HAIR_KEPT:
                self._hair.popitem(last=False)
        self._hair.move_to_end(key)
        hair, chin = self._hair[key]
        return hair.follow(shape.turn, shape.moved, chin) if hair is not None else None

    def _solid(self, shape: Shape, scene: Scene) -> list[tuple[Tensor, Tensor]]:
        """Body, tongue, teeth and eyes as (points, triangles)."""
        out = []
        for name, part in self.head.parts.items():
            points = shape.parts[name]
            if name.endswith("teeth"):
                points = settle_teeth(points, shape, down=name == "upper_teeth")
            out.append((points, part.triangles))
        return out + place_eyeballs(self.eyeball, shape, scene)


def settle_teeth(points: Tensor, shape: Shape, down: bool) -> Tensor:
    """Set the teeth back and narrower, the upper ones lower, in the head's own axes."""
    local = (points - shape.moved) @ shape.turn
    middle = local.mean(0)
    scale = torch.tensor([TEETH_NARROW, 1.0, 1.0], device=points.device)
    shift = torch.tensor([0.0, TEETH_BACK, -TEETH_DOWN if down else 0.0], device=points.device)
    local = middle + (local - middle) * scale + shift
    return local @ shape.turn.T + shape.moved
