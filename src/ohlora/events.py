"""What one turn says to whoever listens: six kinds of event, in one order.

    (memory recalled)*  (token | expression)*  reply  expression  (memory stored)*  done | error

`Companion.turn` yields them; the terminal, the web socket and the OpenAI-style API show them.
On the wire an event is a flat JSON object: {"type", "response_id", "seq", ...fields}.
`seq` counts from 0 within one response, without holes, so a listener that was away asks for
what comes after the last seq it saw.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class Event:
    type: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """Plain JSON data, without response_id and seq (the log adds those)."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True)
class Token(Event):
    """A piece of the reply, ready to show. The concatenation of all tokens is the reply."""

    type: ClassVar[str] = "token"
    text: str


@dataclass(frozen=True)
class Reply(Event):
    """The whole reply. `source` says whose words: the LLM's, or one of her own written lines."""

    type: ClassVar[str] = "reply"
    text: str
    source: Literal["llm", "lines"]
    message_id: int


@dataclass(frozen=True)
class ExpressionEvent(Event):
    """How her face answers from one place of the reply on; the last one stays.

    eyes, mouth, pose: property-score units (standard deviations). at: characters (code points) of
    the reply before the sentence that it belongs to.
    """

    type: ClassVar[str] = "expression"
    eyes: float
    mouth: float
    pose: float
    at: int = 0


@dataclass(frozen=True)
class MemoryEvent(Event):
    """One memory: recalled for this turn (with its score), or stored, updated, forgotten by it."""

    type: ClassVar[str] = "memory"
    action: Literal["recalled", "stored", "updated", "forgotten"]
    memory: dict[str, Any]  # MemoryRecord.to_dict()
    score: float | None = None  # cosine, only when recalled


@dataclass(frozen=True)
class Done(Event):
    """The turn is over. `reason`: she finished, was stopped by the user, or the process died."""

    type: ClassVar[str] = "done"
    reason: Literal["complete", "interrupted", "crashed"]
    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None  # seconds from the start of the turn
    total_s: float = 0.0


@dataclass(frozen=True)
class ErrorEvent(Event):
    """The turn failed. One sentence in each language; what was delivered before it stays."""

    type: ClassVar[str] = "error"
    code: str
    message: str
    message_ko: str


TERMINAL = ("done", "error")
