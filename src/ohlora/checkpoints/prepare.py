"""Make the embedded models ready to run: once, with a progress callback, safe to repeat.

The terms of the Gemma base are shown once per data folder, before the first use.
"""

from __future__ import annotations

from collections.abc import Callable

from ohlora.checkpoints.records import models_home
from ohlora.paths import embedded

Progress = Callable[[str, float], None]

CONSENT = {
    "en": "By using her language model you agree to them.",
    "ko": "언어 모델을 쓰면 이 약관(Gemma 이용약관)에 동의하는 것이에요.",
}


def terms_to_show(language: str = "en") -> str:
    """The notice at the first call in this data folder, "" afterwards."""
    from ohlora.llm.prepare import TERMS

    marker = models_home() / ".gemma-terms-shown"
    if marker.exists():
        return ""
    models_home().mkdir(parents=True, exist_ok=True)
    marker.touch()
    return f"{TERMS}. {CONSENT[language]}"


def prepare(progress: Progress) -> None:
    """Write the runtime model and the cache of her lines under OHLORA_HOME/models.

    Raises CheckpointError when a part is missing or damaged, StoreError when the disk is full.
    """
    from ohlora.embedding import load_encoder
    from ohlora.lines import load_lines
    from ohlora.llm.prepare import TERMS
    from ohlora.llm.prepare import prepare as prepare_llm
    from ohlora.persona import find_packs

    def without_terms(what: str, part: float) -> None:
        if what != TERMS:  # shown by terms_to_show
            progress(what, part)

    prepare_llm(without_terms)
    encoder = load_encoder("embedded", progress)
    for _, folder in find_packs():
        if folder.is_relative_to(embedded()):
            load_lines(folder, encoder, small_talk=True, progress=progress)
