"""Her words: how fast the same weights answer in four programs.

    python -m benchmarks.llm [--threads N] [--prompts N]

Each program runs in a process of its own, one after the other, greedy, with the same prompts and
24 new tokens each: CTranslate2 int8 and transformers bfloat16 (adapter folded in), llama.cpp (the
Q4_K_M weights as they are, her adapter applied beside them at run time), each with her vocabulary
and with Gemma's whole one; and OpenVINO GenAI (the GGUF as it is). Medians over the prompts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.llm_files import write_gguf_adapter, write_pruned_gguf
from benchmarks.report import Row
from ohlora.llm.adapter import merge, read_adapter
from ohlora.llm.convert import write_ct2
from ohlora.llm.ct2 import fitting_threads
from ohlora.llm.gguf_base import load_parts, read_base, to_sentencepiece
from ohlora.llm.prepare import read_tokens
from ohlora.paths import embedded

NOTE = (
    "Greedy, 24 new tokens, prompts of about 20 tokens, one process after the other. First token "
    "counts from the prompt's text; tokens/s are of the tokens after it; memory is the resident "
    "set after the last answer. Another vocabulary cuts Korean into about as many tokens."
)
PROMPTS = [
    "나 내일 뭐 하지? (답변 시작)",
    "오늘 진짜 피곤한데 저녁은 뭐 먹는 게 좋을까? (답변 시작)",
    "[좋아하는 가수: 아이유] 내가 좋아하는 가수가 누구라고 했지? (답변 시작)",
    "너는 누구야? 처음 만났으니까 자기소개 좀 해 줘! (답변 시작)",
]
NEW_TOKENS = 24
NAMES = {
    "ct2": "CTranslate2 int8, her vocabulary",
    "ct2-full": "CTranslate2 int8, whole vocabulary",
    "llamacpp": "llama.cpp Q4_K_M, her vocabulary",
    "llamacpp-full": "llama.cpp Q4_K_M, whole vocabulary",
    "openvino": "OpenVINO GenAI, the same GGUF",
    "transformers": "transformers bf16, her vocabulary",
    "transformers-full": "transformers bf16, whole vocabulary",
}
AGAINST = {  # like is compared with like, and hers also with the model as it was published
    "ct2": ("transformers", "transformers-full"),
    "ct2-full": ("transformers-full",),
    "llamacpp": ("transformers", "transformers-full"),
    "llamacpp-full": ("transformers-full",),
}
Answer = Callable[[str], Iterable[object]]  # a prompt to its tokens, one by one


def adapter_folder() -> Path:
    return embedded() / "llm" / "adapter"


def tokenizer_file() -> Path:
    return embedded() / "llm" / "tokenizer.json"


def quiet(what: str, part: float) -> None:
    pass


def ct2(folder: Path, threads: int) -> Answer:
    """Our int8 model with her vocabulary."""
    return _ct2(folder, threads, whole=False)


def ct2_full(folder: Path, threads: int) -> Answer:
    return _ct2(folder, threads, whole=True)


def write_int8(folder: Path, whole: bool) -> None:
    """Run in a child of its own, so the memory it takes is not counted."""
    names = read_tokens(tokenizer_file())
    base = read_base(load_parts(quiet), None if whole else list(map(to_sentencepiece, names)))
    tensors = merge(base.tensors, read_adapter(adapter_folder()))
    write_ct2(folder, base.shape, base.tokens if whole else names, tensors)


def _ct2(folder: Path, threads: int, whole: bool) -> Answer:
    command = [sys.executable, "-m", "benchmarks.llm", "--write", str(folder)]
    subprocess.run([*command, "--whole"] if whole else command, check=True)

    import ctranslate2
    from tokenizers import Tokenizer

    model = ctranslate2.Generator(str(folder), compute_type="int8", intra_threads=threads)
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))

    def answer(prompt: str) -> Iterable[object]:
        tokens = tokenizer.encode(prompt).tokens
        if whole:
            tokens = [to_sentencepiece(token) for token in tokens]
        return model.generate_tokens(
            ["<bos>", *tokens], max_length=NEW_TOKENS, min_length=NEW_TOKENS
        )

    return answer


def llamacpp(folder: Path, threads: int) -> Answer:
    return _llamacpp(folder, threads, whole=False)


def llamacpp_full(folder: Path, threads: int) -> Answer:
    return _llamacpp(folder, threads, whole=True)


def _llamacpp(folder: Path, threads: int, whole: bool) -> Answer:
    import xllamacpp

    if whole:
        (folder / "base.gguf").write_bytes(load_parts(quiet))
    else:
        keep = [to_sentencepiece(token) for token in read_tokens(tokenizer_file())]
        write_pruned_gguf(folder / "base.gguf", keep)
    write_gguf_adapter(folder / "adapter.gguf", adapter_folder())
    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "base.gguf")
    lora = xllamacpp.CommonAdapterLoraInfo(str(folder / "adapter.gguf"), 1.0)
    params.lora_adapters = [lora]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_ctx, params.n_parallel, params.warmup = 512, 1, True
    params.cache_prompt, params.verbosity = False, -1
    server = xllamacpp.Server(params)

    def answer(prompt: str) -> Iterable[object]:
        pieces: list[float] = []
        body = {
            "prompt": prompt,
            "n_predict": NEW_TOKENS,
            "temperature": 0,
            "stream": True,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        server.handle_completions(json.dumps(body), lambda _: pieces.append(time.perf_counter()))
        return Timed(pieces)

    return answer


class Timed(list[float]):
    """Moments at which tokens came, from a program that calls back instead of yielding."""


def openvino(folder: Path, threads: int) -> Answer:
    import openvino_genai

    base = folder / "base.gguf"
    base.write_bytes(load_parts(quiet))
    pipeline = openvino_genai.LLMPipeline(str(base), "CPU", INFERENCE_NUM_THREADS=threads)

    def answer(prompt: str) -> Iterable[object]:
        pieces: list[float] = []

        def seen(piece: str) -> bool:
            pieces.append(time.perf_counter())
            return False

        pipeline.generate(
            prompt, max_new_tokens=NEW_TOKENS, ignore_eos=True, do_sample=False, streamer=seen
        )
        return Timed(pieces)

    return answer


def transformers(folder: Path, threads: int) -> Answer:
    return _transformers(threads, whole=False)


def transformers_full(folder: Path, threads: int) -> Answer:
    return _transformers(threads, whole=True)


def _transformers(threads: int, whole: bool) -> Answer:
    import torch
    from tokenizers import Tokenizer
    from transformers import DynamicCache, Gemma3ForCausalLM, Gemma3TextConfig

    torch.set_num_threads(threads)
    own = [to_sentencepiece(token) for token in read_tokens(tokenizer_file())]
    base = read_base(load_parts(quiet), None if whole else own)
    row_of = {token: row for row, token in enumerate(base.tokens)}
    s, tensors = base.shape, merge(base.tensors, read_adapter(adapter_folder()))
    config = Gemma3TextConfig(
        vocab_size=s.vocabulary,
        hidden_size=s.width,
        intermediate_size=s.hidden,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.kv_heads,
        head_dim=s.head_size,
        query_pre_attn_scalar=s.head_size,
        sliding_window=s.window,
        tie_word_embeddings=True,
    )
    model = Gemma3ForCausalLM(config)
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    model.load_state_dict(state, strict=False)
    model = model.to(torch.bfloat16).eval()
    del base, tensors, state
    tokenizer = Tokenizer.from_file(str(tokenizer_file()))

    def answer(prompt: str) -> Iterable[object]:
        tokens = ["<bos>", *map(to_sentencepiece, tokenizer.encode(prompt).tokens)]
        step = torch.tensor([[row_of[token] for token in tokens]])
        cache = DynamicCache(config=config)
        with torch.inference_mode():
            for _ in range(NEW_TOKENS):
                out = model(input_ids=step, cache=cache, use_cache=True, logits_to_keep=1)
                step = out.logits[:, -1:].argmax(-1)
                yield int(step)

    return answer


PROGRAMS: dict[str, Callable[[Path, int], Answer]] = {
    "ct2": ct2,
    "ct2-full": ct2_full,
    "llamacpp": llamacpp,
    "llamacpp-full": llamacpp_full,
    "openvino": openvino,
    "transformers": transformers,
    "transformers-full": transformers_full,
}


def measure(program: str, threads: int, prompts: int) -> dict[str, Any]:
    """In the child: {"first_s", "tokens_per_s", "rss_mib"}, or {"refused": why}."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = PROGRAMS[program](Path(folder), threads)
        except Exception as error:  # whatever the program says, it is the result
            return {"refused": (str(error).strip().splitlines() or [repr(error)])[-1][:200]}
        first, rate = [], []
        for prompt in [PROMPTS[0], *PROMPTS[:prompts]]:  # the first warms up
            started = time.perf_counter()
            tokens = answer(prompt)
            moments = list(tokens) if isinstance(tokens, Timed) else []
            if not isinstance(tokens, Timed):
                moments = [time.perf_counter() for _ in tokens]
            first.append(moments[0] - started)
            rate.append((len(moments) - 1) / (moments[-1] - moments[0]))
        return {
            "first_s": median(first[1:]),
            "tokens_per_s": median(rate[1:]),
            "rss_mib": resident_mib(),
        }


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def rows(results: dict[str, dict[str, Any]]) -> list[Row]:
    """Rows of the page, each with how many times better than what AGAINST names."""
    found = []
    for program, result in results.items():
        name = NAMES[program]
        if "refused" in result:
            found.append(Row(f'{name}: refused, "{result["refused"]}"', 0.0, "tokens/s"))
            continue
        for key, what, unit, more_is_better in (
            ("first_s", "first token", "ms", False),
            ("tokens_per_s", "decoding", "tokens/s", True),
            ("rss_mib", "memory", "MiB", False),
        ):
            value = result[key]
            shown = value * 1e3 if unit == "ms" else value
            others = [other for other in AGAINST.get(program, ()) if key in results.get(other, {})]
            for other in others:
                ratio = value / results[other][key]
                ratio = ratio if more_is_better else 1 / ratio
                found.append(Row(f"{name}: {what}", shown, unit, ratio, NAMES[other]))
            if not others:
                found.append(Row(f"{name}: {what}", shown, unit))
    return found


