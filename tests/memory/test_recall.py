"""Which memories come back for what was said."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from memory.fakes import Clock, NgramEncoder
from ohlora.embedding import Encoder, load_encoder
from ohlora.memory import Store, open_store
from ohlora.memory.recall import Recall


@pytest.fixture
def encoder() -> NgramEncoder:
    return NgramEncoder()


@pytest.fixture
def recall(store: Store, encoder: NgramEncoder) -> Recall:
    return Recall(store, encoder)


def texts(recall: Recall, prompt: str, **options: float) -> list[str]:
    return [found.record.text for found in recall.best(prompt, **options)]  # type: ignore[arg-type]


def test_what_is_asked_for_comes_first_with_its_cosine(store: Store, recall: Recall) -> None:
    store.memories.remember("좋아하는 가수", "아이유")
    store.memories.remember("좋아하는 음식", "떡볶이")
    store.memories.remember("사는 곳", "부산")
    found = recall.best("내가 좋아하는 가수가 누구였지?", k=1)
    assert [one.record.text for one in found] == ["[좋아하는 가수: 아이유]"]
    vectors = NgramEncoder().encode(["내가 좋아하는 가수가 누구였지?", "[좋아하는 가수: 아이유]"])
    assert found[0].score == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)


def test_nothing_is_recalled_that_nobody_asks_for(store: Store, recall: Recall) -> None:
    assert texts(recall, "안녕") == []
    store.memories.remember("좋아하는 가수", "아이유")
    assert texts(recall, "오늘 저녁 뭐 먹지") == []
    assert texts(recall, "좋아하는 가수 누구였지?") == ["[좋아하는 가수: 아이유]"]
    assert texts(recall, "좋아하는 가수 누구였지?", threshold=1.01) == []
    assert len(texts(recall, "오늘 저녁 뭐 먹지", threshold=-1)) == 1


def test_a_turn_encodes_its_prompt_and_nothing_else(
    store: Store, recall: Recall, encoder: NgramEncoder
) -> None:
    for number in range(20):
        store.memories.remember(f"열쇠 {number}", "값")
    recall.best("열쇠 3")
    assert len(encoder.texts) == 2 * 20 + 1  # each memory and its value
    encoder.texts.clear()
    recall.best("열쇠 4")
    assert encoder.texts == ["열쇠 4"]


def test_recall_follows_every_change(store: Store, recall: Recall) -> None:
    record, _ = store.memories.remember("좋아하는 가수", "아이유")
    ask = "좋아하는 가수가 누구지"
    assert texts(recall, ask) == ["[좋아하는 가수: 아이유]"]
    store.memories.remember("좋아하는 가수", "잔나비")
    assert texts(recall, ask) == ["[좋아하는 가수: 잔나비]"]
    store.memories.delete(record.id)
    assert texts(recall, ask) == []
    store.memories.undo()
    assert texts(recall, ask) == ["[좋아하는 가수: 잔나비]"]
    for number in range(200):  # rows left behind are cleared away now and then
        store.memories.remember("좋아하는 가수", f"가수 {number}")
        assert len(texts(recall, ask)) == 1
    assert len(recall._table.records) < 10


def test_recall_sees_what_another_process_stored(
    store: Store, recall: Recall, tmp_path: Path, clock: Clock
) -> None:
    assert texts(recall, "이름") == []
    other = open_store(tmp_path / "ohlora.db", clock)
    other.memories.remember("이름", "지은")
    other.close()
    assert texts(recall, "이름") == ["[이름: 지은]"]


def test_expired_memories_are_not_recalled(store: Store, recall: Recall, clock: Clock) -> None:
    store.memories.remember("상태", "피곤함")
    assert texts(recall, "상태", threshold=0.05) == ["[상태: 피곤함]"]
    clock.forward(hours=73)
    assert texts(recall, "상태", threshold=0.05) == []


def test_tomorrow_becomes_today_in_recall(
    store: Store, recall: Recall, clock: Clock, encoder: NgramEncoder
) -> None:
    store.memories.remember("내일 일정", "카페 가기")
    store.memories.remember("이름", "지은")
    assert texts(recall, "나 내일 일정 뭐지?") == ["[내일 일정: 카페 가기]"]
    clock.forward(days=1)
    encoder.texts.clear()
    assert texts(recall, "나 오늘 일정 뭐지?") == ["[오늘 일정: 카페 가기]"]
    assert encoder.texts == [
        "[오늘 일정: 카페 가기]",
        "카페 가기",
        "나 오늘 일정 뭐지?",
    ]


def test_a_day_in_the_prompt_keeps_other_days_away(store: Store, recall: Recall) -> None:
    store.memories.remember("내일 일정", "카페 가기")
    store.memories.remember("토요일 일정", "등산 가기")
    store.memories.remember("좋아하는 일정", "없는 게 좋음")
    plans = {"[내일 일정: 카페 가기]", "[11월 28일 일정: 등산 가기]"}

    def recalled(prompt: str) -> set[str]:
        return plans & set(texts(recall, prompt, k=5, threshold=0.05))

    assert recalled("나 내일 일정 뭐지?") == {"[내일 일정: 카페 가기]"}
    assert recalled("수요일 일정 뭐지?") == {"[내일 일정: 카페 가기]"}
    assert recalled("토요일 일정 뭐지?") == {"[11월 28일 일정: 등산 가기]"}
    assert recalled("이번 주말 일정 뭐지?") == {"[11월 28일 일정: 등산 가기]"}
    assert recalled("모레 일정 뭐지?") == set()
    assert recalled("일정 뭐지?") == plans


def test_vectors_are_kept_and_made_anew_for_another_encoder(
    store: Store, recall: Recall, tmp_path: Path, clock: Clock
) -> None:
    store.memories.remember("이름", "지은")
    ask = "내 이름이 뭐였지?"
    recall.best(ask)
    again = NgramEncoder()
    Recall(store, again).best(ask)
    assert again.texts == [ask]
    changed = NgramEncoder(id="ngrams-2", dim=64)
    assert len(Recall(store, changed).best(ask)) == 1
    assert changed.texts == ["[이름: 지은]", "지은", ask]
    with sqlite3.connect(tmp_path / "ohlora.db") as db:
        kept = db.execute("select encoder_id, length(vector) from embeddings order by 1").fetchall()
    db.close()
    assert kept == [("ngrams", 2 * 256 * 4), ("ngrams-2", 2 * 64 * 4)]


def test_a_vector_of_an_older_text_is_not_trusted(store: Store, recall: Recall) -> None:
    record, _ = store.memories.remember("이름", "지은")
    recall.best("내 이름이 뭐였지?")
    store.memories.edit(record.id, value="하늘")
    fresh = NgramEncoder()
    (found,) = Recall(store, fresh).best("내 이름이 뭐였지?")
    assert fresh.texts == ["[이름: 하늘]", "하늘", "내 이름이 뭐였지?"]
    assert found.record.value == "하늘"


def test_a_full_disk_does_not_stop_recall(
    store: Store, recall: Recall, caplog: pytest.LogCaptureFixture
) -> None:
    store.memories.remember("이름", "지은")
    for number in range(40):
        store.memories.remember(f"열쇠 {number}", "값")
    pages = store.db._db.execute("pragma page_count").fetchone()[0]
    store.db._db.execute(f"pragma max_page_count = {pages}")
    with caplog.at_level(logging.WARNING):
        assert texts(recall, "내 이름이 뭐였지?", k=1) == ["[이름: 지은]"]
    assert "were not kept" in caplog.text


def test_recall_of_two_personas_is_apart(store: Store, recall: Recall) -> None:
    store.memories.remember("이름", "지은")
    other = Recall(store.of("me", "another"), NgramEncoder())
    assert texts(recall, "이름") == ["[이름: 지은]"]
    assert texts(other, "이름", threshold=-1) == []


def test_ties_are_settled_by_age_and_many_candidates_by_score(store: Store) -> None:
    class Flat(NgramEncoder):
        def encode(self, texts):  # type: ignore[no-untyped-def]
            rows = np.zeros((len(texts), self.dim), "f4")
            for row, text in enumerate(texts):
                rows[row, 0] = 0.5 if "열쇠 7" in text else 0.25 if text.startswith("[") else 1
            return rows

    for number in range(100):
        store.memories.remember(f"열쇠 {number}", "값")
    found = Recall(store, Flat()).best("열쇠", k=13, threshold=0.1)
    assert len(found) == 13
    assert [one.record.key for one in found[:10]] == [
        f"열쇠 {number}" for number in range(79, 69, -1)
    ]


def test_many_threads_recall_while_others_remember(store: Store, recall: Recall) -> None:
    faults: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(20):
                store.memories.remember(f"열쇠 {name} {number}", "값")
                assert recall.best(f"열쇠 {name} {number}", k=1)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(recall.best("열쇠", k=1000, threshold=-1)) == 80


@pytest.fixture(scope="module")
def own() -> Encoder:
    return load_encoder("embedded")


def test_an_allergy_or_dislike_is_recalled_when_the_prompt_names_it(
    store: Store, own: Encoder
) -> None:
    store.memories.remember("알레르기", "새우, 땅콩")
    store.memories.remember("싫어하는 음식", "오이")
    store.memories.remember("좋아하는 음식", "초밥")
    recall = Recall(store, own)
    assert texts(recall, "땅콩 먹어도 될까?", k=1) == ["[알레르기: 새우, 땅콩]"]
    assert texts(recall, "땅콩버터 사 왔어", k=1) == ["[알레르기: 새우, 땅콩]"]
    assert texts(recall, "김밥에 오이를 넣을까", k=1) == ["[싫어하는 음식: 오이]"]
    assert texts(recall, "날씨 진짜 좋다") == []


def test_a_question_recalls_the_plan_it_names(store: Store, own: Encoder) -> None:
    store.memories.remember("내일 일정", "기말시험 보기")
    store.memories.remember("토요일 일정", "친구랑 영화 보기")
    recall = Recall(store, own)
    assert texts(recall, "시험 언제라고 했지?", k=1) == ["[내일 일정: 기말시험 보기]"]
    assert texts(recall, "영화 누구랑 보기로 했더라?", k=1) == [
        "[11월 28일 일정: 친구랑 영화 보기]"
    ]
    assert texts(recall, "일요일 영화 뭐 보지?") == []  # another day
    assert texts(recall, "내일 나 뭐 하지?", k=1) == ["[내일 일정: 기말시험 보기]"]
    assert texts(recall, "내일 비 올까?") == []


def test_what_is_asked_of_one_person_is_not_answered_with_another(
    store: Store, own: Encoder
) -> None:
    store.memories.remember("엄마 생일", "5월 8일", subject="other")
    recall = Recall(store, own)
    assert texts(recall, "엄마 생일이 언제였지?") == ["[엄마 생일: 5월 8일]"]
    assert texts(recall, "아빠 생일이 언제였지?") == []


def test_words_do_not_count_where_v1_chooses(store: Store, recall: Recall) -> None:
    store.memories.remember("알레르기", "땅콩")
    assert recall.best("땅콩 먹어도 될까?", threshold=0.99, by_day=False) == []


def test_keys_that_the_message_tells_itself_take_no_place(store: Store, recall: Recall) -> None:
    store.memories.remember("내일 일정", "카페 가기")
    store.memories.remember("내일 날씨", "비")
    prompt = "나 내일 시험 있어"
    assert len(recall.best(prompt, threshold=0.01)) == 2
    (found,) = recall.best(prompt, k=1, threshold=0.01, without={"내일 일정"})
    assert found.record.text == "[내일 날씨: 비]"
