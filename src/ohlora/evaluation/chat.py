"""How she talks: everyday turns, and turns that test her boundaries.

Counted over all replies: unanswered, repetition, variety, length, stray signs, 존댓말, wrong facts.
Boundaries are judged by the key of their kind (boundaries.toml). Whether an everyday reply is
sensible is for a reader: ratings.tsv in the output folder takes a 1 or 0 per reply, by the rubric
in ohlora_embedded/evaluation/README.md, and is read again by the next run.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from ohlora.errors import BadInput
from ohlora.evaluation import measures
from ohlora.evaluation.facts import contradictions, load_facts
from ohlora.evaluation.measures import share
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.evaluation.sets import Question, Which, boundaries, everyday
from ohlora.evaluation.talk import NOW, Models, Said, ask_each
from ohlora.llm import Progress

RATINGS = "ratings.tsv"
Ratings = dict[tuple[str, str], int]  # (turn, reply) -> 1 sensible, 0 not


def evaluate(
    models: Models,
    which: Which = "held-out",
    *,
    limit: int | None = None,
    ratings: Ratings | None = None,
    progress: Progress | None = None,
) -> Report:
    """Everyday turns and boundaries, each as a stranger. `limit` bounds each of the two."""
    daily, edges = everyday(which)[:limit], spread(boundaries(which), limit)
    said = ask_each(models, [q.text for q in daily], "everyday", progress)
    met = ask_each(models, [q.text for q in edges], "boundaries", progress)
    return report(models, daily, said, edges, met, ratings or {})


def spread(questions: list[Question], limit: int | None) -> list[Question]:
    """At most `limit` questions, of all kinds alike."""
    if limit is None or limit >= len(questions):
        return questions
    return [questions[len(questions) * i // limit] for i in range(limit)]


def report(
    models: Models,
    daily: Sequence[Question],
    said: Sequence[Said],
    edges: Sequence[Question],
    met: Sequence[Said],
    ratings: Ratings,
) -> Report:
    rows = [row(models, q, s) for q, s in zip(daily, said, strict=True)]
    for entry in rows:
        entry["sensible"] = ratings.get((str(entry["turn"]), str(entry["reply"])))
    edge_rows = [row(models, q, s) for q, s in zip(edges, met, strict=True)]
    every = rows + edge_rows
    kept = {
        kind: share(sum(bool(r["right"]) for r in of), len(of))
        for kind in dict.fromkeys(q.kind for q in edges)
        if (of := [r for r in edge_rows if r["kind"] == kind])
    }
    rated = [r for r in rows if r["sensible"] is not None]
    numbers = [
        Number("boundaries kept", share(sum(bool(r["right"]) for r in edge_rows), len(edge_rows)),
               of=len(edge_rows)),
        *([Number("sensible everyday replies", share(sum(r["sensible"] == 1 for r in rated),
                  len(rated)), of=len(rated), bar=0.80, note="read against the rubric")]
          if rated else []),
        *counts(every),
    ]  # fmt: skip
    plots = [Plot("boundaries kept, by kind", kept)]
    if rated:
        by_topic = {
            topic: share(sum(r["sensible"] == 1 for r in of), len(of))
            for topic in dict.fromkeys(q.kind for q in daily)
            if (of := [r for r in rated if r["kind"] == topic])
        }
        plots.append(Plot("sensible everyday replies, by topic", by_topic, bar=0.80))
    flaws = ("unanswered", "repeats", "stray", "polite", "wrong_claims")
    failures = [r for r in every if r["right"] is False or r.get("sensible") == 0
                or any(r[flaw] for flaw in flaws)]  # fmt: skip
    return Report(
        "chat", "How she talks", models.setting(), numbers, plots, failures=failures, rows=every
    )


def row(models: Models, question: Question, said: Said) -> dict[str, object]:
    """One reply and its flaws."""
    slots = models.persona.slots(NOW.date())
    wrong = contradictions(said.text, load_facts(models.persona.folder), slots)
    return {
        "kind": question.kind,
        "turn": question.text,
        "reply": said.text or f"({said.error or 'nothing'})",
        "source": said.source,
        "seconds": said.seconds,
        "right": question.right(said.text, slots) if question.want else None,
        "unanswered": not said.text or said.text in models.persona.fallback,
        "repeats": measures.repeats(said.text),
        "stray": measures.stray(said.text),
        "polite": measures.polite(said.text),
        "wrong_claims": [f"{c.fact}: {c.value}" for c in wrong],
    } | ({} if question.want or not question.never else {"right": question.right(said.text, slots)})


def counts(rows: Sequence[dict[str, object]]) -> list[Number]:
    """Flaws and variety over all replies."""
    texts = [str(r["reply"]) for r in rows]
    lengths = [len(text) for text in texts]
    by_model = [r for r in rows if r["source"] == "llm"]
    model_texts = [str(r["reply"]) for r in by_model]

    def flawed(what: str, flaw: str, bar: float | None = None) -> Number:
        flawed = share(sum(bool(r[flaw]) for r in rows), len(rows))
        return Number(what, flawed, of=len(rows), bar=bar, lower_is_better=True)

    return [
        flawed("unanswered", "unanswered", bar=0.0),
        flawed("repeats itself", "repeats"),
        flawed("stray signs", "stray"),
        flawed("존댓말", "polite"),
        flawed("wrong facts", "wrong_claims"),
        Number("most frequent reply", measures.most_common_share(texts), of=len(rows),
               lower_is_better=True),
        Number("distinct-1, model", measures.distinct(model_texts, 1), of=len(by_model)),
        Number("distinct-2, model", measures.distinct(model_texts, 2), of=len(by_model)),
        Number("length, mean", round(mean(lengths), 1), unit="characters"),
        Number("length, longest", max(lengths), unit="characters"),
        Number("answered by her lines", share(len(rows) - len(by_model), len(rows)), of=len(rows)),
        Number("time of a turn, median", median(float(str(r["seconds"])) for r in rows), unit="s"),
    ]  # fmt: skip


def write_ratings(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """The everyday replies to rate, with the ratings that are known."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["sensible", "turn", "reply"])
        for entry in rows:
            if "sensible" in entry:
                rated = entry["sensible"]
                writer.writerow(["" if rated is None else rated, entry["turn"], entry["reply"]])


def read_ratings(path: Path) -> Ratings:
    """Ratings given so far; {} when there is no file. Raises BadInput."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        ratings: Ratings = {}
        for number, entry in enumerate(csv.DictReader(file, delimiter="\t"), start=2):
            rated = (entry.get("sensible") or "").strip()
            if rated not in ("", "0", "1"):
                raise BadInput(
                    f"{path}:{number}: a rating is 1, 0 or empty, not {rated!r}.",
                    f"{path}:{number}: 평가는 1이나 0, 또는 빈칸이에요: {rated!r}",
                )
            if rated:
                ratings[entry["turn"], entry["reply"]] = int(rated)
        return ratings
