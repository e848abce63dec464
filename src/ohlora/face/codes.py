"""Mapping network in numpy: z and label to the styles of every layer, in float32.

It is a hundredth of the work of a frame, and everything after it amplifies its errors, so it stays
in full precision on the host (5 dB better frames than bfloat16 mapping in the same graph).
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints.load import GeneratorWeights
from ohlora.directions.control import Directions
from ohlora.expression import Expression
from ohlora.face.latent import Z, restless
from ohlora.face.renderer import make_label
from ohlora.models.generator_config import MAPPING_LAYERS, layers

Array = NDArray[np.float32]
EPS = np.float32(1e-8)
MAPPING_LR = 0.01


class StyleCodes:
    """Styles of one face for any label."""

    def __init__(
        self,
        weights: GeneratorWeights,
        z: Z,
        psi: float = 1.0,
        noise: float = 0.0,
        directions: Directions | None = None,
    ) -> None:
        """noise: this much is added to z at every call; v1 drew with 0.15."""
        state, config = weights.state, weights.config
        self._label_dim, self._directions = config.label_dim, directions
        self._z, self._psi, self._noise = z, np.float32(psi), noise
        self._w_avg = state["truncation.w_avg"]
        self._label_weight = state.get("mapping.label_weight")
        self._dense = []
        for i in range(MAPPING_LAYERS):
            weight = state[f"mapping.dense{i}.weight"]
            scale = np.float32(sqrt(2 / weight.shape[1]) * MAPPING_LR)
            bias = state[f"mapping.dense{i}.bias"] * np.float32(MAPPING_LR)
            self._dense.append((weight.T * scale, bias))
        names = [f"synthesis.layer{layer.index}.style" for layer in layers(config)]
        styles = np.concatenate([state[f"{name}.weight"] for name in names])
        self._style = styles.T * np.float32(1 / sqrt(config.w_dim))
        self._style_bias = np.concatenate([state[f"{name}.bias"] for name in names])

    def of(self, expression: Expression) -> Array:
        """The styles of an expression, steered by the directions where there are any."""
        steer = self._directions
        if steer is None:
            return self(make_label(expression, self._label_dim))
        knobs = steer.knobs([[expression.eyes, expression.mouth, expression.pose]])
        w = self.w(steer.label(knobs, self._label_dim))
        if steer.space == "w":
            w = np.asarray(steer.move(w, knobs), np.float32)
        styles = self.styles(w)
        if steer.space == "style":
            styles = np.asarray(steer.move(styles, knobs), np.float32)
        return styles

    def __call__(self, label: Array) -> Array:
        """label [1, L] -> [1, sum of 2 C]: scale and shift of layer 0, then of layer 1, ..."""
        return self.styles(self.w(label))

    def w(self, label: Array) -> Array:
        """label [1, L] -> [1, w_dim], pulled towards the mean face by psi."""
        x = restless(self._z, self._noise)[None]
        if self._label_weight is not None:
            x = np.concatenate([x, label @ self._label_weight], axis=1)
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + EPS)
        for weight, bias in self._dense:
            x = x @ weight + bias
            x = np.where(x < 0, x * np.float32(0.2), x)
        w = self._w_avg + (x - self._w_avg) * self._psi if self._psi < 1 else x
        return np.asarray(w, np.float32)

    def styles(self, w: Array) -> Array:
        return np.asarray(w @ self._style + self._style_bias, np.float32)
