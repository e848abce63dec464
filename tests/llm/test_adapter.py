"""LoRA adapters: folded in exactly, refused when they do not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from llm_tiny import SHAPE, write_adapter
from safetensors.numpy import load_file, save_file

from ohlora.errors import CheckpointError
from ohlora.llm.adapter import adapter_digest, merge, read_adapter

Q = "model.layers.3.self_attn.q_proj.weight"


def test_merging_adds_alpha_over_rank_times_b_a(tiny):
    adapter = read_adapter(tiny.adapter)
    a, b = adapter.pairs[Q]
    merged = merge(tiny.tensors, adapter)
    np.testing.assert_allclose(merged[Q], tiny.tensors[Q] + (4 / 2) * b @ a, rtol=1e-6)
    untouched = set(tiny.tensors) - set(adapter.pairs)
    assert all(merged[name] is tiny.tensors[name] for name in untouched)


def test_merging_leaves_the_base_as_it_was(tiny):
    before = tiny.tensors[Q].copy()
    merge(tiny.tensors, read_adapter(tiny.adapter))
    np.testing.assert_array_equal(tiny.tensors[Q], before)


def test_a_rank_that_is_not_the_stated_one_is_refused(tmp_path):
    write_adapter(tmp_path, rank=2, stated_rank=4)
    with pytest.raises(CheckpointError, match=r"want rank 4 .* found A \[2,"):
        read_adapter(tmp_path)


def test_an_adapter_for_a_wider_base_is_refused(tmp_path, tiny):
    adapter = read_adapter(write_adapter(tmp_path, width=48))
    with pytest.raises(CheckpointError, match="belongs to this base model"):
        merge(tiny.tensors, adapter)


def test_an_adapter_for_a_layer_the_base_lacks_is_refused(tiny):
    adapter = read_adapter(tiny.adapter)
    short = {n: t for n, t in tiny.tensors.items() if f"layers.{SHAPE.layers - 1}." not in n}
    with pytest.raises(CheckpointError, match="no such weight"):
        merge(short, adapter)


def test_a_missing_half_a_damaged_file_and_missing_files_are_refused(tmp_path):
    write_adapter(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    state = load_file(weights)
    half = {name: tensor for name, tensor in state.items() if "layers.0.mlp" not in name}
    name = next(name for name in state if "layers.0.mlp" in name and "lora_A" in name)
    save_file({**half, name: state[name]}, weights)
    with pytest.raises(CheckpointError, match="only one of its two"):
        read_adapter(tmp_path)
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="damaged"):
        read_adapter(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_adapter(tmp_path)


def test_settings_that_are_not_json_or_ask_for_more_than_lora_are_refused(tmp_path):
    write_adapter(tmp_path)
    settings = tmp_path / "adapter_config.json"
    good = json.loads(settings.read_text())
    settings.write_text(json.dumps({**good, "use_dora": True}))
    with pytest.raises(CheckpointError, match="use_dora"):
        read_adapter(tmp_path)
    settings.write_text("{")
    with pytest.raises(CheckpointError, match="is not one"):
        read_adapter(tmp_path)


def test_the_digest_changes_with_weights_and_settings(tmp_path):
    first = adapter_digest(write_adapter(tmp_path / "a", seed=1))
    assert first == adapter_digest(write_adapter(tmp_path / "b", seed=1))
    assert first != adapter_digest(write_adapter(tmp_path / "c", seed=2))
