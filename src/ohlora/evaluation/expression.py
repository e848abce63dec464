"""Does her face fit what she says? Held-out lines of docs/expression-guideline.md, against v1.

The error is the mean distance to the guideline's face per axis, in standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ohlora.embedding import load_encoder
from ohlora.evaluation.measures import share
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.expression import Expression, v1_expression
from ohlora.expression.learned import FACES, Learned, lines


def evaluate(encoder: str = "embedded") -> Report:
    words = load_encoder(encoder)
    learned, said = Learned(words.encode), lines("heldout")
    names = list(FACES)
    found = [names[i] for i in learned.feelings([line for line, _ in said]).argmax(axis=1)]
    right = [feeling == guess for (_, feeling), guess in zip(said, found, strict=True)]
    ours, v1 = errors(learned, said), errors(v1_expression, said)
    axes = ("eyes", "mouth", "pose")
    numbers = [
        Number("right feeling", share(sum(right), len(right)), of=len(right)),
        Number("error, learned", round(float(ours.mean()), 3), "sd", lower_is_better=True),
        Number("error, v1 rules", round(float(v1.mean()), 3), "sd", lower_is_better=True),
        *(Number(f"error of {axis}, learned", round(float(ours[:, i].mean()), 3), "sd",
                 lower_is_better=True, note=f"v1 rules {v1[:, i].mean():.3f}")
          for i, axis in enumerate(axes)),
    ]  # fmt: skip
    by_feeling = {
        name: share(sum(ok for ok, (_, of) in zip(right, said, strict=True) if of == name),
                    sum(of == name for _, of in said))
        for name in names
    }  # fmt: skip
    return Report(
        "expression",
        "Her face",
        {"encoder": words.id, "lines": len(lines())},
        numbers,
        [Plot("right feeling", by_feeling)],
        rows=[{"line": line, "wanted": of, "found": guess}
              for (line, of), guess in zip(said, found, strict=True)],
    )  # fmt: skip


def errors(face: Callable[[str], Expression], said: list[tuple[str, str]]) -> NDArray[np.float64]:
    """Distance from the guideline's face [N, 3]."""
    shown, wanted = [face(line) for line, _ in said], [FACES[feeling] for _, feeling in said]
    found: NDArray[np.float64] = np.abs(
        np.array([(one.eyes, one.mouth, one.pose) for one in shown])
        - np.array([(one.eyes, one.mouth, one.pose) for one in wanted])
    )
    return found
