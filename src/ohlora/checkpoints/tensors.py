"""Look into a tensor file without trusting it: names, shapes, dtypes, one tensor's bytes at a time.

    .safetensors   8 bytes length, JSON header, raw data: read here, in plain Python and numpy
    .pth, .pt      torch.load(weights_only=True): tensors and plain data, or it is refused

The header is checked before anything is believed: a length that the file cannot hold, ranges that
overlap, lie outside or do not fit their shape are refused, so a file of 100 bytes can never ask
for gigabytes of memory.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.text import josa

HEADER_LIMIT = 16 << 20  # bytes; the largest published header is under 100 kB
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "U16": 2, "U32": 4, "U64": 8, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
# what torch's reader raises on bytes that are no checkpoint, found by feeding it such bytes
BROKEN = (
    RuntimeError, EOFError, ValueError, OSError, LookupError, AttributeError, TypeError,
    ArithmeticError, AssertionError, MemoryError, struct.error,
)  # fmt: skip
# bits that are all set in inf and nan, by dtype
EXPONENT: dict[str, tuple[type[np.unsignedinteger[Any]], int]] = {
    "F64": (np.uint64, 0x7FF0_0000_0000_0000),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}


class NeedsTorch(CheckpointError):
    """A .pth file that cannot be looked into, because PyTorch is not installed."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file; `start` is its offset in the file, `data` holds it if in memory."""

    key: str
    shape: tuple[int, ...]
    dtype: str  # safetensors names: "F32", "BF16", "I64", ...
    start: int = 0
    data: NDArray[np.uint8] | None = None

    @property
    def bytes(self) -> int:
        return prod(self.shape) * ITEM_BYTES[self.dtype]


class TensorFile:
    """Tensors by key; read() gives the raw bytes of one."""

    def __init__(self, path: Path, tensors: dict[str, Tensor]) -> None:
        self.path, self.tensors = path, tensors

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tensor.shape for key, tensor in self.tensors.items()}

    def read(self, key: str) -> NDArray[np.uint8]:
        tensor = self.tensors[key]
        if tensor.data is not None:
            return tensor.data
        with self.path.open("rb") as stream:
            stream.seek(tensor.start)
            return np.frombuffer(stream.read(tensor.bytes), np.uint8)

    def not_finite(self) -> Iterator[str]:
        """Keys of tensors with an inf or nan in them."""
        for key, tensor in self.tensors.items():
            if tensor.dtype not in EXPONENT:
                continue
            kind, mask = EXPONENT[tensor.dtype]
            bits = self.read(key).view(kind)
            if bool(((bits & kind(mask)) == mask).any()):
                yield key


def open_tensors(path: Path, part: str = "") -> TensorFile:
    """Open a .safetensors, .pth or .pt file; part = the key of one state dict inside.

    Raises CheckpointError, naming what was expected and found, for anything else.
    """
    if path.suffix == ".safetensors":
        tensors = read_header(path)
        inside = {
            key.removeprefix(f"{part}."): tensor
            for key, tensor in tensors.items()
            if part and key.startswith(f"{part}.")
        }
        return TensorFile(path, inside or tensors)
    return TensorFile(path, _from_torch(path, part))


def parts_of(path: Path) -> dict[str, TensorFile]:
    """Every state dict of a .pth or .pt file by its key; a plain one under the key ""."""
    loaded = _load_plain(path)
    if all(hasattr(value, "untyped_storage") for value in loaded.values()):
        return {"": TensorFile(path, _plain(path, loaded))}
    return {
        key: TensorFile(path, _plain(path, value))
        for key, value in loaded.items()
        if isinstance(value, dict)
        and value
        and all(hasattr(one, "untyped_storage") for one in value.values())
    }


