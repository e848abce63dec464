"""Write the pruned tokenizer: Gemma's vocabulary cut down to what Korean small talk needs.

    python -m ohlora.training.llm_tokenizer ../shared/data tokenizer.json

Kept: every token of her own lines and of Chatbot_data (before and after 반말), Hangul, ASCII,
common emoji, all bytes, and the commonest tokens of other Korean conversation up to --size. An
adapter belongs to the tokenizer it was trained with: a new tokenizer needs a new adapter.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from ohlora.llm.gguf_base import load_parts
from ohlora.llm.gguf_file import read_gguf
from ohlora.paths import embedded
from ohlora.training.banmal import to_banmal
from ohlora.training.llm_data import read_persona
from ohlora.training.vocabulary import build_tokenizer

SIZE = 10_000
REVIEWS = 40_000  # of 712,404: enough to know which words are common
LINE_FILES = (
    "hgtods_music/music_commonsense_turns.tsv.xz",
    "3i4k/fci.txt.xz",
    "stylekqc/act_train.tsv.xz",
    "stylekqc/topic_train.tsv.xz",
    "parakqc/paraKQC_v1.txt.xz",
    "question_pair/kor_pair_train.csv.xz",
)


def kept_texts(lines: Path, data: Path) -> Iterator[str]:
    """Texts whose every token stays."""
    for row in read_persona(lines):
        yield row.prompt_text() + row.answer_text()
    for question, answer, _ in csv.reader(_lines(data / "chatbot_data/ChatbotData.csv.xz")):
        yield from (question, answer, to_banmal(answer) or "")
    yield "[오늘 일정: ] [내일 일정: ] [상태: ] {나이} {학년} {요일} {날짜} {계절}"


def counted_texts(data: Path) -> Iterator[str]:
    """Texts whose common tokens stay."""
    for path in sorted((data / "xpersona_ko").glob("*.json.xz")):
        for talk in json.load(lzma.open(path, "rt", encoding="utf-8")):
            yield from talk["persona"]
            yield from (text for turn in talk["dialogue"] for text in turn)
    for name in LINE_FILES:
        yield from _lines(data / name)
    reviews = [line.split("\t")[-1] for line in _lines(data / "nsmc_raw/reviews.tsv.xz")]
    yield from random.Random(0).sample(reviews, min(REVIEWS, len(reviews)))


def _lines(path: Path) -> Iterable[str]:
    with lzma.open(path, "rt", encoding="utf-8-sig", errors="replace") as file:
        return file.read().splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description="Prune Gemma's tokenizer.")
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("out", type=Path, help="tokenizer.json to write")
    parser.add_argument("--lines", type=Path, default=embedded() / "personas" / "ohlora" / "lines")
    parser.add_argument("--size", type=int, default=SIZE, help=f"tokens, default {SIZE}")
    options = parser.parse_args()
    gguf = read_gguf(load_parts(lambda what, part: None))
    always = kept_texts(options.lines, options.data)
    pruned, full = build_tokenizer(gguf, always, counted_texts(options.data), options.size)
    pruned.save(str(options.out), pretty=False)
    print(f"{pruned.get_vocab_size():,} of {full.get_vocab_size():,} tokens in {options.out}")


if __name__ == "__main__":
    main()
