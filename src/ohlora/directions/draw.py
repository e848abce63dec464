"""Batches of pictures from a generator that is steered by directions, or by its own labels.

z       [B, w_dim]   float
wish    [B, 3]       eyes, mouth, pose in standard deviations
images  [B, R, R, 3] uint8 RGB
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ohlora.directions.control import (
    Array,
    Directions,
    generator_digest,
    identity_response,
    knob_limits,
)
from ohlora.errors import BadInput, OhloraError
from ohlora.models.stylegan import Generator, make_generator

if TYPE_CHECKING:
    from ohlora.checkpoints.load import GeneratorWeights

Pixels = NDArray[np.uint8]


def from_weights(weights: GeneratorWeights, device: str = "cpu") -> Generator:
    state = {key: torch.from_numpy(array.copy()) for key, array in weights.state.items()}
    return make_generator(weights.config, state).to(device)


def digest_of(generator: Generator) -> str:
    return generator_digest({k: v.float().cpu().numpy() for k, v in generator.state_dict().items()})


def plain(space: str = "label", generator: str = "") -> Directions:
    """Directions that change nothing: each knob is the label itself."""
    limits = knob_limits(widen=2.0)
    return Directions(
        space, "label", generator, limits, identity_response(limits), np.zeros((3, 13, 13)),
        np.ones(3), scorer="none",
    )  # fmt: skip


class Drawer:
    """Draws what is wished. Changes nothing in the generator."""

    def __init__(
        self, generator: Generator, directions: Directions | None = None, *, psi: float = 1.0
    ) -> None:
        """psi pulls w towards the mean face before the directions act.

        Raises BadInput for directions of another generator, and for a generator without labels
        when there are no directions.
        """
        config = generator.config
        if directions is None and not config.label_dim:
            raise BadInput(
                "This generator has no labels, so nothing moves its face: give --directions FILE "
                "(`ohlora face directions` finds them).",
                "라벨이 없는 생성기라서 표정을 바꿀 수 없어요. --directions 파일을 주세요"
                "(`ohlora face directions`로 만들 수 있어요).",
            )
        self.digest = digest_of(generator)
        self.directions = directions or plain()
        self.directions.check(self.digest, config)
        self.generator, self.psi = generator, psi
        self.size = config.resolution

    def __call__(self, z: ArrayLike, wish: ArrayLike) -> Pixels:
        """Raises OhloraError when the generator draws no numbers (NaN)."""
        return self.turn(z, self.directions.knobs(wish))

    def turn(self, z: ArrayLike, knobs: ArrayLike) -> Pixels:
        """Pictures at these settings of the knobs. Raises OhloraError on NaN."""
        return to_pixels(self.image(z, knobs))

    def image(self, z: ArrayLike, knobs: ArrayLike) -> Tensor:
        """Float [B, 3, R, R] at these settings of the knobs, not clamped."""
        directions, net = self.directions, self.generator
        label = directions.label(knobs, net.config.label_dim) if net.config.label_dim else None
        w = self.w(z, label)
        with torch.inference_mode():
            if directions.space == "w":
                w = self.tensor(directions.move(w.double().cpu().numpy(), knobs))
            wp = w[:, None].repeat(1, net.config.num_layers, 1)
            if directions.space == "style":
                code = self.styles(w).double().cpu().numpy()
                with replaced_styles(net, self.tensor(directions.move(code, knobs))):
                    image, _ = net.synthesis(wp, 0.0)
            else:
                image, _ = net.synthesis(wp, 0.0)
        drawn: Tensor = image
        return drawn

    def w(self, z: ArrayLike, label: ArrayLike | None) -> Tensor:
        """[B, w_dim], pulled towards the mean face by psi."""
        net = self.generator
        with torch.inference_mode():
            w, _, _ = net.mapping(self.tensor(z), None if label is None else self.tensor(label))
            if self.psi < 1:
                w = net.truncation(w, self.psi, net.config.num_layers)[:, 0]
        found: Tensor = w
        return found

    def styles(self, w: Tensor) -> Tensor:
        """Scale and shift of every layer in a row, [B, S]."""
        net: Any = self.generator.synthesis
        count = self.generator.config.num_layers
        with torch.inference_mode():
            layers = [getattr(net, f"layer{i}") for i in range(count)]
            return torch.cat([layer.style(w) for layer in layers], dim=1)

    def tensor(self, values: ArrayLike) -> Tensor:
        weight = next(self.generator.parameters())
        array = np.array(values, np.float32)
        return torch.from_numpy(array).to(weight.device, weight.dtype)


@contextmanager
def replaced_styles(net: Generator, styles: Tensor) -> Iterator[None]:
    """Within the block every layer takes its part of `styles` [B, S] in place of its own."""
    handles = []
    start = 0
    for i in range(net.config.num_layers):
        layer = getattr(net.synthesis, f"layer{i}").style
        part = styles[:, start : start + len(layer.bias)]
        start += len(layer.bias)

        def instead(module: Any, inputs: Any, output: Tensor, part: Tensor = part) -> Tensor:
            return part

        handles.append(layer.register_forward_hook(instead))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def to_pixels(image: Tensor) -> Pixels:
    """Float [B, 3, R, R] in about [-1, 1] -> uint8 [B, R, R, 3]; face.pixels' product rule."""
    if not bool(torch.isfinite(image).all()):
        raise OhloraError(
            "The generator draws pictures that are no numbers (NaN): its training went wrong; "
            "take an earlier checkpoint.",
            "생성기가 숫자가 아닌 값(NaN)을 그려요. 학습이 잘못됐으니 이전 체크포인트를 쓰세요.",
        )
    scaled = ((image.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(scaled.permute(0, 2, 3, 1).cpu().numpy())


def draw_all(
    drawer: Drawer, z: Array, values: Array, batch: int = 32, *, knobs: bool = False
) -> Iterator[tuple[slice, Pixels]]:
    """Rows of z and wishes (or knobs) in batches; yields the rows and their pictures."""
    draw = drawer.turn if knobs else drawer
    for start in range(0, len(z), batch):
        rows = slice(start, min(start + batch, len(z)))
        yield rows, draw(z[rows], values[rows])
