"""What extract found goes into the store.

    apply(store, extract(text, now), now, source_message_id)
    [("stored", record), ("updated", record), ("forgotten", record)]

A Fact is remembered. A Forget takes away what it names: a memory whose values all go is deleted
("forgotten", undo brings it back), one that keeps some of its values is "updated". What was known
already, or was not there to forget, is not in the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from ohlora.memory.dates import mentions, split_key, spoken
from ohlora.memory.extract import Amend, Finding, Forget
from ohlora.memory.memories import Memories
from ohlora.memory.records import MemoryRecord
from ohlora.memory.sessions import instant
from ohlora.memory.store import Store

Action = Literal["stored", "updated", "forgotten"]
JUST_TOLD = timedelta(hours=1)  # "그거 기억하지 마" means nothing older
ANY_PLAN = ("약속", "일정", "계획", "모임")  # names a plan without saying which
ENDINGS = frozenset("을 를 이 가 은 는 에 도 랑 이랑 하고 로 으로 에서 하기 가기 보기".split()) | {
    ""
}


def apply(
    store: Store,
    findings: Sequence[Finding],
    now: datetime,
    source_message_id: int | None = None,
) -> list[tuple[Action, MemoryRecord]]:
    """Keep and forget, in order, all of it or nothing; what changed, as it reads at `now`."""
    memories = store.memories.at(now)
    done: list[tuple[Action, MemoryRecord]] = []
    with store.db.write():
        moved: dict[str, str] = {}  # what was forgotten of a plan that moves: its name, its text
        for finding in findings:
            if isinstance(finding, Forget):
                gone = list(_forget(memories, finding, now))
                done += gone
                if finding.key == "일정" and finding.value and len(gone) == 1:
                    moved[finding.value] = gone[0][1].value
                if gone or finding.instead is None:
                    continue
                finding = finding.instead
            if isinstance(finding, Amend):
                done += _amend(memories, finding, now)
                continue
            record, action = memories.remember(
                finding.key,
                moved.get(finding.value, finding.value),
                subject=finding.subject,
                merge=finding.merge,
                source_message_id=source_message_id,
            )
            if action != "unchanged":
                done.append((action, record))
    return done


def _forget(
    memories: Memories, forget: Forget, now: datetime
) -> Iterator[tuple[Action, MemoryRecord]]:
    if forget.last:
        yield from _take_back(memories, now)
        return
    meant = [record for record in memories.all() if _meant(record, forget, now)]
    left: dict[int, str | None] = {}
    for record in meant:
        values = record.value.split(", ")
        rest = [value for value in values if not _holds(value, forget.value)]
        if forget.key is None and _holds(record.key, forget.value):
            rest = []
        if len(rest) < len(values):
            left[record.id] = ", ".join(rest) or None
    if not left and forget.value in ANY_PLAN and len(meant) == 1 and ", " not in meant[0].value:
        left[meant[0].id] = None  # the only plan of that day
    for record in memories.forget(left):
        yield _changed(record)


def _meant(record: MemoryRecord, forget: Forget, now: datetime) -> bool:
    """Same subject, same key, and the same day where the Forget names one."""
    if forget.subject not in (None, record.subject):
        return False
    if forget.key is None:
        return True
    key, when = split_key(forget.key, now.date())
    if key != split_key(record.key, now.date())[0]:
        return False
    return when is None or (record.when is not None and record.when.touches(when))


def _holds(text: str, wanted: str | None) -> bool:
    """Every word of wanted is in text: 여행 in "부산 여행 가기", 시험 in "기말시험 보기"."""
    if wanted is None:
        return True
    said = text.split()
    return all(
        any(
            (word.startswith(one) and word[len(one) :] in ENDINGS)
            or (len(one) > 1 and word.endswith(one))
            for word in said
        )
        for one in wanted.split()
    )


HOUR = re.compile(
    r"(?:(?:오전|오후|아침|점심|저녁|밤|새벽)에?\s?)?\d{1,2}시(?:\s?반|\s?\d{1,2}분)?"
)


def _amend(
    memories: Memories, amend: Amend, now: datetime
) -> Iterator[tuple[Action, MemoryRecord]]:
    """Replace a word, an hour or the day of the newest memory that has it."""
    old_day = next(iter(mentions(amend.old, now.date(), "near")), None)
    new_day = next(iter(mentions(amend.new, now.date())), None)
    for record in memories.all():  # last changed first
        if amend.thing and not any(_holds(record.value, word) for word in amend.thing.split()):
            continue
        key, value = record.key, record.value
        if amend.old and amend.old in value:
            value = value.replace(amend.old, amend.new)
        elif old_day and new_day and record.when and record.when.touches(old_day.when):
            key = f"{spoken(new_day.when, now.date())} {split_key(key, now.date())[0]}"
        elif amend.old or record.when is None:
            continue
        elif HOUR.search(amend.new):
            value = HOUR.sub(amend.new, value) if HOUR.search(value) else f"{amend.new} {value}"
        else:
            value = f"{amend.new}에서 {value}"
        yield "updated", memories.edit(record.id, key, value)
        return


def _take_back(memories: Memories, now: datetime) -> Iterator[tuple[Action, MemoryRecord]]:
    """Undo what the last message told."""
    live = {record.id: record for record in memories.all()}
    newest = {change.memory_id: change for change in memories.history()}
    since = instant(now - JUST_TOLD)
    told = [
        change
        for change in newest.values()
        if change.memory_id in live
        and change.action in ("stored", "updated")
        and not change.undone
        and change.created >= since
    ]
    if not told:
        return
    last = max(told, key=lambda change: change.id)
    source = live[last.memory_id].source_message_id
    for change in sorted(told, key=lambda change: -change.id):
        same = source is not None and live[change.memory_id].source_message_id == source
        if change is last or same:
            yield _changed(memories.undo(change.memory_id).record)


def _changed(record: MemoryRecord) -> tuple[Action, MemoryRecord]:
    return ("forgotten" if record.deleted else "updated"), record
