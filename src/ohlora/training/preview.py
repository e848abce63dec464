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
    found = []
    for row in rows:
        ids, wanted, targets = encode(coder, [row])
        line = [*ids[0].tolist(), *targets[-1:].tolist()]
        trained = [False, *wanted[0].tolist()]  # the token after a wanted place has the loss
        text, inside = "", False
        for token, carries in zip(line, trained, strict=True):
            if carries != inside:
                text += BEFORE if carries else AFTER
                inside = carries
            text += shown(coder, token)
        found.append(Preview(text + AFTER * inside, sum(trained), len(line)))
        if not any(trained) or not row.answer:
            raise BadInput(
                f"No token of {row.user!r} carries loss: give the line an answer.",
                f"{row.user!r}에는 손실을 받는 토큰이 없어요. 답을 적어 주세요.",
            )
    return found


def shown(coder: Coder, token: int) -> str:
    """A token's own letters; of a byte-level vocabulary its text, ids where it is no character."""
    piece = coder.tokenizer.id_to_token(token)
    if piece is None:
        return f"<{token}>"
    if coder.byte_level and not piece.startswith("<"):
        piece = coder.text([token])
        piece = f"<{token}>" if "\ufffd" in piece else piece
    return piece.replace("\u2581", " ").replace("\n", "⏎")
