"""v1's memory file: its choice and its saving exactly, import and export byte for byte.

golden/funcs/memory_choice.json and memory_dedupe.json hold the reference's results.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memory.fakes import TUESDAY
from ohlora.errors import BadInput
from ohlora.memory import Store
from ohlora.memory.v1_file import cosine, export_file, import_file, v1_choose, v1_save


def normal(name: str) -> NDArray[np.float32]:
    dice = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return dice.standard_normal((16,)).astype(np.float32)


def fake_sbert(texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """The encoder that memory_choice.json describes; its vectors are not of unit length."""
    return [2 * normal("common") + normal(f"fake_sbert|{text}") for text in texts]


def test_v1_chooses_as_the_reference_did(golden_dir: Path) -> None:
    cases = json.loads((golden_dir / "funcs" / "memory_choice.json").read_text())["cases"]
    for case in cases:
        for text, similarity in case["similarities"].items():
            memory, prompt = fake_sbert([text, case["prompt"]])
            assert cosine(memory, prompt) == pytest.approx(similarity, abs=1e-6)
        for threshold, best in case["best"].items():
            chosen = v1_choose(case["file"], case["prompt"], fake_sbert, float(threshold))
            assert chosen == best, (case["file"], threshold)


def test_v1_saves_as_the_reference_did(golden_dir: Path) -> None:
    for case in json.loads((golden_dir / "funcs" / "memory_dedupe.json").read_text()):
        assert v1_save(case["file_before"], case["memory_list"]) == case["file_after"]


FILES = {
    "shipped with v1": b"\n",
    "empty": b"",
    "plain": "[상태: 좋음]\n[롤 티어: 실버]\n".encode(),
    "no last newline": "[상태: 좋음]\n[롤 티어: 실버]".encode(),
    "windows": "[상태: 좋음]\r\n\r\n[롤 티어: 실버]\r\n".encode(),
    "spaces": "  [상태:좋음]  \n[ 롤 티어 :  실버 ]\n".encode(),
    "twice": b"[x: y]\n[x: y]\n",
    "contradiction": "[상태: 좋음]\n[상태: 피곤]\n".encode(),
    "no memories": "ab\n[메모]\n: \n[:]\n[a: b] 뒤\n".encode(),
    "time": "[오늘 일정: 시험]\n[내일 일정: 여행]\n[오늘 날씨: 비]\n".encode(),
    "mark": "\ufeff[상태: 좋음]\n".encode(),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("age", [0, 400], ids=["fresh", "a year old"])
def test_a_file_comes_back_byte_for_byte(store: Store, data: bytes, age: int) -> None:
    import_file(store, data, TUESDAY - timedelta(days=age))
    assert export_file(store) == data


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="[]: \n\rab가나오늘내일\t()", max_size=80))
def test_any_text_comes_back_byte_for_byte(store: Store, text: str) -> None:
    someone = store.of(uuid.uuid4().hex, "ohlora")
    import_file(someone, text.encode(), TUESDAY)
    assert export_file(someone) == text.encode()


def test_imported_lines_are_memories_of_the_day_they_were_written(store: Store) -> None:
    done = import_file(store, FILES["time"], TUESDAY - timedelta(days=1))
    assert done.to_dict() == {"stored": 3, "updated": 0, "unchanged": 0, "kept": 0}
    live = {record.text for record in store.memories.all()}
    assert live == {"[오늘 일정: 여행]"}  # yesterday's tomorrow


def test_only_lines_whose_memory_changed_change(store: Store) -> None:
    data = "머리말\n[이름:지은]\n[나이: 25살]\r\n[직업: 개발자]\n".encode()
    assert import_file(store, data, TUESDAY).kept == 1
    by_key = {record.key: record.id for record in store.memories.all()}
    store.memories.edit(by_key["나이"], value="26살")
    store.memories.delete(by_key["직업"])
    store.memories.remember("취미", "등산")
    assert export_file(store).decode() == "머리말\n[이름:지은]\n[나이: 26살]\r\n[취미: 등산]\n"
    for _ in range(3):
        store.memories.undo()
    assert export_file(store) == data


def test_new_memories_follow_a_last_line_without_newline(store: Store) -> None:
    import_file(store, b"[a: b]", TUESDAY)
    store.memories.remember("c", "d")
    assert export_file(store) == b"[a: b]\n[c: d]\n"


def test_a_second_import_takes_the_place_of_the_first(store: Store) -> None:
    import_file(store, "[이름: 지은]\n[나이: 25살]\n".encode(), TUESDAY)
    done = import_file(store, "[이름: 하늘]\n".encode(), TUESDAY)
    assert (done.updated, done.stored) == (1, 0)
    assert export_file(store).decode() == "[이름: 하늘]\n[나이: 25살]\n"


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", "이름".encode("cp949"), b"a\0b"])
def test_what_is_not_text_is_refused_and_nothing_is_taken(store: Store, data: bytes) -> None:
    import_file(store, b"[a: b]\n", TUESDAY)
    with pytest.raises(BadInput, match="UTF-8"):
        import_file(store, b"[c: d]\n" + data, TUESDAY)
    assert export_file(store) == b"[a: b]\n"


def test_each_persona_has_its_own_file(store: Store) -> None:
    import_file(store, b"[a: b]\n", TUESDAY)
    assert export_file(store.of("me", "another")) == b""


def test_the_first_memory_behind_a_byte_order_mark_is_read_and_the_mark_kept(store: Store) -> None:
    data = b"\xef\xbb\xbf" + "[이름: 지은]\r\n[직업: 의사]\r\n".encode()
    assert import_file(store, data, TUESDAY).stored == 2
    assert [record.text for record in store.memories.all()] == ["[직업: 의사]", "[이름: 지은]"]
    assert export_file(store) == data
    store.memories.remember("이름", "하늘")
    assert export_file(store) == b"\xef\xbb\xbf" + "[이름: 하늘]\r\n[직업: 의사]\r\n".encode()
