"""Which tokens carry loss: shown before step one, so that nothing else is ever trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from ohlora.errors import BadInput
from ohlora.training.llm_data import Row

BEFORE, AFTER = "⟦", "⟧"  # around the tokens that carry loss


@dataclass(frozen=True)
class Preview:
    text: str  # the row, with its trained tokens between BEFORE and AFTER
    trained: int  # tokens that carry loss
    tokens: int


def preview(tokenizer: Tokenizer, rows: Sequence[Row]) -> list[Preview]:
    """Rows as the training sees them: from the same function that makes its batches.

    Raises BadInput when a row has no token that carries loss.
    """
    from ohlora.training.llm import encode

    found = []
    for row in rows:
        ids, wanted, targets = encode(tokenizer, [row])
        line = [*ids[0].tolist(), int(targets[-1])]
        trained = [False, *wanted[0].tolist()]  # the token after a wanted place has the loss
        text, inside = "", False
        for token, carries in zip(line, trained, strict=True):
            if carries != inside:
                text += BEFORE if carries else AFTER
                inside = carries
            text += shown(tokenizer, token)
        found.append(Preview(text + AFTER * inside, sum(trained), len(line)))
        if not any(trained) or not row.answer:
            raise BadInput(
                f"No token of {row.user!r} carries loss: give the line an answer.",
                f"{row.user!r}에는 손실을 받는 토큰이 없어요. 답을 적어 주세요.",
            )
    return found


def shown(tokenizer: Tokenizer, token: int) -> str:
    piece = tokenizer.id_to_token(token)
    return f"<{token}>" if piece is None else piece.replace("\u2581", " ").replace("\n", "⏎")
