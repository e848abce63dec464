"""What stands behind "hf:", "int8:" and "auto:": a base, an adapter, stop tokens.

    BASE[+ADAPTER][;stop=IDS]
    polyglot-ko-1.3b+llm-adapter;stop=1477,1078,4833,12      as v1 published it

BASE and ADAPTER are catalog ids or folders in Hugging Face's and PEFT's layout; IDS are the token
ids that end an answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohlora.checkpoints.named import path_of
from ohlora.errors import BadInput, CheckpointError
from ohlora.text import josa


@dataclass(frozen=True)
class Source:
    base: Path
    adapter: Path | None = None
    stop_ids: tuple[int, ...] = ()

    @property
    def tokenizer(self) -> Path:
        """The folder to read the tokenizer from: v1 took the one saved beside its adapter."""
        if self.adapter is not None and (self.adapter / "tokenizer.json").is_file():
            return self.adapter
        return self.base

    @property
    def name(self) -> str:
        """For people and logs: "polyglot_original+polyglot_fine_tuned@1a2b3c4d"."""
        if self.adapter is None:
            return self.base.name
        return f"{self.base.name}+{self.adapter.name}@{self.digest()[:8]}"

    def digest(self) -> str:
        """SHA-256 of the adapter's files, in hex; "" without one."""
        digest = hashlib.sha256()
        for path in sorted(self.adapter.glob("adapter_*")) if self.adapter else ():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest() if self.adapter else ""

    def config(self) -> dict[str, Any]:
        """The base's config.json. Raises CheckpointError."""
        return read_json(self.base / "config.json")


def read_source(text: str) -> Source:
    """Read "BASE[+ADAPTER][;stop=IDS]". Raises BadInput; CheckpointError for what is not here."""
    text, _, option = text.partition(";")
    stop_ids: tuple[int, ...] = ()
    if option:
        try:
            key, value = option.split("=")
            stop_ids = tuple(int(number) for number in value.split(","))
            if key != "stop":
                raise ValueError(key)
        except ValueError as error:
            raise BadInput(
                f"{option!r} is no option of a language model: write stop=1477,1078,4833,12.",
                f"{josa(repr(option), '은/는')} 언어 모델 옵션이 아니에요. "
                "stop=1477,1078,4833,12처럼 적어 주세요.",
            ) from error
    first, plus, second = text.rpartition("+")
    if plus and not Path(text).exists():
        source = Source(path_of(first), path_of(second), stop_ids)
    else:
        source = Source(path_of(text), None, stop_ids)
    for folder, wanted in ((source.base, "config.json"), (source.adapter, "adapter_config.json")):
        if folder is not None and not (folder / wanted).is_file():
            raise CheckpointError(
                folder,
                f"there is no {wanted} in it: give the folder that holds the model.",
                f"{wanted}이 없어요. 모델이 든 폴더를 적어 주세요.",
            )
    return source


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            path,
            f"cannot be read as JSON ({error}): fetch it again.",
            f"JSON으로 읽을 수 없어요({error}). 다시 받아 주세요.",
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(
            path, "want a JSON object: fetch it again.", "JSON 객체여야 해요. 다시 받아 주세요."
        )
    return data
