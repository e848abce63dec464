"""The face vector z: who she is. One row of numbers in a file.

v1's CSV has a header 0,1,...,511 and one row. A .npy or .safetensors file holds one array.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError

MAX_BYTES = 1 << 20  # a z of 512 float64 written as text has about 10 kB
V1_NOISE = 0.15  # v1 adds this much fresh noise in every turn, so her face is never quite the same
Z = NDArray[np.float32]


def load_z(path: Path, dim: int = 512) -> Z:
    """Read z [dim]. Raises CheckpointError when the file holds anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        z = np.asarray(_read(path), np.float32)
        if z.size != dim or max(z.shape, default=1) != z.size:
            raise ValueError(f"shape {list(z.shape)}")
        if not np.isfinite(z).all():
            raise ValueError("NaN or infinity")
    except FileNotFoundError as error:
        raise _not_a_z(path, dim, "no such file") from error
    except (OSError, ValueError, TypeError) as error:
        found = (str(error).partition("\n")[0] or type(error).__name__)[:100]
        raise _not_a_z(path, dim, found) from error
    return z.reshape(dim)


def random_z(seed: int, dim: int = 512) -> Z:
    """A face nobody has seen: standard normal, the same for the same seed."""
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


def perturb(z: Z, seed: int, amount: float = V1_NOISE) -> Z:
    """z + amount * N(0, 1): nearly the same person. v1 did this in every turn."""
    return (z + np.float32(amount) * random_z(seed, len(z))).astype(np.float32)


def restless(z: Z, noise: float) -> Z:
    """z, or with noise a fresh perturbation of it at every call."""
    return perturb(z, random.getrandbits(32), noise) if noise else z


def _read(path: Path) -> NDArray[np.floating]:
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    if path.suffix == ".safetensors":
        from ohlora.checkpoints.load import load_state_dict

        arrays = list(load_state_dict(path).values())
        if len(arrays) != 1:
            raise ValueError(f"{len(arrays)} tensors")
        return np.asarray(arrays[0], np.float64)
    rows = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(rows) == 2:  # the first is the header
        rows = rows[1:]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows")
    return np.array([float(cell) for cell in rows[0].split(",")])


def _not_a_z(path: Path, dim: int, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"expected a face vector z (a CSV row, .npy or .safetensors of {dim} numbers), found "
        f"{found}: check the path.",
        f"얼굴 벡터 z(숫자 {dim}개짜리 CSV, .npy, .safetensors)여야 하는데 쓸 수 없어요"
        f"({found}). 경로를 확인해 주세요.",
    )
