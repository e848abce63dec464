"""The sentence encoder: speed, and how well its cosine agrees with people.

    python benchmarks/encoder.py [--encoder embedded] [--data ../shared/data]

Prints one JSON object: milliseconds for one sentence, seconds for 10,000, the time to find one
of 10,000 memories, and Pearson and Spearman on KorSTS test and KLUE-STS dev (neither is trained on
or used to choose anything). One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from ohlora.embedding import Encoder, load_encoder  # noqa: E402

TURNS = ["나 내일 뭐 하지?", "오늘 진짜 피곤한데 뭐 먹을까?", "너 생일이 언제야?", "안녕 로라야"]


def best(run: Callable[[], object], times: int) -> float:
    """Seconds of the fastest of `times` runs: the one that was disturbed least."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def speed(encoder: Encoder) -> dict[str, float]:
    texts = [f"{TURNS[i % 4]} {i}번째로 하는 이야기야" for i in range(10_000)]
    memories = encoder.encode([f"[{i}월 {i % 28}일 일정: 약속 {i}]" for i in range(10_000)])
    encoder.encode(TURNS)
    one = sum(best(lambda t=turn: encoder.encode([t]), 50) for turn in TURNS) / len(TURNS)
    cold = best(lambda: encoder.encode(texts), 1)
    return {
        "ms_one_sentence": round(one * 1e3, 4),
        "s_10000_sentences": round(cold, 3),
        "ms_recall_of_10000_memories": round(
            best(lambda: np.argmax(memories @ encoder.encode([TURNS[0]])[0]), 20) * 1e3, 3
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    start = time.perf_counter()
    encoder = load_encoder(options.encoder)
    result: dict[str, object] = {
        "encoder": encoder.id,
        "s_load": round(time.perf_counter() - start, 3),
        "speed": speed(encoder),
    }
    if options.data.is_dir():
        # scipy comes with the training packages; the speeds need only the runtime's.
        from ohlora.training.encoder_data import klue_sts_dev, korsts
        from ohlora.training.encoder_measure import similarity

        result["korsts_test"] = similarity(encoder, korsts(options.data, "test"))
        result["klue_sts_dev"] = similarity(encoder, klue_sts_dev(options.data))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
