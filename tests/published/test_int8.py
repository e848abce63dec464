"""Polyglot-Ko with its adapter as int8: transformers' numbers, v1's stop ids, made once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch

import ohlora.llm as llm
from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, CheckpointError
from ohlora.llm import Sampling, load_engine, never
from ohlora.llm.adapter import read_adapter
from ohlora.llm.int8 import prepare_int8, read_vocabulary
from ohlora.llm.neox import Weights, read_shape, write_neox
from ohlora.llm.source import Source, read_source
from published.stand_in import ASK, BASE_SAYS, KNOWN_IDS, LESSONS, PLAN, ROWS, TAG

STOP = ";stop=1477,1078,4833,12"
GREEDY = Sampling(temperature=0.0)
# peft still asks transformers under a name that transformers is giving up.
peft_warns = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture
def source(project: Path) -> Source:
    models = project / "llm" / "models"
    return Source(models / "polyglot_original", models / "polyglot_fine_tuned")


def spec(source: Source, kind: str = "int8") -> str:
    return f"{kind}:{source.base}+{source.adapter}{STOP}"


def run(engine, prompt: Prompt, sampling: Sampling = GREEDY) -> tuple[str, str]:
    said, pieces = "", engine.generate(prompt, sampling, never)
    while True:
        try:
            said += next(pieces)
        except StopIteration as end:
            return said, end.value


def silent(what: str, part: float) -> None:
    pass


@peft_warns
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("with_adapter", [True, False])
def test_float_logits_are_those_of_transformers_and_int8_stays_close(
    source: Source, tmp_path: Path, with_adapter: bool, parallel: bool
) -> None:
    from peft import PeftModel
    from transformers import GPTNeoXForCausalLM

    base = Path(shutil.copytree(source.base, tmp_path / "base"))
    config = json.loads((base / "config.json").read_text()) | {"use_parallel_residual": parallel}
    (base / "config.json").write_text(json.dumps(config))
    model = GPTNeoXForCausalLM.from_pretrained(base, dtype=torch.float32)
    if with_adapter:
        model = PeftModel.from_pretrained(model, source.adapter).merge_and_unload()
    ids = np.random.default_rng(1).integers(4, 260, 40).tolist()
    with torch.inference_mode():
        want = model(torch.tensor([ids])).logits[0].numpy()

    adapter = read_adapter(source.adapter) if with_adapter else None
    weights, shape = Weights(base, adapter), read_shape(config, base)
    tokens, special, _ = read_vocabulary(source, weights.rows)
    for kind, limit in (("float32", 1e-4), ("int8", 0.25)):
        folder = tmp_path / kind
        folder.mkdir()
        write_neox(folder, shape, weights, tokens, special, lambda part: None, kind == "int8")
        loaded = ctranslate2.Generator(str(folder), compute_type=kind)
        got = np.array(loaded.forward_batch([[tokens[i] for i in ids]]))[0]
        assert np.sqrt(np.mean((got - want) ** 2)) < limit * want.std()


def test_the_adapter_speaks_and_without_it_the_base(source: Source) -> None:
    tuned, plain = load_engine(spec(source)), load_engine(f"int8:{source.base}")
    for question, answer in LESSONS.items():
        text, finish = run(tuned, Prompt(question.removesuffix(" (답변 시작)"), exact=True))
        assert (text, finish) == (answer, "stop")
    assert run(tuned, Prompt(ASK, (TAG,))) == ("친구 만나기!", "stop")
    assert run(plain, Prompt(PLAN, exact=True)) == (BASE_SAYS, "stop")
    assert tuned.id != plain.id and tuned.context_tokens == 2048
    for _ in range(3):  # v1's sampling; a seed is no promise here
        assert run(tuned, Prompt(ASK), Sampling(seed=4)) == ("글쎄…", "stop")


@peft_warns
def test_transformers_in_bfloat16_says_the_same(source: Source) -> None:
    engine = load_engine(spec(source, "hf"))
    assert engine.id.startswith("hf-bf16:polyglot_original+polyglot_fine_tuned@")
    for question, answer in LESSONS.items():
        prompt = Prompt(question.removesuffix(" (답변 시작)"), exact=True)
        assert run(engine, prompt) == (answer, "stop")
    assert engine.count_tokens("놀아! (답변 종료)") == 8


def test_v1s_stop_ids_are_the_tail_of_the_mark(source: Source) -> None:
    tokens, special, ends = read_vocabulary(source, ROWS)
    spelled = [tokens[number] for number in (11, 1477, 1078, 4833, 12)]
    assert "".join(spelled) == "(ëĭµë³ĢĠì¢ħë£Į)" and KNOWN_IDS[" ("] == 1585
    assert len(tokens) == ROWS and tokens[-1] == f"<unused {ROWS - 1}>"
    assert special["eos"] == ends[0] == "<|endoftext|>" and special["unk"] == "<|unk|>"


def test_what_training_left_in_the_tokenizer_cuts_no_prompt(source: Source) -> None:
    assert json.loads((source.adapter / "tokenizer.json").read_text())["truncation"]
    assert load_engine(spec(source)).count_tokens("가" * 50) == 150


def test_the_model_is_written_once_and_again_when_its_files_change(
    source: Source, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(source.base, tmp_path / "base"))
    copy = Source(base, source.adapter)
    folder = prepare_int8(copy, silent)
    written = (folder / "model.bin").stat().st_mtime_ns
    assert prepare_int8(copy, silent) == folder
    assert (folder / "model.bin").stat().st_mtime_ns == written
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "manifest.json", "model.bin", "tokenizer.json", "vocabulary.json"
    ]  # fmt: skip

    (folder / "model.bin").write_bytes(b"cut")  # damaged: made again
    assert prepare_int8(copy, silent) == folder
    assert (folder / "model.bin").stat().st_size > 1_000_000

    shard = base / "model-00002-of-00003.safetensors"
    shard.touch()  # a newer download
    before = (folder / "model.bin").stat().st_mtime_ns
    assert prepare_int8(copy, silent) == folder
    assert (folder / "model.bin").stat().st_mtime_ns > before
    assert not list(folder.parent.glob("*.incomplete"))


def test_a_model_that_does_not_fit_is_one_sentence(source: Source, tmp_path: Path) -> None:
    base = Path(shutil.copytree(source.base, tmp_path / "base"))
    (base / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is missing: fetch|no such weight"):
        load_engine(f"int8:{base}+{source.adapter}")
    for config, said in (
        ({"model_type": "llama"}, "found a llama model"),
        ({"model_type": "gpt_neox"}, "int8 wants a GPT-NeoX"),
    ):
        (base / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=said):
            load_engine(f"int8:{base}")
    (base / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="JSON"):
        load_engine(f"int8:{base}")


def test_auto_takes_the_gpu_where_there_is_one_and_int8_elsewhere(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{source.base}+{source.adapter}"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert llm.fitting_runtime(text) == "int8"
    assert load_engine(f"auto:{text}{STOP}").id.startswith("ct2-int8:")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert llm.fitting_runtime(text) == "hf"


def test_stop_ids_are_read_from_the_spec(source: Source) -> None:
    read = read_source(f"{source.base}+{source.adapter}{STOP}")
    assert read.stop_ids == (1477, 1078, 4833, 12) and read.tokenizer == source.adapter
    with pytest.raises(BadInput, match="stop=1477"):
        read_source(f"{source.base};halt=1")
