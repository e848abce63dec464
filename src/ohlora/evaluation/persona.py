"""Does she know who she is? 200 paraphrased questions against answer keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ohlora.evaluation.facts import contradictions, load_facts
from ohlora.evaluation.measures import interval, share
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.evaluation.sets import Question, Which, persona_questions
from ohlora.evaluation.talk import NOW, Models, Said, ask_each
from ohlora.llm import Progress

BAR = 0.95


@dataclass(frozen=True)
class Judged:
    question: Question
    said: Said
    right: bool
    wrong_claims: tuple[str, ...] = ()  # "friend: 민지"


def evaluate(
    models: Models,
    which: Which = "held-out",
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Ask every question once, each as a stranger, and score the replies."""
    questions = persona_questions(which)[:limit]
    said = ask_each(models, [q.text for q in questions], "persona", progress)
    return report(models, judge(models, questions, said))


def judge(models: Models, questions: Sequence[Question], said: Sequence[Said]) -> list[Judged]:
    slots = models.persona.slots(NOW.date())
    facts = load_facts(models.persona.folder)
    judged = []
    for question, reply in zip(questions, said, strict=True):
        wrong = tuple(f"{c.fact}: {c.value}" for c in contradictions(reply.text, facts, slots))
        right = question.right(reply.text, slots) and not wrong
        judged.append(Judged(question, reply, right, wrong))
    return judged


def report(models: Models, judged: Sequence[Judged]) -> Report:
    right = sum(j.right for j in judged)
    low, high = interval(right, len(judged))
    numbers = [
        Number("facts right", share(right, len(judged)), of=len(judged), bar=BAR,
               note=f"95 % interval {low:.3f} to {high:.3f}"),
        Number("replies with a wrong fact", share(sum(bool(j.wrong_claims) for j in judged),
               len(judged)), of=len(judged), lower_is_better=True),
    ]  # fmt: skip
    for source, what in (("lines", "answered by her lines"), ("llm", "answered by the model")):
        mine = [j for j in judged if j.said.source == source]
        numbers.append(Number(what, share(len(mine), len(judged)), of=len(judged)))
        numbers.append(
            Number(f"right when {what}", share(sum(j.right for j in mine), len(mine)), of=len(mine))
        )
    kinds = list(dict.fromkeys(j.question.kind for j in judged))
    by_fact = {
        kind: share(sum(j.right for j in of), len(of))
        for kind in kinds
        if (of := [j for j in judged if j.question.kind == kind])
    }
    return Report(
        "persona",
        "Who she is",
        models.setting(),
        numbers,
        [Plot("facts right, by fact", by_fact, bar=BAR)],
        failures=[row(j) for j in judged if not j.right],
        rows=[row(j) for j in judged],
    )


def row(judged: Judged) -> dict[str, object]:
    return {
        "kind": judged.question.kind,
        "turn": judged.question.text,
        "reply": judged.said.text or f"({judged.said.error or 'nothing'})",
        "source": judged.said.source,
        "right": judged.right,
        "wrong_claims": list(judged.wrong_claims),
    }
