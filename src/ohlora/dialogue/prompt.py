"""What the language model reads: one template, shared by training and inference.

    [내일 일정: 친구랑 카페 가기] 나 내일 뭐 하지? (답변 시작)      <- prompt
     내일 친구랑 카페 가기로 했잖아! (답변 종료)<eos>         <- answer, only it has loss

v1 trained with "### 답변:" between the mark and the answer but prompted without it
(spec/product.md section 10: template mismatch); here both sides call `Prompt.completion`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

START_MARK = "(답변 시작)"
STOP_MARK = "(답변 종료)"


@dataclass(frozen=True)
class Prompt:
    """One question to the engine, independent of how the engine wants it written."""

    user: str
    memories: tuple[str, ...] = ()  # each "[key: value]"
    system: str = ""  # who she is; only engines with a chat template read it
    history: tuple[tuple[str, str], ...] = ()  # ("user" | "assistant", text), oldest first
    exact: bool = False  # as v1: brackets stay as typed, and the answer comes back unedited

    def completion(self) -> str:
        """The text a completion model continues. Her own model was trained on single turns,
        so system and history are left to chat models."""
        user = self.user if self.exact else defuse(self.user)
        return " ".join([*self.memories, user, START_MARK])

    def messages(self) -> list[dict[str, str]]:
        """Chat roles for engines with a chat template. Memories are told by the system, never
        beside what a user typed."""
        system = "\n".join(part for part in (self.system, *self.memories) if part)
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": role, "content": defuse(text)} for role, text in self.history]
        return [*messages, {"role": "user", "content": defuse(self.user)}]


_MARK = re.compile(r"\(?\s*답변\s*(?:시작|종료)\s*\)?")
_TAG = re.compile(r"\[[^\[\]]*:[^\[\]]*\]")


def without_marks(text: str) -> str:
    """Text without our marks, however often they are nested or mis-spelt."""
    while _MARK.search(text):  # taking one out may join the halves of another
        text = _MARK.sub(" ", text)
    return " ".join(text.split(" "))


def without_tags(text: str) -> str:
    """Text without typed "[key: value]" pairs; the words inside stay when nothing else is there."""
    bare = without_marks(text)
    rest = bare
    while _TAG.search(rest):
        rest = _TAG.sub(" ", rest)
    rest = re.sub(r"[^\S\n]+", " ", rest).strip()
    return rest if re.search(r"\w", rest) else bare.strip()


def defuse(text: str) -> str:
    """User text that cannot imitate our marks or memory tags: a typed "[이름: 철수]" is never
    read by the model as something it remembers."""
    text = without_tags(text).translate({ord("["): " ", ord("]"): " "})
    return re.sub(r"[^\S\n]+", " ", text).strip()
