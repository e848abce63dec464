"""Dialogue rows for the adapter: her own lines, and small talk from Chatbot_data in 반말.

A batch is a pure function of (seed, step): a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ohlora.errors import BadInput
from ohlora.llm.jobs import JOBS
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
    job: str = "answer"
    where: str = field(default="", compare=False)  # "facts.jsonl:12", for messages

    def prompt_text(self) -> str:
        return JOBS[self.job].prompt(self.user, self.memories)

    def answer_text(self) -> str:
        return JOBS[self.job].answer(self.answer)


def read_persona(folder: Path, facts_times: int = 1) -> list[Row]:
    """Her written lines: every {"q", "a"} of folder/*.jsonl. Leading [key: value] are memories.

    Rows with "split": "test" are read too; `split` holds them out.
    facts_times: how often each line of facts.jsonl, who she is, is in the result.
    Raises BadInput naming file and line.
    """
    rows: list[Row] = []
    for path in sorted(folder.glob("*.jsonl")):
        times = facts_times if path.stem == "facts" else 1
        rows += [row for row in read_pairs(path) for _ in range(times)]
    return rows


# The columns of a data set: what is asked, what is answered, which part the row belongs to.
COLUMNS = (("q", "a", "split"), ("input_data", "output_data", "data_type"))  # ours, v1's
HELD = ("test", "valid", "dev")


def read_pairs(path: Path, job: str = "answer", exact: bool = False) -> list[Row]:
    """Pairs of a .jsonl or .csv file (.xz too), under our columns or v1's.

    exact: [key: value] in front of a question stays text, as v1 had it.
    Raises BadInput: not UTF-8, broken quotes, a missing column, an empty question or answer.
    """
    rows: list[Row] = []
    jsonl = ".jsonl" in path.suffixes
    names = COLUMNS[0]
    for where, entry in json_objects(path) if jsonl else csv_rows(path):
        if not rows:
            names = next((n for n in COLUMNS if n[0] in entry and n[1] in entry), COLUMNS[0])
        question, answer = (cell(where, entry, name) for name in names[:2])
        part = "test" if str(entry.get(names[2]) or "train") in HELD else "train"
        memories = []
        while not exact and (match := _MEMORY.match(question)):
            memories.append(match.group(1))
            question = question[match.end() :]
        rows.append(Row(question.strip(), answer, tuple(memories), part, job, where))
    return rows


def cell(where: str, entry: Mapping[str, Any], name: str) -> str:
    """The text under a name. Raises BadInput when there is none."""
    if name not in entry:
        raise BadInput(
            f"{where} has no {name!r}: want {COLUMNS[0][0]!r} and {COLUMNS[0][1]!r}, or v1's "
            f"{COLUMNS[1][0]!r} and {COLUMNS[1][1]!r}; found {', '.join(map(repr, entry))}.",
            f"{where}에 {name!r} 열이 없어요. {COLUMNS[0][0]!r}와 {COLUMNS[0][1]!r}가 있어야 해요"
            f"(찾은 열: {', '.join(map(repr, entry))}).",
        )
    value = entry[name]
    if not isinstance(value, str) or not value.strip():
        raise BadInput(
            f"{where}: {name!r} has no text ({value!r}): write a question and an answer in "
            "every line.",
            f"{where}: {name!r}에 글이 없어요. 줄마다 질문과 답을 적어 주세요.",
        )
    return value.strip()


def text_of(path: Path) -> str:
    """A text file, .xz or plain. Raises BadInput when it is not UTF-8 or cannot be read."""
    try:
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
    except (OSError, lzma.LZMAError) as error:
        raise BadInput(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): give a file "
            "that is whole.",
            f"{path} 파일을 읽을 수 없어요. 온전한 파일을 주세요.",
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        try:
            data.decode("cp949")
            guess, guess_ko = "it reads as cp949", "cp949로 저장된 것 같아요"
        except UnicodeDecodeError:
            guess, guess_ko = "it is no Korean encoding I know", "알 수 없는 인코딩이에요"
        raise BadInput(
            f"{path}:{line} is not UTF-8 ({guess}): save the file as UTF-8.",
            f"{path}:{line} 줄이 UTF-8이 아니에요({guess_ko}). UTF-8로 저장해 주세요.",
        ) from error


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", object) of a .jsonl file. Raises BadInput."""
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict):
                raise ValueError(f"found {type(entry).__name__}")
        except ValueError as error:
            raise BadInput(
                f'{where}: want one JSON object with "q" and "a" ({error}): check its quotes.',
                f'{where}: "q"와 "a"가 있는 JSON 한 줄이어야 해요({error}). 따옴표를 고쳐 주세요.',
            ) from error
        yield where, entry


def csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """("file:line", row) of a .csv file with a header. Raises BadInput on broken quotes."""
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""), strict=True)
    start = 1  # the header
    while True:
        try:
            if reader.fieldnames:
                start = reader.line_num + 1
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadInput(
                f"{path}:{start}: the quotes are broken ({error}): close every quote, and write "
                'a quote inside a cell twice ("").',
                f"{path}:{start}: 따옴표가 맞지 않아요({error}). 따옴표를 닫고, 칸 안의 따옴표는 "
                '두 번("") 적어 주세요.',
            ) from error
        yield f"{path}:{start}", row


def read_chatbot_data(path: Path, seed: int) -> list[Row]:
    """Chatbot_data (csv.xz: Q, A, label) in 반말, without rows that speak of the bot itself."""
    raw = [
        (cell(where, row, "Q"), cell(where, row, "A"), cell(where, row, "label"))
        for where, row in csv_rows(path)
    ]
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


def split(rows: Iterable[Row], by_hash: bool = True) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows held out: those a writer marked "test", and one in twenty."""
    train: list[Row] = []
    held: list[Row] = []
    for row in rows:
        out = row.split != "train" or (by_hash and held_out(row))
        (held if out else train).append(row)
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

    own: Sequence[Row]
    small_talk: Sequence[Row]
    own_share: float  # of the rows; the rest is small talk
    batch_size: int
    seed: int
    window: int = 16  # batches sorted by length together
    rewords: bool = True  # questions are typed in other ways as they are drawn

    def __len__(self) -> int:
        """Rows until each line of hers was seen once."""
        return round(len(self.own) / self.own_share) if self.small_talk else len(self.own)

    def rows(self, step: int) -> list[Row]:
        """The rows of one step, all of about the same length."""
        number, place = divmod(step, self.window)
        per_window = self.window * self.batch_size
        from_own = round(per_window * self.own_share) if self.small_talk else per_window
        rng = random.Random(f"{self.seed}:{number}")
        chosen = self._stream("persona", self.own, number * from_own, from_own)
        rest = per_window - from_own
        chosen += self._stream("small talk", self.small_talk, number * rest, rest)
        if self.rewords:
            chosen = [reword(row, rng) for row in chosen]
        if self.window > 1:
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
