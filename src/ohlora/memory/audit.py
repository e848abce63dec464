"""What is kept, where it came from, and what looks wrong: `ohlora memory audit`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ohlora.memory.records import MemoryRecord, clean
from ohlora.memory.sessions import instant
from ohlora.memory.store import Store


@dataclass(frozen=True)
class Finding:
    memory: MemoryRecord
    code: str  # stable name for programs
    en: str
    ko: str

    def to_dict(self) -> dict[str, Any]:
        said = {"code": self.code, "message": self.en, "message_ko": self.ko}
        return {"memory": self.memory.to_dict(), **said}


@dataclass(frozen=True)
class Audit:
    live: int
    expired: int
    deleted: int
    changes: int  # in the history
    sourced: int  # live ones that can show the message they came from
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "findings": [finding.to_dict() for finding in self.findings]}


def audit(store: Store) -> Audit:
    """Count what is kept and look for memories that deserve a second look."""
    everything = store.memories.all(include_deleted=True)
    now = instant(store.clock())
    kept = [record for record in everything if not record.deleted]
    live = [record for record in kept if record.expires is None or record.expires > now]
    findings = [finding for record in live for finding in _findings(record)]
    values = Counter(record.value for record in live)
    findings += [
        Finding(
            record,
            "same-value",
            f"another memory has the same value {record.value!r}: one may be wrong",
            f"{record.value!r}라는 내용이 다른 기억에도 있어요. 하나는 틀렸을 수 있어요",
        )
        for record in live
        if values[record.value] > 1
    ]
    return Audit(
        live=len(live),
        expired=len(kept) - len(live),
        deleted=len(everything) - len(kept),
        changes=len(store.memories.history()),
        sourced=sum(record.source_text is not None for record in live),
        findings=findings,
    )


def _findings(record: MemoryRecord) -> list[Finding]:
    found = []
    if record.source_text is None:
        found.append(
            Finding(
                record,
                "no-source",
                "no message to show for it: typed by hand, imported, or its conversation is gone",
                "근거가 된 메시지가 없어요. 직접 적었거나 가져왔거나 대화가 지워졌어요",
            )
        )
    if clean(record.value, len(record.value)) != record.value:
        found.append(
            Finding(
                record,
                "unclean",
                "it holds brackets or marks that a prompt could mistake for its own",
                "프롬프트가 헷갈릴 수 있는 괄호나 표시가 들어 있어요",
            )
        )
    return found
