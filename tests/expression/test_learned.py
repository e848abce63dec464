"""Her face for what she says, by the guideline docs/expression-guideline.md."""

from __future__ import annotations

import pytest

from ohlora.embedding import load_encoder
from ohlora.evaluation.expression import errors
from ohlora.expression import v1_expression
from ohlora.expression.learned import FACES, Learned, lines


@pytest.fixture(scope="module")
def learned() -> Learned:
    return Learned(load_encoder().encode)


def test_held_out_lines_get_a_face_far_nearer_the_guideline_than_by_v1s_rules(
    learned: Learned,
) -> None:
    said = lines("heldout")
    assert len(said) > 100
    assert errors(learned, said).mean() < 0.25 < 0.5 * errors(v1_expression, said).mean()


def test_no_held_out_line_is_learned_from() -> None:
    assert not {line for line, _ in lines()} & {line for line, _ in lines("heldout")}
    assert {feeling for _, feeling in lines()} == set(FACES)


@pytest.mark.parametrize("text", ["", " ", "…", "?!", "😊", "a" * 5_000])
def test_any_text_gets_a_face_within_range(learned: Learned, text: str) -> None:
    face = learned(text)
    assert -1.3 <= face.eyes <= 1.7 and -1.3 <= face.mouth <= 1.3 and -1.3 <= face.pose <= 2.8
