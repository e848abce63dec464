"""From token strings to text that may be shown, one token at a time.

Byte tokens ("<0xEC>") wait until their character is whole; bytes that never become one are
dropped, so no U+FFFD leaves an engine. The beginning of a stop mark waits until it is one or not.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TokenText:
    """Tokens of a byte-fallback vocabulary in, whole characters out."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("ignore")

    def feed(self, token: str) -> str:
        match = _BYTE.fullmatch(token)
        data = bytes([int(match.group(1), 16)]) if match else token.encode("utf-8", "ignore")
        return self._utf8.decode(data).replace("\ufffd", "")


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
