"""She reacts as she speaks: a face for each sentence, as soon as the next one begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlora.events import ExpressionEvent
from ohlora.expression import Expression
from ohlora.expression.reaction import LINGER, Reaction

GLAD, SORRY = Expression(1.0, 1.0, 0.0), Expression(-1.0, 0.0, 2.0)


def express(sentence: str) -> Expression:
    return SORRY if "미안" in sentence else GLAD


def faces(*pieces: str, by_sentence: bool = True) -> list[ExpressionEvent]:
    reaction = Reaction(express, by_sentence)
    seen = [face for piece in pieces for face in reaction.add(piece)]
    return seen + list(reaction.end())


def test_a_sentence_is_judged_as_soon_as_the_next_begins() -> None:
    reaction = Reaction(express)
    assert not list(reaction.add("축하해!")) and not list(reaction.add(" "))
    (first,) = reaction.add("그런데 ")
    assert (first.eyes, first.at) == (1.0, 0)
    assert not list(reaction.add("못 가서 미안."))
    (last,) = reaction.end()
    assert last.at == len("축하해! ")


def test_a_mood_lingers_into_the_next_sentence() -> None:
    glad, sorry = faces("축하해! 정말 미안.")
    assert glad.eyes == 1.0
    assert sorry.eyes == pytest.approx(LINGER * GLAD.eyes + (1 - LINGER) * SORRY.eyes)


@pytest.mark.parametrize(
    ("reply", "starts"),
    [
        ("오! 좋겠다, 재밌게 놀아!", [0]),  # an interjection belongs to what it begins
        ("좋아! 😊 내일 보자.", [0, 6]),  # and a sign to what it follows
        ("음… 글쎄 모르겠어… 미안", [0, 12]),
        ("그래\n좋아", [0, 3]),
        ("", [0]),
        ("😊", [0]),
    ],
)
def test_where_her_face_changes(reply: str, starts: list[int]) -> None:
    assert [face.at for face in faces(reply)] == starts


def test_v1_shows_one_face_for_the_whole_reply() -> None:
    (only,) = faces("축하해! ", "정말 ", "미안.", by_sentence=False)
    assert (only.eyes, only.at) == (-1.0, 0)


@given(st.text("가나 !?.…😊\n", max_size=30), st.integers(1, 7))
def test_how_the_reply_is_cut_into_pieces_changes_nothing(reply: str, size: int) -> None:
    pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
    assert faces(*pieces) == faces(*reply)
    starts = [face.at for face in faces(*reply)]
    assert starts == sorted(set(starts)) and starts[0] == 0
