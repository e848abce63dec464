"""Dialogue rows for the adapter: her own lines, and small talk from Chatbot_data in 반말.

A batch is a pure function of (seed, step): a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import csv
import hashlib
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ohlora.dialogue.prompt import STOP_MARK, Prompt
from ohlora.errors import BadInput
from ohlora.training.banmal import to_banmal

LOVE_SHARE = 0.15  # Chatbot_data labels 1 and 2, break-ups and love, against label 0
SAME_ANSWER_LIMIT = 6
HOLD_OUT_PERCENT = 5

_MEMORY = re.compile(r"^\s*(\[[^\[\]:]+:[^\[\]]+\])\s*")
# Questions about herself belong to her own lines; answers about itself contradict her.
_ABOUT_HER = re.compile(
    r"(?<![가-힣])(너|넌|널|네가|니가|너는|너의|니|네|당신|로봇|챗봇|위로봇|인공지능|AI)(?![가-힣])"
    r"|(?<![가-힣])(너도|너랑|너를|너한테|너희|누구야|누구니|이름이 뭐|몇 살|생일이 언제)"
)
_ABOUT_ITSELF = re.compile(
    r"(?<![가-힣])(나는|난|내가|나도|나를|나한테|나의|내|제|저)(?![가-힣])|위로봇|챗봇|로봇|인공지능|프로그램"
)


@dataclass(frozen=True)
class Row:
    user: str
    answer: str
    memories: tuple[str, ...] = ()
    split: str = "train"  # "test": never trained on

    def prompt_text(self) -> str:
        return Prompt(self.user, self.memories).completion()

    def answer_text(self) -> str:
        return f" {self.answer} {STOP_MARK}"


def read_persona(folder: Path, facts_times: int = 1) -> list[Row]:
    """Her written lines: every {"q", "a"} of folder/*.jsonl. Leading [key: value] are memories.

    Rows with "split": "test" are read too; `split` holds them out.
    facts_times: how often each line of facts.jsonl, who she is, is in the result.
    """
    rows: list[Row] = []
    for path in sorted(folder.glob("*.jsonl")):
        times = facts_times if path.stem == "facts" else 1
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                part = str(entry.get("split", "train"))
                rows += [_persona_row(entry["q"], entry["a"], part)] * times
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadInput(
                    f'{path}:{number}: want one JSON object with "q" and "a" ({error}).',
                    f'{path}:{number}: "q"와 "a"가 있는 JSON 한 줄이어야 해요({error}).',
                ) from error
    return rows


def _persona_row(question: str, answer: str, part: str) -> Row:
    memories = []
    while match := _MEMORY.match(question):
        memories.append(match.group(1))
        question = question[match.end() :]
    return Row(question.strip(), answer.strip(), tuple(memories), part)


def read_chatbot_data(path: Path, seed: int) -> list[Row]:
    """Chatbot_data (csv.xz: Q, A, label) in 반말, without rows that speak of the bot itself."""
    with lzma.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        raw = [(r["Q"].strip(), r["A"].strip(), r["label"].strip()) for r in csv.DictReader(file)]
    daily, love = [], []
    times: Counter[str] = Counter()
    for question, polite, label in raw:
        answer = to_banmal(polite)
        if answer is None or not 4 <= len(answer) <= 60 or len(question) > 60:
            continue
        if _ABOUT_HER.search(question) or _ABOUT_ITSELF.search(answer):
            continue
        times[answer] += 1
        if times[answer] <= SAME_ANSWER_LIMIT:
            (daily if label == "0" else love).append(Row(question, answer))
    rng = random.Random(seed)
    rng.shuffle(love)
    return daily + love[: int(len(daily) * LOVE_SHARE)]


def held_out(row: Row) -> bool:
    """About one question in twenty, chosen by its text, so a reworded file keeps its split."""
    digest = hashlib.sha256(row.user.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HOLD_OUT_PERCENT


def split(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows held out: those a writer marked "test", and one in twenty."""
    train: list[Row] = []
    held: list[Row] = []
    for row in rows:
        (held if row.split != "train" or held_out(row) else train).append(row)
    return train, held


# Ways to say the same, each at the end of a word.
_SAME = (
    ("뭐야", "뭐니", "뭐예요", "뭔데", "뭐임", "뭐지"),
    ("누구야", "누구니", "누구세요", "누군데", "누구임"),
    ("언제야", "언제니", "언제예요", "언젠데", "언제더라"),
    ("어디야", "어디니", "어디예요", "어딘데"),
    ("살이야", "살이니", "살이에요", "살임", "살인데"),
    ("알려줘", "알려 줘", "알려 줄래", "말해 줘", "알려줄 수 있어", "궁금해"),
    ("있어", "있니", "있어요", "있냐", "있음"),
    ("좋아해", "좋아하니", "좋아해요", "좋아하냐"),
    ("다녀", "다니니", "다녀요", "다니고 있어"),
    ("너는", "넌", "너", "로라는", "당신은"),
    ("네", "니", "너의"),
    ("친한", "가까운"),
    ("할까", "하지", "할까요"),
)
_FORMS = {form: group for group in _SAME for form in group}
_FORM = re.compile(
    "|".join(
        rf"(?<![가-힣]){form}(?![가-힣])" if len(form) < 3 and form[0] in "너넌네니" else
        rf"{form}(?=[?.!~ ]|$)"
        for form in sorted(_FORMS, key=len, reverse=True)
    )
)  # fmt: skip


def reword(row: Row, rng: random.Random) -> Row:
    """The same question as other people type it: other endings, her name, a lost mark or space."""
    user = row.user
    if rng.random() < 0.4 and (forms := list(_FORM.finditer(user))):
        form = rng.choice(forms)
        other = rng.choice(_FORMS[form.group()])
        user = user[: form.start()] + other + user[form.end() :]
    dice = rng.random()
    if dice < 0.12 and "로라" not in user:
        user = f"로라야 {user}" if dice < 0.08 else f"로라야, {user}"
    elif dice < 0.24:
        user = user.rstrip("?.! ") or user
    elif dice < 0.30 and " " in user:
        spaces = [at for at, character in enumerate(user) if character == " "]
        at = rng.choice(spaces)
        user = user[:at] + user[at + 1 :]
    elif dice < 0.34 and user[-1:] not in "?.!~":
        user += rng.choice(["?", ".", "~", "!"])
    return replace(row, user=user)


@dataclass(frozen=True)
class Mix:
    """Two streams of rows, shuffled anew each epoch, joined at a fixed share."""

    persona: Sequence[Row]
    small_talk: Sequence[Row]
    own_share: float  # of the rows; the rest is small talk
    batch_size: int
    seed: int
    window: int = 16  # batches sorted by length together

    def rows(self, step: int) -> list[Row]:
        """The rows of one step, all of about the same length."""
        number, place = divmod(step, self.window)
        per_window = self.window * self.batch_size
        from_persona = round(per_window * self.own_share)
        if not self.small_talk:
            from_persona = per_window
        rng = random.Random(f"{self.seed}:{number}")
        chosen = self._stream("persona", self.persona, number * from_persona, from_persona)
        rest = per_window - from_persona
        chosen += self._stream("small talk", self.small_talk, number * rest, rest)
        chosen = [reword(row, rng) for row in chosen]
        chosen.sort(key=lambda row: len(row.prompt_text()) + len(row.answer))
        order = list(range(self.window))
        rng.shuffle(order)
        start = order[place] * self.batch_size
        return chosen[start : start + self.batch_size]

    def _stream(self, name: str, rows: Sequence[Row], start: int, count: int) -> list[Row]:
        picked: list[Row] = []
        while len(picked) < count:
            epoch, offset = divmod(start + len(picked), len(rows))
            order = list(range(len(rows)))
            random.Random(f"{self.seed}:{name}:{epoch}").shuffle(order)
            picked += [rows[at] for at in order[offset : offset + count - len(picked)]]
        return picked
