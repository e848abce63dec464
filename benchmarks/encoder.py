"""The sentence encoder: speed, and how well its cosine agrees with people.

    python -m benchmarks.encoder [--encoder embedded] [--data ../shared/data]

Prints rows (report.py). One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


from benchmarks.report import Row  # noqa: E402
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


NOTE = (
    "The embedded transformer in int8, without torch. Spearman x 100 of KorSTS test and KLUE-STS "
    "dev is shown when the data folder is there; neither was trained on."
)


def speed(encoder: Encoder) -> list[Row]:
    texts = [f"{TURNS[i % 4]} {i}번째로 하는 이야기야" for i in range(10_000)]
    encoder.encode(TURNS)
    one = sum(best(lambda t=turn: encoder.encode([t]), 50) for turn in TURNS) / len(TURNS)
    each = sum(best(lambda t=text: encoder.encode([t]), 1) for text in texts[:200]) / 200
    many = best(lambda: encoder.encode(texts), 1) / len(texts)
    return [
        Row("one sentence, seen before", one * 1e3, "ms"),
        Row("one sentence", each * 1e3, "ms"),
        Row("a sentence among 10,000", many * 1e3, "ms", each / many, "one by one"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="embedded")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    start = time.perf_counter()
    encoder = load_encoder(options.encoder)
    rows = [Row("load", time.perf_counter() - start, "s"), *speed(encoder)]
    if options.data.is_dir():
        # scipy comes with the training packages; the speeds need only the runtime's.
        from ohlora.training.encoder_data import klue_sts_dev, korsts
        from ohlora.training.encoder_measure import similarity

        sets = {
            "KorSTS test": korsts(options.data, "test"),
            "KLUE-STS dev": klue_sts_dev(options.data),
        }
        for name, pairs in sets.items():
            rows.append(Row(name, 100 * similarity(encoder, pairs)["spearman"], "Spearman x 100"))
    print(json.dumps([row.to_dict() for row in rows], indent=2))


if __name__ == "__main__":
    main()
