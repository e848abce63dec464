"""From slider positions to standard deviations: the axes of the embedded frame pack.

    python -m ohlora.face.calibrate ../shared/data/face_pack_v0 OUT

reads a rendered grid (index.json with yaw_deg, eye_openness, jaw_open and the pixel counts of the
masks) and writes a frame pack whose axes speak property scores:

* mouth   z-score of the inner-mouth pixels over all frames; a level's value is its mean.
* eyes    z-score of the eye pixels over the frames with open eyes, then stretched so that the
          relaxed-open level 0.7 is v1's resting look (-1.2) and the widest level is v1's
          surprise (+1.6). Openness 0 is the closed eyes of a blink.
* pose    yaw in degrees / (25/3): -10 degrees is v1's resting -1.2, 30 degrees its largest 3.6.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.face.lattice import Axes, Cell
from ohlora.face.pack import write_pack

DEGREES_PER_SD = 25 / 3
RESTING_OPENNESS, RESTING_EYES, WIDEST_EYES = 0.7, -1.2, 1.6
DIGITS = 3


def mouth_levels(inner_mouth_px: NDArray[np.float64]) -> list[float]:
    """inner_mouth_px [mouth level, frames of it] -> one value per level."""
    z = (inner_mouth_px - inner_mouth_px.mean()) / inner_mouth_px.std()
    return [round(float(value), DIGITS) for value in z.mean(axis=1)]


def eyes_levels(eye_px: NDArray[np.float64], openness: list[float]) -> list[float]:
    """eye_px [eye level, frames of it], the first level closed -> one value per level."""
    open_px = eye_px[1:]
    z = ((eye_px - open_px.mean()) / open_px.std()).mean(axis=1)
    rest, widest = z[openness.index(RESTING_OPENNESS)], z[-1]
    stretched = RESTING_EYES + (z - rest) * (WIDEST_EYES - RESTING_EYES) / (widest - rest)
    return [round(float(value), DIGITS) for value in stretched]


def pose_levels(yaw_deg: list[float]) -> list[float]:
    return [round(yaw / DEGREES_PER_SD, DIGITS) for yaw in yaw_deg]


def calibrate(index: dict[str, Any]) -> Axes:
    """Axes in standard deviations for a rendered grid."""
    yaws, opens, jaws = (index["axes"][k] for k in ("yaw_deg", "eye_openness", "jaw_open"))
    eye = np.zeros((len(opens), len(jaws) * len(yaws)))
    mouth = np.zeros((len(jaws), len(opens) * len(yaws)))
    for row in index["frames"]:
        p = yaws.index(row["yaw_deg"])
        e, m = opens.index(row["eye_openness"]), jaws.index(row["jaw_open"])
        eye[e, m * len(yaws) + p] = row["eye_px"]
        mouth[m, e * len(yaws) + p] = row["inner_mouth_px"]
    return Axes(
        tuple(eyes_levels(eye, opens)),
        tuple(mouth_levels(mouth)),
        tuple(pose_levels(yaws)),
        closed_eyes=opens.index(0.0),
    )


def make_pack(source: Path, out: Path) -> str:
    """Turn a rendered grid into a frame pack; return its id."""
    index = json.loads((source / "index.json").read_text(encoding="utf-8"))
    axes, grid = calibrate(index), index["axes"]
    frames = {}
    for row in index["frames"]:
        cell = Cell(
            grid["eye_openness"].index(row["eye_openness"]),
            grid["jaw_open"].index(row["jaw_open"]),
            grid["yaw_deg"].index(row["yaw_deg"]),
        )
        frames[cell] = (source / row["file"]).read_bytes()
    notes = {"calibration": {"made_by": "python -m ohlora.face.calibrate", **grid}}
    return write_pack(out, axes, frames, "Apache-2.0", notes)


if __name__ == "__main__":
    print(make_pack(Path(sys.argv[1]), Path(sys.argv[2])))
