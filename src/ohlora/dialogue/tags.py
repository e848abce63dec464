"""Memory tags `[key: value]` inside an answer: `v1_parse_memory` exactly as published, and
`parse_tags`, which mends its defects (spec/product.md sections 5 and 10)."""

from __future__ import annotations

import re
from dataclasses import dataclass


def v1_parse_memory(answer: str) -> tuple[str, list[str]]:
    """Return (answer without tags, tags right to left), as v1 did.

    Scans right to left; innermost bracket pairs are removed with or without a colon and only
    those with a colon are listed. The colon is not forgotten at an unmatched `]` (v1's defect).
    """
    cleaned, tags = "", []
    end: int | None = None
    colon = False
    keep_to = len(answer)
    for i in range(len(answer) - 1, -1, -1):
        char = answer[i]
        if char == "]":
            end = i
        elif char == ":" and end is not None:
            colon = True
        elif char == "[" and end is not None:
            cleaned = answer[end + 1 : keep_to] + cleaned
            if colon:
                tags.append(answer[i : end + 1])
            end, colon, keep_to = None, False, i
    return answer[:keep_to] + cleaned, tags


@dataclass(frozen=True)
class Tag:
    key: str
    value: str

    def __str__(self) -> str:
        return f"[{self.key}: {self.value}]"


_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def parse_tags(answer: str) -> tuple[str, list[Tag]]:
    """Return (answer without bracket pairs, tags left to right).

    Mended against v1: a colon counts only inside its own pair, a newline in a tag becomes a
    space, empty keys and values are dropped, the space around a removed tag closes up.
    """
    tags = []
    for inside in _BRACKETS.findall(answer):
        key, colon, value = inside.partition(":")
        key, value = " ".join(key.split()), " ".join(value.split())
        if colon and key and value:
            tags.append(Tag(key, value))
    # A removed pair may uncover another around it ("[중첩 [상태: 좋음]]").
    while _BRACKETS.search(answer):
        answer = re.sub(r"[ \t]*\[[^\[\]]*\][ \t]*", " ", answer)
    return answer.strip(), tags
