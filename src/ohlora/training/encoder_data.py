"""Korean text and sentence pairs for the sentence encoder, read from the data folder.

    text       every sentence, for the tokenizer and for word co-occurrence
    groups     lists of sentences that mean the same (paraphrases)
    triples    premise, entailed sentence, contradicting sentence
    sts        (sentence, sentence, similarity in [0, 1])
    small_talk everyday turns that none of her lines answers

KorSTS test and KLUE-STS dev are evaluation only: they never enter text, groups, triples or sts.
"""

from __future__ import annotations

import csv
import json
import lzma
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

Scored = tuple[str, str, float]


@dataclass
class EncoderData:
    text: list[str] = field(default_factory=list)
    groups: dict[str, list[list[str]]] = field(default_factory=dict)
    triples: list[tuple[str, str, str]] = field(default_factory=list)
    sts_train: list[Scored] = field(default_factory=list)
    sts_dev: list[Scored] = field(default_factory=list)
    small_talk: list[str] = field(default_factory=list)


def read_text(path: Path) -> str:
    """A UTF-8 file, plain or with .xz appended to its name."""
    packed = path.with_name(path.name + ".xz")
    if packed.exists():
        return lzma.decompress(packed.read_bytes()).decode("utf-8-sig")
    return path.read_text("utf-8-sig")


def tsv(path: Path) -> Iterator[list[str]]:
    for line in read_text(path).splitlines():
        yield line.split("\t")


def korsts(data: Path, part: str) -> list[Scored]:
    """KorSTS train, dev or test; scores of 0 to 5 become 0 to 1."""
    rows = list(tsv(data / "kor_nlu" / f"sts-{part}.tsv"))[1:]
    return [(r[5], r[6], float(r[4]) / 5) for r in rows if len(r) >= 7]


def klue_sts_dev(data: Path) -> list[Scored]:
    rows = json.loads(read_text(data / "klue_dev" / "klue-sts-v1.1_dev.json"))
    return [(r["sentence1"], r["sentence2"], r["labels"]["real-label"] / 5) for r in rows]


def load(data: Path, reviews: int = 400_000) -> EncoderData:
    """Read everything that may be trained on; `reviews` bounds the film reviews used as text."""
    out = EncoderData(sts_train=korsts(data, "train"), sts_dev=korsts(data, "dev"))
    out.small_talk = small_talk(data, "train")
    out.groups = {
        "parakqc": blocks(r[-1] for r in tsv(data / "parakqc" / "paraKQC_v1.txt")),
        "stylekqc": style_blocks(data),
        "question_pair": question_pairs(data),
        "chatbot": same_answer(data),
        "sae4k": [[r[0], r[1]] for r in tsv(data / "sae4k" / "sae4k_v1.txt") if len(r) == 3],
        "sts": [[a, b] for a, b, score in out.sts_train if score >= 0.8],
    }
    out.triples = list(nli_triples(data))
    out.groups["entailment"] = [[premise, entailed] for premise, entailed, _ in out.triples]

    for groups in out.groups.values():
        for group in groups:
            out.text += group
    out.text += [s for a, b, _ in out.sts_train for s in (a, b)]
    out.text += [c for _, _, c in out.triples]
    out.text += list(plain_text(data, reviews))
    return out


def blocks(sentences: Iterator[str], size: int = 10) -> list[list[str]]:
    rows = list(sentences)
    return [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]


def style_blocks(data: Path) -> list[list[str]]:
    """StyleKQC: each run of ten rows is one request in ten manners of speech."""
    found: list[list[str]] = []
    for name in ("act_train.tsv", "act_dev.tsv", "act_test.tsv", "topic_train.tsv"):
        rows = [r[1] for r in tsv(data / "stylekqc" / name) if len(r) == 2][1:]
        found += blocks(iter(rows))
    return found


def question_pairs(data: Path) -> list[list[str]]:
    rows = csv.DictReader(
        read_text(data / "question_pair" / "kor_pair_train.csv").splitlines(keepends=True)
    )
    return [[r["question1"], r["question2"]] for r in rows if r["is_duplicate"] == "1"]


def small_talk(data: Path, part: str) -> list[str]:
    """Chatbot_data's turns; one in ten is "dev": never a negative example in training."""
    text = read_text(data / "chatbot_data" / "ChatbotData.csv")
    turns = sorted({row["Q"] for row in csv.DictReader(text.splitlines(keepends=True))})
    return [t for t in turns if (crc32(t.encode()) % 10 == 0) == (part == "dev")]


def same_answer(data: Path, most: int = 12) -> list[list[str]]:
    """Chatbot_data: what gets the same answer means roughly the same."""
    by_answer: dict[str, list[str]] = defaultdict(list)
    text = read_text(data / "chatbot_data" / "ChatbotData.csv")
    for row in csv.DictReader(text.splitlines(keepends=True)):
        by_answer[row["A"]].append(row["Q"])
    return [group for group in by_answer.values() if 2 <= len(group) <= most]


def nli_triples(data: Path) -> Iterator[tuple[str, str, str]]:
    by_premise: dict[str, dict[str, str]] = defaultdict(dict)
    for name in ("xnli.dev.ko.tsv", "xnli.test.ko.tsv"):
        for row in list(tsv(data / "kor_nlu" / name))[1:]:
            if len(row) == 3:
                by_premise[row[0]][row[2]] = row[1]
    for item in json.loads(read_text(data / "klue_dev" / "klue-nli-v1.1_dev.json")):
        by_premise[item["premise"]][item["gold_label"]] = item["hypothesis"]
    for premise, found in by_premise.items():
        if "entailment" in found and "contradiction" in found:
            yield premise, found["entailment"], found["contradiction"]


def plain_text(data: Path, reviews: int) -> Iterator[str]:
    text = read_text(data / "chatbot_data" / "ChatbotData.csv")
    for row in csv.DictReader(text.splitlines(keepends=True)):
        yield row["Q"]
        yield row["A"]
    for row in tsv(data / "3i4k" / "fci.txt"):
        yield row[-1]
    yield from read_text(data / "ud_korean_text" / "kaist_gsd_sentences.txt").splitlines()
    yield from read_text(data / "korean_news_park" / "park_dev_test.ko.txt").splitlines()
    for row in tsv(data / "hgtods_music" / "music_commonsense_turns.tsv"):
        yield from row
    for name in ("kosbi_valid.tsv", "kosbi_test.tsv"):
        for row in tsv(data / "naver_safety" / name):
            yield from row[2:]
    for name in ("square_question_valid.tsv", "square_question_test.tsv"):
        for row in tsv(data / "naver_safety" / name):
            yield row[-1]
    for part in ("valid", "test"):
        name = f"Ko_persona_split_{part}_human_annotated.json"
        for dialogue in json.loads(read_text(data / "xpersona_ko" / name)):
            yield from dialogue["persona"]
            for turn in dialogue["dialogue"]:
                yield from turn
    rows = [r[-1] for r in tsv(data / "nsmc_raw" / "reviews.tsv") if len(r) == 3]
    step = max(1, len(rows) // reviews)
    yield from rows[::step][:reviews]
