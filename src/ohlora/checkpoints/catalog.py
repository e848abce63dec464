"""The catalog of every published file: catalog.toml, read into typed rows.

    rows = load_catalog()                   dict id -> Row, in the order of the file
    rows["llm-adapter"].folder()            OHLORA_HOME/models/ohlora-v1/llm/models/...
    select(rows, ["ohlora-v1"])             the rows of a group, or by id

OHLORA_CATALOG names another catalog file of the same form (a mirror, models of your own).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from ohlora.checkpoints.shapes import expected_tensors
from ohlora.errors import BadInput, CheckpointError
from ohlora.paths import home

GROUPS = ("ohlora-v1", "ohlora-v1-training", "later", "embedded")
KINDS = (
    "state-dict",
    "adapter",
    "language-model",
    "sentence-encoder",
    "vector",
    "images",
    "embedded",
)
SHARED_FILES: dict[str, list[dict[str, Any]]] = {
    "adapter": [
        {"name": "adapter_config.json"},
        {"name": "adapter_model.safetensors", "weights": True},
        {"name": "special_tokens_map.json"},
        {"name": "tokenizer.json"},
        {"name": "tokenizer_config.json"},
        {"name": "training_args.bin", "optional": True, "sealed": True},
    ],
    "sentence-encoder": [
        {"name": "1_Pooling/config.json"},
        {
            "name": "eval/similarity_evaluation_valid_evaluator_results.csv",
            "optional": True,
        },
        {"name": "config.json"},
        {"name": "config_sentence_transformers.json"},
        {"name": "model.safetensors", "weights": True},
        {"name": "modules.json"},
        {"name": "sentence_bert_config.json"},
        {"name": "special_tokens_map.json"},
        {"name": "tokenizer.json"},
        {"name": "tokenizer_config.json"},
        {"name": "vocab.txt"},
    ],
}


@dataclass(frozen=True)
class Net:
    """Which keys and shapes a file must hold: a function of shapes.py and its numbers."""

    name: str
    numbers: Mapping[str, int] = field(default_factory=dict)
    part: str = ""  # key inside the file, when it holds several state dicts

    def tensors(self) -> dict[str, tuple[int, ...]]:
        return expected_tensors(self.name, **self.numbers)


@dataclass(frozen=True)
class File:
    name: str  # path below the row's place, "/" between folders
    source: str  # the same at the source
    nets: tuple[Net, ...] = ()  # tensors expected inside; () = not a tensor file, or unknown
    weights: bool = False
    bytes: int | None = None
    sha256: str | None = None
    optional: bool = False
    sealed: bool = False  # a pickle: hashed, never opened
    skip: bool = False  # not pulled


@dataclass(frozen=True)
class Images:
    count: int
    first: str
    last: str


@dataclass(frozen=True)
class Pypi:
    project: str
    version: str
    folder: str = ""  # inside the wheel


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    needed: Mapping[str, str]  # "en", "ko"
    group: str
    kind: str
    loads_as: str
    license: str
    place: str = ""
    edition: str = "v1"
    files: tuple[File, ...] = ()
    images: Images | None = None
    hub: str = ""
    hub_type: str = "model"
    hub_folder: str = ""
    url: str = ""
    pypi: Pypi | None = None
    page: str = ""
    base: str = ""  # id of the row that an adapter stands on
    package: str = ""  # folder inside ohlora_embedded
    placed_by_us: bool = False  # the original has no place for it
    about: int | None = None

    def folder(self) -> Path:
        """Where the row's files lie on this machine."""
        return home() / "models" / f"ohlora-{self.edition}" / self.place

    def path(self) -> Path:
        """What to hand to a loader: the file of a one-file row, else the folder."""
        if len(self.files) == 1 and self.files[0].weights:
            return converted_or(self.folder() / self.files[0].name)
        return self.folder()

    def source(self) -> str:
        """Where the files come from, for people; "" when nobody published them."""
        if self.hub:
            kind = "datasets/" if self.hub_type == "dataset" else ""
            inside = f"/tree/main/{self.hub_folder}" if self.hub_folder else ""
            return f"https://huggingface.co/{kind}{self.hub}{inside}"
        if self.page:
            return self.page
        if self.pypi:
            return f"https://pypi.org/project/{self.pypi.project}/{self.pypi.version}/"
        return self.url

    def size(self) -> int | None:
        """Bytes in all: exact where the catalog knows, else from the tensors, else None."""
        known = [file.bytes for file in self.files if file.bytes is not None]
        if self.files and len(known) == len(self.files):
            return sum(known)
        if self.about is not None:
            return self.about
        elements = 0
        for net in {net for file in self.files for net in file.nets}:
            times = sum(net in file.nets for file in self.files)
            elements += times * sum(prod(shape) for shape in net.tensors().values())
        return elements * 4 or None


