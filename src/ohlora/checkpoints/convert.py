"""Turn .pth and .pt files into .safetensors, and prove that nothing was lost.

A file with several state dicts (the original StyleGAN: generator and discriminator) keeps them
apart by a prefix: generator.mapping.dense0.weight. The source is only read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ohlora.checkpoints.place import check_place
from ohlora.checkpoints.records import models_home
from ohlora.checkpoints.tensors import Tensor, TensorFile, parts_of, read_header
from ohlora.checkpoints.verify import digest_of
from ohlora.errors import CheckpointError
from ohlora.files import beside
from ohlora.text import josa


def convert(source: Path, target: Path | None = None, *, force: bool = False) -> Path:
    """Write target (default: beside source) and read it back; returns its path.

    Raises CheckpointError when source is not a plain checkpoint, or target is already there.
    """
    target = target or source.with_suffix(".safetensors")
    if source.suffix == ".safetensors":
        raise CheckpointError(
            source, "is a .safetensors file already.", "이미 .safetensors 파일이에요."
        )
    if target.exists() and not force:
        raise CheckpointError(
            target,
            "is already there: remove it or add --force.",
            "이미 있어요. 지우거나 --force를 붙여 주세요.",
        )
    if target.is_relative_to(models_home()):
        check_place(target)
    tensors = {
        f"{part}.{key}" if part else key: (file, key)
        for part, file in parts_of(source).items()
        for key in file.tensors
    }
    if not tensors:
        raise CheckpointError(source, "expected tensors, found none.", "텐서가 하나도 없어요.")
    write_safetensors(target, tensors, {"source": source.name, "source_sha256": digest_of(source)})
    written = TensorFile(target, read_header(target))
    for name, (file, key) in tensors.items():
        if written.read(name).tobytes() != file.read(key).tobytes():
            target.unlink()
            raise CheckpointError(
                target,
                f"{name} did not come back as it was written: check the disk.",
                f"{josa(name, '이/가')} 쓴 그대로 읽히지 않아요. 디스크를 확인해 주세요.",
            )
    return target


def write_safetensors(
    target: Path, tensors: Mapping[str, tuple[TensorFile, str]], metadata: Mapping[str, str]
) -> None:
    """One tensor in memory at a time; target appears whole or not at all."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    offset = 0
    for name, (file, key) in tensors.items():
        tensor: Tensor = file.tensors[key]
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.bytes],
        }
        offset += tensor.bytes
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    with beside(target) as part, part.open("wb") as stream:
        stream.write(len(raw).to_bytes(8, "little") + raw)
        for file, key in tensors.values():
            stream.write(file.read(key).tobytes())
