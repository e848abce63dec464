"""The file of written lines that a new persona begins with.

    Q: 너는 누구야?            what a user may say
    Q: 정체가 뭐야?            another way to say it, for the same answer
    A: 나는 미나! 바닷가 작은 책방을 지켜.
    # a remark

Also 질문/답, full-width colons, an answer that goes on in the next line, and `.jsonl` rows
{"q", "a", "topic"?}. The file is UTF-8.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ohlora.errors import BadInput
from ohlora.packs.pack import (
    ANSWER_CHARS,
    QUESTION_CHARS,
    Row,
    make_row,
    numbered,
    refuse,
    topic_of,
)
from ohlora.text import is_visible

_MARK = re.compile(r"\s*(Q|질문|A|답|답변)\s*[:：]\s*(.*)", re.IGNORECASE)


def read_written(path: Path) -> list[Row]:
    """Rows {"q", "a", "topic", "split"} in the order written. Raises BadInput naming the line."""
    pairs = _jsonl(path) if path.suffix == ".jsonl" else _questions_and_answers(path)
    if not pairs:
        raise refuse(
            path,
            'holds no lines: write "Q: what a user says" and under it "A: the answer".',
            '대사가 없어요. "Q: 사용자가 하는 말" 아래에 "A: 대답"을 적어 주세요.',
        )
    rows: list[Row] = []
    seen: dict[tuple[str, str], int] = {}
    for number, question, answer, topic in pairs:
        where = f"{path}:{number}"
        check_pair(where, question, answer)
        if first := seen.get((question, answer)):
            raise refuse(
                where,
                f"the same question and answer as in line {first}.",
                f"{first}번째 줄과 질문도 답도 같아요.",
            )
        seen[question, answer] = number
        rows.append(make_row(question, answer, topic))
    return rows


def check_pair(where: str, question: str, answer: str) -> None:
    """Raise BadInput when question or answer cannot be a line."""
    for text, limit, name, name_ko in (
        (question, QUESTION_CHARS, "question", "질문"),
        (answer, ANSWER_CHARS, "answer", "답"),
    ):
        if re.search("[\ud800-\udfff]", text):
            raise refuse(
                where,
                f"the {name} holds half a character (a lone surrogate): type it again.",
                f"{name_ko}에 깨진 글자(짝 없는 서로게이트)가 있어요. 다시 적어 주세요.",
            )
        if not any(is_visible(char) for char in text):
            raise refuse(where, f"the {name} is empty.", f"{name_ko}이 비어 있어요.")
        if len(text) > limit:
            raise refuse(
                where,
                f"the {name} has {len(text)} characters, and the limit is {limit}.",
                f"{name_ko}이 {len(text)}자예요. {limit}자까지 쓸 수 있어요.",
            )


def _questions_and_answers(path: Path) -> list[tuple[int, str, str, str]]:
    """(line, question, answer, topic) of a Q/A text."""
    pairs: list[tuple[int, str, str, str]] = []
    questions: list[tuple[int, str]] = []
    answer: list[str] = []

    def close() -> None:
        text = " ".join(answer).strip()
        topic = topic_of(questions[0][1]) if questions else ""
        pairs.extend((number, question, text, topic) for number, question in questions)
        questions.clear()
        answer.clear()

    lines = numbered(path)
    for number, line in lines:
        if line.lstrip().startswith("#"):
            continue
        match = _MARK.fullmatch(line)
        if match is None:
            if not answer:
                raise _no_mark(path, number)
            answer.append(line.strip())
        elif match[1].upper() in ("Q", "질문"):
            if answer:
                close()
            questions.append((number, match[2].strip()))
        else:
            if not questions or answer:
                raise _lonely(path, number, "an answer without a question", "질문 없는 답이에요")
            answer.append(match[2].strip())
            if not match[2].strip():
                raise refuse(f"{path}:{number}", "the answer is empty.", "답이 비어 있어요.")
    if questions and not answer:
        number = questions[-1][0]
        raise _lonely(path, number, "a question without an answer", "답 없는 질문이에요")
    close()
    return pairs


def _jsonl(path: Path) -> list[tuple[int, str, str, str]]:
    pairs = []
    for number, text in numbered(path):
        try:
            row = json.loads(text)
            question, answer = row["q"].strip(), row["a"].strip()
            pairs.append((number, question, answer, str(row.get("topic") or topic_of(question))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise refuse(
                f"{path}:{number}",
                'want one JSON object {"q": ..., "a": ...} with texts in it.',
                '{"q": ..., "a": ...} 꼴의 JSON 한 줄이어야 해요.',
            ) from error
    return pairs


def _no_mark(path: Path, number: int) -> BadInput:
    return refuse(
        f"{path}:{number}",
        'this line begins with neither "Q:" nor "A:".',
        '"Q:"나 "A:"로 시작하지 않는 줄이에요.',
    )


def _lonely(path: Path, number: int, what: str, what_ko: str) -> BadInput:
    return refuse(
        f"{path}:{number}",
        f'{what}: write "Q: ..." and under it "A: ...".',
        f'{what_ko}. "Q: ..." 아래에 "A: ..."를 적어 주세요.',
    )
