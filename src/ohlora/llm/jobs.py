"""The four jobs of the later versions, each with an adapter of its own on one base.

    answer       what she says                          (prompt.py's template)
    memory       what a turn tells, or "없음"            나 내일 카페 가 (기억 시작) [내일 일정: 카페 가기] (기억 종료)
    expression   what her face does while she says it   헐 진짜? (표정 시작) 눈 아주 크게 입 크게 고개 돌림 없음 (표정 종료)
    summary      older turns in one line                나 왼손잡이야 / 배고파 (요약 시작) 말한 것: 나 왼손잡이야 (요약 종료)

Training and inference write a prompt with the same `Job.prompt`; what stands after its start mark
is the answer. After v2's four adapters (spec/later_versions.md).
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ohlora.dialogue.prompt import START_MARK, STOP_MARK, Prompt, defuse
from ohlora.expression import Expression

NOTHING = "없음"  # what the memory job says of a turn that tells nothing
_MARKS = re.compile(r"\(\s*(?:기억|표정|요약)\s*(?:시작|종료)\s*\)")


@dataclass(frozen=True)
class Job:
    name: str
    start: str
    stop: str
    longest: int  # tokens of an answer

    def prompt(self, text: str, memories: Sequence[str] = ()) -> str:
        """What the model reads; `text` cannot imitate our marks or tags."""
        if self.start == START_MARK:
            return Prompt(text, tuple(memories)).completion()
        return " ".join([*memories, defuse(_MARKS.sub(" ", text)), self.start])

    def answer(self, text: str) -> str:
        """What it is taught to go on with."""
        return f" {text} {self.stop}"


JOBS = {
    job.name: job
    for job in (
        Job("answer", START_MARK, STOP_MARK, 64),
        Job("memory", "(기억 시작)", "(기억 종료)", 48),
        Job("expression", "(표정 시작)", "(표정 종료)", 24),
        Job("summary", "(요약 시작)", "(요약 종료)", 96),
    )
}

_FACT = re.compile(r"\[\s*([^\[\]:]{1,20}?)\s*:\s*([^\[\]]{1,80}?)\s*\]")


def facts_said(answer: str) -> list[tuple[str, str]]:
    """(key, value) of every whole [key: value] in a memory answer."""
    return [(key, value) for key, value in _FACT.findall(answer)]


# v2's words for what a face does, and what they mean here in standard deviations.
WORDS = {
    "눈": {"작게": -0.7, "보통": -0.3, "크게": 0.55, "아주 크게": 1.6},
    "입": {"보통": -0.7, "크게": 0.3, "아주 크게": 0.9},
    "고개 돌림": {"없음": -1.1, "보통": 0.9, "많이": 2.25},
}
_FACE = re.compile(
    r"\s*".join(
        rf"{part}\s*(?P<{name}>{'|'.join(sorted(words, key=len, reverse=True))})"
        for name, (part, words) in zip(("eyes", "mouth", "pose"), WORDS.items(), strict=True)
    )
)


def words_of(face: Expression) -> str:
    """The nearest words: "눈 크게 입 보통 고개 돌림 없음"."""
    parts = []
    values = (face.eyes, face.mouth, face.pose)
    for (part, words), value in zip(WORDS.items(), values, strict=True):
        parts.append(f"{part} {min(words, key=lambda word: abs(words[word] - value))}")
    return " ".join(parts)


def face_said(answer: str) -> Expression | None:
    """The face that words name; None when they name none."""
    if (found := _FACE.search(answer)) is None:
        return None
    words = found.groupdict().values()
    eyes, mouth, pose = (table[word] for table, word in zip(WORDS.values(), words, strict=True))
    return Expression(eyes, mouth, pose)
