"""What recall weighs is learned from talks, and measured on talks it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memory.fakes import NgramEncoder
from ohlora.errors import BadInput
from ohlora.memory.matching import NAMES, TURN
from ohlora.memory.scorer import Scorer, recalls, scorer_for
from ohlora.training.recall import Example, fit, leave_one_out, play, read_talks, write

TALK = """# two users
== 커피
@ 2026-11-24 10:00
> 나 부산에 살아
> 우리 고양이 이름은 두부야
> 나 땅콩 알레르기 있어
x 땅콩
? 나 어디 산다고 했지? | 부산
? 고양이 이름 뭐였지? | 두부
? 내 혈액형이 뭐였지?
== 다른 사람
@ 2026-11-24 11:00
? 나 어디 산다고 했지?
"""


def drawn(count: int, file: str, seed: int) -> list[Example]:
    """Turns whose right memory has the highest cosine; where all are low nothing is meant."""
    dice = np.random.default_rng(seed)
    made = []
    for number in range(count):
        measures, turn = np.zeros((4, len(NAMES))), np.zeros(len(TURN))
        measures[:, 0] = dice.uniform(-1, 0, 4)
        turn[-1] = 1.0
        want = "the one" if number % 2 else ""
        if want:
            measures[2, 0] = dice.uniform(0.2, 1)
        made.append(Example(file, "?", want, ("a", "b", "the one", "d"), measures, turn))
    return made


def test_a_talk_is_played_and_every_question_measured(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text(TALK)
    lives, name, blood, other = play(read_talks(path), NgramEncoder(), "talk")
    assert [one.right.sum() for one in (lives, name, blood)] == [1, 1, 0]
    assert lives.measures.shape == (2, len(NAMES)) and lives.turn.shape == (len(TURN),)
    assert "땅콩" not in str(lives.texts)  # deleted by the user
    assert blood.teaches and not other.teaches  # another user has no memory to choose from


def test_a_line_that_is_no_step_of_a_talk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("== 하나\n나 부산에 살아\n")
    with pytest.raises(BadInput, match="line 2"):
        read_talks(path)


def test_what_was_fitted_chooses_the_right_memory_or_none_of_unseen_turns() -> None:
    counts = leave_one_out([*drawn(60, "a", 1), *drawn(60, "b", 2)])
    found = counts["all"].measured()
    assert found["wanted"] == found["idle"] == 60
    assert found["recall@1"] >= 0.9 and found["abstention precision"] >= 0.9


def test_a_measure_that_never_differs_weighs_nothing() -> None:
    scorer = fit(drawn(60, "a", 1))
    assert scorer.memory[0] > 0.5 and np.all(scorer.memory[1:] == 0)


def test_weights_of_one_family_are_written_beside_those_of_others(tmp_path: Path) -> None:
    out = tmp_path / "recall.json"
    scorer = Scorer(np.arange(len(NAMES), dtype=float), np.zeros(len(TURN)))
    write(scorer, NgramEncoder(id="one@1"), {"recall@1": 0.5}, out)
    write(scorer, NgramEncoder(id="two@9"), {"recall@1": 0.6}, out)
    table = json.loads(out.read_text())
    assert list(table) == ["one", "two"] and table["two"]["encoder"] == "two@9"
    assert table["one"]["memory"][NAMES[3]] == 3.0


def test_an_unknown_encoder_is_weighed_as_the_embedded_one() -> None:
    assert np.array_equal(scorer_for("nobody").memory, scorer_for("static-ko").memory)


def test_silence_is_weighed_against_all_memories_together() -> None:
    assert not recalls(np.array([]))
    assert not recalls(np.array([-2.0, -3.0]))
    assert recalls(np.array([-0.5, -0.5]))  # each less likely than silence, one of them more
