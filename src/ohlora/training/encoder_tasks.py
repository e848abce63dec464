"""Our own two uses of the sentence encoder, as training batches and as held-out measurements.

    memory    which rendered memory "[key: value]" a turn should recall, or none
    lines     which of her own written questions a turn repeats, or none

The phrases are in encoder_memory.toml and encoder_persona.toml, beside this file.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ohlora.lines import about_user, read_folder

Part = Literal["train", "dev"]


@dataclass(frozen=True)
class Ask:
    """A turn and a memory it should recall; `family` and `time` say which others fit too."""

    text: str
    memory: str
    family: int  # number of the key's entry
    time: str | None  # "내일" of the memory "[내일 일정: ...]"; None when the key knows no time
    any_time: bool = False  # the turn names no time: every plan answers it

    def fits(self, other: Ask) -> bool:
        """True when the other's memory answers this turn as well."""
        return self.family == other.family and (self.any_time or self.time == other.time)


class MemoryTask:
    """Draws turns and memories; train and dev share neither values nor wordings."""

    def __init__(self, part: Part) -> None:
        table = own_data("encoder_memory.toml")
        prefix = "" if part == "train" else "dev_"
        self.entries: list[dict[str, list[str]]] = []
        for entry in [table["schedule"], *table["weather"], *table["key"]]:
            self.entries.append(
                {
                    "names": entry.get(prefix + "names", entry["names"]),
                    "values": entry[prefix + "values"],
                    "asks": entry[prefix + "asks"],
                    "times": entry.get(prefix + "times", []),
                    "any": entry.get(f"any_{prefix}asks", []),
                }
            )
        self.nothing: list[str] = table["nothing"][part]

    def draw(self, rng: random.Random, timed: float = 0.35) -> Ask:
        """One turn with its memory; `timed` is the share of plans, where only the time differs."""
        family = 0 if rng.random() < timed else rng.randrange(len(self.entries))
        return self.draw_from(family, rng)

    def draw_from(self, family: int, rng: random.Random) -> Ask:
        entry = self.entries[family]
        name, value, text = (rng.choice(entry[k]) for k in ("names", "values", "asks"))
        if not entry["times"]:
            return Ask(text, f"[{name}: {value}]", family, None)
        time = rng.choice(entry["times"])
        memory = f"[{name}: {value}]".replace("{때}", time)
        if entry["any"] and rng.random() < 0.08:
            return Ask(rng.choice(entry["any"]), memory, family, time, any_time=True)
        asked = time
        if re.fullmatch(r"\d+월 \d+일", time) and rng.random() < 0.4:
            asked = time.split()[1]  # "28일에 뭐 하지?"
        return Ask(text.replace("{때}", asked), memory, family, time)

    def user_turns(self) -> list[str]:
        """Every question about the user: none of her own lines may answer these."""
        return [
            a.replace("{때}", t)
            for e in self.entries
            for a in [*e["asks"], *e["any"]]
            for t in (e["times"][:4] or [""])
        ]


def memory_lines(folder: Path, task: MemoryTask) -> list[Ask]:
    """Rows "[key: value] turn" of the persona's lines that ask for exactly that memory."""
    asks: list[Ask] = []
    numbers = {name: i for i, entry in enumerate(task.entries) for name in entry["names"]}
    for row in line_rows(folder):
        found = re.fullmatch(r"(\[([^:\]]+): [^\]]+\]) ([^\[]+)", row["q"])
        if found and row["topic"].endswith("_ask"):
            key = found[2]
            plan = re.fullmatch(r"(.+) 일정", key)
            family = 0 if plan else numbers.setdefault(key, len(numbers) + 1_000)
            asks.append(Ask(found[3], found[1], family, plan[1] if plan else None))
    return asks


class LineTask:
    """Groups of her questions that get the same answer, and turns that no line may answer."""

    def __init__(self, folder: Path) -> None:
        lines, rules = read_folder(folder)
        self.answering = rules.answering
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for line in lines:
            if not line.topic.startswith("memory/"):  # those are turns about the user
                groups[line.topic, line.answer].append(line.question)
        self.by_topic: dict[str, list[list[str]]] = defaultdict(list)
        for (topic, _), questions in groups.items():
            self.by_topic[topic].append(questions)
        # About her: no memory of the user answers these.
        self.questions = [
            q for (topic, _), group in groups.items() if topic in self.answering for q in group
        ]

    def draw(self, rng: random.Random, count: int) -> list[tuple[str, str, bool]]:
        """Two wordings of one question from each of `count` topics; may a line answer them?"""
        topics = rng.sample(sorted(self.by_topic), min(count, len(self.by_topic)))
        pairs = []
        for topic in topics:
            group = rng.choice(self.by_topic[topic])
            pairs.append((rng.choice(group), rng.choice(group), topic in self.answering))
        return pairs


