"""What a picture shows besides the three scores: how a face looks, where it looks, what moved.

Read off the class map and the pixels under it. A look (colours of skin, hair, lips and brows,
proportions of nose and brows) tells people of the domain apart, roughly; it stands in for face
recognition where that is not installed (face_identity.Looks).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.directions.control import Array
from ohlora.vision.stages import ParsedFace

Pixels = NDArray[np.uint8]
SKIN, BROWS, NOSE, LIPS, HAIR, BACKGROUND = (1,), (2, 3), (6,), (7, 9), (10,), (0,)
UNSEEN = 255  # outside the crop nothing is known
LOOKS = 17  # numbers of a look
# Below this a difference is measuring, not a person: levels for colours, shares for lengths.
FINEST = np.repeat((2.0, 0.02), (12, 5))


def look(face: ParsedFace) -> Array:
    """Whose face: 17 numbers, nan where a part is hidden.

    Mean RGB of skin, hair, lips and brows, then lengths over the distance between the brows:
    nose width, nose height, brows to nose, mean brow width, and the skin's area (its root).
    """
    found = np.full(LOOKS, np.nan)
    masks = [np.isin(face.classes, part) for part in (SKIN, HAIR, LIPS, BROWS)]
    for i, mask in enumerate(masks):
        if mask.sum() >= 10:
            found[3 * i : 3 * i + 3] = face.face[mask].mean(axis=0)
    boxes = {part: box(face.classes == part) for part in (2, 3, 6)}
    if all(one is not None for one in boxes.values()):
        left, right, nose = (np.array(boxes[part]) for part in (2, 3, 6))
        middle = (left + right) / 2
        between = abs((right[0] + right[2] - left[0] - left[2]) / 2)
        if between >= 8:
            lengths = [
                nose[2] - nose[0],
                nose[3] - nose[1],
                nose[3] - (middle[1] + middle[3]) / 2,
                (left[2] - left[0] + right[2] - right[0]) / 2,
                np.sqrt(masks[0].sum()),
            ]
            found[12:] = np.array(lengths) / between
    return found


def turn(face: ParsedFace) -> float:
    """How far the nose stands from the middle between the brows, over their distance; yaw.

    v2's pose score is the slope of the line through the eyes; this sees a turn without a tilt.
    """
    centres = {}
    for part in (2, 3, 6):
        y, x = np.nonzero(face.classes == part)
        if len(x) < 5:
            return float("nan")
        centres[part] = x.mean()
    between = centres[3] - centres[2]
    return float((centres[6] - (centres[2] + centres[3]) / 2) / between) if between else np.nan


def box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 of all but the outermost 2 % of a part's pixels."""
    y, x = np.nonzero(mask)
    if len(x) < 5:
        return None
    left, right = np.percentile(x, (2, 98))
    top, bottom = np.percentile(y, (2, 98))
    return float(left), float(top), float(right), float(bottom)


def on_frame(face: ParsedFace, height: int, width: int) -> Pixels:
    """The class map laid back on its picture [height, width]; UNSEEN around the crop."""
    frame = np.full((height, width), UNSEEN, np.uint8)
    x1, y1, x2, y2 = (int(side) for side in face.crop)
    small = Image.fromarray(face.classes).resize((x2 - x1, y2 - y1), Image.Resampling.NEAREST)
    frame[y1:y2, x1:x2] = np.asarray(small)
    return frame


def moved(images: Pixels, frames: list[Pixels | None], groups: NDArray[np.int64]) -> Array:
    """How much background and hair change when only eyes and mouth do, in levels of 0..255.

    images [N, R, R, 3] with their class maps; each group holds one face at one pose, its first
    picture is what the others are held against. Returns [2]: background, hair; nan when unseen.
    """
    found: list[list[float]] = [[], []]
    for group in np.unique(groups):
        seen = [(images[i].astype(int), frame) for i in np.flatnonzero(groups == group)
                if (frame := frames[i]) is not None]  # fmt: skip
        for image, frame in seen[1:]:
            first, first_frame = seen[0]
            change = np.abs(image - first).mean(axis=2)
            for kind, part in enumerate((BACKGROUND, HAIR)):
                both = np.isin(frame, part) & np.isin(first_frame, part)
                if both.sum() >= 10:
                    found[kind].append(float(change[both].mean()))
    return np.array([np.mean(one) if one else np.nan for one in found])
