"""Does she remember? Talks over several days with distractors, updates, deletions and gaps.

Each script is one user with a fresh store. What they say goes through the whole turn, so a fact
that extraction misses counts as not recalled. At each question:

    used      the memories that the turn recalled, at the encoder's threshold, best first
    ranking   the ten best of all live memories, without threshold
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ohlora.evaluation.measures import interval, ndcg, share
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.evaluation.sets import Script, Step, Which, memory_scripts
from ohlora.evaluation.talk import Clock, Models, Room, Said, empty_store
from ohlora.llm import Progress

BAR = 0.90


@dataclass(frozen=True)
class Asked:
    script: str
    step: Step
    said: Said
    ranking: tuple[str, ...]
    live: tuple[str, ...]  # all memories at that moment

    @property
    def used(self) -> tuple[str, ...]:
        return self.said.recalled

    def rank(self, texts: Sequence[str]) -> int | None:
        """Place of the wanted memory, from 0."""
        hits = (i for i, text in enumerate(texts) if re.search(self.step.want, text))
        return next(hits, None)

    @property
    def right(self) -> bool:
        """The wanted memory came first, or nothing where nothing was wanted."""
        return self.rank(self.used) == 0 if self.step.want else not self.used

    def gain(self, text: str) -> float:
        if re.search(self.step.want, text):
            return 2.0
        return 1.0 if self.step.also and re.search(self.step.also, text) else 0.0

    def ndcg(self) -> float:
        ideal = [self.gain(text) for text in self.live]
        if 2.0 not in ideal:
            ideal.append(2.0)  # what was told and not kept is missed
        return ndcg([self.gain(text) for text in self.ranking], ideal)


def evaluate(
    models: Models,
    which: Which = "held-out",
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Play the scripts (the first `limit`) and score what was recalled."""
    scripts = memory_scripts(which)[:limit]
    asked: list[Asked] = []
    for number, script in enumerate(scripts):
        asked += play(models, script)
        if progress:
            progress("memory", (number + 1) / len(scripts))
    return report(models, asked)


def play(models: Models, script: Script) -> list[Asked]:
    asked = []
    clock = Clock()
    with empty_store(clock) as store:
        room = Room(models, store, f"memory-{script.name}", clock)
        memories, recall = room.companion.store.memories, room.companion.recall
        for step in script.steps:
            if step.at:
                clock.now = step.at
                room.new_session()
            elif step.say:
                room.say(step.say, listen=False)
            elif step.forget:
                for record in memories.all():
                    if re.search(step.forget, record.text):
                        memories.delete(record.id)
            else:
                live = tuple(record.text for record in memories.all())
                found = recall.best(step.ask, k=10, threshold=-1.0)
                ranking = tuple(one.record.text for one in found)
                asked.append(Asked(script.name, step, room.say(step.ask), ranking, live))
    return asked


def report(models: Models, asked: Sequence[Asked]) -> Report:
    wanted = [a for a in asked if a.step.want]
    idle = [a for a in asked if not a.step.want]
    silent = [a for a in asked if not a.used]
    spoken = [a for a in wanted if a.step.answer]

    def of(right: list[bool]) -> float:
        return share(sum(right), len(right))

    first = [a.rank(a.used) == 0 for a in wanted]
    low, high = interval(sum(first), len(first))
    within = [(place := a.rank(a.ranking)) is not None and place < 3 for a in wanted]
    numbers = [
        Number("Recall@1, at the threshold", of(first), of=len(wanted), bar=BAR,
               note=f"95 % interval {low:.3f} to {high:.3f}"),
        Number("Recall@1, ranking", of([a.rank(a.ranking) == 0 for a in wanted]), of=len(wanted)),
        Number("Recall@3, ranking", of(within), of=len(wanted)),
        Number("NDCG@10", round(sum(a.ndcg() for a in wanted) / max(1, len(wanted)), 4),
               of=len(wanted)),
        Number("abstention precision", of([not a.step.want for a in silent]), of=len(silent),
               bar=BAR, note="of the turns that recalled nothing, those with nothing to recall"),
        Number("abstention recall", of([not a.used for a in idle]), of=len(idle),
               note="of the turns with nothing to recall, those that recalled nothing"),
        Number("told facts kept", of([any(re.search(a.step.want, t) for t in a.live)
               for a in wanted]), of=len(wanted), note="extraction alone"),
        Number("reply uses the memory", of([re.search(a.step.answer, a.said.text) is not None
               for a in spoken]), of=len(spoken)),
        Number("deleted and still recalled", sum(bool(a.used) for a in asked
               if a.step.kind == "deleted"), unit="turns", bar=0.0, lower_is_better=True),
        Number("questions taken for facts", sum(bool(a.said.stored) for a in asked),
               unit="turns", lower_is_better=True),
    ]  # fmt: skip
    by_kind = {
        kind: of([a.right for a in asked if kind_of(a) == kind])
        for kind in dict.fromkeys(map(kind_of, asked))
    }
    return Report(
        "memory",
        "What she remembers",
        models.setting() | {"recall_threshold": models.encoder.recall_threshold},
        numbers,
        [Plot("right memory first, or none where none is right", by_kind, bar=BAR)],
        failures=[row(a) for a in asked if not a.right],
        rows=[row(a) for a in asked],
    )


def kind_of(asked: Asked) -> str:
    return asked.step.kind or ("told" if asked.step.want else "never told")


def row(asked: Asked) -> dict[str, object]:
    return {
        "kind": kind_of(asked),
        "script": asked.script,
        "turn": asked.step.ask,
        "wanted": asked.step.want or "nothing",
        "recalled": list(asked.used),
        "ranking": list(asked.ranking[:3]),
        "kept": any(re.search(asked.step.want, t) for t in asked.live) if asked.step.want else None,
        "reply": asked.said.text,
        "source": asked.said.source,
        "right": asked.right,
    }
