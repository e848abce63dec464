"""How well the sentence encoder orders pairs by likeness: KorSTS test and KLUE-STS dev.

Both sets are under CC BY-SA 4.0 and not part of this project; `data` is a folder with
kor_nlu/sts-test.tsv and klue_dev/klue-sts-v1.1_dev.json, plain or with .xz appended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from ohlora.embedding import Encoder
from ohlora.errors import BadInput
from ohlora.evaluation.measures import spearman
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.training.encoder_data import Scored, klue_sts_dev, korsts

BAR = 0.75
TIMED = 200  # sentences


def evaluate(encoder: Encoder, data: Path) -> Report:
    """Raises BadInput when a set is missing or not readable."""
    try:
        sets = {"KorSTS test": korsts(data, "test"), "KLUE-STS dev": klue_sts_dev(data)}
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{data} must hold kor_nlu/sts-test.tsv and klue_dev/klue-sts-v1.1_dev.json ({error}).",
            f"{data}에 kor_nlu/sts-test.tsv와 klue_dev/klue-sts-v1.1_dev.json이 "
            f"있어야 해요({error}).",
        ) from error
    numbers, plots = [], []
    for name, rows in sets.items():
        cosine = similarity(encoder, rows)
        score = spearman(cosine, [row[2] for row in rows])
        bar = BAR if name.startswith("KorSTS") else None
        numbers.append(Number(f"{name}, Spearman", round(score, 4), of=len(rows), bar=bar))
        plots.append(Plot(f"{name}: mean cosine by human score", by_score(cosine, rows)))
    numbers.append(
        Number("one sentence, median", round(milliseconds(encoder, sets["KorSTS test"]), 3), "ms",
               bar=5.0, lower_is_better=True)
    )  # fmt: skip
    setting = {"encoder": encoder.id, "dim": encoder.dim}
    return Report("encoder", "The sentence encoder", setting, numbers, plots)


def similarity(encoder: Encoder, rows: Sequence[Scored]) -> np.ndarray:
    """Cosine of each pair [N]."""
    left, right = encoder.encode([r[0] for r in rows]), encoder.encode([r[1] for r in rows])
    return np.asarray((left * right).sum(axis=1))


def by_score(cosine: np.ndarray, rows: Sequence[Scored]) -> dict[str, float]:
    """Mean cosine of pairs with a human score around 0, 1, ... 5."""
    nearest = np.round([row[2] * 5 for row in rows]).astype(int)
    return {
        str(score): round(float(cosine[nearest == score].mean()), 4)
        for score in range(6)
        if (nearest == score).any()
    }


def milliseconds(encoder: Encoder, rows: Sequence[Scored]) -> float:
    times = []
    encoder.encode([rows[0][0]])
    for row in rows[:TIMED]:
        started = time.perf_counter()
        encoder.encode([row[0]])
        times.append(time.perf_counter() - started)
    return median(times) * 1e3
