"""LoRA adapters in PEFT's layout, as numpy arrays: read, check, merge.

After Hu et al. 2021, https://arxiv.org/abs/2106.09685: W + (alpha / rank) B A, with
A [rank, in] and B [out, rank].
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints.load import load_state_dict
from ohlora.errors import CheckpointError
from ohlora.files import write_whole

Array = NDArray[np.float32]

_NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")


@dataclass(frozen=True)
class Adapter:
    """`pairs` maps a base weight's name to its (A, B); `scale` is alpha / rank."""

    path: Path
    digest: str  # SHA-256 of the weights file
    scale: float
    pairs: Mapping[str, tuple[Array, Array]]


def adapter_digest(folder: Path) -> str:
    """SHA-256 of an adapter's settings and weights. Raises CheckpointError when one is missing."""
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        try:
            digest.update((folder / name).read_bytes())
        except OSError as error:
            raise _bad(folder, f"{name} cannot be read ({error.strerror})") from error
    return digest.hexdigest()


MADE_WITH = "adapter_made_with.json"  # the tokenizer and the job it was trained with


def write_made_with(folder: Path, tokenizer: str, job: str) -> None:
    """Keep beside an adapter what PEFT has no place for. Raises Unwritable."""
    data = json.dumps({"tokenizer": tokenizer, "job": job}, indent=2) + "\n"
    write_whole(folder / MADE_WITH, data.encode())


def check_made_with(folder: Path, tokenizer: str, job: str | None = None) -> None:
    """Raises CheckpointError when the adapter says that it needs another tokenizer or job.

    tokenizer: vocabulary_digest of the one in use. Adapters of other makers say nothing.
    """
    try:
        made = json.loads((folder / MADE_WITH).read_text(encoding="utf-8"))
        wanted, trained_for = str(made["tokenizer"]), str(made["job"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad(folder, f"{MADE_WITH} cannot be read ({error!r})") from error
    if wanted != tokenizer:
        raise CheckpointError(
            folder,
            f"the adapter was trained with tokenizer {wanted}, and the one here is {tokenizer}: "
            "use the tokenizer it was trained with, or train it again.",
            f"이 어댑터는 다른 토크나이저({wanted})로 학습했어요(지금은 {tokenizer}). 그 "
            "토크나이저를 쓰거나 다시 학습해 주세요.",
        )
    if job is not None and trained_for != job:
        raise CheckpointError(
            folder,
            f"the adapter was trained for the job {trained_for!r}, not {job!r}: give the one for "
            f"{job!r}.",
            f"이 어댑터는 {trained_for!r} 일을 배웠어요. {job!r} 일을 배운 어댑터를 주세요.",
        )


def vocabulary_digest(vocabulary: Mapping[str, int]) -> str:
    """Sixteen hex digits of which token has which id."""
    text = json.dumps(sorted(vocabulary.items()), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_adapter(folder: Path) -> Adapter:
    """Read adapter_config.json and adapter_model.safetensors. Raises CheckpointError."""
    digest = adapter_digest(folder)
    try:
        settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        rank, alpha = int(settings["r"]), float(settings["lora_alpha"])
    except (ValueError, KeyError, TypeError) as error:
        raise _bad(folder, f"adapter_config.json is not one ({error!r})") from error
    for key in ("rank_pattern", "alpha_pattern", "use_dora", "modules_to_save"):
        if settings.get(key):
            raise _bad(folder, f"it uses {key}, which this reader does not know")
    tensors = load_state_dict(folder / "adapter_model.safetensors")

    halves: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise _bad(folder, f"{name} is no LoRA matrix")
        halves.setdefault(match.group(1) + ".weight", {})[match.group(2)] = np.asarray(
            tensor, np.float32
        )
    pairs = {}
    for name, half in halves.items():
        if set(half) != {"A", "B"}:
            raise _bad(folder, f"{name} has only one of its two matrices")
        if half["A"].shape[0] != rank or half["B"].shape[-1] != rank:
            found = f"A {list(half['A'].shape)} and B {list(half['B'].shape)}"
            raise _bad(folder, f"want rank {rank} for {name}, found {found}")
        pairs[name] = (half["A"], half["B"])
    scale = alpha / rank**0.5 if settings.get("use_rslora") else alpha / rank
    return Adapter(folder, digest, scale, pairs)


def merge(tensors: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
    """The base with the adapter folded in, in float32. Raises CheckpointError on a misfit."""
    merged = {name: join(name, tensors.get(name), adapter) for name in adapter.pairs}
    return {**tensors, **merged}


def join(name: str, base: Array | None, adapter: Adapter) -> Array:
    """One base weight with its pair folded in. Raises CheckpointError on a misfit."""
    a, b = adapter.pairs[name]
    if base is None or base.shape != (b.shape[0], a.shape[1]):
        found = "no such weight" if base is None else f"one of {list(base.shape)}"
        raise _bad(
            adapter.path,
            f"it changes {name} of shape {[b.shape[0], a.shape[1]]}, the base has {found}",
        )
    return base + adapter.scale * (b @ a)


def _bad(folder: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        folder,
        f"{reason}: take the adapter that belongs to this base model, or fetch it again.",
        f"{reason}. 이 바탕 모델에 맞는 어댑터를 쓰거나 다시 받아 주세요.",
    )
