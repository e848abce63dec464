"""Which memory a message means, or none: one conditional logit over the memories and silence.

    score    [N] = measures [N, F] @ memory [F]     of each memory that may come
    silence      = turn [T] @ silence [T]           of recalling nothing
    P(memory i)  = exp(score_i) / (exp(silence) + sum exp(score))      McFadden 1974

The weights are fitted by `python -m ohlora.training.recall`, one set for each family of encoders
("static-ko" of "static-ko@fb602162"), and kept in recall.json by the names of the measures.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.memory.matching import NAMES, TURN

Numbers = NDArray[np.float64]
SURE = 0.5  # P(silence) above which nothing is recalled
WEIGHTS = Path(__file__).parent / "recall.json"


@dataclass(frozen=True)
class Scorer:
    memory: Numbers  # [F], order NAMES
    silence: Numbers  # [T], order TURN

    def scores(self, measures: Numbers, turn: Numbers) -> Numbers:
        """Of each memory [N] above silence: what is recalled alone is above 0."""
        return np.asarray(measures @ self.memory - turn @ self.silence)


def recalls(scores: Numbers) -> bool:
    """Some memory may be meant: silence is no surer than SURE."""
    return len(scores) > 0 and float(np.logaddexp.reduce(scores)) > math.log(1 / SURE - 1)


@cache
def scorer_for(family: str) -> Scorer:
    """The weights fitted for these encoders; for others those of the first family."""
    table: dict[str, Any] = json.loads(WEIGHTS.read_text("utf-8"))
    fitted = table.get(family) or next(iter(table.values()))
    return Scorer(
        np.array([fitted["memory"][name] for name in NAMES]),
        np.array([fitted["silence"][name] for name in TURN]),
    )


def family_of(encoder_id: str) -> str:
    """static-ko of static-ko@fb602162."""
    return encoder_id.partition("@")[0]
