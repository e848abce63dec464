"""What a memory is: its record, the states its history keeps, and text fit to be one."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from sqlite3 import Row
from typing import Any, Literal

from ohlora.errors import BadInput
from ohlora.memory.dates import Span, When, spoken_key
from ohlora.text import is_visible

Subject = Literal["user", "persona", "other"]
KEY_CHARACTERS, VALUE_CHARACTERS = 40, 300
MERGED_VALUES = 8  # that one key gathers ("마라탕, 떡볶이"); the oldest go first
SHOWN = ("id", "key", "value", "text", "subject", "created", "updated", "expires") + (
    "source_message_id",
    "source_text",
)
SHOWN_STATE = ("key", "value", "date", "span", "deleted")  # what a person would see changed
SAME = ("subject", "key", "date", "span")  # what makes two memories the same one
STATE = ("subject", "key", "value", "date", "span", "expires", "source_message_id", "deleted")


@dataclass(frozen=True)
class MemoryRecord:
    id: int
    subject: Subject
    key: str  # as it reads today: "내일 일정"
    value: str
    created: str
    updated: str
    expires: str | None
    source_message_id: int | None
    source_text: str | None  # what the user said, while that message exists
    when: When | None = None
    deleted: bool = False

    @property
    def text(self) -> str:
        return f"[{self.key}: {self.value}]"

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SHOWN}


@dataclass(frozen=True)
class Change:
    """One entry of the history. `before` and `after` are states of the row (None: not there)."""

    id: int
    memory_id: int
    action: str  # stored | updated | edited | deleted | undone
    before: dict[str, Any] | None
    after: dict[str, Any]
    undone: bool
    created: str

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Undone:
    action: str  # what was undone: stored | updated | edited | deleted
    record: MemoryRecord  # the memory as it is now

    def to_dict(self) -> dict[str, Any]:
        return {"action": self.action, "memory": self.record.to_dict()}


LIVE = "not m.deleted and (m.expires is null or m.expires > ?)"
SELECT = (
    "select m.*, said.text as source_text from memories m "
    "left join messages said on said.id = m.source_message_id"
)


def state_of(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in STATE}


def when_of(row: Row) -> When | None:
    span: Span | None = row["span"]
    return When(date.fromisoformat(row["date"]), span) if span else None


def record_of(row: Row, today: date) -> MemoryRecord:
    when = when_of(row)
    return MemoryRecord(
        id=row["id"],
        subject=row["subject"],
        key=spoken_key(row["key"], when, today),
        value=row["value"],
        created=row["created"],
        updated=row["updated"],
        expires=row["expires"],
        source_message_id=row["source_message_id"],
        source_text=row["source_text"],
        when=when,
        deleted=bool(row["deleted"]),
    )


def merged(known: str, value: str) -> str:
    parts = known.split(", ")
    if value in parts or any(part.startswith(f"{value} ") for part in parts):
        return known
    values = [part for part in parts if not value.startswith(f"{part} ")] + [value]
    while len(values) > MERGED_VALUES or len(", ".join(values)) > VALUE_CHARACTERS:
        del values[0]
    return ", ".join(values)


def clean_key(key: str) -> str:
    return _filled(clean(key.replace(":", " "), KEY_CHARACTERS), "key", "이름표")


def clean_value(value: str) -> str:
    return _filled(clean(value, VALUE_CHARACTERS), "value", "내용")


def _filled(text: str, en: str, ko: str) -> str:
    if not any(is_visible(char) for char in text):
        raise BadInput(
            f"A memory needs a {en}: type at least one visible character.",
            f"기억의 {ko}이 비어 있어요. 보이는 글자를 하나 이상 입력해 주세요.",
        )
    return text


MARK = re.compile(r"\(?답변 ?(?:시작|종료)\)?")
HIDDEN = ("Cc", "Cf", "Zl", "Zp")
ZERO_WIDTH_JOINER = "\u200d"  # holds emoji together


def clean(text: str, limit: int) -> str:
    """One NFC line without brackets, control characters or marks of the prompt template.

    A memory is read back into prompts as "[key: value]": nothing in it may end that early.
    """
    text = unicodedata.normalize("NFC", text[: 4 * limit])
    text = "".join(
        " " if unicodedata.category(c) in HIDDEN and c != ZERO_WIDTH_JOINER else c for c in text
    )
    text = " ".join(text.replace("[", "(").replace("]", ")").split())
    while MARK.search(text):  # taking one out may join the halves of another
        text = " ".join(MARK.sub(" ", text).split())
    return text[:limit].strip()
