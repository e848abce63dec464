"""Her face over one reply: it changes with each sentence, while the reply still streams.

A sentence is judged as soon as the next one begins. Its face keeps a part of the face before, so
that a mood lingers; the springs of whoever draws her smooth the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ohlora.events import ExpressionEvent
from ohlora.expression import Expression

LINGER = 0.3  # of the face before
# Words, their marks, then signs that belong to them: "좋아! 😊" is one sentence.
SENTENCE = re.compile(r"[^.!?~…\n]+[.!?~…\n]*(?:\s*[^\w\s.!?~…\"'(\[“‘]+)*\s*")
SHORT = 2  # letters; a shorter sentence ("오!") belongs to the one it begins


class Reaction:
    """Feed the pieces of a reply in order; the faces come out, the last one with `end`.

    by_sentence: False gives one face for the whole reply, as v1 does.
    """

    def __init__(self, express: Callable[[str], Expression], by_sentence: bool = True) -> None:
        self._express, self._by_sentence = express, by_sentence
        self._text = ""
        self._judged = 0  # characters
        self._before: Expression | None = None

    def add(self, piece: str) -> Iterator[ExpressionEvent]:
        """The faces of the sentences that this piece completes."""
        self._text += piece
        if not self._by_sentence:
            return
        for found in SENTENCE.finditer(self._text, self._judged):
            if found.end() == len(self._text):
                break  # it may go on
            end = found.end()
            if sum(map(str.isalnum, self._text[self._judged : end])) >= SHORT:
                yield self._face(end)

    def end(self) -> Iterator[ExpressionEvent]:
        """The face of what is left. A reply without any sentence has one as well."""
        if self._text[self._judged :].strip() or self._before is None:
            yield self._face(len(self._text))

    def _face(self, end: int) -> ExpressionEvent:
        at, self._judged = self._judged, end
        now, before = self._express(self._text[at:end].strip()), self._before
        if before is not None:
            now = Expression(
                *(
                    round(LINGER * getattr(before, axis) + (1 - LINGER) * getattr(now, axis), 3)
                    for axis in ("eyes", "mouth", "pose")
                )
            )
        self._before = now
        return ExpressionEvent(now.eyes, now.mouth, now.pose, at)
