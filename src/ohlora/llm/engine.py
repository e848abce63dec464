"""What every language model offers, and how it is asked to sample."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, Protocol

from ohlora.dialogue.prompt import Prompt

Progress = Callable[[str, float], None]  # what is being done, 0..1
Finish = Literal["stop", "length", "stopped"]  # she ended, the limit came, the caller stopped


@dataclass(frozen=True)
class Sampling:
    """How to draw tokens: `temperature` 0 takes the likeliest, a `seed` repeats a draw."""

    max_new_tokens: int = 64
    temperature: float = 0.6
    top_k: int = 50  # 0: no limit
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None


class Engine(Protocol):
    """A language model that answers a Prompt piece by piece. Safe to call from several threads."""

    @property
    def id(self) -> str:
        """Base, adapter hash and runtime, e.g. "ct2-int8:gemma-3-270m+ohlora@1a2b3c4d"."""
        ...

    @property
    def context_tokens(self) -> int: ...

    def count_tokens(self, text: str) -> int: ...

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, Finish]:
        """Yield pieces of whole characters, without the stop mark; return why it ended.

        Ends within one token of `stopped()` turning true. Raises EngineError.
        """
        ...


def never() -> bool:
    """A `stopped` for callers that never stop."""
    return False
