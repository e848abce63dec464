"""People near her: a latent code to a Person, and her to any expression.

The narrow domain of the embedded face. Every number of the code moves one thing (a shape of the
face, a colour, the length of the hair); 0 everywhere is her, standard normal numbers are other
young women with hair like hers. What a code does not move is hers, down to the strands, so the
picture is a smooth function of code and expression, which a small generator can learn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ohlora.synth.parameters import Background, Color, Face, Light, Person, Scene
from ohlora.synth.sample import HAIR, IRIS, SHAPE, SKIN, Dice, color, her

OTHERS = (
    "skin_dark", "skin_warm", "hair_light", "hair_red", "hair_length", "hair_volume", "iris",
    "lip", "lip_color", "blush", "lid", "brow_thickness", "brow_arch", "asian", "weight",
    "cloth_red", "cloth_green", "cloth_blue", "background_red", "background_green",
    "background_blue", "warmth",
)  # fmt: skip
CODE = (*SHAPE, *OTHERS)  # what number i of a code moves
CODE_SIZE = len(CODE)
LIMIT = 2.0  # standard deviations; further out is drawn as this
ROLL_OF_YAW = 0.27  # people tilt their head as they turn it

SKINS = (SKIN["pale"], SKIN["light"], SKIN["medium"], SKIN["tan"])
HAIRS = (HAIR["black"], HAIR["dark brown"], HAIR["brown"], (0.30, 0.17, 0.075), HAIR["blonde"])
IRISES = (IRIS[0], IRIS[1], IRIS[2], IRIS[3])
LIPS: tuple[Color, ...] = ((0.46, 0.09, 0.11), (0.55, 0.12, 0.14), (0.55, 0.20, 0.17))


def person_near(code: Sequence[float], spread: float = 1.0) -> Person:
    """The person of a code [CODE_SIZE or longer]; spread 0 gives her whatever the code.

    Raises ValueError on a code that is too short.
    """
    if len(code) < CODE_SIZE:
        raise ValueError(f"a code has {CODE_SIZE} numbers, got {len(code)}")
    at = {n: spread * max(-LIMIT, min(LIMIT, z)) for n, z in zip(CODE, code, strict=False)}
    own = her()
    shape = {n: own.shape[n] + 0.8 * SHAPE[n][0] * at[n] for n in SHAPE}
    asian = squash(own.asian, at["asian"])
    hair_color = shift(along(HAIRS, own.hair.color, 0.84, at["hair_light"]), 0.16 * at["hair_red"])
    tone = along(SKINS, own.skin.tone, 0.34, 0.8 * at["skin_dark"])
    return replace(
        own,
        asian=asian,
        caucasian=1 - asian,
        weight=own.weight + 0.05 * at["weight"],
        shape=shape,
        skin=replace(
            own.skin,
            tone=shift(tone, 0.05 * at["skin_warm"]),
            blush=own.skin.blush + 0.12 * at["blush"],
            lip=own.skin.lip + 0.14 * at["lip"],
            lip_color=along(LIPS, own.skin.lip_color, 0.5, at["lip_color"]),
            lid=squash(own.skin.lid, at["lid"]),
        ),
        hair=replace(
            own.hair,
            color=hair_color,
            tip_color=color(
                tuple(
                    c * b / a
                    for a, b, c in zip(own.hair.color, own.hair.tip_color, hair_color, strict=True)
                )
            ),
            length=own.hair.length + 0.025 * at["hair_length"],
            volume=own.hair.volume + 0.08 * at["hair_volume"],
        ),
        brow=replace(
            own.brow,
            thickness=own.brow.thickness + 0.06 * at["brow_thickness"],
            arch=own.brow.arch + 0.12 * at["brow_arch"],
        ),
        iris=along(IRISES, own.iris, 0.92, 1.2 * at["iris"]),
        cloth=tint(own.cloth, at, "cloth"),
    )


def scene_near(code: Sequence[float], spread: float = 1.0) -> Scene:
    """The scene a code comes with: its background and light, she at rest."""
    at = {n: spread * max(-LIMIT, min(LIMIT, z)) for n, z in zip(CODE, code, strict=False)}
    behind = tint((0.10, 0.14, 0.36), at, "background")
    return Scene(
        frame=0.245,
        smile=0.25,
        background=Background(kind="blobs", color=behind, contrast=0.22, seed=3),
        light=Light(warmth=0.4 * at["warmth"]),
    )


def express(scene: Scene, yaw: float, eyes: float, jaw: float) -> Scene:
    """yaw in degrees, eyes 0 shut .. 1.45 wide, jaw 0 shut .. 1 wide open."""
    return replace(scene, yaw=yaw, roll=ROLL_OF_YAW * yaw, eyes=eyes, jaw=jaw)


def code_of(person_seed: int, own_share: float) -> list[float]:
    """The code of a person of `sample_near`: zeros for her (`own_share` of people)."""
    own = Dice(person_seed, 3).chance(own_share)
    return [0.0] * CODE_SIZE if own else random_code(person_seed)


def random_code(seed: int) -> list[float]:
    return [float(z) for z in np.random.default_rng(seed).standard_normal(CODE_SIZE)]


def sample_near(person_seed: int, scene_seed: int, spread: float, own_share: float) -> Face:
    """Her (in `own_share` of people) or a person near her, with some expression.

    In 3 of 10 pictures the expression is an everyday one (`everyday` says which), in the others
    it covers the whole range evenly, so that the corners are learnt too.
    """
    code = code_of(person_seed, own_share)
    dice = Dice(scene_seed, 4)
    jaw = 0.0 if dice.chance(0.25) else dice.uniform(0, 0.85)
    if everyday(scene_seed):
        yaw = max(-30.0, min(30.0, dice.random.gauss(0, 8.3)))
        eyes = max(0.0, min(1.45, dice.random.gauss(0.95, 0.23)))
    else:
        yaw = dice.uniform(-32, 32)
        eyes = 0.0 if dice.chance(0.15) else dice.uniform(0.05, 1.45)
    return Face(person_near(code, spread), express(scene_near(code, spread), yaw, eyes, jaw))


def seed_of_scene(seed: int, index: int) -> int:
    """The scene of picture `index` of a data set with this seed."""
    return seed * 10_000_019 + index


def everyday(scene_seed: int) -> bool:
    """Whether `sample_near` draws an everyday expression: these set mean and deviation."""
    return Dice(scene_seed, 5).chance(0.3)


def squash(middle: float, by: float) -> float:
    """A share in 0..1, `middle` at 0, moved smoothly and never past the ends."""
    return 1 / (1 + math.exp(-(math.log(middle / (1 - middle)) + by)))


def along(stops: Sequence[Color], own: Color, middle: float, by: float) -> Color:
    """Her own colour, moved as the line through the stops moves from its place `middle`."""
    start, end = path(stops, middle), path(stops, squash(middle, by))
    return color(tuple(max(0.006, c + b - a) for a, b, c in zip(start, end, own, strict=True)))


def path(stops: Sequence[Color], share: float) -> Color:
    """The colour at `share` 0..1 of the way along the stops."""
    where = share * (len(stops) - 1)
    i = min(int(where), len(stops) - 2)
    part = where - i
    return color(
        tuple(a * (1 - part) + b * part for a, b in zip(stops[i], stops[i + 1], strict=True))
    )


def shift(base: Color, by: float) -> Color:
    """Redder (+) or cooler (-)."""
    red, green, blue = base
    return red * math.exp(by), green, blue * math.exp(-by)


def tint(base: Color, at: dict[str, float], what: str) -> Color:
    red, green, blue = (
        c * math.exp(0.45 * at[f"{what}_{name}"])
        for c, name in zip(base, ("red", "green", "blue"), strict=True)
    )
    return red, green, blue
