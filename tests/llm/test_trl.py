"""Adapters for any base: tiny GPT-NeoX, Gemma and Llama of random weights, trained with trl."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from typer.testing import CliRunner

from ohlora.cli.train import app
from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, CheckpointError, StoreError
from ohlora.llm.hf import HFEngine
from ohlora.training import llm_trl
from ohlora.training.faults import TrainingError
from ohlora.training.llm_config import PRESETS, TrainConfig
from ohlora.training.llm_data import Row
from ohlora.training.llm_rows import Rows, rows_for, steps_of
from ohlora.training.llm_run import AdapterCheck
from ohlora.training.llm_tokens import coder_for, encode
from ohlora.training.preview import preview

# peft and trl still ask transformers under names that transformers is giving up.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 48, "max_position_embeddings": 256}


def save_tokenizer(folder: Path, begin: bool) -> int:
    """A byte-level BPE without merges; `begin`: <s> stands before every text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<s>"]
    vocabulary = {token: n for n, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[0])
    fast.save_pretrained(folder)
    return len(vocabulary)


def make_base(folder: Path, kind: str) -> Path:
    torch.manual_seed(3)
    words = {"vocab_size": save_tokenizer(folder, begin=kind != "neox")}
    ends = {"bos_token_id": 1, "eos_token_id": 0, "pad_token_id": 0}
    if kind == "neox":
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **words, **ends))
    elif kind == "gemma":
        model = Gemma3ForCausalLM(
            Gemma3TextConfig(**SIZES, **words, **ends, head_dim=16, num_key_value_heads=1)
        )
    else:
        model = LlamaForCausalLM(LlamaConfig(**SIZES, **words, **ends))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = ("neox", "gemma", "llama")
    return {kind: make_base(tmp_path_factory.mktemp(kind), kind) for kind in kinds}


@pytest.fixture
def config(bases: dict[str, Path], tmp_path: Path) -> TrainConfig:
    data = tmp_path / "pairs.jsonl"
    rows = [{"q": f"질문 {n}", "a": f"답 {n}", "split": "test" if n > 9 else "train"}
            for n in range(12)]  # fmt: skip
    data.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    return TrainConfig(
        base=str(bases["llama"]), data=str(data), targets="all-linear", total_steps=6,
        batch_size=2, rank=2, alpha=4.0, dropout=0.1, warmup_steps=1, lr=1e-2, log_every=1,
        save_every=2, threads=1,
    )  # fmt: skip


def weights(adapter: Path) -> dict[str, np.ndarray]:
    return load_file(adapter / "adapter_model.safetensors")


def logged(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]


def same(one: Path, other: Path) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(
        np.array_equal(mine[name], theirs[name]) for name in mine
    )


@pytest.mark.parametrize("kind", ["neox", "gemma", "llama"])
def test_any_base_is_trained_checked_and_carded(bases, config, tmp_path, kind):
    adapter = llm_trl.train(replace(config, base=str(bases[kind])), tmp_path / "run")
    rows = logged(tmp_path / "run")
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert rows[-1]["saved_off"] < 1e-3 and rows[-1]["held_own"] > 0
    assert any(row.get("tokens_per_s", 0) > 0 for row in rows)
    assert "want  답" in next((tmp_path / "run" / "samples").iterdir()).read_text()
    assert "| job | answer |" in (adapter / "README.md").read_text()
    assert not list((tmp_path / "run").rglob("*.bin"))  # no pickle
    base, tuned = HFEngine(bases[kind]), HFEngine(bases[kind], adapter)
    assert base._tokenizer.get_vocab() == tuned._tokenizer.get_vocab()


@pytest.mark.parametrize("kind", ["neox", "gemma", "llama"])
def test_training_and_inference_read_the_same_prompt_and_only_answers_carry_loss(
    bases, config, kind
):
    coder = coder_for(replace(config, base=str(bases[kind])))
    row = Row("나 내일 뭐 하지?", "카페 가잖아!", ("[내일 일정: 카페]",))
    ids, wanted, targets = encode(coder, [row])
    read = HFEngine(bases[kind])._prompt_ids(Prompt(row.user, row.memories))
    assert ids[0, : len(read)].tolist() == read
    assert not wanted[0, : len(read) - 1].any() and wanted[0, len(read) - 1 :].all()
    assert coder.text(targets.tolist()[:-1]) == " 카페 가잖아! (답변 종료)"
    (one,) = preview(coder, [row])
    assert 0 < one.trained == len(targets) < one.tokens


