"""Deterministic weights and inputs of the golden files, as golden/README.md defines them.

case = load_case(golden_dir, "stylegan_gen_v3")
model.load_state_dict({k: torch.from_numpy(v) for k, v in case.state.items()}, strict=False)
case.input("z")                     # float32 [2, 512]
case.arrays["w"]                    # what the reference computed
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def seeded(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(crc32(name.encode())))


def normal(name: str, shape: tuple[int, ...], s: float = 1.0) -> Array:
    return seeded(name).standard_normal(shape).astype(np.float32) * np.float32(s)


def uniform(name: str, shape: tuple[int, ...]) -> Array:
    return seeded(name).random(shape).astype(np.float32)


class Case:
    """One network of golden/nets."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.spec: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        self.cases: dict[str, Any] = self.spec["meta"].get("cases", {})
        with np.load(folder / f"{name}.npz") as arrays:
            self.arrays = dict(arrays)

    @property
    def keys(self) -> list[str]:
        return [key for key, *_ in self.spec["tensors"]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tuple(shape) for key, shape, *_ in self.spec["tensors"]}

    @cached_property
    def state(self) -> dict[str, Array]:
        """Every tensor but those marked "keep" (fixed buffers, left as constructed)."""
        state = {}
        for key, shape, _, fill in self.spec["tensors"]:
            if fill["kind"] != "keep":
                state[key] = filled(self.spec["seed_prefix"] + key, tuple(shape), fill)
        return state

    @property
    def whole_state(self) -> dict[str, Array]:
        """`state` with the blur kernels, in key order: a complete StyleGAN checkpoint."""
        row = np.float32([1, 2, 1])
        blur = np.outer(row, row)[None, None] / 16
        return {
            key: self.state[key] if key in self.state else blur.repeat(shape[0], axis=0)
            for key, shape in self.shapes.items()
        }

    def input(self, name: str) -> Array:
        row = self.spec["meta"]["inputs"][name]
        shape = tuple(row["shape"])
        if "repeated 8x8" in row.get("dist", ""):
            return repeated(row, shape)
        return normal(row["seed_string"], shape, row["s"])


def filled(name: str, shape: tuple[int, ...], fill: dict[str, Any]) -> Array:
    if fill["kind"] == "zeros":
        return np.zeros(shape, np.float32)
    noise = np.asarray(normal(name, shape, fill["s"]), np.float32)
    return noise + 1 if fill["kind"] == "one_plus_normal" else noise


def repeated(row: dict[str, Any], shape: tuple[int, ...]) -> Array:
    """Low-frequency pictures: a small normal (s=0.5) image repeated 8x8, sample i times i+1."""
    small = normal(row["seed_string"], (*shape[:2], shape[2] // 8, shape[3] // 8), 0.5)
    image = small.repeat(8, axis=2).repeat(8, axis=3)
    return image * np.arange(1, len(image) + 1, dtype=np.float32)[:, None, None, None]


def load_case(golden_dir: Path, name: str) -> Case:
    return Case(golden_dir / "nets", name)
