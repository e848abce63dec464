"""Ten written lines -> a pack that talks.

Her own lines are found by meaning, and a question asked in other words must reach them. So a new
pack also gets, as files to read and edit:

    own.jsonl      what was written
    asked.jsonl    the same answers under other wordings: where a written question means what the
                   embedded persona is asked too ("이름이 뭐야?"), all wordings of it
    self.jsonl     name and "who are you", where nothing written says it
    care.jsonl     what holds for every persona: 109 when somebody speaks of suicide, refusals,
                   that it is an AI
    answers.toml   the topics that may answer: all of them; [always] brings help in any case
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ohlora.embedding import Encoder
from ohlora.lines import Line, Lines, load_lines, read_answering, read_lines
from ohlora.packs.mapping import FALLBACK_EN, FALLBACK_KO, FORMAT, is_korean
from ohlora.packs.pack import Pack, Row, check_id, make_row, refuse
from ohlora.packs.voice import ANYONES, FACTS, any_of
from ohlora.persona import DEFAULT, load_persona
from ohlora.text import is_visible, josa

NAME_CHARS = 40
# Topics of the embedded persona that are true of any persona: what is listed in her answers.toml
# for these files, and a few of her facts. A written line on one of them takes its place, but for
# what may save a life.
CARE = ("boundaries", "feelings")
LIFE_SAVING = frozenset(["self_harm", "overdose"])
SAME = 0.6  # cosine above which two questions of one topic ask the same
HER_LIFE = re.compile("생일|취미")  # in her refusals: what she offers to tell instead
SAMPLING = {
    "max_new_tokens": 64, "temperature": 0.5, "top_k": 40, "top_p": 0.9, "repetition_penalty": 1.1,
}  # fmt: skip


def new_pack(
    id: str,
    name: str,
    rows: list[Row],
    encoder: Encoder,
    *,
    greeting: str = "",
    about: str = "",
    born: date | None = None,
) -> Pack:
    """A pack out of written rows, completed. Raises BadInput on a name that cannot be one."""
    check_id(id)
    name = check_name(name)
    korean = is_korean(name + "".join(row["a"] for row in rows))
    hello = f"안녕, 나는 {josa(name, '이야/야')}!" if korean else f"Hello, I'm {name}!"
    told = f"{josa(name, '과/와')} 이야기해요." if korean else f"Talk to {name}."
    settings: dict[str, Any] = {
        "id": id,
        "version": FORMAT,
        "license": "",
        "name": {"ko": name, "en": id.capitalize() if korean else name},
        "greeting": dict.fromkeys(("ko", "en"), greeting or hello),
        "about": dict.fromkeys(("ko", "en"), about or told),
        "prompt": {"system": system_prompt(name, about, rows, korean)},
        "fallback": {"lines": FALLBACK_KO if korean else FALLBACK_EN},
        "sampling": dict(SAMPLING),
    }
    if born:
        settings = {**settings, "born": born}
    pack = Pack(settings, {"own": list(rows)})
    complete(pack, encoder)
    return pack


def check_name(name: str) -> str:
    """A name fit to show. Raises BadInput."""
    clean = " ".join(name.split())
    if (
        not any(is_visible(char) for char in clean)
        or len(clean) > NAME_CHARS
        or re.search(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", name)
    ):
        raise refuse(
            "--name",
            f"{name!a} cannot be a name: use 1 to {NAME_CHARS} characters without slashes.",
            f"{name!a}는 이름이 될 수 없어요. 빗금 없이 {NAME_CHARS}자까지 적어 주세요.",
        )
    return clean


def complete(pack: Pack, encoder: Encoder) -> None:
    """Add asked, self and care lines, and let every topic answer. Changes `pack`."""
    her = Hers(encoder)
    own = pack.rows()
    asked, topics = other_wordings(own, her)
    korean = is_korean(pack.name + "".join(row["a"] for row in own))
    files = {
        "asked": asked,
        "self": self_lines(pack.name, her, topics, {row["q"] for row in own}, korean),
        "care": care_lines(own, her),
    }
    pack.lines |= {stem: rows for stem, rows in files.items() if rows}
    pack.rules = {
        stem: list(dict.fromkeys(row["topic"] for row in rows)) for stem, rows in pack.lines.items()
    }
    known = {row["topic"] for row in pack.rows()}
    pack.rules["always"] = {
        topic: regex.pattern for topic, regex in her.always.items() if topic in known
    }


@dataclass
class Hers:
    """The embedded persona's lines: a bank of wordings, and of what any persona may say."""

    encoder: Encoder
    lines: Lines = field(init=False)
    questions: dict[str, list[str]] = field(init=False)  # topic -> questions without her name
    answering: dict[str, list[str]] = field(init=False)  # file -> topics that may answer
    always: dict[str, re.Pattern[str]] = field(init=False)

    def __post_init__(self) -> None:
        persona = load_persona(DEFAULT)
        self.folder = persona.folder / "lines"
        rules = read_answering(self.folder)
        self.always = dict(rules.always) if rules else {}
        self.answering = (rules.topics or {}) if rules else {}
        known = load_lines(persona.folder, self.encoder)
        topics = set(self.answering.get(FACTS, ()))
        self.lines = Lines(known.lines, self.encoder, topics or None, vectors=known.vectors)
        self._words = any_of(persona.own_words)
        self.questions = defaultdict(list)
        for line in known.lines:
            if line.topic in topics and not self.names_her(line.question):
                self.questions[line.topic].append(line.question)

    def like(self, question: str) -> tuple[str, float, list[str]] | None:
        """Her topic that `question` falls under, how surely, and its other wordings there.

        Wordings that she answers otherwise ask for something else: "술 좋아해?", "커피 좋아해?".
        """
        found = self.lines.nearest(question)
        if found is None or found[1] < self.encoder.lines_threshold:
            return None
        line, score = found
        answers = {other.answer for other in self.lines.equals(line)}
        asked = self.encoder.encode([question])[0]
        same = [
            other.question
            for other, vector in zip(self.lines.lines, self.lines.vectors, strict=True)
            if other.topic == line.topic
            and (other.answer in answers or float(vector @ asked) >= SAME)
        ]
        return line.topic, score, [text for text in same if not self.names_her(text)]

    def names_her(self, text: str) -> bool:
        return self._words.search(text) is not None

    def file(self, stem: str) -> list[Line]:
        path = self.folder / f"{stem}.jsonl"
        return read_lines(path) if path.exists() else []


