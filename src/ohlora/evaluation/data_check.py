"""Are the training lines fit to train on? Every problem of every file, not only the first.

    error     the line must be mended: unreadable, contradicts who she is, asked in a held-out set
    warning   worth a look: a near copy of an evaluation turn or on the other side of the split

Lines are held against both kinds of evaluation sets. `withhold` takes the words of held-out turns
out of the problems: whoever mends the lines should not learn what she is asked.

A line is {"q": turn, "a": answer, "topic": str, "split": "train"}; "[key: value] " at the start
of q is a memory, {나이} and other slots may stand in a only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ohlora.errors import BadInput
from ohlora.evaluation.facts import Fact, contradictions, load_facts
from ohlora.evaluation.measures import polite, stray
from ohlora.evaluation.sets import every_question
from ohlora.intent import TOPICS, TURNS, read_topics, read_turns
from ohlora.persona import Persona
from ohlora.training.llm_data import Row, held_out

COLUMNS = "q", "a", "topic"
MEMORIES = re.compile(r"^(?:\s*\[[^\[\]:]+:[^\[\]]+\]\s*)+")
SLOT = re.compile(r"\{([^{}]*)\}")
NEAR = 0.85  # share of letter pairs that two turns have in common
SHORTEST = 3  # letter pairs of a turn that can be near to another
PROMPT_TOKENS = 256  # the longest turn with memories that training should see

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Line:
    file: str
    number: int
    question: str
    answer: str
    topic: str
    split: str = "train"

    @property
    def turn(self) -> str:
        """The question without the memories in front."""
        return MEMORIES.sub("", self.question).strip()


@dataclass(frozen=True)
class Problem:
    level: Level
    rule: str
    file: str
    number: int  # line of the file, or rule of a table, from 1
    what: str
    text: str = ""
    held_out: bool = False  # the line stands in a held-out set, or nearly

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


CountTokens = Callable[[str], int]


def check(persona: Persona, count_tokens: CountTokens | None = None) -> list[Problem]:
    """All problems of persona.folder/lines/*.jsonl, by file and line.

    Raises BadInput when there are no lines at all.
    """
    files = sorted((persona.folder / "lines").glob("*.jsonl"))
    if not files:
        raise BadInput(
            f"{persona.folder / 'lines'} holds no .jsonl file: write lines first.",
            f"{persona.folder / 'lines'}에 .jsonl 파일이 없어요. 먼저 대사를 적어 주세요.",
        )
    lines: list[Line] = []
    problems: list[Problem] = []
    for file in files:
        found, broken = read(file)
        lines += found
        problems += broken
    facts, slots = load_facts(persona.folder), persona_slots(persona)
    longest = persona.sampling.max_new_tokens
    for line in lines:
        problems += line_problems(line, facts, slots)
        problems += too_long(line, longest, count_tokens or len)
    for line in on_topics(persona.folder / "lines"):
        problems += line_problems(line, facts, slots)
        problems += too_long(line, longest, count_tokens or len)
    problems += duplicates(lines)
    problems += leaks(lines, every_question("development"))
    problems += leaks(lines, every_question("held-out"), held_out=True)
    turns = labelled(persona.folder / "lines")
    problems += duplicates(turns)
    problems += leaks(turns, every_question("held-out"), held_out=True)
    problems += straddling(lines)
    return sorted(problems, key=lambda p: (p.file, p.number, p.level, p.rule))


def on_topics(folder: Path) -> list[Line]:
    """What she says on each topic of topics.toml, as lines whose question is the topic."""
    topics = read_topics(folder / TOPICS).values()
    said = [(topic.name, answer) for topic in topics for answer in topic.say]
    return [Line(TOPICS, row, name, answer, name) for row, (name, answer) in enumerate(said, 1)]


def labelled(folder: Path) -> list[Line]:
    """The turns that the classifier is fitted to, as lines whose answer is their topic."""
    path = folder / TURNS
    rows = read_turns(path) if path.exists() else []
    return [Line(TURNS, row, turn, topic, topic) for row, (topic, turn) in enumerate(rows, 1)]


def persona_slots(persona: Persona) -> set[str]:
    from datetime import date

    return set(persona.slots(date.today()))


def read(file: Path) -> tuple[list[Line], list[Problem]]:
    """The lines that can be read, and what is wrong with the others."""
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start}); {guess_encoding(file)}"
        return [], [Problem("error", "encoding", file.name, 1, what)]
    except OSError as error:
        return [], [Problem("error", "encoding", file.name, 1, f"unreadable: {error.strerror}")]
    lines: list[Line] = []
    problems = []
    for number, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            row = json.loads(raw)
        except ValueError as error:
            problems.append(Problem("error", "json", file.name, number, str(error), raw[:80]))
            continue
        if wrong := columns_wrong(row):
            problems.append(Problem("error", "columns", file.name, number, wrong, raw[:80]))
            continue
        lines.append(
            Line(file.name, number, row["q"], row["a"], row["topic"], row.get("split", "train"))
        )
    return lines, problems


def columns_wrong(row: object) -> str:
    if not isinstance(row, dict):
        return "is no JSON object"
    if missing := [name for name in COLUMNS if name not in row]:
        return f"lacks {', '.join(missing)}"
    if wrong := [name for name in COLUMNS if not isinstance(row[name], str)]:
        return f"{', '.join(wrong)} must be text"
    if empty := [name for name in COLUMNS if not row[name].strip()]:
        return f"{', '.join(empty)} is empty"
    return ""


def guess_encoding(file: Path) -> str:
    try:
        file.read_bytes().decode("cp949")
        return "it reads as cp949: save it as UTF-8"
    except UnicodeDecodeError:
        return "save it as UTF-8"


def line_problems(line: Line, facts: Sequence[Fact], slots: set[str]) -> Iterator[Problem]:
    """What is wrong with one line by itself."""

    def problem(level: Level, rule: str, what: str) -> Problem:
        return Problem(
            level, rule, line.file, line.number, what, f"{line.question} -> {line.answer}"
        )

    whole = line.question + line.answer
    if unicodedata.normalize("NFC", whole) != whole:
        yield problem("error", "not NFC", "save the text in Unicode NFC")
    if re.search(r"[\[\]]", line.turn):
        yield problem("error", "tag", "a memory in front reads [key: value]; other brackets do not")
    if re.search(r"[\[\]]", line.answer):
        yield problem("error", "tag", "an answer holds no brackets")
    for slot in SLOT.findall(line.answer):
        if slot not in slots:
            yield problem("error", "slot", f"there is no slot {{{slot}}}")
    if SLOT.search(line.question):
        yield problem("error", "slot", "slots belong into answers only")
    bare = SLOT.sub("", line.answer)
    if signs := [sign for sign in stray(bare) if sign not in "[]"]:
        yield problem("warning", "stray sign", " ".join(signs))
    if endings := polite(line.answer):
        yield problem("warning", "존댓말", endings[0])
    for wrong in contradictions(line.answer, facts):
        memories = line.question.removesuffix(line.turn)
        if wrong.value in memories:  # the user's own school
            continue
        yield problem("error", "contradiction", f"{wrong.fact}: {wrong.value}")


def too_long(line: Line, longest: int, count: CountTokens) -> Iterator[Problem]:
    text = f"{line.question} -> {line.answer}"
    if (tokens := count(line.answer)) > longest:
        what = f"{tokens} tokens; her sampling ends an answer at {longest}"
        yield Problem("error", "long answer", line.file, line.number, what, text)
    if (tokens := count(line.question)) > PROMPT_TOKENS:
        what = f"{tokens} tokens; at most {PROMPT_TOKENS}"
        yield Problem("error", "long question", line.file, line.number, what, text)


def duplicates(lines: Sequence[Line]) -> Iterator[Problem]:
    """The same question with the same answer; a question with several answers is fine."""
    seen: dict[tuple[str, str], Line] = {}
    for line in lines:
        key = bare(line.question), bare(line.answer)
        first = seen.setdefault(key, line)
        if first is not line:
            what = f"as in {first.file}:{first.number}"
            same = (first.question, first.answer) == (line.question, line.answer)
            level: Level = "error" if same else "warning"
            yield Problem(level, "duplicate", line.file, line.number, what, line.question)


def leaks(
    lines: Sequence[Line], asked: Sequence[str], *, held_out: bool = False
) -> Iterator[Problem]:
    """Turns of the evaluation sets among the training lines; development sets may be tuned on."""
    known = {bare(question): question for question in asked}
    near = Near([question for question in known.values() if len(bare(question)) > 4])
    for line in lines:
        turn = bare(line.turn)
        exact = known[turn] if turn in known and len(turn) > 4 else None
        if found := exact or near.find(line.turn):
            level: Level = "error" if exact and held_out else "warning"
            rule = "evaluation leak" if exact else "near leak"
            what = f"the evaluation asks {found!r}"
            yield Problem(level, rule, line.file, line.number, what, line.question, held_out)


def withhold(problems: Sequence[Problem]) -> list[Problem]:
    """The problems without the words of held-out turns: file and line number stay."""
    asked = {(p.file, p.number) for p in problems if p.held_out}

    def bared(problem: Problem) -> Problem:
        if (problem.file, problem.number) not in asked:
            return problem
        if problem.held_out:
            return replace(problem, what="a held-out turn", text="")
        quotes = problem.rule in ("near leak", "evaluation leak", "split")
        return replace(problem, what="withheld" if quotes else problem.what, text="")

    return [bared(problem) for problem in problems]


def straddling(lines: Sequence[Line]) -> Iterator[Problem]:
    """Near copies of held-out turns among those trained on: the held-out loss flatters itself."""
    trained: list[Line] = []
    held: list[Line] = []
    for line in lines:
        out = line.split != "train" or held_out(Row(line.turn, line.answer))
        (held if out else trained).append(line)
    near = Near([line.turn for line in trained])
    for line in held:
        if found := near.find(line.turn):
            what = f"held out, but trained on {found!r}"
            yield Problem("warning", "split", line.file, line.number, what, line.question)


class Near:
    """Finds the text that shares most of its letter pairs with another (Dice coefficient)."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.pairs = [pairs(text) for text in self.texts]
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, found in enumerate(self.pairs):
            for pair in found:
                self.places[pair].append(place)

    def find(self, text: str) -> str | None:
        """A text at least NEAR alike, the most alike one."""
        mine = pairs(text)
        if len(mine) < SHORTEST:
            return None
        shared: dict[int, int] = defaultdict(int)
        for pair in mine:
            for place in self.places.get(pair, ()):
                shared[place] += 1
        best, best_share = None, NEAR
        for place, count in shared.items():
            alike = 2 * count / (len(mine) + len(self.pairs[place]))
            if alike >= best_share:
                best, best_share = self.texts[place], alike
        return best


def bare(text: str) -> str:
    """Letters and digits only: spacing and marks make no other question."""
    return re.sub(r"[\W_]", "", text).lower()


def pairs(text: str) -> set[str]:
    letters = bare(text)
    return {letters[i : i + 2] for i in range(len(letters) - 1)}
