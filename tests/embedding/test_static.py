"""The embedded static encoder: its vectors, its weights folder, bad input and damaged files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from ohlora.embedding import Encoder, load_encoder
from ohlora.embedding.features import MAX_CHARS
from ohlora.embedding.static import CONFIG, TOKENIZER, WEIGHTS, load_static
from ohlora.errors import BadInput, CheckpointError
from ohlora.paths import embedded

STATIC = embedded() / "encoder" / "static"
STRANGE = [
    "",
    "   ",
    "\n\t",
    "😂🔥",
    "\ud800",
    "\x00\x07",
    "שלום עולם",
    "ㅁㄴㅇㄹ",
    "[:]",
    "[: x]",
    "가" * 9000,
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_static(STATIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(STATIC, tmp_path / "encoder")


def cosine(encoder: Encoder, a: str, b: str) -> float:
    left, right = encoder.encode([a, b])
    return float(left @ right)


def test_every_text_becomes_a_unit_vector_of_float32(encoder: Encoder) -> None:
    vectors = encoder.encode(["안녕", "나 내일 뭐 하지?", *STRANGE])
    assert vectors.dtype == np.float32
    assert vectors.shape == (2 + len(STRANGE), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_an_empty_text_is_the_first_axis(encoder: Encoder) -> None:
    assert encoder.encode([""])[0, 0] == 1


def test_a_batch_equals_one_at_a_time_whatever_its_size(encoder: Encoder) -> None:
    texts = [f"{n}번째 문장이야, 오늘은 {n}일" for n in range(700)] + STRANGE
    alone = np.concatenate([encoder.encode([t]) for t in texts])
    np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-6)


def test_decomposed_hangul_and_case_and_spaces_make_no_difference(encoder: Encoder) -> None:
    text = "나 MBTI 뭐라고 했지?"
    same = [unicodedata.normalize("NFD", text), text.lower(), f"  {text.replace(' ', '   ')}\n"]
    for vector in encoder.encode(same):
        np.testing.assert_allclose(vector, encoder.encode([text])[0], atol=1e-6)


def test_text_beyond_the_limit_is_not_read(encoder: Encoder) -> None:
    start = "가나다라 " * (MAX_CHARS // 5)
    assert len(start) == MAX_CHARS
    assert cosine(encoder, start, start + "전혀 다른 이야기") == pytest.approx(1)


def test_paraphrases_are_nearer_than_strangers(encoder: Encoder) -> None:
    near = cosine(encoder, "내일 비가 올까?", "내일 비 오려나?")
    assert near > cosine(encoder, "내일 비가 올까?", "고양이가 소파에서 자고 있다") + 0.3


@pytest.mark.parametrize(
    ("memory", "turn"),
    [
        ("[내일 일정: 친구랑 카페 가기]", "나 내일 뭐 하지?"),
        ("[내일 일정: 친구랑 카페 가기]", "내일 약속 있었나?"),
        ("[생일: 4월 19일]", "내 생일 언제인지 기억해?"),
        ("[좋아하는 가수: 빅뱅]", "내가 좋아하는 가수 누구게?"),
        ("[롤 티어: 챌린저]", "내 롤 티어 알지?"),
    ],
)
def test_a_turn_recalls_the_memory_it_asks_for(encoder: Encoder, memory: str, turn: str) -> None:
    others = ["[오늘 일정: 회의]", "[모레 일정: 낚시]", "[나이: 27살]", "[사는 곳: 울산]"]
    scores = encoder.encode([memory, *others]) @ encoder.encode([turn])[0]
    assert scores[0] >= encoder.recall_threshold
    assert scores[0] > scores[1:].max()


@pytest.mark.parametrize(
    "turn", ["안녕", "오늘 날씨 어때", "너 이름 뭐야", "너 생일 언제야", "ㅋㅋㅋㅋ"]
)
def test_a_turn_that_asks_for_nothing_recalls_nothing(encoder: Encoder, turn: str) -> None:
    memories = ["[내일 일정: 친구랑 카페 가기]", "[이름: 지훈]", "[생일: 4월 19일]", "[취미: 낚시]"]
    scores = encoder.encode(memories) @ encoder.encode([turn])[0]
    assert scores.max() < encoder.recall_threshold


def test_the_value_of_a_memory_weighs_less_than_its_key(encoder: Encoder) -> None:
    other_value = cosine(encoder, "[취미: 낚시]", "[취미: 우표 모으기]")
    other_key = cosine(encoder, "[취미: 낚시]", "[직업: 낚시]")
    assert other_value > other_key


def test_the_same_folder_gives_the_same_id_and_other_weights_another(folder: Path) -> None:
    first = load_static(folder)
    assert first.id == load_static(STATIC).id
    text = (folder / TOKENIZER).read_text("utf-8")
    (folder / TOKENIZER).write_text(text + "\n", "utf-8")
    assert load_static(folder).id != first.id


def test_the_weights_fit_into_six_megabytes() -> None:
    assert (STATIC / WEIGHTS).stat().st_size <= 6_000_000


def test_the_model_card_names_the_share_alike_data() -> None:
    card = (STATIC / "MODEL_CARD.md").read_text("utf-8")
    assert "CC BY-SA 4.0" in card and "KorSTS" in card


@pytest.mark.parametrize("name", [WEIGHTS, TOKENIZER, CONFIG])
def test_a_missing_or_cut_file_is_named_in_one_sentence(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError) as cut:
        load_static(folder)
    (folder / name).unlink()
    with pytest.raises(CheckpointError) as missing:
        load_static(folder)
    assert missing.value.path == folder / name
    for error in (cut.value, missing.value):
        assert str(folder) in error.en and "\n" not in error.en
        assert any("가" <= c <= "힣" for c in error.ko)


def test_a_config_of_another_encoder_is_refused(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    (folder / CONFIG).write_text(json.dumps(config | {"buckets": 17}), "utf-8")
    with pytest.raises(CheckpointError, match="want a table"):
        load_static(folder)


def test_an_unknown_encoder_names_the_choices() -> None:
    with pytest.raises(BadInput, match="sbert:DIR"):
        load_encoder("word2vec")


def test_talking_needs_no_torch() -> None:
    code = (
        "import sys\nfrom ohlora.embedding import load_encoder\n"
        "load_encoder().encode(['안녕'])\n"
        "print(sorted({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert out.stdout.strip() == "[]"
