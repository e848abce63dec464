"""From raw pieces of a model's answer to text that may be shown at once.

v1 waited for the whole answer, then accepted it or drew again. Shown text can't be taken back,
so this filter holds back only what might still turn out to be something else: a memory tag
`[key: value]`, a slot `{나이}`, the stop mark, trailing space. What v1 rejected is removed or
ends the answer here; mended against spec/product.md section 10: a mis-spelt stop mark ends the
answer instead of voiding it, a lone `]` is no answer, runs of space close up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# "(답변 종료)" and its mis-spellings, whole or the beginning of one at the end of the text.
_MARK = re.compile(r"\(?\s*답변\s*종료\s*\)?")
_MARK_BEGINNING = re.compile(
    r"(\(\s*답변\s*종료|\(\s*답변\s*종|\(\s*답변\s*|\(\s*답|\(\s*|답변\s*종|답변\s*|답)$"
)
_LINK = re.compile(r"https?:|www\.", re.IGNORECASE)
_LINK_BEGINNING = re.compile(r"(https?|htt|ht|h|www|ww|w)$", re.IGNORECASE)

MAX_TAG = 80  # characters; a "[" without "]" that far on is just a bracket
MAX_SLOT = 12


class AnswerStream:
    """Feed raw pieces, get showable text. `ended` turns True where the answer must stop.

    slots: what `{name}` stands for today. An unknown slot ends the answer before it.
    """

    def __init__(self, slots: Mapping[str, str] | None = None) -> None:
        self.slots = slots or {}
        self.ended = False
        self.said = ""  # everything returned so far
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown now ("" when all of it must wait)."""
        if self.ended:
            return ""
        self._held += piece.replace("\u200b", "").replace("\ufeff", "").replace("\u00a0", " ")
        return self._release(final=False)

    def finish(self) -> str:
        """Return what was held back and is harmless after all."""
        if self.ended:
            return ""
        text = self._release(final=True)
        self.ended = True
        return text

    def _release(self, final: bool) -> str:
        text, self._held = self._settle(self._held, final)
        if not self.said:
            text = text.lstrip(" \t\n]")
        # Trailing space waits for the word after it, so the reply never ends in one.
        body = text.rstrip()
        tail = text[len(body) :]
        if not final and not self.ended:
            self._held = tail + self._held
        text = re.sub(r"[ \t]{2,}", " ", body)
        text = re.sub(r"\n{3,}", "\n\n", text)
        self.said += text
        return text

    def _settle(self, text: str, final: bool) -> tuple[str, str]:
        """Split `text` into (settled, still open); tags dropped and slots filled in the former."""
        out = ""
        while text:
            cut = re.search(r"[\[{\ufffd]|" + _MARK.pattern + "|" + _LINK.pattern, text, re.I)
            if cut is None:
                hold = (
                    None if final else _MARK_BEGINNING.search(text) or _LINK_BEGINNING.search(text)
                )
                at = hold.start() if hold else len(text)
                return out + text[:at], text[at:]
            out, text = out + text[: cut.start()], text[cut.start() :]
            if text[0] == "[":
                close = text.find("]")
                if 0 < close <= MAX_TAG:
                    # A tag between words is one space, also when the word before was said already.
                    out = out.rstrip(" ") + " " if out.strip() or self.said else ""
                    text = text[close + 1 :]
                elif close < 0 and len(text) <= MAX_TAG:
                    return out, "" if final else text
                else:
                    out, text = out + "[", text[1:]
            elif text[0] == "{":
                close = text.find("}")
                if 0 < close <= MAX_SLOT and text[1:close].strip() in self.slots:
                    out, text = out + self.slots[text[1:close].strip()], text[close + 1 :]
                elif close < 0 and len(text) <= MAX_SLOT and not final:
                    return out, text
                else:
                    self.ended = True
                    return out, ""
            else:
                self.ended = True
                return out, ""
        return out, ""
