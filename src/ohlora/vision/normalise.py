"""Scores in standard deviations: what the networks were trained on.

    statistics = Normalisation.fit(table)       mean and sample deviation (n - 1) of each column
    statistics.save(path)                       the original threw these away; without them a
    Normalisation.load(path).apply(table)       new picture cannot be scored on the same scale

A table is a dict of columns; None and non-finite values count for nothing and stay None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from ohlora.errors import BadInput, CheckpointError
from ohlora.files import write_whole

Column = Sequence[float | None]
DECIMALS = 4


@dataclass(frozen=True)
class Normalisation:
    means: Mapping[str, float]
    deviations: Mapping[str, float]
    rows: int  # how many rows the statistics come from

    @staticmethod
    def fit(table: Mapping[str, Column]) -> Normalisation:
        """Raises BadInput when a column has fewer than two numbers."""
        means, deviations = {}, {}
        for name, column in table.items():
            values = [float(value) for value in column if is_number(value)]
            if len(values) < 2:
                raise BadInput(
                    f"Column {name} has {len(values)} usable values and normalising needs at "
                    "least two: score more faces, or apply saved statistics.",
                    f"{name} 열에 쓸 수 있는 값이 {len(values)}개뿐이에요. 정규화에는 둘 이상 "
                    "필요하니 얼굴을 더 계산하거나 저장된 통계를 적용해 주세요.",
                )
            mean = math.fsum(values) / len(values)
            squares = math.fsum((value - mean) ** 2 for value in values)
            means[name], deviations[name] = mean, math.sqrt(squares / (len(values) - 1))
        rows = max((len(column) for column in table.values()), default=0)
        return Normalisation(means, deviations, rows)

    def apply(self, table: Mapping[str, Column]) -> dict[str, list[float | None]]:
        """Standard deviations from the mean, 4 decimals; a column that never varies gives 0."""
        return {
            name: [self._scaled(name, value) for value in column] for name, column in table.items()
        }

    def _scaled(self, name: str, value: float | None) -> float | None:
        if not is_number(value):
            return None
        deviation = self.deviations[name]
        return round((value - self.means[name]) / deviation, DECIMALS) if deviation else 0.0

    def save(self, path: Path) -> None:
        columns = {
            name: {"mean": self.means[name], "std": self.deviations[name]} for name in self.means
        }
        body = {"rows": self.rows, "ddof": 1, "columns": columns}
        write_whole(path, (json.dumps(body, indent=1) + "\n").encode())

    @staticmethod
    def load(path: Path) -> Normalisation:
        """Raises CheckpointError when the file is missing or is not what `save` writes."""
        try:
            body = json.loads(path.read_text())
            columns = body["columns"]
            return Normalisation(
                {name: float(row["mean"]) for name, row in columns.items()},
                {name: float(row["std"]) for name, row in columns.items()},
                int(body["rows"]),
            )
        except OSError as error:
            raise CheckpointError(
                path,
                f"the statistics cannot be read ({error.strerror}).",
                f"통계를 읽을 수 없어요({error.strerror}).",
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                path,
                "these are not statistics saved by `ohlora vision score --statistics`.",
                "`ohlora vision score --statistics`가 저장한 통계가 아니에요.",
            ) from error


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
