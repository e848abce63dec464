"""Input pictures of the golden CNN, CVAE and FaceXFormer files, from their own descriptions.

"random" is uniform in [0, 1), "normal" is standard normal; every value fills an 8 x 8 square;
"*2-1" moves [0, 1) to [-1, 1).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from golden.fill import normal, uniform


def picture(row: dict[str, Any], size: int, count: int) -> Tensor:
    """float32 [count, 3, size, size]; row has seed_string and dist."""
    draw = normal if "normal" in row["dist"] else uniform
    small = torch.from_numpy(draw(row["seed_string"], (count, 3, size // 8, size // 8)))
    image = small.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    return image * 2 - 1 if "*2-1" in row["dist"] else image
