"""What a synthetic face is made of: plain data, the whole recipe of one picture.

A Face is a Person (who) in a Scene (how she looks in this picture). Both are frozen, and
`to_dict` / `from_dict` round-trip through JSON. Colours are linear RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Skin:
    tone: Color = (0.64, 0.385, 0.265)
    blush: float = 0.5  # 0..1
    lip: float = 0.4  # 0 bare .. 1 lipstick
    lip_color: Color = (0.55, 0.12, 0.14)
    lid: float = 0.0  # eye shadow, 0..1
    liner: float = 0.8  # eye liner, 0..1
    freckles: float = 0.0  # 0..1
    stubble: float = 0.0  # 0..1
    shine: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Hair:
    """style: long, bob, curly, short, crop, coils, bun, ponytail, bald."""

    style: str = "long"
    color: Color = (0.085, 0.040, 0.019)
    tip_color: Color = (0.085, 0.040, 0.019)
    ombre: float = 0.0  # how far the tips take tip_color, 0..1
    length: float = 0.25  # metres below the eyes (long styles) or of a strand (short ones)
    part: float = 0.02  # metres left of the middle
    volume: float = 1.0
    curl: float = 0.0  # radius of the curls, metres
    curl_turns: float = 3.0  # turns along a strand
    clump: float = 0.5  # 0 loose .. 1 tight locks
    fringe: float = 0.0  # share of the front hair cut to a fringe, 0..1
    framing: float = 0.5  # how far locks fall over the temples and cheeks, 0..1
    mess: float = 0.1
    sweep: float = 0.6  # short styles: to the side, sign is the side
    seed: int = 0

    @property
    def covers_ears(self) -> bool:
        return self.style in ("long", "bob", "curly") and self.framing > 0.35


@dataclass(frozen=True)
class Brow:
    thickness: float = 1.0
    density: float = 1.0
    arch: float = 1.0
    lightness: float = 0.0  # towards the skin tone, 0..1


@dataclass(frozen=True)
class Person:
    gender: float = 1.0  # 1 woman .. 0 man
    age: float = 0.0  # 0 young adult .. 1 old; there is nothing younger
    weight: float = 0.5  # 0..1
    african: float = 0.0  # shares, sum 1
    asian: float = 0.2
    caucasian: float = 0.8
    shape: Mapping[str, float] = field(default_factory=dict)  # morph -> weight, see head.py
    skin: Skin = Skin()
    hair: Hair = Hair()
    brow: Brow = Brow()
    iris: Color = (0.13, 0.22, 0.10)
    iris_radius: float = 0.53  # radians seen from the centre of the eye
    pupil: float = 0.36  # share of the iris
    lashes: float = 1.0
    cloth: Color = (0.10, 0.16, 0.22)
    neckline: float = 0.0  # metres up


@dataclass(frozen=True)
class Light:
    azimuth: float = -38.0  # degrees, key light, + is to the face's left
    elevation: float = 38.0  # degrees
    key: float = 1.95
    fill: float = 1.0
    warmth: float = 0.0  # -1 cool .. 1 warm
    exposure: float = 1.05


@dataclass(frozen=True)
class Background:
    """kind: plain, gradient, blobs."""

    kind: str = "gradient"
    color: Color = (0.30, 0.36, 0.42)
    contrast: float = 0.25  # standard deviation relative to the mean
    angle: float = 1.2  # radians, gradient
    seed: int = 0


@dataclass(frozen=True)
class Damage:
    """What spoils the picture after rendering; all 0 is a clean one."""

    blur: float = 0.0  # sigma, pixels of a 256 px picture
    noise: float = 0.0  # standard deviation, 0..255 units
    jpeg: int = 0  # 0 none, else JPEG quality 1..95
    downscale: float = 1.0  # shrunk by this and enlarged again
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    yaw: float = 0.0  # degrees, + turns to the viewer's right
    pitch: float = 0.0  # degrees, + looks up
    roll: float = 0.0  # degrees
    eyes: float = 1.0  # 0 shut, 1 normal, 1.4 wide
    jaw: float = 0.0  # 0 shut .. 1 wide open
    smile: float = 0.2  # 0..1
    brows_up: float = 0.0  # -1 lowered .. 1 raised
    gaze: tuple[float, float] = (0.0, 0.0)  # degrees: left, up
    frame: float = 0.285  # width of the picture at the face, metres
    shift: tuple[float, float] = (0.0, 0.0)  # of the face in the picture, metres
    light: Light = Light()
    background: Background = Background()
    damage: Damage = Damage()


@dataclass(frozen=True)
class Face:
    person: Person = Person()
    scene: Scene = Scene()


def to_dict(face: Face) -> dict[str, Any]:
    return asdict(face)


def from_dict(data: Mapping[str, Any], kind: type[Any] = Face) -> Any:
    """The inverse of to_dict, after JSON (lists become tuples). Unknown names raise KeyError."""
    known = {f.name: f for f in fields(kind)}
    given = {}
    for name, value in data.items():
        default = known[name].default
        if is_dataclass(default) and isinstance(value, Mapping):
            value = from_dict(value, type(default))
        elif isinstance(value, list):
            value = tuple(value)
        given[name] = value
    return kind(**given)
