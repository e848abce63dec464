"""From tokens to text that may be shown, one token at a time.

Byte tokens ("<0xEC>") wait until their character is whole; bytes that never become one are
dropped, so no U+FFFD leaves an engine. The beginning of a stop mark waits until it is one or not.
v1 judged whole answers, marks and broken bytes included: `AnswerText(exact=True)` gives those.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from typing import Any

from ohlora.dialogue.prompt import STOP_MARK

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenText:
    """Tokens of a byte-fallback vocabulary in, whole characters out."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("ignore")

    def feed(self, token: str) -> str:
        match = _BYTE.fullmatch(token)
        data = bytes([int(match.group(1), 16)]) if match else token.encode("utf-8", "ignore")
        return self._utf8.decode(data).replace("\ufffd", "")


class AnswerText:
    """An answer's tokens in, what may be shown out; `ended` turns True where it stops.

    spell   turns tokens into text, with U+FFFD where bytes are no character (yet)
    stop    tokens that end an answer and are not shown; the stop mark ends it in any case
    exact   only `stop` ends it, the mark where there is none; nothing is shown before finish(),
            which then returns every character that was drawn
    """

    def __init__(
        self, spell: Callable[[list[Any]], str], stop: Sequence[Any] = (), exact: bool = False
    ) -> None:
        self.ended = False
        self._spell, self._stop, self._exact = spell, list(stop), exact
        self._tokens: list[Any] = []
        self._written = 0  # characters handed to _shown
        self._shown = StopText([STOP_MARK])

    def feed(self, token: Any) -> str:
        """Return what can be shown now."""
        self._tokens.append(token)
        if self._stop and self._tokens[-len(self._stop) :] == self._stop:
            self.ended = True
            return ""
        if self._exact:
            self.ended = not self._stop and STOP_MARK in self._spell(self._tokens)
            return ""
        shown = self._show(self._tokens[: len(self._tokens) - self._held()])
        self.ended = self._shown.ended
        return shown

    def finish(self) -> str:
        """Return what was held back; call it once, when no more tokens come."""
        if self._exact:
            return self._spell(self._tokens)
        if self.ended:
            return ""
        return self._show(self._tokens) + self._shown.finish()

    def _show(self, tokens: list[Any]) -> str:
        text = self._spell(tokens).rstrip("\ufffd")  # the last character may not be whole
        piece, self._written = text[self._written :], max(self._written, len(text))
        return self._shown.feed(piece.replace("\ufffd", ""))

    def _held(self) -> int:
        """How many last tokens may be the beginning of the stop tokens."""
        for size in range(min(len(self._stop), len(self._tokens)), 0, -1):
            if self._tokens[-size:] == self._stop[:size]:
                return size
        return 0


class StopText:
    """Text up to the first of some marks. `ended` turns True where a mark was found.

    Space in front of a mark goes with it, and so does space at the very beginning.
    """

    def __init__(self, marks: Sequence[str]) -> None:
        self.marks = [mark for mark in marks if mark]
        self.ended = False
        self._held = ""
        self._begun = False

    def feed(self, piece: str) -> str:
        """Return what can be shown now."""
        if self.ended:
            return ""
        text = self._held + piece
        found = [at for mark in self.marks if (at := text.find(mark)) >= 0]
        if found:
            self.ended, self._held = True, ""
            return self._out(text[: min(found)].rstrip())
        keep = self._open(text)
        self._held = text[keep:]
        return self._out(text[:keep])

    def finish(self) -> str:
        """Return what was held back; call it when no more text comes."""
        text, self._held = self._held.rstrip(), ""
        return "" if self.ended else self._out(text)

    def _open(self, text: str) -> int:
        """Where a possible beginning of a mark starts, with the space before it."""
        start = len(text)
        for mark in self.marks:
            for size in range(min(len(mark) - 1, len(text)), 0, -1):
                if text.endswith(mark[:size]):
                    start = min(start, len(text) - size)
                    break
        return len(text[:start].rstrip())

    def _out(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text
