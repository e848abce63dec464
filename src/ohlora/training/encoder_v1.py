"""The pairs on which v1's S-BERT was tuned (spec/training.md section 6).

lines    "[key: value] turn"                       n of them
rows     every line's memory against every line's turn, n x n, with the likeness of the keys
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ohlora.errors import BadInput


class Row(NamedTuple):
    memory_0: str
    user_prompt_0: str
    memory_1: str
    user_prompt_1: str
    similarity_score: float  # training pairs memory_0 with user_prompt_1 and this score


def iou_similarity(key_0: str, key_1: str) -> float:
    """Likeness of two keys, 0 to 1: shared words over all words; 1 when the keys are equal."""
    if key_0 == key_1:
        return 1.0
    words_0, words_1 = set(key_0.split(" ")), set(key_1.split(" "))
    return len(words_0 & words_1) / len(words_0 | words_1)


def key_of(memory: str) -> str:
    """What stands between "[" and ":"."""
    return memory[memory.find("[") + 1 : memory.find(":")]


def read_line(line: str) -> tuple[str, str]:
    """ "[key: value] turn" -> ("[key: value]", "turn"); idols are filed as singers, as in v1."""
    line = line.replace("[좋아하는 아이돌:", "[좋아하는 가수:")
    memory, bracket, rest = line.partition("] ")
    if not bracket:
        raise BadInput(
            f"Want a line '[key: value] turn', got {line!r}.",
            f"'[키: 값] 말' 꼴의 줄이어야 하는데 {line!r}예요.",
        )
    return memory + "]", rest.split("\n")[0]


def pairs(lines: Iterable[str]) -> list[Row]:
    """All ordered pairs, each line with itself too; the first line is the outer loop."""
    read: Sequence[tuple[str, str]] = [read_line(line) for line in lines]
    return [
        Row(m0, p0, m1, p1, round(iou_similarity(key_of(m0), key_of(m1)), 4))
        for m0, p0 in read
        for m1, p1 in read
    ]
