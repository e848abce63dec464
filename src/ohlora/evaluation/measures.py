"""Counts over replies and rankings. Pure functions; no model judges."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

POLITE = re.compile(
    r"(?:(?<![필중주긴])요|[습입합됩갑옵립집둡킵듭줍쉽봅]니다|[습입]니까|십시오)[.!?~…^ㅎㅋㅠㅜ\s]*$"
)
SENTENCE = re.compile(r"[^.!?~…\n]+[.!?~…]*")
MARKS = re.compile(r"답변 ?(?:시작|종료)|https?:|<[a-z/|]|[\[\]{}|\\<>_`]|\ufffd", re.IGNORECASE)
PUNCTUATION_RUN = re.compile(r"([^\w\s.ㅋㅎㅠㅜ~!?])\1{3,}|[!?~.,]{6,}")
SCRIPTS = ("HANGUL", "LATIN", "DIGIT", "ZERO WIDTH JOINER", "VARIATION SELECTOR")


def sentences(text: str) -> list[str]:
    return [found.strip() for found in SENTENCE.findall(text) if found.strip()]


def polite(text: str) -> list[str]:
    """Sentences in 존댓말; she speaks 반말."""
    bare = re.sub(r"[^\w\s.!?~…^]", " ", re.sub(r"[\"'“”‘’].*?[\"'“”‘’]", "", text))
    return [found for found in sentences(bare) if POLITE.search(found.strip())]


def stray(text: str) -> list[str]:
    """Signs that do not belong into her talk: markup, broken bytes, other scripts, long runs."""
    found = MARKS.findall(text) + [run[0] for run in PUNCTUATION_RUN.finditer(text)]
    for char in text:
        category = unicodedata.category(char)
        foreign = category[0] == "L" and not unicodedata.name(char, "").startswith(SCRIPTS)
        if foreign or category in ("Co", "Cn", "Cs") or (category == "Cc" and char != "\n"):
            found.append(char)
    if text.count("(") != text.count(")"):
        found.append("(" if "(" in text else ")")
    return found


def repeats(text: str) -> bool:
    """True when a sentence or three words in a row come twice."""
    words = re.findall(r"\w+", text)
    runs = list(zip(words, words[1:], words[2:], strict=False))
    said = [re.sub(r"\W", "", found) for found in sentences(text)]
    said = [found for found in said if len(found) > 4]
    return len(set(runs)) < len(runs) or len(set(said)) < len(said)


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams."""
    grams = []
    for text in texts:
        words = re.findall(r"\w+", text)
        grams += list(zip(*(words[i:] for i in range(n)), strict=False))
    return round(len(set(grams)) / len(grams), 4) if grams else 0.0


def most_common_share(texts: Sequence[str]) -> float:
    return round(Counter(texts).most_common(1)[0][1] / len(texts), 4) if texts else 0.0


def ndcg(gains: Sequence[float], ideal: Sequence[float], k: int = 10) -> float:
    """Discounted gain of a ranking over that of the best one, 0..1."""

    def discounted(values: Sequence[float]) -> float:
        return sum(float(gain) / math.log2(place + 2) for place, gain in enumerate(values[:k]))

    best = discounted(sorted(ideal, reverse=True))
    return discounted(gains) / best if best else 0.0


def spearman(left: ArrayLike, right: ArrayLike) -> float:
    """Rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(ranks(left), ranks(right))[0, 1])


def ranks(values: ArrayLike) -> np.ndarray:
    _, where, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[where]


def share(right: int, of: int) -> float:
    return round(right / of, 4) if of else 0.0


def interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    z, p = 1.96, right / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    below = 1 + z * z / of
    return round(max(0.0, (middle - spread) / below), 4), round(
        min(1.0, (middle + spread) / below), 4
    )
