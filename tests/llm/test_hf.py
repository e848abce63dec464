"""Hugging Face folders: GPT-NeoX with a LoRA adapter as v1 published it, and chat models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, CheckpointError
from ohlora.llm import Sampling, load_engine, never
from ohlora.llm.adapter import vocabulary_digest, write_made_with
from ohlora.llm.hf import HFEngine, HFJobs, draw
from ohlora.llm.jobs import JOBS

# peft still asks transformers under a name that transformers is giving up.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
GREEDY = Sampling(temperature=0.0, max_new_tokens=12)
HELLO = Prompt("안녕")


def save_tokenizer(folder: Path, chat_template: str | None = None) -> int:
    """A byte-level BPE without merges, as Polyglot-Ko's is byte-level; returns its size."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: n + 1 for n, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return len(vocabulary)


@pytest.fixture(scope="module")
def polyglot(tmp_path_factory) -> tuple[Path, Path]:
    """A GPT-NeoX of Polyglot-Ko's shape and an adapter whose base path is another machine's."""
    base, adapter = tmp_path_factory.mktemp("polyglot"), tmp_path_factory.mktemp("adapter")
    torch.manual_seed(4)
    config = GPTNeoXConfig(
        vocab_size=save_tokenizer(base),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
        use_parallel_residual=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPTNeoXForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(base)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["query_key_value"], task_type="CAUSAL_LM")
    tuned = get_peft_model(model, lora)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    tuned.save_pretrained(adapter)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = "/content/drive/MyDrive/models/polyglot"
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    return base, adapter


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> Path:
    """A chat model whose template, like Gemma's, refuses a system role."""
    folder = tmp_path_factory.mktemp("chat")
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    )
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=save_tokenizer(folder, template),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def run(engine, prompt=HELLO, sampling=GREEDY, stopped=never) -> tuple[list[str], str]:
    pieces, answer = [], engine.generate(prompt, sampling, stopped)
    while True:
        try:
            pieces.append(next(answer))
        except StopIteration as end:
            return pieces, end.value


def test_greedy_is_what_transformers_and_peft_generate(polyglot):
    from peft import PeftModel

    base, adapter = polyglot
    engine = load_engine(f"hf:{base}+{adapter}")
    model = GPTNeoXForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    ids = torch.tensor([engine._prompt_ids(HELLO)])
    mask = torch.ones_like(ids)
    want = model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False)
    want = engine._text(want[0, ids.shape[1] :].tolist()).replace("\ufffd", "").strip()
    assert "".join(run(engine)[0]).strip() == want


def test_the_adapter_changes_the_answer_and_names_itself(polyglot):
    base, adapter = polyglot
    plain, tuned = HFEngine(base), HFEngine(base, adapter)
    assert run(plain) != run(tuned)
    assert plain.id == f"hf-bf16:{base.name}"
    assert tuned.id.startswith(f"hf-bf16:{base.name}+{adapter.name}@")


def test_bytes_of_unfinished_characters_are_never_shown(polyglot):
    engine = HFEngine(*polyglot)
    for seed in range(5):
        sampling = Sampling(temperature=2.0, max_new_tokens=40, top_k=0, seed=seed)
        assert "\ufffd" not in "".join(run(engine, sampling=sampling)[0])


def test_v1s_stop_ids_end_an_answer_and_are_not_shown(polyglot):
    base, adapter = polyglot
    free = HFEngine(base, adapter)
    ids = free._prompt_ids(HELLO)
    with torch.inference_mode():
        out = free._model.generate(torch.tensor([ids]), max_new_tokens=8, do_sample=False)
    answer = out[0, len(ids) :].tolist()
    stop = ",".join(map(str, answer[2:5]))
    stopping = load_engine(f"hf:{base}+{adapter};stop={stop}")
    pieces, finish = run(stopping)
    first = next(n for n in range(8) if answer[n : n + 3] == answer[2:5])
    want = free._text(answer[:first]).replace("\ufffd", "").strip()
    assert finish == "stop" and "".join(pieces).strip() == want


def test_a_chat_template_is_used_and_a_refused_system_role_joins_the_user(chat):
    engine = HFEngine(chat)
    prompt = Prompt("안녕", ("[이름: 지수]",), "너는 오로라야.")
    text = engine._tokenizer.decode(engine._prompt_ids(prompt))
    assert text == "<user>너는 오로라야.\n[이름: 지수]\n\n안녕<assistant>"
    assert run(engine, prompt)[1] in ("stop", "length")


def test_a_seed_repeats_the_draw_and_a_stop_ends_it(polyglot):
    engine = HFEngine(*polyglot)
    sampling = Sampling(temperature=1.0, seed=5, max_new_tokens=10)
    assert run(engine, sampling=sampling) == run(engine, sampling=sampling)
    assert run(engine, stopped=lambda: True) == ([], "stopped")


