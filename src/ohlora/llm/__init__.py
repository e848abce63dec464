"""Language models behind one protocol.

embedded              Gemma 3 270M + her adapter, int8 on the CPU (CTranslate2); no torch
embedded:ADAPTER      the same base with the LoRA adapter in a folder
auto:BASE[+ADAPTER]   on CUDA in bfloat16 where there is one, else on the CPU in int8
int8:BASE[+ADAPTER]   a GPT-NeoX such as Polyglot-Ko, int8 on the CPU (CTranslate2)
hf:BASE[+ADAPTER]     any Hugging Face causal LM, CPU or CUDA (needs the torch extra)
openai:URL#MODEL      any OpenAI-style server: vLLM, Ollama, llama.cpp

BASE and ADAPTER are folders or catalog ids (`ohlora models list`); source.py says what may follow.
"""

from __future__ import annotations

from pathlib import Path

from ohlora.errors import BadInput
from ohlora.llm.engine import Engine, Finish, Progress, Sampling, never

__all__ = ["Engine", "Finish", "Progress", "Sampling", "load_engine", "never"]


def load_engine(spec: str = "embedded", *, progress: Progress | None = None) -> Engine:
    """Load the engine a spec names; the first "embedded" prepares its model (some seconds).

    Raises BadInput on an unknown spec, CheckpointError, StoreError or EngineError from loading.
    """
    progress = progress or (lambda what, part: None)
    kind, _, rest = spec.partition(":")
    if spec == "embedded" or (kind == "embedded" and rest):
        from ohlora.llm.ct2 import load_embedded

        return load_embedded(progress, Path(rest).expanduser() if rest else None)
    if kind == "auto" and rest:
        return load_engine(f"{fitting_runtime(rest)}:{rest}", progress=progress)
    if kind == "int8" and rest:
        from ohlora.llm.int8 import load_int8

        return load_int8(rest, progress)
    if kind == "hf" and rest:
        from ohlora.llm.hf import load_hf

        return load_hf(rest, progress)
    if kind == "openai" and rest:
        from ohlora.llm.openai import OpenAIEngine

        return OpenAIEngine.from_spec(rest)
    forms = "embedded[:ADAPTER], auto:, int8: or hf:BASE[+ADAPTER], openai:URL#MODEL"
    raise BadInput(
        f"There is no language model {spec!r}: use {forms}.",
        f"{spec!r} 언어 모델을 몰라요. {forms} 가운데 하나로 적어 주세요.",
    )


def fitting_runtime(source: str) -> str:
    """ "hf" where PyTorch sees a GPU or the model is no GPT-NeoX, else "int8"."""
    from ohlora.llm.source import read_source

    neox = read_source(source).config().get("model_type") == "gpt_neox"
    return "int8" if neox and not _has_cuda() else "hf"


def _has_cuda() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
