"""Make the embedded models ready to run: once, with a progress callback, safe to repeat.

The terms of the Gemma base are shown once per data folder, before the first use.
"""

from __future__ import annotations

from collections.abc import Callable

from ohlora.checkpoints.records import models_home
from ohlora.paths import embedded

Progress = Callable[[str, float], None]

TERMS = {
    "en": "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "ai.google.dev/gemma/terms. By using her language model you agree to them.",
    "ko": "Gemma는 ai.google.dev/gemma/terms의 Gemma 이용약관에 따라 제공돼요. "
    "언어 모델을 쓰면 이 약관에 동의하는 것이에요.",
}


def terms_to_show() -> dict[str, str] | None:
    """The notice at the first call in this data folder, None afterwards."""
    marker = models_home() / ".gemma-terms-shown"
    if marker.exists():
        return None
    models_home().mkdir(parents=True, exist_ok=True)
    marker.touch()
    return TERMS


def prepare(progress: Progress) -> None:
    """Write the runtime model and the cache of her lines under OHLORA_HOME/models.

    Raises EngineError or CheckpointError when a part is missing or damaged, StoreError when
    the disk is full.
    """
    from ohlora.embedding import load_encoder
    from ohlora.lines import load_lines
    from ohlora.llm import load_engine
    from ohlora.persona import find_packs

    load_engine("embedded", progress=progress)
    progress("reading her lines", 0.0)
    encoder = load_encoder("embedded")
    packs = [folder for _, folder in find_packs() if folder.is_relative_to(embedded())]
    for done, folder in enumerate(packs, start=1):
        load_lines(folder, encoder)
        progress("reading her lines", done / len(packs))
