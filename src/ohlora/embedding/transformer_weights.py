"""The transformer sentence encoder's weights: every matrix in 4 bit, the rest in float16.

model.safetensors   NAME.q      uint8   [out, in / 2]      two weights a byte, the even one low
                    NAME.scale  float16 [out, in / GROUP]
                    NAME        float16                    norms, biases, positions

weight [out, in] = scale * (nibble - 8), one scale for GROUP weights of a row
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

GROUP = 64  # weights of one scale


def pack(weight: Array) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """A matrix [out, in] as nibbles [out, in / 2] and scales [out, in / GROUP]."""
    rows = weight.astype(np.float32).reshape(len(weight), -1, GROUP)
    at = np.abs(rows).argmax(axis=2, keepdims=True)
    # The farthest weight gets the one level that has no opposite.
    scale = (np.take_along_axis(rows, at, axis=2) / -8).astype(np.float16)
    divisor = np.where(scale == 0, 1, scale).astype(np.float32)
    levels = np.clip(np.rint(rows / divisor), -8, 7).astype(np.int8) + 8
    nibbles = levels.reshape(len(weight), -1).astype(np.uint8)
    return nibbles[:, ::2] | nibbles[:, 1::2] << 4, scale[..., 0]


def unpack(nibbles: NDArray[np.uint8], scale: NDArray[np.float16]) -> Array:
    """The matrix [out, in] that `pack` took, rounded. Raises ValueError when they do not fit."""
    levels = np.stack([nibbles & 15, nibbles >> 4], axis=2).astype(np.float32) - 8
    rows = levels.reshape(*scale.shape, GROUP) * scale[..., None].astype(np.float32)
    return np.asarray(rows.reshape(len(nibbles), -1))


def packed(tensors: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """The tensors of a file: matrices but `pos` packed, the rest in float16."""
    out: dict[str, NDArray[np.generic]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and name != "pos":
            out[f"{name}.q"], out[f"{name}.scale"] = pack(tensor)
        else:
            out[name] = tensor.astype(np.float16)
    return out


def unpacked(file: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
    """What `packed` took, rounded. Raises KeyError, ValueError on a damaged file."""
    out: dict[str, Array] = {}
    for name, tensor in file.items():
        if name.endswith(".q"):
            name = name.removesuffix(".q")
            out[name] = unpack(tensor.astype(np.uint8), file[f"{name}.scale"].astype(np.float16))
        elif not name.endswith(".scale"):
            out[name] = tensor.astype(np.float32)
    return out