def read_header(path: Path) -> dict[str, Tensor]:
    """Names, shapes and places of the tensors of a .safetensors file, checked against its size."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or length > size - 8 or length > HEADER_LIMIT or length < 2:
            raise damaged(
                path,
                f"the file has {size:,} bytes and its header claims {length:,}",
                f"파일은 {size:,}바이트인데 헤더 길이가 {length:,}바이트라고 적혀 있어요",
            )
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        header.pop("__metadata__", None)
        tensors = {key: _tensor(key, entry, 8 + length) for key, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise damaged(
            path,
            f"its header is not that of a safetensors file ({type(error).__name__})",
            f"safetensors 헤더가 아니에요({type(error).__name__})",
        ) from error
    end = 8 + length
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.bytes)):
        if tensor.start != end:
            raise damaged(
                path,
                f"tensor {tensor.key} starts at byte {tensor.start:,}, expected {end:,}",
                f"{tensor.key} 텐서가 {end:,}바이트가 아니라 {tensor.start:,}바이트에서 시작해요",
            )
        end += tensor.bytes
    if end != size:
        raise damaged(
            path,
            f"expected {end:,} bytes, found {size:,}",
            f"{end:,}바이트여야 하는데 {size:,}바이트예요",
        )
    return tensors


def _tensor(key: str, entry: dict[str, Any], base: int) -> Tensor:
    shape = tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in (*shape, start, end)):
        raise ValueError(key)
    tensor = Tensor(key, shape, entry["dtype"], base + start)
    if len(shape) > 8 or tensor.bytes != end - start:
        raise ValueError(key)
    return tensor


def damaged(path: Path, en: str, ko: str) -> CheckpointError:
    return CheckpointError(
        path, f"damaged: {en}; get it again.", f"손상된 파일이에요. {ko}. 다시 받아 주세요."
    )


def _from_torch(path: Path, part: str) -> dict[str, Tensor]:
    found = parts_of(path)
    if part in found:
        return found[part].tensors
    if "" in found:  # someone saved the part alone
        return found[""].tensors
    names = ", ".join(found) or "no state dict"
    want = part or "one state dict"
    raise CheckpointError(
        path,
        f"expected {want} inside, found {names}.",
        f"{josa(want, '이/가')} 있어야 하는데 {names}뿐이에요.",
    )


def _load_plain(path: Path) -> dict[str, Any]:
    """The dict inside a .pth or .pt file; storages stay on disk until they are read."""
    _check_zip(path)
    try:
        import torch
    except ImportError as error:
        raise NeedsTorch(
            path,
            "a .pth file needs PyTorch to be read: run `pip install torch==2.13.0`.",
            ".pth 파일을 읽으려면 PyTorch가 필요해요. `pip install torch==2.13.0`을 실행해 주세요.",
        ) from error
    try:
        zipped = zipfile.is_zipfile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch remarks on odd pickle protocols
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        name = _foreign_call(path)
        if not name:
            raise _not_torch(path, error) from error
        raise CheckpointError(
            path,
            f"refused: expected tensors and plain data, found a call of {name}; a file that runs "
            "code is never opened.",
            f"열지 않았어요. 텐서만 있어야 하는데 {name} 호출이 들어 있어요. 코드를 실행하는 "
            "파일은 절대 열지 않아요.",
        ) from error
    except BROKEN as error:
        raise _not_torch(path, error) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(
            path,
            f"expected a state dict, found {type(loaded).__name__}.",
            f"state dict가 있어야 하는데 {josa(type(loaded).__name__, '이/가')} 들어 있어요.",
        )
    return dict(loaded)


def _check_zip(path: Path) -> None:
    """Refuse an archive that would grow when it is opened; torch.save never compresses."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    size, inside = path.stat().st_size, sum(entry.file_size for entry in entries)
    if inside > size or any(entry.compress_type for entry in entries):
        raise damaged(
            path,
            f"expected stored tensors, found {inside:,} bytes compressed into {size:,}",
            f"압축되지 않은 텐서여야 하는데 {inside:,}바이트가 {size:,}바이트로 압축돼 있어요",
        )


def _foreign_call(path: Path) -> str:
    """The first function or class that a refused pickle names, read without running it."""
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(_pickle_bytes(path)):
            if opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
                name = ".".join(strings[-2:])
            elif opcode.name in ("GLOBAL", "INST"):
                name = str(argument).replace(" ", ".")
            else:
                strings += [argument] if isinstance(argument, str) else []
                continue
            if not name.startswith(("torch.", "collections.OrderedDict")):
                return name
    except (ValueError, LookupError, StopIteration, zipfile.BadZipFile, OSError):
        pass  # no pickle at all
    return ""


def _pickle_bytes(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            return stream.read(HEADER_LIMIT)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(name) as entry:
            return entry.read(HEADER_LIMIT)


def _not_torch(path: Path, error: Exception) -> CheckpointError:
    reason = type(error).__name__
    return damaged(
        path,
        f"expected a PyTorch checkpoint, found something else ({reason})",
        f"PyTorch 체크포인트가 아니에요({reason})",
    )


TORCH_DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def _plain(path: Path, state: dict[str, Any]) -> dict[str, Tensor]:
    import torch

    tensors = {}
    for key, value in state.items():
        size, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
        if size > stored:  # one number stretched over a shape of terabytes
            raise damaged(
                path,
                f"expected {size:,} bytes for {key}, found {stored:,} stretched over its shape",
                f"{josa(key, '은/는')} {size:,}바이트여야 하는데 {stored:,}바이트를 늘여 놓았어요",
            )
        flat = value.detach().contiguous().reshape(-1)
        data = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
        dtype = TORCH_DTYPES[str(value.dtype).removeprefix("torch.")]
        tensors[key] = Tensor(key, tuple(value.shape), dtype, data=data)
    return tensors
