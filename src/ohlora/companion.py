"""One turn, from what the user says to how her face answers. The only place that knows the order.

    text -> recall -> her own line, if she has one for this, else the language model (streams)
            with an expression for each sentence -> memories from what the USER said -> done

Every event is in the store before it is yielded: what a listener saw is never lost, and what
enters the history is exactly what was delivered. Nothing here knows who is listening.
"""

from __future__ import annotations

import random
import re
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from ohlora import paths
from ohlora.dialogue.answer import UNANSWERED, v1_answer
from ohlora.dialogue.clock import by_clock
from ohlora.dialogue.prompt import Prompt, without_tags
from ohlora.dialogue.stream import AnswerStream
from ohlora.dialogue.tags import parse_tags, v1_parse_memory
from ohlora.dialogue.weekday import asks_about_time, day_note, names_a_wrong_day
from ohlora.embedding import Encoder, load_encoder
from ohlora.errors import BadInput, OhloraError
from ohlora.events import Done, ErrorEvent, Event, ExpressionEvent, MemoryEvent, Reply, Token
from ohlora.expression import v1_expression
from ohlora.expression.learned import fitted
from ohlora.expression.reaction import Reaction
from ohlora.face import Lattice, load_face
from ohlora.lines import Line, Lines, load_lines
from ohlora.llm import Engine, Finish, Progress, Sampling
from ohlora.memory.dates import system_clock
from ohlora.memory.extract import Fact, Finding, extract
from ohlora.memory.findings import apply
from ohlora.memory.recall import Recall, Recalled
from ohlora.memory.sessions import Message
from ohlora.memory.store import Store, open_store
from ohlora.memory.summary import said_before, summary_before
from ohlora.packs.voice import load_voice
from ohlora.persona import Persona, fill, load_persona
from ohlora.text import clean_user_text

TRIALS = 4  # draws before a fallback line, when a draw says nothing at all
HISTORY = 12  # messages a chat model is shown
V1_TOTAL_TOKENS = 80  # v1 limits prompt and answer together
V1_SAMPLING = Sampling(temperature=0.6, top_k=50, top_p=1.0)
V1_THRESHOLD = 0.6
MODES = ("default", "v1")
INTERNAL = (
    "Something broke inside while she answered: send the message again, and please report it.",
    "답하는 중에 내부 오류가 났어요. 다시 보내 보고, 계속되면 알려 주세요.",
)

Clock = Callable[[], datetime]  # aware, in the user's time zone


@dataclass(frozen=True)
class Spoken:
    """What was said in one answer."""

    text: str
    source: Literal["llm", "lines"]
    finish: Finish
    completion_tokens: int = 0
    tags: tuple[str, ...] = ()  # v1 mode only: "[key: value]" the answer carried