def load_catalog(path: Path | None = None) -> dict[str, Row]:
    """All rows by id. Raises CheckpointError when the file is not a catalog."""
    given = os.environ.get("OHLORA_CATALOG")
    path = path or (Path(given) if given else Path(__file__).with_name("catalog.toml"))
    try:
        return dict(_read(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise CheckpointError(
            path,
            f"the catalog cannot be read ({error.strerror}).",
            f"목록을 읽을 수 없어요({error.strerror}).",
        ) from error
    except (tomllib.TOMLDecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            path, f"not a catalog: {error}.", f"목록 형식이 아니에요: {error}."
        ) from error


@cache
def _read(path: Path, mtime_ns: int) -> dict[str, Row]:
    with path.open("rb") as stream:
        table = tomllib.load(stream)
    return {key: _row(key, value) for key, value in table.items()}


def _row(key: str, table: dict[str, Any]) -> Row:
    table = dict(table)
    net = _net(table.pop("net", None), table.pop("part", ""))
    more = tuple(_net(extra["net"], extra["part"]) for extra in table.pop("more", ()))
    nets = (*net, *(one for group in more for one in group))
    entries = table.pop("files", [])
    entries = SHARED_FILES[entries] if isinstance(entries, str) else entries
    alone = not any(entry.get("weights") for entry in entries)
    images, pypi = table.pop("images", None), table.pop("pypi", None)
    row = Row(
        id=key,
        files=tuple(_file(entry, nets, alone) for entry in entries),
        images=Images(**images) if images else None,
        pypi=Pypi(**pypi) if pypi else None,
        **table,
    )
    if row.kind not in KINDS or row.group not in GROUPS:
        raise ValueError(f"row {key}: unknown kind {row.kind!r} or group {row.group!r}")
    for file in row.files:
        safe_name(file.name)
    safe_name(row.place or "x")
    return row


def _net(table: dict[str, Any] | None, part: str) -> tuple[Net, ...]:
    if not table:
        return ()
    numbers = {key: value for key, value in table.items() if key != "name"}
    return (Net(table["name"], FrozenNumbers(numbers), part),)


class FrozenNumbers(dict[str, int]):
    """A dict that can be part of a hashable dataclass; never changed after it is read."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(sorted(self.items())))


def _file(entry: dict[str, Any], nets: tuple[Net, ...], alone: bool) -> File:
    entry = dict(entry)
    own = _net(entry.pop("net", None), "")
    weights = bool(entry.pop("weights", alone))
    return File(
        source=entry.pop("source", entry["name"]),
        nets=own or (nets if weights else ()),
        weights=weights,
        **entry,
    )


def converted_or(path: Path) -> Path:
    """A .pth or .pt path, or the .safetensors beside it when only that is there."""
    other = path.with_suffix(".safetensors")
    torch_file = path.suffix in (".pth", ".pt")
    return other if torch_file and not path.is_file() and other.is_file() else path


def safe_name(name: str) -> PurePosixPath:
    """A relative path that stays below its folder. Raises ValueError for any other."""
    path = PurePosixPath(name)
    hostile = "\\" in name or ":" in name or "\0" in name or name.startswith("~")
    if not name or hostile or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the file name {name!r} leads out of its folder")
    return path


def select(rows: Mapping[str, Row], names: Iterable[str]) -> list[Row]:
    """Rows named by id or group, in catalog order. Raises BadInput for an unknown name."""
    wanted: set[str] = set()
    for name in names:
        found = [row.id for row in rows.values() if name in (row.id, row.group)]
        if not found:
            close = _nearest(name, [*GROUPS, *rows])
            raise BadInput(
                f"There is no model {name!r}{f' (did you mean {close}?)' if close else ''}: "
                "`ohlora models list` shows all names.",
                f"{name!r} 모델이 없어요. {f'{close}인가요? ' if close else ''}"
                "`ohlora models list`로 이름을 확인해 주세요.",
            )
        wanted.update(found)
    return [row for row in rows.values() if row.id in wanted]


def _nearest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, n=1, cutoff=0.6)), "")
