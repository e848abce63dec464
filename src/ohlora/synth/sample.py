"""Random people and scenes: adults only, attractive and plausible. Deterministic in the seed.

Every normal draw is clamped to 1.5 standard deviations, so no face is a caricature. Age 0 is
MakeHuman's young adult of about 25; there is nothing younger to sample.
"""

from __future__ import annotations

import colorsys
import random
from dataclasses import replace

from ohlora.synth.parameters import (
    Background,
    Brow,
    Color,
    Damage,
    Face,
    Hair,
    Light,
    Person,
    Scene,
    Skin,
)

SKIN: dict[str, Color] = {
    "pale": (0.62, 0.415, 0.32),
    "light": (0.58, 0.36, 0.255),
    "medium": (0.50, 0.305, 0.21),
    "tan": (0.36, 0.205, 0.13),
    "dark": (0.17, 0.092, 0.057),
}
HAIR: dict[str, Color] = {
    "black": (0.012, 0.010, 0.009),
    "dark brown": (0.035, 0.019, 0.011),
    "brown": (0.085, 0.040, 0.019),
    "auburn": (0.16, 0.050, 0.020),
    "blonde": (0.40, 0.265, 0.135),
    "platinum": (0.62, 0.53, 0.40),
    "grey": (0.33, 0.32, 0.31),
}
DYED: tuple[Color, ...] = ((0.42, 0.12, 0.22), (0.10, 0.17, 0.40), (0.08, 0.26, 0.24))
IRIS: tuple[Color, ...] = (
    (0.13, 0.065, 0.03), (0.24, 0.14, 0.05), (0.13, 0.21, 0.10), (0.12, 0.21, 0.35),
    (0.18, 0.22, 0.25),
)  # fmt: skip
# race: shares african, asian, caucasian; skin tones to mix
RACES: dict[str, tuple[tuple[float, float, float], tuple[str, ...]]] = {
    "caucasian": ((0.05, 0.05, 0.90), ("pale", "light", "light", "medium")),
    "african": ((0.85, 0.05, 0.10), ("tan", "dark", "dark")),
    "asian": ((0.05, 0.85, 0.10), ("pale", "light", "medium")),
    "mixed": ((0.33, 0.33, 0.34), ("medium", "tan", "light")),
}
# morph: standard deviation, mean of women, mean of men
SHAPE: dict[str, tuple[float, float, float]] = {
    "eye-scale-incr": (0.12, 0.55, 0.35),
    "eye-height1-incr": (0.16, 0.18, 0.00),
    "eye-height2-incr": (0.18, 0.45, 0.18),
    "eye-height3-incr": (0.16, 0.18, 0.00),
    "eye-corner1-up": (0.20, 0.00, 0.00),
    "eye-corner2-up": (0.25, 0.12, 0.00),
    "eye-trans-out": (0.20, 0.00, 0.00),
    "eye-push1-out": (0.15, 0.00, 0.00),
    "cheek-volume-incr": (0.22, 0.12, -0.05),
    "cheek-bones-incr": (0.28, 0.15, 0.10),
    "cheek-inner-incr": (0.18, 0.00, 0.00),
    "ear-scale-incr": (0.20, -0.15, 0.00),
    "chin-width-incr": (0.22, -0.20, 0.12),
    "chin-height-incr": (0.20, -0.08, 0.00),
    "chin-prominent-incr": (0.20, -0.05, 0.10),
    "chin-bones-incr": (0.20, 0.00, 0.15),
    "head-scale-horiz-incr": (0.16, 0.00, 0.00),
    "head-scale-vert-incr": (0.14, -0.15, -0.10),
    "head-fat-incr": (0.18, -0.05, -0.05),
    "forehead-scale-vert-incr": (0.16, -0.15, 0.00),
    "nose-scale-vert-incr": (0.22, -0.10, 0.00),
    "nose-scale-horiz-incr": (0.22, -0.20, -0.05),
    "nose-scale-depth-incr": (0.18, -0.10, 0.00),
    "nose-hump-incr": (0.20, -0.15, 0.00),
    "nose-point-up": (0.25, 0.12, 0.00),
    "nose-volume-incr": (0.20, -0.20, -0.10),
    "nose-width1-incr": (0.20, 0.00, 0.00),
    "nose-flaring-incr": (0.20, -0.10, 0.00),
    "mouth-scale-horiz-incr": (0.20, 0.00, 0.00),
    "mouth-scale-vert-incr": (0.15, 0.10, 0.00),
    "mouth-upperlip-volume-incr": (0.22, 0.22, 0.00),
    "mouth-lowerlip-volume-incr": (0.22, 0.30, 0.00),
    "mouth-cupidsbow-incr": (0.22, 0.00, 0.00),
    "mouth-trans-up": (0.15, 0.05, 0.00),
    "mouth-angles-up": (0.10, 0.15, 0.10),
    "eyebrows-trans-up": (0.20, -0.10, -0.10),
    "eyebrows-angle-up": (0.12, -0.12, -0.05),
}
BAD_SHARE = 0.05  # of pictures with visibly bad quality


