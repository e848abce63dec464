"""Plays talks.txt through extraction, the store and recall, without a language model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from memory.fakes import KST, Clock
from ohlora.dialogue.prompt import without_tags
from ohlora.embedding import Encoder
from ohlora.memory import open_store
from ohlora.memory.extract import Fact, extract
from ohlora.memory.findings import apply
from ohlora.memory.recall import Recall

TALKS = Path(__file__).parent / "talks.txt"


@dataclass(frozen=True)
class Row:
    script: str
    asked: str
    want: str  # "" when nothing may come
    used: tuple[str, ...]
    live: tuple[str, ...]

    @property
    def right(self) -> bool:
        if not self.want:
            return not self.used
        return bool(self.used) and re.search(self.want, self.used[0]) is not None

    @property
    def kept(self) -> bool:
        return any(re.search(self.want, text) for text in self.live)


def play(encoder: Encoder, path: Path = TALKS) -> Iterator[Row]:
    clock, name = Clock(), ""
    with tempfile.TemporaryDirectory() as folder:
        whole = open_store(Path(folder) / "talks.db", clock)
        store, recall, before = whole, Recall(whole, encoder), ""
        for line in path.read_text().splitlines():
            mark, _, text = line.partition(" ")
            if mark == "==":
                name = text
                store = whole.of(name, "ohlora")
                recall = Recall(store, encoder)
            elif mark == "@":
                clock.now = datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=KST)
            elif mark == ">":
                apply(store, extract(text, clock.now, before), clock.now)
                before = text
            elif mark == "x":
                for record in store.memories.all():
                    if re.search(text, record.text):
                        store.memories.delete(record.id)
            elif mark == "?":
                asked, _, want = (part.strip() for part in text.partition(" |"))
                told = extract(asked, clock.now)
                keys = {fact.key for fact in told if isinstance(fact, Fact)}
                apply(store, told, clock.now)
                found = recall.best(without_tags(asked), without=keys)
                yield Row(
                    name,
                    asked,
                    want,
                    tuple(one.record.text for one in found),
                    tuple(record.text for record in store.memories.all()),
                )
        whole.close()
