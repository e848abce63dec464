"""She knows who she is: the embedded default on forty questions that no training has seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ohlora.companion import Companion, load_companion

QUESTIONS = json.loads(
    (Path(__file__).parent / "data" / "persona_questions.json").read_text(encoding="utf-8")
)["questions"]


@pytest.fixture
def companion(prepared_home: Path) -> Iterator[Companion]:
    with load_companion() as companion:
        likeliest = replace(companion.persona.sampling, temperature=0)  # the same on every run
        companion.persona = replace(companion.persona, sampling=likeliest)
        yield companion


def test_she_answers_36_of_40_paraphrased_questions_about_herself(companion: Companion) -> None:
    age = companion.persona.slots(companion.clock().date())["나이"]
    wrong = []
    for number, case in enumerate(QUESTIONS):
        session = companion.store.sessions.create().id
        *_, done = companion.turn(session, case["q"], f"fact-{number}", lambda: False)
        right = re.search(case["want"].replace("{age}", age), done.text) is not None
        if not right or ("not" in case and re.search(case["not"], done.text)):
            wrong.append(f"{case['q']} -> {done.text}")
    assert len(QUESTIONS) == 40
    assert len(wrong) <= 4, "\n".join(wrong)


def test_no_training_line_asks_one_of_the_forty_questions() -> None:
    from ohlora.paths import embedded

    def bare(text: str) -> str:
        return re.sub(r"\W", "", text)

    asked = {bare(case["q"]) for case in QUESTIONS}
    for file in (embedded() / "personas" / "ohlora" / "lines").glob("*.jsonl"):
        for row in file.read_text(encoding="utf-8").splitlines():
            assert bare(json.loads(row)["q"]) not in asked, f"{file.name}: {row}"
