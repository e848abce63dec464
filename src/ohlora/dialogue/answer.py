"""May this be said? Acceptance of a whole answer as v1 did it, exactly.

The default product streams and uses `dialogue.stream` instead; this file is for the v1 mode
and for the golden numbers (golden/funcs/answer_filter.json).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ohlora.dialogue.prompt import STOP_MARK

V1_TRIALS = 30
UNANSWERED = "(읽씹)"  # v1's word for "read and ignored"

_QUOTES = '"\u201d\u201c\u2019\ufffd'


def v1_accept(raw: str) -> str | None:
    """Return the answer v1 would print, or None where v1 would draw again.

    `raw` is the decoded text after the prompt. Not stripped, newlines kept, as published.
    """
    raw = raw.replace("\u200b", "").replace("\u00a0", "")
    without_mark = raw.replace(STOP_MARK, "")
    if raw.startswith("[") and raw.endswith("]"):
        return None
    if not without_mark.replace("\n", "").replace(" ", ""):
        return None
    if "답변 종료" in without_mark or "답변종료" in without_mark:
        return None
    if "http" in raw or any(quote in raw for quote in _QUOTES) or re.search(" {5}", raw):
        return None
    return raw.removeprefix("]").replace(STOP_MARK, "")


def v1_answer(draw: Callable[[], str], trials: int = V1_TRIALS) -> tuple[str, int]:
    """Draw until one is accepted. Return (answer, draws made); UNANSWERED after `trials`."""
    for trial in range(1, trials + 1):
        answer = v1_accept(draw())
        if answer is not None:
            return answer, trial
    return UNANSWERED, trials
