"""A small generator with made-up weights, drawn in milliseconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ohlora.checkpoints.load import GeneratorWeights
from ohlora.models.generator_config import GeneratorConfig, tensor_shapes

BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16


def make_weights(
    label_dim: int = 7, embed_dim: int = 5, fused_from: int = 16, seed: int = 0
) -> GeneratorWeights:
    """A 32 px generator of 8-channel layers, filled like a trained one."""
    config = GeneratorConfig(label_dim, embed_dim, 16, (8, 8, 8, 4), fused_from)
    rng = np.random.default_rng(seed)
    state = {}
    for key, shape in tensor_shapes(config).items():
        if key.endswith("blur.kernel"):
            state[key] = np.ascontiguousarray(np.broadcast_to(BLUR, shape), np.float32)
            continue
        size = 100 if key.startswith("mapping.dense") and key.endswith("weight") else 1
        size = 0.1 if key.endswith(("bias", "apply_noise.weight", "w_avg")) else size
        state[key] = np.asarray(rng.standard_normal(shape) * size, np.float32)
    return GeneratorWeights(Path("small"), config, state)


Z = np.random.default_rng(1).standard_normal(16).astype(np.float32)
