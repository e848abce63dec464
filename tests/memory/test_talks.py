"""Whole talks of several days: what is told comes back when asked for, and nothing else does."""

from __future__ import annotations

import time
from pathlib import Path

from memory.fakes import TUESDAY
from memory.talks import Row, play
from ohlora.embedding import load_encoder
from ohlora.memory import Store, open_store
from ohlora.memory.extract import extract
from ohlora.memory.findings import apply
from ohlora.memory.recall import Recall


def shown(rows: list[Row]) -> str:
    return "; ".join(f"{row.script}: {row.asked} -> {row.used}" for row in rows)


def test_what_is_told_is_recalled_first_and_what_is_not_is_not() -> None:
    rows = list(play(load_encoder("embedded")))
    wanted, idle = [row for row in rows if row.want], [row for row in rows if not row.want]
    assert len(wanted) >= 50 and len(idle) >= 30
    missed = [row for row in wanted if not row.right]
    invented = [row for row in idle if row.used]
    assert len(missed) <= 0.05 * len(wanted), shown(missed)
    assert len(invented) <= 0.25 * len(idle), shown(invented)


def test_a_plan_moves_to_its_new_day_hour_and_place(store: Store) -> None:
    for said in (
        "목요일 저녁 6시에 동창회 있어",
        "동창회 7시로 미뤄졌어",
        "동창회 장소 홍대로 바뀌었어",
    ):
        apply(store, extract(said, TUESDAY), TUESDAY)
    (plan,) = store.memories.all()
    assert plan.text == "[모레 일정: 홍대에서 7시에 동창회]"
    apply(store, extract("아니 목요일이 아니라 금요일이야", TUESDAY), TUESDAY)
    (plan,) = store.memories.all()
    assert plan.text == "[11월 27일 일정: 홍대에서 7시에 동창회]"


def test_a_name_joins_the_pet_of_the_message_before(store: Store) -> None:
    told = extract("이름은 두부야", TUESDAY, before="고양이 입양했어")
    apply(store, told, TUESDAY)
    (pet,) = store.memories.all()
    assert pet.text == "[반려동물: 고양이 두부]"


def test_a_denial_of_what_was_never_told_is_news_itself(store: Store) -> None:
    apply(store, extract("나 오이 안 좋아해", TUESDAY), TUESDAY)
    assert [memory.text for memory in store.memories.all()] == ["[싫어하는 음식: 오이]"]


def test_recall_over_ten_thousand_memories_takes_milliseconds(tmp_path: Path) -> None:
    store = open_store(tmp_path / "many.db")
    things = "강아지 회사 시험 친구 여행 커피 운전 영화 가수 자전거".split()
    with store.db.write():
        for number in range(10_000):
            thing, other = things[number % 10], things[number // 10 % 10]
            store.memories.remember(f"{thing} {number}", f"{other} {thing}")
    recall = Recall(store, load_encoder("embedded"))
    recall.best("안녕")
    spent = []
    for _ in range(9):
        start = time.process_time()
        recall.best("내 강아지랑 시험이랑 여행이 뭐라고 했지?")
        spent.append(time.process_time() - start)
    store.close()
    assert min(spent) < 0.04, spent  # 17 ms on a busy machine, most of it the encoder
