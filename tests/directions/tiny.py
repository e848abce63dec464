"""A real generator of 4 x 4 pixels whose weights are set by hand, so that its answers are known.

Three grey stripes stand for eyes, mouth and pose; how bright one is, is its score. The embedding
of the label (or three numbers of z, without labels) runs through the mapping net unchanged and
scales one stripe each. Three things are wrong with it on purpose, as with trained ones: labels
leak into each other, z shifts every score, and the pixel norm over z and label bends the answer.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch

from ohlora.models.generator_config import MAPPING_LAYERS, GeneratorConfig
from ohlora.models.stylegan import MAPPING_LR, Generator

W = 64
HIGH = 30.0  # added before the leaky ReLUs, so that they pass everything on
UNIT = 0.08  # of a pixel's range -1..1 for one score
STRIPES = (slice(0, 1), slice(1, 2), slice(2, 3))  # the fourth column balances them
LEAK = np.array([[0.7, 0.1, 0.0], [0.25, 0.6, 0.0], [0.0, 0.1, 0.8]])  # label row -> stripe


def make(label_dim: int = 3, deaf: bool = False) -> Generator:
    embed = 3 if label_dim else 0
    torch.manual_seed(0)  # what is left to chance (noise that has no weight) is the same each time
    net = Generator(GeneratorConfig(label_dim, embed, W, (3,), fused_from=64))
    with torch.no_grad():
        if label_dim:
            net.mapping.label_weight.copy_(torch.tensor(LEAK * (not deaf)))
        for i in range(MAPPING_LAYERS):
            layer = getattr(net.mapping, f"dense{i}")
            wide = layer.weight.shape[1]
            through = torch.eye(W, wide)
            if i == 0 and label_dim:
                through[:3] = 0
                through[:3, W:] = torch.eye(3)
                through[:3, :3] = 0.4 * torch.eye(3)  # the face's own share
            layer.weight.copy_(through / (sqrt(2 / wide) * MAPPING_LR))
            layer.bias.fill_(HIGH / MAPPING_LR if i == 0 else 0.0)
        for i in range(2):
            layer = getattr(net.synthesis, f"layer{i}")
            layer.style.weight.zero_()
            layer.style.bias.zero_()
            if i == 0:
                layer.const.zero_()
                for channel, stripe in enumerate(STRIPES):
                    layer.const[0, channel, :, stripe] = 1
            else:
                layer.weight.zero_()
                layer.weight[range(3), range(3), 1, 1] = 1
                layer.style.weight[range(3), range(3)] = sqrt(W)  # scale = w - HIGH - 1
                layer.style.bias[:3] = -HIGH - 1
        net.synthesis.output0.weight.fill_(UNIT * sqrt(3))
        net.synthesis.output0.bias.zero_()
    return net.eval().requires_grad_(False)


def read_stripes(images: np.ndarray) -> np.ndarray:
    """The scorer: uint8 [N, 4, 4, 3] -> [N, 3], about standard deviations."""
    grey = (images.astype(float).mean(axis=(1, 3)) - 127.5) / 127.5
    return np.stack([grey[:, stripe].mean(axis=1) for stripe in STRIPES], axis=1) / UNIT
