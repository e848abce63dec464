"""A sentence as a bag of features: subwords and hashed letter runs, each with a row in one table.

Rows of the table, in this order:

    0 .. V-1          subwords (byte-pair pieces of the tokenizer)
    V .. V+H-1        letter runs: 1 to 4 jamo of one word, its borders marked, hashed by CRC-32
    V+H               present in every rendered memory "[key: value]"

A memory is read in two parts. Its key says which questions it answers and counts in full; the
features of its value are flagged, so that the encoder can give them their own, smaller weight.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from tokenizers import Tokenizer

Features = tuple[list[int], list[bool]]  # table rows, and which of them belong to a memory's value

MAX_CHARS = 1_000  # the rest of a longer text is not read
MEMORY = re.compile(r"\[([^\[\]:]+): ?(.+)\]", re.DOTALL)


class Featurizer:
    def __init__(self, tokenizer: Tokenizer, buckets: int, runs: tuple[int, int] = (1, 4)) -> None:
        self.tokenizer, self.buckets, self.runs = tokenizer, buckets, runs
        self.pieces = tokenizer.get_vocab_size()
        self.memory_row = self.pieces + buckets
        self.rows = self.memory_row + 1
        self.word_rows = lru_cache(maxsize=100_000)(self._word_rows)

    def __call__(self, texts: Sequence[str]) -> list[Features]:
        """The features of each text; an empty text has none."""
        parts: list[str] = []
        owners: list[tuple[int, bool]] = []  # text number, is it a memory's value
        for number, text in enumerate(clean(one).lower() for one in texts):
            memory = MEMORY.fullmatch(text)
            for part, is_value in split_memory(memory) if memory else [(text, False)]:
                parts.append(part)
                owners.append((number, is_value))
        found: list[Features] = [([], []) for _ in texts]
        # A turn or two is not worth waking the tokenizer's threads.
        if len(parts) <= 8:
            encodings = [self.tokenizer.encode(p, add_special_tokens=False) for p in parts]
        else:
            encodings = self.tokenizer.encode_batch(parts, add_special_tokens=False)
        for (number, is_value), part, encoding in zip(owners, parts, encodings, strict=True):
            rows, flags = found[number]
            if is_value:
                rows.append(self.memory_row)
                flags.append(False)
            new = list(encoding.ids)
            if self.buckets:
                for word in part.split():
                    new.extend(self.word_rows(word))
            rows.extend(new)
            flags.extend([is_value] * len(new))
        return found

    def _word_rows(self, word: str) -> tuple[int, ...]:
        """Rows of the letter runs of one word: "가요" is read as the jamo of "<가요>"."""
        letters = "".join(c for c in word if c.isalnum())
        if not letters:
            return ()
        jamo = "<" + unicodedata.normalize("NFD", letters) + ">"
        shortest, longest = self.runs
        return tuple(
            self.pieces + crc32(jamo[i : i + n].encode()) % self.buckets
            for n in range(shortest, longest + 1)
            for i in range(len(jamo) - n + 1)
        )


def split_memory(memory: re.Match[str]) -> list[tuple[str, bool]]:
    return [(memory[1].strip(), False), (memory[2].strip(), True)]


def clean(text: str) -> str:
    """NFC, single spaces, no half surrogates, at most MAX_CHARS characters."""
    text = text[: MAX_CHARS * 2].encode("utf-8", "replace").decode("utf-8")
    return " ".join(unicodedata.normalize("NFC", text).split())[:MAX_CHARS]
