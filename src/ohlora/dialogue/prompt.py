"""What the language model reads: one template, shared by training and inference.

    [내일 일정: 친구랑 카페 가기] 나 내일 뭐 하지? (답변 시작)      <- prompt
     내일 친구랑 카페 가기로 했잖아! (답변 종료)<eos>         <- answer, only it has loss

v1 trained with "### 답변:" between the mark and the answer but prompted without it
(spec/product.md section 10: template mismatch); here both sides call `Prompt.completion`.
"""

from __future__ import annotations

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
        """Chat roles for engines with a chat template."""
        messages = [{"role": role, "content": text} for role, text in self.history]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        content = " ".join([*self.memories, self.user])
        return [*messages, {"role": "user", "content": content}]


def defuse(text: str) -> str:
    """User text that cannot imitate our marks or memory tags.

    Brackets become parentheses-like Korean ones and marks lose their parentheses, so a typed
    "[이름: 철수]" is never read by the model as something it remembers.
    """
    text = text.translate({ord("["): "〔", ord("]"): "〕"})
    for mark in (START_MARK, STOP_MARK):
        text = text.replace(mark, mark.strip("()"))
    return text
