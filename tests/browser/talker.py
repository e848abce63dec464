"""The companion of the browser tests: everything real but the language model.

Store, recall, memories from what the user said, expression rules, sentence encoder and face are
the product's own. `Talker` stands in for the model: it says written answers slowly enough to watch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from ohlora.companion import Companion
from ohlora.dialogue.prompt import Prompt
from ohlora.embedding import load_encoder
from ohlora.errors import EngineError
from ohlora.face import load_face
from ohlora.lines import Lines
from ohlora.llm import Sampling
from ohlora.memory.store import open_store
from ohlora.persona import load_persona

ANSWERS = {
    "안녕": "오! 안녕! 만나서 정말 반가워 😊",
    "나 내일 친구랑 카페 가": "와! 친구랑 카페 가는구나! 뭐 마실 거야?",
    "미안": "미안해하지 마, 그건 좀 별로야.",
    "긴 이야기 해 줘": "있잖아, 밤하늘에 오로라가 뜨면 초록빛 커튼이 천천히 흔들려. " * 3,
}
BROKEN = "고장"  # the engine fails on this


class Talker:
    """Says its answer a character at a time, `pause` seconds apart. What it is told to recall it
    repeats, so a reply that names the plan shows that the memory reached the prompt."""

    id, context_tokens = "talker", 2048

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.heard: list[str] = []
        self._lock = threading.Lock()

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, str]:
        with self._lock:
            self.heard.append(prompt.user)
        if prompt.user == BROKEN:
            raise EngineError(
                "The model stumbled: try again.", "모델이 멈칫했어요. 다시 보내 주세요."
            )
        answer = ANSWERS.get(prompt.user, f"응, {prompt.user[:40]} 그렇구나.")
        if prompt.memories:
            answer = f"아! {prompt.memories[0].strip('[]').split(': ')[1]} 잖아!"
        for char in answer:
            threading.Event().wait(self.pause)
            if stopped():
                return "stopped"
            yield char
        return "stop"


@contextmanager
def talking_companion(folder: Path, engine: Talker) -> Iterator[Companion]:
    store = open_store(folder / "ohlora.db")
    face = load_face()
    words = load_encoder()
    try:
        yield Companion(load_persona(), store, engine, words, Lines([], words), face)
    finally:
        face.close()
        store.close()
