"""The reference renderer: the generator in plain PyTorch, float32, CPU or CUDA."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ohlora.checkpoints.load import GeneratorWeights
from ohlora.directions.control import Directions
from ohlora.directions.draw import Drawer
from ohlora.expression import Expression
from ohlora.face.latent import Z, restless
from ohlora.face.pixels import Pixels, to_pixels
from ohlora.face.renderer import content_id, make_label
from ohlora.models.stylegan import make_generator


class TorchRenderer:
    """Thread-safe: drawing changes nothing."""

    def __init__(
        self,
        weights: GeneratorWeights,
        z: Z,
        psi: float = 1.0,
        device: str = "cpu",
        *,
        noise: float = 0.0,
        directions: Directions | None = None,
    ) -> None:
        self.id = content_id(weights, z, psi, f"torch-{device}", noise, directions)
        self.size = weights.config.resolution
        self.follows = weights.config.label_dim > 0 or directions is not None
        state = {key: torch.from_numpy(array.copy()) for key, array in weights.state.items()}
        self._generator = make_generator(weights.config, state).to(device)
        self._z, self._noise = z, noise
        self._psi, self._device = psi, device
        self._steered = Drawer(self._generator, directions, psi=psi) if directions else None

    def image(self, expression: Expression) -> NDArray[np.float32]:
        """Float RGB [3, size, size], not clamped."""
        config = self._generator.config
        if self._steered is not None:
            wish = [[expression.eyes, expression.mouth, expression.pose]]
            knobs = self._steered.directions.knobs(wish)
            steered = self._steered.image(restless(self._z, self._noise)[None], knobs)
            return np.asarray(steered[0].cpu().numpy(), np.float32)
        label = None
        if self.follows:
            label = torch.from_numpy(make_label(expression, config.label_dim)).to(self._device)
        with torch.inference_mode():
            drawn = self._generator(
                torch.from_numpy(restless(self._z, self._noise))[None].to(self._device),
                label,
                truncation_psi=self._psi,
                truncation_layers=config.num_layers,
                lod=0.0,
            )
        return np.asarray(drawn.image[0].cpu().numpy(), np.float32)

    def render(self, expression: Expression) -> Pixels:
        return to_pixels(self.image(expression))
