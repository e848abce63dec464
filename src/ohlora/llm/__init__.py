"""Language models behind one protocol.

embedded          Gemma 3 270M + her adapter, int8 on the CPU (CTranslate2); no torch
embedded:ADAPTER  the same base with the LoRA adapter in a folder
hf:DIR[+ADAPTER]  any Hugging Face causal LM, CPU or CUDA (needs the torch extra)
openai:URL#MODEL  any OpenAI-style server: vLLM, Ollama, llama.cpp
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
    if kind == "hf" and rest:
        from ohlora.llm.hf import load_hf

        return load_hf(rest, progress)
    if kind == "openai" and rest:
        from ohlora.llm.openai import OpenAIEngine

        return OpenAIEngine.from_spec(rest)
    forms = '"embedded", "embedded:ADAPTER_DIR", "hf:DIR[+ADAPTER_DIR]" or "openai:URL#MODEL"'
    raise BadInput(
        f"There is no language model {spec!r}: use {forms}.",
        f"{spec!r} 언어 모델을 몰라요. {forms} 가운데 하나로 적어 주세요.",
    )
