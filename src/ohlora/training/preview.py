"""Which tokens carry loss: shown before step one, so that nothing else is ever trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ohlora.errors import BadInput
from ohlora.training.llm_data import Row
from ohlora.training.llm_tokens import Coder, encode

BEFORE, AFTER = "⟦", "⟧"  # around the tokens that carry loss


@dataclass(frozen=True)
class Preview:
    text: str  # the row, with its trained tokens between BEFORE and AFTER
    trained: int  # tokens that carry loss
    tokens: int


def preview(coder: Coder, rows: Sequence[Row]) -> list[Preview]:
    """Rows as the training sees them: from the same function that makes its batches.

    Raises BadInput when a row has no token that carries loss.
    """
    check_rows(coder, rows)
    found = []
    for row in rows:
        ids, wanted, targets = encode(coder, [row])
        line = [*ids[0].tolist(), int(targets[-1])]
        trained = int(wanted.sum())  # the last ones: an answer is one piece
        read, taught = (
            coder.tokenizer.decode(part, skip_special_tokens=False).replace("\n", "⏎")
            for part in (line[:-trained], line[-trained:])
        )
        found.append(Preview(f"{read}{BEFORE}{taught}{AFTER}", trained, len(line)))
    return found


def check_rows(coder: Coder, rows: Sequence[Row]) -> None:
    """Raises BadInput when a row is longer than the context or has no token that carries loss."""
    for row in rows:
        ids, start = coder.line(row)
        if start >= len(ids) or not row.answer:
            where = row.where or repr(row.user)
            raise BadInput(
                f"No token of {where} carries loss: give the line an answer.",
                f"{where}에는 손실을 받는 토큰이 없어요. 답을 적어 주세요.",
            )
