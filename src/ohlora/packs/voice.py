"""Which language model speaks for a persona.

A pack with an adapter of its own speaks with it. A pack without one borrows the embedded model,
which was trained to be 오로라: fluent in small talk, but it believes that her life is its own.
So its own lines answer first (Companion), and here a borrowed voice

    1. is not asked what the embedded persona has fact lines for ("생일 언제야?"),
    2. is cut before a sentence that names her life or repeats one of those facts.

What is left empty ends in one of the pack's fallback lines ("그건 아직 나도 잘 몰라.").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator

import numpy as np

from ohlora.dialogue.prompt import Prompt
from ohlora.embedding import Encoder
from ohlora.lines import (
    AGREEMENT,
    NEIGHBOURS,
    SHARPNESS,
    about_user,
    load_lines,
    read_answering,
)
from ohlora.llm import Engine, Finish, Progress, Sampling, load_engine
from ohlora.persona import DEFAULT, Persona, load_persona

ASKED = 0.5  # cosine to a question about her life
CLAIMED = 0.6  # cosine of a sentence to one of her fact lines
FACTS = "facts"  # the file of her lines that holds her life
ANYONES = frozenset(["ai", "human", "robot", "memory", "contact", "voice", "vision"])
CALENDAR = frozenset(["weekday", "date", "season", "time"])  # topics in it that are nobody's life
_SENTENCE_END = re.compile(r"[.!?~…]+[\"')\s]*|\n")


def load_voice(
    persona: Persona, spec: str, encoder: Encoder, progress: Progress | None = None
) -> Engine:
    """The engine that `spec` names; "embedded" means the persona's own adapter, if it has one.

    Raises what load_engine raises.
    """
    if spec != "embedded" or persona.id == DEFAULT:
        return load_engine(spec, progress=progress)
    adapter = persona.folder / "adapter"
    if adapter.is_dir():
        return load_engine(f"embedded:{adapter}", progress=progress)
    return BorrowedVoice(load_engine(spec, progress=progress), persona, Life(encoder))


class Life:
    """What the embedded persona's lines tell of her life: the questions, the answers, the words."""

    def __init__(self, encoder: Encoder) -> None:
        her = load_persona(DEFAULT)
        known = load_lines(her.folder, encoder)
        rules = read_answering(her.folder / "lines")
        topics = set((rules.topics or {}).get(FACTS, ())) - ANYONES - CALENDAR if rules else set()
        named = any_of(her.own_words)
        self.encoder, self.words, self.asked = encoder, her.own_words, known.vectors  # [L, dim]
        # [L]: does this line answer a question about her life?
        self.hers = np.array([line.topic in topics for line in known.lines], bool)
        told: dict[bool, set[str]] = {True: set(), False: set()}  # sentences: hers, anyone's
        for line in known.lines:
            hers = line.topic in topics or bool(named.search(line.answer))
            told[hers].update(sentences(line.answer))
        facts = {one for one in told[True] - told[False] if re.search(r"\w[^?]*$", one)}
        self.told = encoder.encode(sorted(facts))  # [N, dim]

    def asks(self, text: str) -> bool:
        """Is this a question that her life answers? The nearest lines vote, as in ohlora.lines."""
        if about_user(text) or not self.hers.any():
            return False
        cosine = self.asked @ self.encoder.encode([text])[0]  # [L]
        nearest = np.argsort(-cosine)[:NEIGHBOURS]
        weight = np.exp((cosine[nearest] - cosine[nearest[0]]) * SHARPNESS)
        share = weight[self.hers[nearest]].sum() / weight.sum()
        return bool(share >= AGREEMENT and cosine[self.hers].max() >= ASKED)

    def claims(self, sentence: str) -> bool:
        """Does this sentence repeat one of the facts she tells of herself?"""
        return len(self.told) > 0 and bool(
            (self.told @ self.encoder.encode([sentence])[0]).max() >= CLAIMED
        )


class BorrowedVoice:
    """An engine that speaks for `persona` with another's model. Threads may share it."""

    def __init__(self, engine: Engine, persona: Persona, life: Life) -> None:
        self.engine, self.life = engine, life
        self.id = f"{engine.id};for={persona.id}"
        self.context_tokens = engine.context_tokens
        own = said_by(persona)
        foreign = [word for word in life.words if word.lower() not in own]
        self._foreign = any_of(foreign)

    def count_tokens(self, text: str) -> int:
        return self.engine.count_tokens(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        """Yield whole sentences, up to the first that would tell of another's life."""
        if self.life.asks(prompt.user):
            return "stop"
        pieces = self.engine.generate(prompt, sampling, stopped)
        held = ""
        finish: Finish | None = None
        try:
            while finish is None:
                try:
                    held += next(pieces)
                except StopIteration as ended:
                    finish = ended.value or "stop"
                while end := _SENTENCE_END.search(held):
                    if end.end() == len(held) and finish is None:
                        break  # more marks may follow: "!!", "..."
                    sentence, held = held[: end.end()], held[end.end() :]
                    if self.spoils(sentence):
                        return "stop"
                    yield sentence
            if finish == "stopped":
                return finish
            if held.strip() and not self.spoils(held):
                yield held
            return finish
        finally:
            pieces.close()

    def spoils(self, sentence: str) -> bool:
        return bool(self._foreign.search(sentence)) or self.life.claims(sentence)


def sentences(text: str) -> list[str]:
    """The text, and each sentence of it by itself."""
    cut = [text[: end.end()] for end in _SENTENCE_END.finditer(text)]
    parts = [now[len(before) :] for before, now in zip(["", *cut], [*cut, text], strict=True)]
    return [one for one in (text.strip(), *(part.strip() for part in parts)) if one]


def any_of(words: Collection[str]) -> re.Pattern[str]:
    """Finds any of the words, in upper or lower case."""
    return re.compile("|".join(map(re.escape, words)) or "(?!)", re.IGNORECASE)


def said_by(persona: Persona) -> str:
    """Everything the pack itself says, in lower case: a word of its own is not another's."""
    texts: list[str] = [*persona.name.values(), *persona.greeting.values(), persona.system]
    for path in sorted((persona.folder / "lines").glob("*.jsonl")):
        texts.append(path.read_text("utf-8", "replace"))
    return "\n".join(texts).lower()