class Companion:
    """She. Thread-safe: turns of different sessions may run at once.

    mode "default" streams, recalls by a calibrated threshold and remembers what the user said;
    mode "v1" keeps the published prompt, sampling, filter, memory choice and tags; it uses no
    written lines.
    """

    def __init__(
        self,
        persona: Persona,
        store: Store,
        engine: Engine,
        encoder: Encoder,
        lines: Lines,
        face: Lattice,
        *,
        mode: str = "default",
        clock: Clock = system_clock,
    ) -> None:
        if mode not in MODES:
            raise BadInput(
                f"The mode {mode!r} is unknown: use one of {', '.join(MODES)}.",
                f"{mode!r} 모드는 없어요. {', '.join(MODES)} 중에서 골라 주세요.",
            )
        self.persona, self.store, self.engine = persona, store, engine
        self.encoder, self.lines, self.face = encoder, lines, face
        self.mode, self.clock = mode, clock
        self.recall = Recall(store, encoder)
        self._express = v1_expression if mode == "v1" else fitted(encoder.encode)

    def turn(
        self, session_id: str, text: str, response_id: str, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        """Yield the events of one turn (events.py gives their order), each durable already.

        Raises BadInput and UnknownSession before anything is stored. Later failures become an
        ErrorEvent; what was delivered before it stays. Closing the generator ends the turn as
        interrupted.
        """
        text = clean_user_text(text)
        asked, answered = self.store.begin_turn(session_id, text, response_id)
        said, source, expression = "", None, None
        ending: Done | ErrorEvent = Done("interrupted", said)
        try:
            for event in self._answer(session_id, text, response_id, asked, answered, stopped):
                if isinstance(event, Done):
                    ending = event
                    break
                self.store.append_event(response_id, event.fields())
                if isinstance(event, Token):
                    said += event.text
                    ending = Done("interrupted", said)
                elif isinstance(event, Reply):
                    source = event.source
                elif isinstance(event, ExpressionEvent):
                    expression = {name: getattr(event, name) for name in ("eyes", "mouth", "pose")}
                yield event
        except OhloraError as error:
            ending = ErrorEvent(error.code, error.en, error.ko)
        except Exception:  # a bug: the listener learns that it ends here, the face above logs it
            ending = ErrorEvent("internal", *INTERNAL)
            raise
        finally:  # also when a listener closes us
            status = ending.reason if isinstance(ending, Done) else "crashed"
            self.store.finish_turn(response_id, status, source, expression, ending.fields())
        yield ending

    def _answer(
        self,
        session_id: str,
        text: str,
        response_id: str,
        asked: int,
        answered: int,
        stopped: Callable[[], bool],
    ) -> Iterator[Event]:
        """The events of one turn, not yet stored; the last is Done."""
        started, now = time.perf_counter(), self.clock()
        seed = zlib.crc32(response_id.encode())
        history = self._history(session_id, before=asked)
        line = self._said(session_id, text, asked) or self._line(text, seed, first=not history)
        told = self._told(text, now, self._said_before(session_id, asked))
        recalled = self._recall(text, told)
        if line and not (recalled and recalled[0].asked and self.lines.due(text) is None):
            recalled = []  # a line speaks of herself, or helps in danger: not of the user
        else:
            line = None  # what the user asks of themselves comes before her own life
        # Kept before she answers: what was told outlives a reply that fails, or the process.
        kept = apply(self.store, told, now, source_message_id=asked)
        for found in recalled:
            yield MemoryEvent("recalled", found.record.to_dict(), round(found.score, 4))

        prompt = Prompt(
            user=text,
            memories=tuple(found.record.text for found in recalled),
            system=self._system(session_id, text, now, history),
            history=tuple((message.role, message.text) for message in history if message.text),
            exact=self.mode == "v1",
        )
        line = line or self._small_talk(prompt)
        first_token_s = None
        answer = self._say(line, stopped) if line else self._generate(prompt, stopped, seed)
        reaction = Reaction(self._express, by_sentence=self.mode != "v1")
        while True:
            try:
                piece = next(answer)
            except StopIteration as finished:
                spoken: Spoken = finished.value
                break
            if first_token_s is None:
                first_token_s = time.perf_counter() - started
            yield Token(piece)
            yield from reaction.add(piece)

        if spoken.text:
            yield Reply(spoken.text, spoken.source, answered)
            yield from reaction.end()
        tagged = [Fact(tag.key, tag.value) for raw in spoken.tags for tag in parse_tags(raw)[1]]
        kept += apply(self.store, tagged, now, source_message_id=asked)
        for action, record in kept:
            yield MemoryEvent(action, record.to_dict())
        yield Done(
            "interrupted" if spoken.finish == "stopped" else "complete",
            spoken.text,
            prompt_tokens=self.engine.count_tokens(prompt.completion()),
            completion_tokens=spoken.completion_tokens,
            first_token_s=first_token_s,
            total_s=time.perf_counter() - started,
        )

    def speak(
        self,
        prompt: Prompt,
        stopped: Callable[[], bool],
        *,
        seed: int = 0,
        sampling: Sampling | None = None,
    ) -> Generator[str, None, Spoken]:
        """Yield the pieces of one answer, ready to show; return what was Spoken.

        `seed` picks among her equally good lines; the model draws by `sampling.seed`, and freely
        when that is None. Touches no session and no memory: the OpenAI-style API calls this.
        """
        if line := self._line(prompt.user, seed) or self._small_talk(prompt):
            return (yield from self._say(line, stopped))
        return (yield from self._generate(prompt, stopped, seed, sampling))

    def _say(self, line: Line, stopped: Callable[[], bool]) -> Generator[str, None, Spoken]:
        """One of her own lines, a word at a time, with today's slots."""
        text = fill(line.answer, self._slots())
        shown = ""
        for piece in re.findall(r"\S+\s*", text):
            if stopped():
                return Spoken(shown.rstrip(), "lines", "stopped")
            shown += piece
            yield piece
        return Spoken(text, "lines", "stop", self.engine.count_tokens(text))

    def _generate(
        self,
        prompt: Prompt,
        stopped: Callable[[], bool],
        seed: int,
        sampling: Sampling | None = None,
    ) -> Generator[str, None, Spoken]:
        """The language model's answer through the streaming filter; drawn again while empty.

        Where the message is about time the answer waits until it is whole: one that names a wrong
        weekday is drawn again.
        """
        if self.mode == "v1":
            return (yield from self._speak_v1(prompt, stopped, sampling or V1_SAMPLING))
        sampling = sampling or self.persona.sampling
        wait = asks_about_time(prompt.user)
        for trial in range(TRIALS):
            stream = AnswerStream(self._slots())
            finish: Finish = "stop"
            pieces = self.engine.generate(prompt, again(sampling, trial), stopped)
            while not stream.ended:
                try:
                    piece = next(pieces)
                except StopIteration as finished:
                    finish = finished.value or "stop"
                    break
                if (shown := stream.feed(piece)) and not wait:
                    yield shown
            pieces.close()
            if finish == "stopped":
                if wait:
                    return Spoken("", "llm", "stopped")
                return Spoken(stream.said, "llm", "stopped", self.engine.count_tokens(stream.said))
            rest = stream.finish()
            if wait and names_a_wrong_day(stream.said, self.clock()):
                continue
            if shown := stream.said if wait else rest:
                yield shown
            if stream.said:
                tokens = self.engine.count_tokens(stream.said)
                if finish == "length" and stream.said[-1].isalnum():
                    yield "…"  # cut by the limit: say so
                    return Spoken(stream.said + "…", "llm", "length", tokens)
                return Spoken(stream.said, "llm", finish, tokens)
        text = random.Random(seed).choice(self.persona.fallback)
        yield text
        return Spoken(text, "lines", "stop", self.engine.count_tokens(text))

    def _speak_v1(
        self, prompt: Prompt, stopped: Callable[[], bool], sampling: Sampling
    ) -> Generator[str, None, Spoken]:
        """v1: draw whole answers until one is accepted, then show it at once, without its tags."""
        prompt = replace(prompt, exact=True)
        room = V1_TOTAL_TOKENS - self.engine.count_tokens(prompt.completion())
        sampling = replace(sampling, max_new_tokens=max(0, room), repetition_penalty=1.0)
        draws = 0

        def draw() -> str:
            nonlocal draws
            draws += 1
            return "".join(self.engine.generate(prompt, again(sampling, draws), stopped))

        answer = v1_answer(draw)[0] if room > 0 else UNANSWERED  # v1 drew thirty empty answers
        cleaned, tags = v1_parse_memory(answer)
        if stopped():
            return Spoken("", "llm", "stopped")
        cleaned = fill(cleaned, self._slots())  # her own adapter writes slots in any mode
        if cleaned:
            yield cleaned
        tokens = self.engine.count_tokens(cleaned)
        return Spoken(cleaned, "llm", "stop", tokens, tuple(tags))

    def _slots(self) -> dict[str, str]:
        return self.persona.slots(self.clock().date())

    def _line(self, text: str, seed: int, first: bool = False) -> Line | None:
        """What the clock says, or her own written line where she has one and is sure of it."""
        if self.mode == "v1" or not self.lines.lines:
            return None
        if said := by_clock(text, self.clock(), first):
            return Line(text, said, "clock")
        found = self.lines.best(text, seed)
        return found and found[0]

    def _small_talk(self, prompt: Prompt) -> Line | None:
        """Her line for an everyday turn like this one; a turn with a memory is the model's."""
        if self.mode == "v1" or prompt.memories or "[" in prompt.user:
            return None
        said = {text for role, text in prompt.history if role == "assistant"}
        near = self.lines.chat(prompt.user, said)
        return near[0][0] if near else None

    def _recall(self, text: str, told: Sequence[Finding]) -> Sequence[Recalled]:
        if self.mode == "v1":
            return self.recall.best(text, k=1, threshold=V1_THRESHOLD, by_day=False)
        # What this message itself tells needs no older memory of the same kind beside it.
        keys = {fact.key for fact in told if isinstance(fact, Fact)}
        return self.recall.best(without_tags(text), without=keys)

    def _history(self, session_id: str, before: int) -> Sequence[Message]:
        messages, _ = self.store.sessions.messages(session_id, before=before, limit=HISTORY)
        return messages

    def _system(self, session_id: str, text: str, now: datetime, history: Sequence[Message]) -> str:
        """Who she is, the hour where the message is about time, and what older turns said."""
        parts = [self.persona.system_on(now.date())]
        if asks_about_time(text):
            parts.append(day_note(now))
        if len(history) == HISTORY:
            parts.append(summary_before(self.store, session_id, history[0].id))
        return "\n".join(part for part in parts if part)

    def _said(self, session_id: str, text: str, asked: int) -> Line | None:
        """ "아까 내가 뭐라고 했지?" is answered in the user's own words."""
        said = None if self.mode == "v1" else said_before(self.store, session_id, text, asked)
        if said is None or not self.lines.lines:
            return None
        answer = f'"{said}"라고 했어!' if said else "음, 아직 나한테 한 말이 없는걸?"
        return Line(text, answer, "said before")

    def _said_before(self, session_id: str, asked: int) -> str:
        messages, _ = self.store.sessions.messages(session_id, before=asked, limit=2)
        return next((message.text for message in messages if message.role == "user"), "")

    def _told(self, text: str, now: datetime, before: str) -> list[Finding]:
        """What the user's message tells. v1 reads her answer's tags instead, as published."""
        return [] if self.mode == "v1" else extract(text, now, before)


def again(sampling: Sampling, trial: int) -> Sampling:
    """The sampling of another draw: the next seed, or none where none was asked for."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + trial)


@contextmanager
def load_companion(
    *,
    persona: str = "ohlora",
    engine: str | None = None,
    encoder: str | None = None,
    face: str | None = None,
    mode: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Companion]:
    """Open the store and load the models; close both at the end.

    What is not given is what the persona's [models] says, and "embedded" where it says nothing.
    Raises StoreError, CheckpointError, UnknownPersona, BadInput, EngineError.
    """
    pack = load_persona(persona)
    store = open_store(paths.home() / "ohlora.db", persona=pack.id)
    try:
        store.recover()  # answers that a killed process left unfinished
        told: Progress = progress or (lambda what, part: None)
        words = load_encoder(encoder or pack.models.encoder, told)
        # Lines for everyday turns make up for a small model; any other model talks itself.
        small = (engine or pack.models.engine).startswith("embedded")
        companion = Companion(
            pack,
            store,
            load_voice(pack, engine or pack.models.engine, words, progress),
            words,
            load_lines(pack.folder, words, small_talk=small, progress=told),
            load_face(face or pack.models.face),
            mode=mode or pack.models.mode,
        )
        try:
            yield companion
        finally:
            companion.face.close()
    finally:
        store.close()
