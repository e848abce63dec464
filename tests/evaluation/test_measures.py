"""What the counts count."""

from __future__ import annotations

import pytest

from ohlora.evaluation import measures


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("정말 좋아요!", 1),
        ("그렇습니다.", 1),
        ("어디 가세요? 나도 갈래", 1),
        ("그게 필요", 0),
        ("친구가 '고마워요'라고 했어", 0),
        ("그러니까 같이 가자", 0),
        ("나 오늘 좋아 😊", 0),
        ("반가워요 😊", 1),
    ],
)
def test_polite_speech_is_found_by_its_endings(text: str, count: int) -> None:
    assert len(measures.polite(text)) == count


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("응, 좋아! ✨ ㅋㅋㅋㅋㅋ", False),
        ("Oh-LoRA야, AI 가상 인간이지 😊", False),
        ("끝났어 (답변 종료", True),
        ("[상태: 좋음] 좋아", True),
        ("мне 좋아", True),
        ("깨진 글자 \ufffd", True),
        ("뭐야!!!!!!!!", True),
    ],
)
def test_stray_signs_are_found_and_laughter_is_none(text: str, bad: bool) -> None:
    assert bool(measures.stray(text)) is bad


def test_a_reply_that_says_the_same_twice_repeats_itself() -> None:
    assert measures.repeats("오늘은 쉬자. 오늘은 쉬자.")
    assert measures.repeats("나는 정말 진짜 좋아 그리고 나는 정말 진짜 좋아")
    assert not measures.repeats("오늘은 쉬자. 내일은 같이 놀자!")


def test_distinct_is_one_without_repetition_and_falls_with_it() -> None:
    assert measures.distinct(["가 나 다"], 1) == 1.0
    assert measures.distinct(["가 가 가 가"], 1) == 0.25
    assert measures.distinct([], 2) == 0.0


def test_ndcg_is_one_for_the_best_order_and_zero_without_a_hit() -> None:
    assert measures.ndcg([2, 1, 0], [0, 1, 2]) == pytest.approx(1.0)
    assert measures.ndcg([0, 0], [2]) == 0.0
    assert measures.ndcg([0, 2], [2]) == pytest.approx(0.63093, abs=1e-5)


def test_spearman_shares_ranks_between_equals_as_scipy_does() -> None:
    from scipy.stats import spearmanr

    left, right = [1, 2, 2, 3, 9, 4], [2, 1, 5, 5, 8, 8]
    assert measures.spearman(left, right) == pytest.approx(spearmanr(left, right)[0])


def test_the_interval_of_a_share_holds_it_and_narrows_with_numbers() -> None:
    low, high = measures.interval(9, 10)
    assert low < 0.9 < high
    many_low, many_high = measures.interval(900, 1000)
    assert low < many_low < 0.9 < many_high < high