def exchange(text: str, words: dict[str, str]) -> str | None:
    """The turn with each whole word exchanged; None when it has none of them."""
    old = text.split()
    new = [words.get(w, w) for w in old]
    return " ".join(new) if new != old else None


# 너 이름 뭐야 -> 나 이름 뭐야: alike in every word but the one that matters.
TO_USER = {
    "너": "나", "넌": "난", "너는": "나는", "네": "내", "니": "내", "너의": "나의", "네가": "내가",
    "니가": "내가", "너도": "나도", "로라": "나", "로라야": "나", "오로라": "내", "로라는": "나는",
}  # fmt: skip
TO_HER = {
    "나": "너", "난": "넌", "나는": "너는", "내": "네", "나의": "너의", "내가": "네가",
    "나도": "너도", "나를": "너를", "우리": "너희",
}  # fmt: skip


def reword(text: str, rng: random.Random) -> str:
    """The same turn in another manner: its ending, its particles, a word in front."""
    bare = text.rstrip("?!. ~ㅋㅠㅎ")
    for endings in ENDINGS:
        found = next((e for e in endings if bare.endswith(e)), None)
        if found and rng.random() < 0.7:
            bare = bare.removesuffix(found) + rng.choice(endings)
            break
    if rng.random() < 0.3:  # 이름이 뭐야 -> 이름 뭐야, 이름은 뭐야
        bare = re.sub(
            r"(?<=[가-힣]{2})(이|가|은|는) ", rng.choice([" ", "은 ", "이 "]), bare, count=1
        )
    if rng.random() < 0.25:
        bare = rng.choice(OPENINGS) + " " + bare
    return bare + rng.choice(["", "?", "?", "!", " ㅋㅋ", "~"])


def address(question: str, rng: random.Random) -> str:
    """A question about her with another word for "you", or with none."""
    first, _, rest = question.partition(" ")
    if first in TO_USER and rest:
        return f"{rng.choice(YOU)} {rest}".strip()
    if not about_user(question) and rng.random() < 0.5:
        return f"{rng.choice(YOU)} {question}".strip()
    return question


YOU = ["너", "네", "넌", "니", "너는", "네가", "로라야", "너의", ""]

# Longer endings first: the first that fits is exchanged for another of its row.
ENDINGS = [
    ["뭐라고 했지", "뭐였지", "뭐라고 했더라", "뭐였더라"],
    ["어떻게 되세요", "어떻게 돼", "어떻게 되니", "어떻게 되나요", "어떻게 돼요"],
    ["기억해", "기억나", "기억하지", "기억하니", "기억나니"],
    ["알려줘", "알려 줄래", "말해줘", "말해 봐", "가르쳐줘", "알려 주세요", "궁금해"],
    ["뭐예요", "뭐야", "뭐니", "뭔데", "뭐지", "뭐임", "뭐냐", "뭘까", "뭔가요"],
    ["누구예요", "누구야", "누구니", "누군데", "누구지", "누구임", "누구냐", "누군가요"],
    ["언제예요", "언제야", "언제니", "언젠데", "언제지", "언제냐", "언젠가요"],
    ["어디예요", "어디야", "어디니", "어딘데", "어디지", "어디냐", "어딘가요"],
    ["몇 살이야", "몇 살이니", "몇 살", "몇 살이에요", "몇 살이냐"],
    ["좋아해요", "좋아해", "좋아하니", "좋아하냐", "좋아하세요", "좋아함"],
    ["있어요", "있어", "있니", "있냐", "있나", "있나요", "있으세요"],
    ["이야", "이니", "이에요", "인가요", "이냐", "인데", "임"],
    ["다녀요", "다녀", "다니니", "다녔어", "다니냐", "다니세요"],
    ["살아요", "살아", "사니", "사냐", "사세요", "살고 있어"],
    ["하지", "하더라", "하니", "해", "하나", "해요", "하냐"],
    ["싶다", "싶어", "싶네", "싶어요", "싶은데"],
    ["만나자", "만날래", "만날까", "보자", "볼래"],
]
OPENINGS = [
    "혹시",
    "근데",
    "야",
    "로라야",
    "있잖아",
    "저기",
    "아",
    "음",
    "그럼",
    "그나저나",
    "아 맞다",
]


def line_rows(folder: Path) -> list[dict[str, str]]:
    """All training rows of a folder of lines, in a fixed order."""
    rows = [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]
    return [row for row in rows if row.get("split", "train") == "train"]


def own_data(name: str) -> dict[str, Any]:
    return tomllib.loads((files("ohlora.training") / name).read_text("utf-8"))
