"""int8 on the CPU for v1's kind of model: GPT-NeoX and its adapter, written once, no torch.

    home()/models/int8-<hash>/      hash of where base and adapter lie
      model.bin  config.json  vocabulary.json      CTranslate2, adapter joined in
      tokenizer.json                               v1 took the one beside its adapter
      manifest.json                                what it was made from; sizes and CRC-32

It is made again when base, adapter or tokenizer change on disk.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ohlora.errors import CheckpointError
from ohlora.llm.adapter import read_adapter
from ohlora.llm.ct2 import CT2Engine, Vocabulary
from ohlora.llm.engine import Progress
from ohlora.llm.neox import Weights, read_shape, write_neox
from ohlora.llm.prepare import make_once
from ohlora.llm.source import Source, read_json, read_source
from ohlora.paths import home

RECIPE = "1"  # raise it when the written model changes
SPARE_BYTES = 100_000_000  # beside the weights


def load_int8(spec: str, progress: Progress) -> CT2Engine:
    """Load "BASE[+ADAPTER][;stop=IDS]", written on the first call (a minute or two for 1.3B).

    Answers do not repeat by seed: that would load the model anew for each.
    Raises BadInput, CheckpointError, StoreError.
    """
    source = read_source(spec)
    shape = read_shape(source.config(), source.base / "config.json")
    tokens, special, ends = read_vocabulary(source)
    folder = prepare_int8(source, progress)
    vocabulary = Vocabulary(
        begin=(), end=ends, silent=(), stop_ids=source.stop_ids, bytes_spelled=False
    )
    return CT2Engine(
        folder,
        source.name,
        vocabulary=vocabulary,
        context_tokens=shape.context,
        repeats=False,
    )


def prepare_int8(source: Source, progress: Progress) -> Path:
    """The folder of the int8 model; makes it where it is missing, damaged or of other files."""
    places = f"{source.base.resolve()}\n{source.adapter and source.adapter.resolve()}"
    name = hashlib.sha256(places.encode()).hexdigest()[:16]
    target = home() / "models" / f"int8-{name}"
    made_from = state_of_files(source)
    needed = SPARE_BYTES + sum(path.stat().st_size for path in weight_files(source.base)) // 2

    def write(folder: Path) -> dict[str, object]:
        what = f"writing {source.base.name} as int8"
        progress(what, 0.0)
        shape = read_shape(source.config(), source.base / "config.json")
        weights = Weights(source.base, read_adapter(source.adapter) if source.adapter else None)
        tokens, special, _ = read_vocabulary(source, weights.rows)
        write_neox(folder, shape, weights, tokens, special, lambda part: progress(what, 0.9 * part))
        text = (source.tokenizer / "tokenizer.json").read_bytes()
        (folder / "tokenizer.json").write_bytes(text)
        return {"recipe": RECIPE, "made_from": made_from}

    def current(manifest: dict[str, Any]) -> bool:
        return (manifest.get("recipe"), manifest.get("made_from")) == (RECIPE, made_from)

    return make_once(target, needed, write, progress, current)


def weight_files(base: Path) -> list[Path]:
    return sorted(base.glob("*.safetensors"))


def state_of_files(source: Source) -> str:
    """A hash that changes when a file does: content of the small ones, size and time of weights.

    Reading 2.7 GB at every start would cost more seconds than loading the model.
    """
    digest = hashlib.sha256(source.digest().encode())
    for path in (source.base / "config.json", source.tokenizer / "tokenizer.json"):
        if path.is_file():
            digest.update(path.read_bytes())
    for path in weight_files(source.base):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_vocabulary(
    source: Source, rows: int = 0
) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """Tokens by id (at least `rows` of them), the special ones by name, those that end an answer.

    Ids without a token, as Polyglot-Ko's last 77, are called "<unused ID>". Raises CheckpointError.
    """
    path = source.tokenizer / "tokenizer.json"
    data = read_json(path)
    try:
        by_id = {number: token for token, number in data["model"]["vocab"].items()}
        by_id |= {token["id"]: token["content"] for token in data.get("added_tokens") or ()}
        tokens = [by_id.get(i, f"<unused {i}>") for i in range(max(rows, max(by_id) + 1))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            path,
            f"not a tokenizer ({error!r}): fetch it again.",
            f"토크나이저가 아니에요({error!r}). 다시 받아 주세요.",
        ) from error
    settings = _optional(source.tokenizer / "tokenizer_config.json")
    config, generation = source.config(), _optional(source.base / "generation_config.json")
    known = set(tokens)
    ends = [_content(settings.get("eos_token"))]
    for value in (config.get("eos_token_id"), generation.get("eos_token_id")):
        ids = value if isinstance(value, list) else [value]
        ends += [tokens[i] for i in ids if isinstance(i, int) and 0 <= i < len(tokens)]
    ends = [token for token in dict.fromkeys(ends) if token in known] or [tokens[0]]
    named = {name: _content(settings.get(f"{name}_token")) for name in ("bos", "eos", "unk")}
    special = {name: token if token in known else ends[0] for name, token in named.items()}
    return tokens, special, tuple(ends)


def _content(token: object) -> str:
    """tokenizer_config.json writes a token as text or as {"content": text, ...}."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
