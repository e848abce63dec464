"""Training the static encoder: its own data, its losses on a tiny model, its thresholds."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from ohlora.embedding.features import Featurizer
from ohlora.embedding.static import load_static
from ohlora.lines import read_folder
from ohlora.paths import embedded
from ohlora.training.encoder import (
    TASKS,
    BagEncoder,
    EncoderConfig,
    Losses,
    frozen,
    publish,
    train,
)
from ohlora.training.encoder_data import EncoderData
from ohlora.training.encoder_measure import Guess, at_threshold, calibrate
from ohlora.training.encoder_start import start_vectors, train_tokenizer
from ohlora.training.encoder_tasks import (
    TO_USER,
    Ask,
    MemoryTask,
    address,
    exchange,
    own_data,
    reword,
)

LINES = embedded() / "personas" / "ohlora" / "lines"
SMALL = EncoderConfig(
    pieces=400, buckets=300, dim=16, words=2_000, tokenizer_sample=2_000, steps=12, batch_size=8
)


@pytest.fixture(scope="module")
def data() -> EncoderData:
    """Made-up sentences of a few words, in the shape of the real sets."""
    words = "비 눈 바람 학교 친구 노래 영화 커피 강아지 공부 운동 여행 바다 저녁 아침 책".split()
    rng = random.Random(0)
    sentences = [f"{a} {b} 좋아 정말" for a in words for b in words]
    pairs = [(rng.choice(sentences), rng.choice(sentences)) for _ in range(200)]
    sts = [(a, b, len(set(a.split()) & set(b.split())) / 4) for a, b in pairs]
    groups = [[s, s.replace("정말", "진짜")] for s in sentences]
    names = ("parakqc", "stylekqc", "question_pair", "chatbot", "sae4k", "sts", "entailment")
    return EncoderData(
        text=sentences,
        groups={name: groups for name in names},
        triples=[(s, s + "!", s.replace("좋아", "싫어")) for s in sentences],
        sts_train=sts,
        sts_dev=sts[:50],
        small_talk=[s + "?" for s in sentences],
    )


@pytest.fixture(scope="module")
def losses(data: EncoderData) -> Losses:
    return Losses(data, LINES, SMALL)


def fresh(losses: Losses) -> BagEncoder:
    text = [*losses.data.text, *losses.own_text()]
    tokenizer = train_tokenizer(text, SMALL.pieces, SMALL.tokenizer_sample, SMALL.seed)
    featurizer = Featurizer(tokenizer, SMALL.buckets, SMALL.runs)
    vectors, weights = start_vectors(text, featurizer, SMALL.dim, SMALL.words, SMALL.seed)
    return BagEncoder(featurizer, vectors, weights)


def test_start_vectors_are_unit_length_and_put_neighbours_together() -> None:
    text = ["비가 오면 우산 챙겨", "눈이 오면 장갑 챙겨"] * 40 + [
        "밥은 국물 먹고",
        "빵은 우유 먹고",
    ] * 40
    tokenizer = train_tokenizer(text, 60, 1_000, seed=1)
    featurizer = Featurizer(tokenizer, buckets=0)
    vectors, weights = start_vectors(text, featurizer, dim=8, words=100, seed=1)
    assert vectors.shape == (featurizer.rows, 8) and weights.shape == (featurizer.rows,)
    norms = np.linalg.norm(vectors, axis=1)
    assert ((norms < 1e-3) | (np.abs(norms - 1) < 1e-3)).all()
    row = {t: tokenizer.token_to_id(t) for t in ("▁우산", "▁장갑", "▁국물")}
    near = vectors[row["▁우산"]] @ vectors[row["▁장갑"]]
    assert near > vectors[row["▁우산"]] @ vectors[row["▁국물"]] + 0.2


def test_the_numpy_encoder_computes_what_was_trained(losses: Losses) -> None:
    model = fresh(losses)
    texts = ["나 내일 뭐 하지?", "[내일 일정: 친구랑 카페 가기]", "비 바람 좋아"]
    with torch.no_grad():
        expected = model(texts).numpy()
    np.testing.assert_allclose(frozen(model).encode(texts), expected, atol=1e-5)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_gives_a_gradient(losses: Losses, task: str) -> None:
    torch.manual_seed(0)
    model = fresh(losses)
    loss = getattr(losses, task)(model, random.Random(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert model.table.grad is not None and model.table.grad.abs().sum() > 0


def test_training_lowers_the_losses_and_repeats_itself(losses: Losses) -> None:
    def total(model: BagEncoder) -> float:
        torch.manual_seed(1)
        with torch.no_grad():
            return sum(float(getattr(losses, t)(model, random.Random(1))) for t in sorted(TASKS))

    first, again = fresh(losses), fresh(losses)
    before = total(first)
    train(first, losses, SMALL)
    assert total(first) < before
    train(again, losses, SMALL)
    assert torch.equal(first.table, again.table)


def test_a_published_folder_loads_with_its_thresholds(
    losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "data")
    monkeypatch.setattr("ohlora.training.encoder_measure.TRIALS", 40)
    model = fresh(losses)
    publish(model, replace(SMALL, steps=0), tmp_path / "out", tmp_path / "data", LINES)
    encoder = load_static(tmp_path / "out")
    assert encoder.dim == SMALL.dim
    assert 0 < encoder.recall_threshold <= 1 and 0 < encoder.lines_threshold <= 1
    with torch.no_grad():
        expected = model(["비 좋아"]).numpy()
    np.testing.assert_allclose(encoder.encode(["비 좋아"]), expected, atol=5e-3)  # fp16 weights


def write_data(folder: Path) -> None:
    (folder / "kor_nlu").mkdir(parents=True)
    (folder / "chatbot_data").mkdir()
    rows = ["\t".join("gfyi") + "\tscore\ta\tb"]
    rows += [f"g\tf\ty\t{n}\t{n % 6}\t비 {n}\t눈 {n % 3}" for n in range(12)]
    (folder / "kor_nlu" / "sts-dev.tsv").write_text("\n".join(rows), "utf-8")
    (folder / "chatbot_data" / "ChatbotData.csv").write_text("Q,A,label\n심심해,놀자,0\n", "utf-8")


def test_training_and_held_out_phrases_have_nothing_in_common() -> None:
    table = own_data("encoder_memory.toml")
    for entry in [table["schedule"], *table["weather"], *table["key"]]:
        assert not set(entry["asks"]) & set(entry["dev_asks"]), entry["names"]
        assert not set(entry["values"]) & set(entry["dev_values"]), entry["names"]
    assert not set(table["nothing"]["train"]) & set(table["nothing"]["dev"])


def test_no_held_out_topic_is_unknown_to_the_lines() -> None:
    answering = read_folder(LINES)[1].answering
    assert set(own_data("encoder_persona.toml")["topics"]) <= answering


def test_a_plan_fits_its_day_and_a_turn_without_a_day_fits_every_plan() -> None:
    tomorrow = Ask("나 내일 뭐 하지?", "[내일 일정: 면접]", 0, "내일")
    today = Ask("나 오늘 뭐 하지?", "[오늘 일정: 회의]", 0, "오늘")
    any_day = replace(today, text="내 일정 뭐 있어?", any_time=True)
    name = Ask("내 이름 뭐야?", "[이름: 민수]", 3, None)
    assert tomorrow.fits(tomorrow) and not tomorrow.fits(today)
    assert any_day.fits(tomorrow) and tomorrow.fits(replace(any_day, time="내일"))
    assert not any_day.fits(name)


def test_every_drawn_memory_is_a_key_and_a_value_without_a_blank_to_fill() -> None:
    rng = random.Random(0)
    for part in ("train", "dev"):
        task = MemoryTask(part)
        for _ in range(300):
            ask = task.draw(rng)
            assert "{" not in ask.text + ask.memory
            assert ask.memory.startswith("[") and ": " in ask.memory


def test_a_question_turns_from_her_to_the_user_by_whole_words() -> None:
    assert exchange("너 이름 뭐야?", TO_USER) == "나 이름 뭐야?"
    assert exchange("너무 좋아", TO_USER) is None


def test_rewording_keeps_what_is_asked() -> None:
    rng = random.Random(0)
    found = {reword("너 이름이 뭐야?", rng) for _ in range(200)}
    assert len(found) > 20
    assert all("이름" in text for text in found)
    addressed = {address("너 이름이 뭐야?", rng) for _ in range(50)}
    assert all(text.endswith("이름이 뭐야?") for text in addressed) and len(addressed) > 3
    assert {address("내 이름이 뭐야?", rng) for _ in range(20)} == {"내 이름이 뭐야?"}


def test_the_threshold_is_the_lowest_that_reaches_the_precision() -> None:
    guesses = [Guess(0.9, True, True), Guess(0.6, True, True), Guess(0.305, False, False)]
    assert calibrate(guesses, 1.0) == 0.31
    assert calibrate(guesses, 0.6) == 0.01
    assert at_threshold(guesses, 0.31) == {
        "threshold": 0.31,
        "precision": 1.0,
        "recall": 1.0,
        "turns": 3,
    }
    assert calibrate([Guess(0.9, False, False)], 0.9) == 1.0


def test_the_tokenizer_of_the_embedded_encoder_knows_no_unknown_hangul_word() -> None:
    tokenizer = Tokenizer.from_file(str(embedded() / "encoder" / "tokenizer.json"))
    assert "[UNK]" not in tokenizer.encode("나 내일 친구랑 카페에 가기로 했어!").tokens
