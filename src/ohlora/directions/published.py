"""Oh-LoRA v2's own directions: VectorFind-v7, one CSV a property and group of faces.

    eyes_change_w_vector_hlh.csv     a header ",0,1,...,511" and one row "0,v0,...,v511"

The vectors are normals of LinearSVC between the classes 'largest' and 'smallest'; scikit-learn
sorts class names, so 'smallest' is the positive side and ADDING a vector LOWERS its property.
The product multiplied every score by -1; here the vectors are turned round once.
The group's three letters say whether hair colour, hair length and background brightness of a
face lie at or above (h) or below (l) the medians -0.2709, 0.3052, 0.0742.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ohlora.directions.control import (
    FEATURES,
    PROPERTIES,
    Array,
    Directions,
    identity_response,
)
from ohlora.errors import CheckpointError

LIMITS = np.array([(-1.2, 1.2), (-1.8, 1.8), (-1.8, 1.8)])  # steps in w, those of v7's test
MAX_BYTES = 1 << 20


def load_vectorfind(folder: Path, group: str, generator: str = "") -> Directions:
    """The directions of a group, uncalibrated: a knob is a step in w until `for_face` measures.

    Raises CheckpointError when one of the three files is missing or holds something else.
    """
    moves = np.stack([-read_vector(folder / f"{name}_change_w_vector_{group}.csv")
                      for name in PROPERTIES])  # fmt: skip
    # Without scores nothing is known about the response but its form: a wide spread.
    spread = np.tile(np.eye(FEATURES), (3, 1, 1))
    zeros = np.zeros_like(moves)
    return Directions(
        "w", "published", generator, LIMITS, identity_response(LIMITS), spread, np.full(3, 0.2),
        reader=zeros, bias=np.zeros(3), moves=moves, scorer="none: steps in w",
    )  # fmt: skip


def read_vector(path: Path) -> Array:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        if len(rows) != 1 or len(rows[0]) != len(header) or header[:2] != ["", "0"]:
            raise ValueError(f"{len(rows)} rows")
        vector = np.array([float(cell) for cell in rows[0][1:]])
        if not np.isfinite(vector).all():
            raise ValueError("NaN or infinity")
    except FileNotFoundError as error:
        raise wrong(path, "no such file", "파일이 없음") from error
    except (OSError, ValueError) as error:
        raise wrong(path, str(error)[:100], str(error)[:100]) from error
    return vector


def wrong(path: Path, found: str, found_ko: str) -> CheckpointError:
    return CheckpointError(
        path,
        "expected a direction of VectorFind-v7 (a header and one row of numbers), found "
        f"{found}: check the folder and the group, e.g. hlh.",
        f"VectorFind-v7의 방향 CSV(머리글과 숫자 한 줄)여야 하는데 쓸 수 없어요({found_ko}). "
        "폴더와 그룹(예: hlh)을 확인해 주세요.",
    )