class Dice:
    """A seeded source with the few draws we use."""

    def __init__(self, *seed: int) -> None:
        self.random = random.Random("-".join(map(str, seed)))

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def normal(self, mean: float, deviation: float) -> float:
        z = self.random.gauss(0, 1)
        return mean + deviation * max(-1.5, min(1.5, z))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def choose(self, weights: dict[str, float]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def sign(self) -> int:
        return 1 if self.chance(0.5) else -1


def sample_person(seed: int, gender: float | None = None) -> Person:
    """gender: 1 woman, 0 man, None 62 % women."""
    dice = Dice(seed, 1)
    if gender is None:
        gender = 1.0 if dice.chance(0.62) else 0.0
    woman = gender > 0.5
    race = dice.choose({"caucasian": 0.36, "african": 0.20, "asian": 0.28, "mixed": 0.16})
    shares, tones = RACES[race]
    a, b, mix = SKIN[dice.random.choice(tones)], SKIN[dice.random.choice(tones)], dice.uniform(0, 1)
    bright = dice.uniform(0.95, 1.05)
    tone = color(tuple(bright * (x * mix + y * (1 - mix)) for x, y in zip(a, b, strict=True)))
    age = {"young": dice.uniform(0.0, 0.08), "middle": dice.uniform(0.08, 0.35),
           "old": dice.uniform(0.35, 0.75)}[
        dice.choose({"young": 0.65, "middle": 0.23, "old": 0.12})
    ]  # fmt: skip
    shape = {
        name: dice.normal(mean_woman if woman else mean_man, deviation)
        for name, (deviation, mean_woman, mean_man) in SHAPE.items()
    }
    if race == "asian":
        shape["eye-epicanthus-in"] = dice.uniform(0.1, 0.5)
    hair = sample_hair(dice, seed, woman, race, age)
    lips = ((0.55, 0.14, 0.15), (0.46, 0.07, 0.09), (0.52, 0.19, 0.15), (0.50, 0.16, 0.20))
    dark_lips = ((0.25, 0.06, 0.065), (0.20, 0.045, 0.06))
    skin = Skin(
        tone=tone,
        blush=dice.uniform(0.2, 0.65) * (1.0 if woman else 0.5),
        lip=dice.uniform(0.15, 0.7) if woman else 0.0,
        lip_color=dice.random.choice(lips if tone[0] > 0.3 else dark_lips),
        lid=dice.uniform(0.1, 0.6) if woman and dice.chance(0.5) else 0.0,
        liner=dice.uniform(0.5, 1.0) if woman else 0.15,
        freckles=dice.uniform(0.2, 0.5) if tone[0] > 0.45 and dice.chance(0.15) else 0.0,
        stubble=0.0 if woman or dice.chance(0.4) else dice.uniform(0.2, 0.85),
        shine=dice.uniform(0.6, 1.05),
        seed=seed % 100_000,
    )
    brown = race in ("african", "asian") or dice.chance(0.45)
    return Person(
        gender=gender,
        age=age,
        weight=dice.uniform(0.32, 0.62),
        african=shares[0],
        asian=shares[1],
        caucasian=shares[2],
        shape=shape,
        skin=skin,
        hair=hair,
        brow=Brow(
            thickness=dice.uniform(0.75, 1.05) if woman else dice.uniform(0.85, 1.15),
            density=dice.uniform(0.75, 1.0) if woman else dice.uniform(0.6, 0.85),
            arch=dice.uniform(0.8, 1.2) if woman else dice.uniform(0.45, 0.8),
            lightness=dice.uniform(0.0, 0.2) if woman else dice.uniform(0.1, 0.3),
        ),
        iris=IRIS[0] if brown else dice.random.choice(IRIS),
        iris_radius=dice.uniform(0.50, 0.56),
        pupil=dice.uniform(0.32, 0.44),
        lashes=dice.uniform(0.85, 1.1) if woman else dice.uniform(0.4, 0.6),
        cloth=soft_color(dice, 0.7, 0.03, 0.55),
        neckline=dice.uniform(-0.006, 0.006),
    )


def sample_hair(dice: Dice, seed: int, woman: bool, race: str, age: float) -> Hair:
    grey = {"grey": 0.5} if age > 0.35 else {}
    if race in ("african", "asian"):
        name = dice.choose({"black": 0.6, "dark brown": 0.3, "brown": 0.1, **grey})
    else:
        name = dice.choose({"black": 0.15, "dark brown": 0.25, "brown": 0.25, "auburn": 0.1,
                            "blonde": 0.2, "platinum": 0.05, **grey})  # fmt: skip
    shade = dice.uniform(0.85, 1.2)  # lighter or darker, hardly another hue
    base = color(tuple(max(0.005, shade * x * dice.uniform(0.97, 1.03)) for x in HAIR[name]))
    if dice.chance(0.03):
        base = dice.random.choice(DYED)
    coily = race == "african" and dice.chance(0.6)
    if woman:
        style = dice.choose({"long": 0.44, "bob": 0.16, "curly": 0.12, "ponytail": 0.10,
                             "bun": 0.10, "short": 0.08})  # fmt: skip
        if coily:
            style = dice.choose({"coils": 0.45, "curly": 0.3, "bun": 0.25})
    else:
        style = dice.choose({"short": 0.62, "crop": 0.26, "bald": 0.04, "bob": 0.08})
        if coily:
            style = dice.choose({"crop": 0.55, "coils": 0.45})
    length = {
        "long": dice.uniform(0.15, 0.32), "curly": dice.uniform(0.10, 0.28),
        "bob": dice.uniform(0.075, 0.125), "short": dice.uniform(0.035, 0.075),
        "crop": dice.uniform(0.010, 0.022), "coils": dice.uniform(0.02, 0.06),
        "bun": 0.1, "ponytail": dice.uniform(0.12, 0.26), "bald": 0.0,
    }[style]  # fmt: skip
    curl, turns = 0.0, 3.0
    if style == "curly":
        curl, turns = dice.uniform(0.008, 0.014), dice.uniform(3.5, 6.0)
    elif style == "coils":
        curl, turns = dice.uniform(0.003, 0.005), dice.uniform(2.5, 4.0)
    elif style in ("long", "ponytail", "bob", "short") and dice.chance(0.55):
        curl, turns = dice.uniform(0.002, 0.009), dice.uniform(1.0, 2.5)
    fringed = woman and style in ("long", "bob", "bun", "ponytail") and dice.chance(0.28)
    return Hair(
        style=style,
        color=base,
        tip_color=color(tuple(min(0.6, 2.2 * x + 0.04) for x in base)),
        ombre=dice.uniform(0.2, 0.6) if woman and dice.chance(0.25) else 0.0,
        length=length,
        part=dice.random.choice((0.0, dice.uniform(-0.035, 0.035))),
        volume=dice.uniform(0.75, 1.25),
        curl=curl,
        curl_turns=turns,
        clump=dice.uniform(0.35, 0.65),
        fringe=dice.uniform(0.6, 0.95) if fringed else 0.0,
        framing=dice.uniform(0.0, 1.0),
        mess=dice.uniform(0.04, 0.14),
        sweep=dice.sign() * dice.uniform(0.3, 1.0),
        seed=seed,
    )


def sample_scene(seed: int, neutral: bool = False) -> Scene:
    """A picture of anyone: turn, expression, light, background, and damage in 1 of 20."""
    dice = Dice(seed, 2)
    scene = Scene(
        yaw=dice.normal(0, 18),
        pitch=dice.normal(0, 5),
        roll=dice.normal(0, 6),
        eyes={"open": dice.uniform(0.85, 1.1), "half": dice.uniform(0.1, 0.85), "shut": 0.0,
              "wide": dice.uniform(1.1, 1.4)}[
            dice.choose({"open": 0.52, "half": 0.25, "shut": 0.07, "wide": 0.16})
        ],
        jaw={"shut": 0.0, "little": dice.uniform(0.04, 0.3), "open": dice.uniform(0.3, 0.85)}[
            dice.choose({"shut": 0.45, "little": 0.35, "open": 0.20})
        ],
        smile=dice.uniform(0.0, 0.65),
        brows_up=dice.normal(0.25, 0.22),
        gaze=(dice.normal(0, 5), dice.normal(0, 3)),
        frame=dice.uniform(0.275, 0.295),
        shift=(dice.normal(0, 0.003), dice.normal(0, 0.003)),
        light=Light(
            azimuth=dice.sign() * dice.uniform(15, 58),
            elevation=dice.uniform(20, 50),
            key=dice.uniform(1.5, 1.95),
            fill=dice.uniform(0.8, 1.15),
            warmth=dice.normal(0, 0.5),
            exposure=dice.uniform(0.95, 1.08),
        ),
        background=Background(
            kind=dice.choose({"plain": 0.3, "gradient": 0.35, "blobs": 0.35}),
            color=soft_color(dice, 0.35, 0.05, 0.75),
            contrast=dice.uniform(0.05, 0.45),
            angle=dice.uniform(0, 6.28),
            seed=seed,
        ),
        damage=sample_damage(dice, seed),
    )  # fmt: skip
    if neutral:
        return replace(scene, yaw=0.0, pitch=0.0, roll=0.0, eyes=1.0, jaw=0.0, brows_up=0.0,
                       gaze=(0.0, 0.0), damage=Damage())  # fmt: skip
    return scene


def sample_damage(dice: Dice, seed: int) -> Damage:
    """Nearly clean for 19 of 20; the other one is blurred, noisy, blocky or tiny."""
    if not dice.chance(BAD_SHARE):
        jpeg = dice.random.choice((0, 0, 92, 88))
        return Damage(noise=dice.uniform(0, 1.5), jpeg=jpeg, seed=seed)
    kind = dice.choose({"blur": 0.35, "noise": 0.25, "jpeg": 0.2, "tiny": 0.2})
    return Damage(
        blur=dice.uniform(3.0, 6.0) if kind == "blur" else 0.0,
        noise=dice.uniform(40, 75) if kind == "noise" else 0.0,
        jpeg=dice.random.randint(2, 5) if kind == "jpeg" else 0,
        downscale=dice.uniform(6.0, 11.0) if kind == "tiny" else 1.0,
        seed=seed,
    )


def sample_face(seed: int, gender: float | None = None) -> Face:
    return Face(sample_person(seed, gender), sample_scene(seed))


def her() -> Person:
    """Oh-LoRA's own face: the person the narrow domain is built around."""
    shape = {name: woman for name, (_, woman, _) in SHAPE.items()}
    shape |= {
        "eye-scale-incr": 0.75, "eye-height1-incr": 0.25, "eye-height2-incr": 0.50,
        "eye-height3-incr": 0.25, "eye-trans-out": 0.08, "chin-width-incr": -0.30,
        "chin-height-incr": -0.15, "mouth-upperlip-volume-incr": 0.35,
        "mouth-lowerlip-volume-incr": 0.45, "mouth-angles-up": 0.22, "nose-volume-incr": -0.20,
        "nose-scale-horiz-incr": -0.25, "head-fat-incr": -0.05,
    }  # fmt: skip
    return Person(
        asian=0.2,
        caucasian=0.8,
        weight=0.45,
        shape=shape,
        skin=Skin(tone=SKIN["light"], blush=0.55, lip=0.42, liner=0.8, lid=0.15, seed=7),
        hair=Hair(style="long", color=(0.38, 0.235, 0.11), tip_color=(0.47, 0.32, 0.16), ombre=0.4,
                  length=0.27, part=0.022, volume=1.1, curl=0.005, curl_turns=1.6, clump=0.55,
                  framing=0.75, mess=0.05, seed=2),
        brow=Brow(thickness=0.9, density=1.0, arch=1.0, lightness=0.0),
        iris=(0.11, 0.22, 0.38),
    )  # fmt: skip


def soft_color(dice: Dice, saturation: float, low: float, high: float) -> Color:
    hsv = dice.uniform(0, 1), dice.uniform(0, saturation), dice.uniform(low, high)
    return color(tuple(max(0.01, c) for c in colorsys.hsv_to_rgb(*hsv)))


def color(values: tuple[float, ...]) -> Color:
    red, green, blue = values
    return red, green, blue