def test_a_killed_run_ends_like_an_unbroken_one(config, tmp_path, monkeypatch):
    whole = llm_trl.train(config, tmp_path / "whole")
    note, killed = llm_trl.RunFolder.note, []

    def kill(self, step, **row):
        if step == 5 and not killed:
            killed.append(step)
            raise KeyboardInterrupt
        note(self, step, **row)

    monkeypatch.setattr(llm_trl.RunFolder, "note", kill)
    with pytest.raises(KeyboardInterrupt):
        llm_trl.train(config, tmp_path / "killed")
    kept = sorted(path.name for path in (tmp_path / "killed" / "checkpoints").iterdir())
    assert kept == ["step_000002", "step_000004"]
    assert same(whole, llm_trl.train(config, tmp_path / "killed"))
    steps = [row["step"] for row in logged(tmp_path / "killed") if "loss" in row]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("step", [4, 5])  # step 4 would save the broken weights
def test_a_loss_that_is_no_number_stops_and_leaves_the_good_checkpoint(
    config, tmp_path, monkeypatch, step
):
    class Breaking(torch.optim.AdamW):
        taken = 0

        def step(self, *given, **named):
            super().step(*given, **named)
            self.taken += 1
            if self.taken == step:
                self.param_groups[0]["params"][0].data.fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(llm_trl, "make_optimizer", lambda params, config: Breaking(params, config.lr))
        with pytest.raises(TrainingError, match=r"not a number at step [46]") as caught:
            llm_trl.train(config, tmp_path / "run")
    assert "스텝에서 손실이 숫자가 아니에요" in caught.value.ko
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == [f"step_{n:06d}" for n in (2, 4) if n < step]
    llm_trl.train(config, tmp_path / "run")


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(config, tmp_path, monkeypatch):
    real = llm_trl.save_adapter

    def full(model, folder):
        if len(list((tmp_path / "run" / "checkpoints").glob("step_*"))) == 1:
            raise OSError(28, "No space left on device")
        real(model, folder)

    with monkeypatch.context() as patch:
        patch.setattr(llm_trl, "save_adapter", full)
        with pytest.raises(StoreError, match="No space left on device"):
            llm_trl.train(config, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_000002"]
    whole = llm_trl.train(config, tmp_path / "whole")
    assert same(whole, llm_trl.train(config, tmp_path / "run"))


def test_another_base_or_rank_in_the_folder_is_refused_and_more_steps_are_not(
    bases, config, tmp_path
):
    for steps in (2, 3):
        llm_trl.train(replace(config, total_steps=steps, noise=0.0), tmp_path / "run")
    assert logged(tmp_path / "run")[-1]["step"] == 3
    config = replace(config, noise=0.0)
    with pytest.raises(CheckpointError, match="holds a run with rank 2"):
        llm_trl.train(replace(config, rank=4), tmp_path / "run")
    with pytest.raises(CheckpointError, match="holds a run with base"):
        llm_trl.train(replace(config, base=str(bases["neox"])), tmp_path / "run")


def test_a_target_the_base_has_not_is_named_with_those_it_has(bases, config, tmp_path):
    with pytest.raises(BadInput, match="no layer 'query_key_value'.*q_proj") as caught:
        llm_trl.train(replace(config, targets="query_key_value"), tmp_path / "run")
    assert "층이 없어요" in caught.value.ko


@pytest.mark.parametrize("left", ["config.json", "tokenizer.json"])
def test_a_base_without_its_files_is_one_sentence(bases, config, tmp_path, left):
    import shutil

    broken = Path(shutil.copytree(bases["llama"], tmp_path / "broken"))
    (broken / left).write_text("{")
    with pytest.raises(CheckpointError, match="cannot be loaded") as caught:
        llm_trl.train(replace(config, base=str(broken)), tmp_path / "run")
    assert "바탕 모델" in caught.value.ko


def test_a_saved_adapter_that_is_not_the_trained_one_is_refused(config, tmp_path, monkeypatch):
    real = llm_trl.save_adapter

    def wrong(model, folder):
        if folder.name == ".adapter.part":
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.data += 1.0
        real(model, folder)
        if folder.name == ".adapter.part":
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.data -= 1.0

    monkeypatch.setattr(llm_trl, "save_adapter", wrong)
    with pytest.raises(AdapterCheck, match="differs from what was trained"):
        llm_trl.train(config, tmp_path / "run")


def test_v1_faithful_has_the_published_settings():
    """spec/training.md 5 and spec/models.md 8."""
    one = PRESETS["v1-faithful"]
    assert (one.rank, one.alpha, one.dropout, one.targets) == (128, 16.0, 0.05, "query_key_value")
    assert (one.epochs, one.batch_size, one.lr, one.schedule) == (80, 4, 2e-4, "linear")
    assert (one.warmup_steps, one.clip, one.context, one.keep) == (0, 1.0, 1024, 3)
    v1 = [Row(f"질문 {n}", "답", split="train" if n < 360 else "test") for n in range(420)]
    rows = Rows(v1, [], by_hash=False)
    assert steps_of(one, rows.mix(one)) == 7_200 and len(rows.held["own"]) == one.samples == 60


def test_v1_faithful_trains_on_v1s_file_with_loss_after_its_mark_only(bases, tmp_path):
    data = tmp_path / "v1.csv"
    lines = [",data_type,input_data,output_data,output_message,memory"]
    lines += [f"{n},{'valid' if n > 6 else 'train'},[상태: 좋음] 안녕 {n},반가워 {n},반가워 {n},"
              for n in range(8)]  # fmt: skip
    data.write_text("\n".join(lines), encoding="utf-8")
    config = replace(
        PRESETS["v1-faithful"], base=str(bases["neox"]), data=str(data), rank=2, epochs=2,
        threads=1, device="cpu", context=256,
    )  # fmt: skip
    coder = coder_for(config)
    assert len(rows_for(config, tmp_path / "run").trained[0]) == 7
    row = Row("[상태: 좋음] 안녕 1", "반가워 1")
    ids, start = coder.line(row)
    text = coder.tokenizer.decode(ids[:start], skip_special_tokens=False)
    assert text == "[상태: 좋음] 안녕 1 (답변 시작) ### 답변:"
    rest = coder.tokenizer.decode(ids[start:], skip_special_tokens=False)
    assert rest == " 반가워 1 (답변 종료) <|endoftext|>"
    adapter = llm_trl.train(config, tmp_path / "run")
    assert max(row["step"] for row in logged(tmp_path / "run")) == 4  # 7 rows, 4 a step, twice
    settings = json.loads((adapter / "adapter_config.json").read_text())
    assert settings["target_modules"] == ["query_key_value"] and settings["lora_dropout"] == 0.05


def test_a_row_longer_than_the_context_is_named(config):
    coder = coder_for(replace(config, context=64))
    with pytest.raises(BadInput, match="tokens and the model reads 64") as caught:
        coder.line(Row("가" * 60, "응", where="pairs.jsonl:3"))
    assert str(caught.value).startswith("pairs.jsonl:3") and "줄여 주세요" in caught.value.ko


def test_the_command_trains_another_base_and_prints_where_the_adapter_is(
    bases, config, tmp_path, monkeypatch
):
    arguments = ["llm", str(tmp_path / "run"), "--base", str(bases["llama"]), "--data", config.data]
    arguments += ["--steps", "2", "--batch", "2", "--rank", "2", "--threads", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    assert "carry loss" in result.output or "학습해요" in result.output
    assert "(답변 시작)⟦ 답" in result.output
    assert f"{tmp_path / 'run' / 'adapter'}" in result.output
    monkeypatch.setattr("ohlora.cli.train_llm.find_spec", lambda name: None)
    result = CliRunner().invoke(app, arguments)
    assert "pip install 'ohlora[trl]'" in str(result.exception)