def test_drawing_obeys_top_k_top_p_and_the_penalty():
    logits = torch.tensor([3.0, 2.9, 0.0, -5.0])
    rng = torch.Generator().manual_seed(0)
    wide = Sampling(temperature=5.0, top_k=2)
    assert {draw(logits, [], wide, rng) for _ in range(60)} == {0, 1}
    narrow = Sampling(temperature=1.0, top_k=0, top_p=0.4)
    assert {draw(logits, [], narrow, rng) for _ in range(30)} == {0}
    assert draw(logits, [], Sampling(temperature=0.0), rng) == 0
    assert draw(logits, [0], Sampling(temperature=0.0, repetition_penalty=1.5), rng) == 1


def test_a_long_prompt_keeps_its_end_within_the_context(polyglot):
    engine = HFEngine(*polyglot)
    assert run(engine, Prompt("가" * 2000))[1] in ("stop", "length")


@pytest.mark.parametrize("spec", ["{base}/none", "{base}+{base}/none", "{adapter}"])
def test_a_folder_without_a_model_is_refused_in_one_sentence(polyglot, spec):
    base, adapter = polyglot
    with pytest.raises(CheckpointError, match="give the folder that holds the model"):
        load_engine("hf:" + spec.format(base=base, adapter=adapter))


def test_an_adapter_of_another_base_and_damaged_weights_are_refused(polyglot, chat, tmp_path):
    base, adapter = polyglot
    with pytest.raises(CheckpointError, match="belong together"):
        HFEngine(chat, adapter)
    broken = Path(shutil.copytree(base, tmp_path / "broken"))
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        HFEngine(broken)


def test_an_unknown_option_is_refused(polyglot):
    for option in ("stop=a,b", "speed=3", "stop"):
        with pytest.raises(BadInput, match="stop=1477"):
            load_engine(f"hf:{polyglot[0]};{option}")


@pytest.fixture(scope="module")
def job_adapters(polyglot, tmp_path_factory) -> dict[str, Path]:
    """An adapter for each job on one base, each of numbers of its own."""
    found = {}
    tokenizer = AutoTokenizer.from_pretrained(polyglot[0])
    for seed, job in enumerate(JOBS):
        folder = tmp_path_factory.mktemp(job)
        model = GPTNeoXForCausalLM.from_pretrained(polyglot[0])
        tuned = get_peft_model(
            model, LoraConfig(r=4, lora_alpha=64, target_modules=["query_key_value"])
        )
        torch.manual_seed(seed)
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        tuned.save_pretrained(folder)
        write_made_with(folder, vocabulary_digest(tokenizer.get_vocab()), job)
        found[job] = folder
    return found


def test_four_jobs_share_one_base_and_each_answers_as_its_own_adapter(polyglot, job_adapters):
    base = polyglot[0]
    alone = {job: HFJobs(base, {job: folder}).ask(job, "안녕") for job, folder in
             job_adapters.items()}  # fmt: skip
    together = HFJobs(base, job_adapters)
    assert together.jobs == tuple(JOBS)
    assert len(set(alone.values())) > 1
    for job in [*JOBS, *reversed(JOBS)]:  # switched back and forth
        assert together.ask(job, "안녕") == alone[job]


def test_an_adapter_of_another_base_job_or_tokenizer_is_refused_before_it_answers(
    polyglot, chat, job_adapters, tmp_path
):
    with pytest.raises(CheckpointError, match="does not fit.*trained on this base") as caught:
        HFJobs(chat, {"answer": polyglot[1]})
    assert "맞지 않아요" in caught.value.ko
    with pytest.raises(CheckpointError, match="trained for the job 'memory', not 'summary'"):
        HFJobs(polyglot[0], {"summary": job_adapters["memory"]})
    other = Path(shutil.copytree(job_adapters["memory"], tmp_path / "other"))
    write_made_with(other, "0123456789abcdef", "memory")
    for load in (
        lambda: HFJobs(polyglot[0], {"memory": other}),
        lambda: HFEngine(polyglot[0], other),
    ):
        with pytest.raises(CheckpointError, match="trained with tokenizer 0123") as caught:
            load()
        assert "다른 토크나이저" in caught.value.ko
    with pytest.raises(BadInput, match="no job 'poem'"):
        HFJobs(polyglot[0], {"poem": job_adapters["memory"]})
    with pytest.raises(BadInput, match="no adapter for 'summary' here"):
        HFJobs(polyglot[0], {"memory": job_adapters["memory"]}).ask("summary", "안녕")
