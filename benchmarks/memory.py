"""Her memory: recall among many, against encoding every memory each turn as v1 does; the store.

    python -m benchmarks.memory [--sizes 10 1000 10000 100000]

The v1 way encodes, for each memory, the memory and the prompt, one sentence at a time. "One
batch each turn" encodes all memories and the prompt at once: the least a program without kept
vectors could do with the same encoder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.report import Row
from ohlora.embedding import Encoder, load_encoder
from ohlora.memory import Store, open_store
from ohlora.memory.recall import Recall

NOTE = (
    "The v1 way encodes each memory and the prompt anew for every memory of every turn; one batch "
    "each turn encodes them all at once. Recall is measured whole: following the store, encoding "
    "the prompt, scores of all memories, the two best."
)
ASKED = "나 주말에 뭐 하기로 했지?"
V1_SIZE = 10_000  # beyond it the v1 way is not run, it takes minutes
SUBJECTS = ("좋아하는 음식", "친구", "약속", "읽은 책", "가고 싶은 곳", "배우는 것", "선물", "영화")
SAID = ("떡볶이", "민지", "카페 가기", "어린 왕자", "제주도", "기타", "시계", "라라랜드")


@contextmanager
def filled(folder: Path, size: int) -> Iterator[Store]:
    """A store with `size` memories of different keys."""
    store = open_store(folder / f"{size}.db")
    with store.db.write():
        for number in range(size):
            kind = number % len(SUBJECTS)
            store.memories.remember(f"{SUBJECTS[kind]} {number}", f"{SAID[kind]} {number % 97}")
    try:
        yield store
    finally:
        store.close()


def milliseconds(act: Callable[[], object], repeat: int) -> float:
    """The median of `repeat` runs."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        act()
        times.append(time.perf_counter() - started)
    return median(times) * 1e3


def one_batch(encoder: Encoder, texts: list[str]) -> None:
    vectors = encoder.encode([*texts, ASKED])
    np.argmax(vectors[:-1] @ vectors[-1])


def v1_way(encoder: Encoder, texts: list[str]) -> None:
    scores = [float(encoder.encode([text])[0] @ encoder.encode([ASKED])[0]) for text in texts]
    np.argmax(scores)


def recall_rows(encoder: Encoder, folder: Path, size: int) -> list[Row]:
    with filled(folder, size) as store:
        recall = Recall(store, encoder)
        first = milliseconds(lambda: recall.best(ASKED), 1)
        again = milliseconds(lambda: Recall(store, encoder).best(ASKED), 1)
        ours = milliseconds(lambda: recall.best(ASKED), 50)
        texts = [record.text for record in store.memories.all()]
        batch = milliseconds(lambda: one_batch(encoder, texts), 3 if size < 100_000 else 1)
        what = f"recall among {size:,} memories"
        rows = [Row(what, ours, "ms", batch / ours, "against one batch each turn")]
        if size <= V1_SIZE:
            v1 = milliseconds(lambda: v1_way(encoder, texts), 3 if size < V1_SIZE else 1)
            rows.append(Row(what, ours, "ms", v1 / ours, "against the v1 way"))
        if size >= 100_000:
            rows.append(Row(f"first recall ever, {size:,} memories encoded", first / 1e3, "s"))
            rows.append(Row(f"first recall after a start, {size:,} vectors kept", again / 1e3, "s"))
        return rows


def store_rows(folder: Path) -> list[Row]:
    store = open_store(folder / "turns.db")
    try:
        session = store.sessions.create()
        store.begin_turn(session.id, ASKED, "turn")
        event = {"type": "token", "text": "안녕"}
        appended = milliseconds(lambda: store.append_event("turn", event), 1_000)
        numbers = iter(range(1_000_000))
        remembered = milliseconds(
            lambda: store.memories.remember(f"열쇠 {next(numbers)}", "값"), 500
        )
        return [
            Row("one durable event of a turn", appended, "ms"),
            Row("one memory stored with its history", remembered, "ms"),
        ]
    finally:
        store.close()


def rows(sizes: list[int]) -> list[Row]:
    encoder = load_encoder()
    encoder.encode([ASKED])
    with tempfile.TemporaryDirectory() as folder:
        measured = store_rows(Path(folder))
        for size in sizes:
            measured += recall_rows(encoder, Path(folder), size)
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000, 100_000])
    print(json.dumps([row.to_dict() for row in rows(parser.parse_args().sizes)], indent=2))
