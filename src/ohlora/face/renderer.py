"""What every face engine does: draw one expression."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ohlora.expression import Expression


class Renderer(Protocol):
    """Draws one identity. `id` names everything that decides the pixels (weights, z, runtime)."""

    @property
    def id(self) -> str: ...

    @property
    def size(self) -> int:
        """Height and width of a frame in pixels."""
        ...

    def render(self, expression: Expression) -> NDArray[np.uint8]:
        """Return RGB uint8 [size, size, 3]."""
        ...