def table(results: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'':38}{'first ms':>9}{'tok/s':>8}{'MiB':>7}"]
    for program, result in results.items():
        if "refused" in result:
            lines.append(f"{NAMES[program]:38}refused: {result['refused']}")
            continue
        first, rate, rss = result["first_s"] * 1e3, result["tokens_per_s"], result["rss_mib"]
        lines.append(f"{NAMES[program]:38}{first:9.0f}{rate:8.1f}{rss:7.0f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=fitting_threads())
    parser.add_argument("--prompts", type=int, default=len(PROMPTS), choices=range(1, 5))
    parser.add_argument("--only", choices=PROGRAMS, help="measure one and print its JSON")
    parser.add_argument("--write", type=Path, help="only write the int8 model into this folder")
    parser.add_argument("--whole", action="store_true", help="with --write: the whole vocabulary")
    options = parser.parse_args()
    if options.write:
        write_int8(options.write, options.whole)
        return
    if options.only:
        print(json.dumps(measure(options.only, options.threads, options.prompts)))
        return
    results = {}
    for program in PROGRAMS:
        print(f"  {NAMES[program]} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.llm", "--only", program]
        command += ["--threads", str(options.threads), "--prompts", str(options.prompts)]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        try:
            results[program] = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            results[program] = {"refused": said[-1][:200]}
    print(table(results), file=sys.stderr)
    print(json.dumps([row.to_dict() for row in rows(results)], ensure_ascii=False))


if __name__ == "__main__":
    main()