def other_wordings(own: list[Row], her: Hers) -> tuple[list[Row], set[str]]:
    """Rows for asked.jsonl, and the embedded persona's topics that the written lines cover."""
    nearest: dict[str, tuple[float, Row, list[str]]] = {}  # her topic -> the row that means it most
    for row in own:
        if found := her.like(row["q"]):
            topic, score, wordings = found
            if topic not in nearest or score > nearest[topic][0]:
                nearest[topic] = score, row, wordings
    taken = {row["q"] for row in own}
    rows = []
    for _, row, wordings in nearest.values():
        for question in wordings:
            if question not in taken:
                taken.add(question)
                rows.append({**row, "q": question})
    return rows, set(nearest)


def self_lines(
    name: str, her: Hers, covered: set[str], written: set[str], korean: bool
) -> list[Row]:
    """Who the persona is, as far as no written line says it."""
    if korean:
        answers = {
            "name": [f"내 이름은 {josa(name, '이야/야')}!", f"{josa(name, '이라고/라고')} 해."],
            "who": [f"나는 {josa(name, '이야/야')}!"],
            "call": ["응, 왜 불러?", "응? 말해 봐!"],
        }
        called = josa(name, "아/야")
        asked = {**her.questions, "call": [called, f"{called}!", f"{name}!", f"{called} 있어?"]}
    else:
        answers = {"name": [f"My name is {name}."], "who": [f"I'm {name}."]}
        asked = {
            "name": ["What is your name?", "What should I call you?", "Your name?"],
            "who": ["Who are you?", "Tell me about yourself.", "Introduce yourself."],
        }
        covered = set()
    return [
        make_row(question, texts[at % len(texts)], topic)
        for topic, texts in answers.items()
        if topic not in covered
        for at, question in enumerate(asked.get(topic, []))
        if question not in written
    ]


def care_lines(own: list[Row], her: Hers) -> list[Row]:
    """Her lines that hold for every persona, without those that name her life."""
    topics = {stem: set(her.answering.get(stem, ())) for stem in CARE} | {FACTS: set(ANYONES)}
    lines = [
        line
        for stem, known in topics.items()
        for line in dict.fromkeys(her.file(stem))
        if line.topic in known
        and not her.names_her(line.question + "\n" + line.answer)
        and not HER_LIFE.search(line.answer)
    ]
    care = Lines(lines, her.encoder)
    found = [care.best(row["q"]) for row in own]
    written = {one[0].topic for one in found if one} - LIFE_SAVING
    return [
        make_row(line.question, line.answer, line.topic)
        for line in dict.fromkeys(lines)
        if line.topic not in written
    ]


def system_prompt(name: str, about: str, rows: list[Row], korean: bool) -> str:
    """For models that take a system message: who, how to speak, and the lines as examples."""
    told = f" {about}" if about else ""
    examples = "\n".join(f"- {row['q']} -> {row['a']}" for row in rows[:30])
    if not korean:
        return (
            f"You are {name}, a virtual human; you do not hide that you are an AI.{told}\n"
            f"Speak as in these lines, in one or two short sentences. What they do not tell you, "
            f"you do not know yet.\n{examples}"
        )
    return (
        f"너는 {josa(name, '이라는/라는')} 가상 인간이다. 스스로 AI임을 숨기지 않는다.{told}\n"
        "아래 대사와 같은 말투로 한두 문장, 짧게 답한다. 대사에 없는 일은 아직 모른다고 한다.\n"
        "오늘은 {날짜} {요일}이다.\n"
        "대괄호 [열쇠: 값] 은 사용자가 전에 알려 준 것이다. 대괄호를 직접 쓰지 마라.\n"
        "건강과 법 문제는 전문가를 권하고, 자해 이야기에는 109 상담 전화를 알려 준다.\n"
        f"{examples}"
    )
