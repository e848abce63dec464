"""What every face engine does: draw one expression. And the way to make one from a generator."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints.load import GeneratorWeights
from ohlora.directions.control import Directions, generator_digest
from ohlora.errors import BadInput, ShapeError
from ohlora.expression import Expression
from ohlora.face.latent import Z
from ohlora.models.generator_config import LABELS

RUNTIMES = ("openvino", "torch")


class Renderer(Protocol):
    """Draws one identity. `id` names everything that decides the pixels (weights, z, runtime)."""

    @property
    def id(self) -> str: ...

    @property
    def size(self) -> int:
        """Height and width of a frame in pixels."""
        ...

    @property
    def follows(self) -> bool:
        """Whether expressions change the picture; a generator without label draws one face."""
        ...

    def render(self, expression: Expression) -> NDArray[np.uint8]:
        """Return RGB uint8 [size, size, 3]."""
        ...


def make_renderer(
    weights: GeneratorWeights,
    z: Z,
    *,
    psi: float = 1.0,
    runtime: str = "openvino",
    noise: float = 0.0,
    directions: Directions | None = None,
) -> Renderer:
    """A renderer of one face. psi in [0, 1] pulls it towards the mean face; 1 leaves it.

    noise in [0, 1] adds that much N(0, 1) to z anew in every frame, as v1 did with 0.15.
    directions turn an expression into what makes the generator show it; without them it is the
    label. Raises BadInput for an unknown runtime, psi or noise, and for directions of another
    generator or face, ShapeError for a z of another width.
    """
    want = weights.config.w_dim
    if z.shape != (want,):
        raise ShapeError(
            f"This generator wants a z of {want} numbers, got {list(z.shape)}: take its own z.",
            f"이 생성기의 z는 숫자 {want}개여야 하는데 {list(z.shape)} 모양이에요.",
        )
    if not 0 <= psi <= 1:
        raise BadInput(
            f"psi must lie between 0 (mean face) and 1 (as it is), got {psi}.",
            f"psi는 0(평균 얼굴)과 1(그대로) 사이여야 하는데 {psi}예요.",
        )
    if not 0 <= noise <= 1:
        raise BadInput(
            f"noise must lie between 0 (always the same face) and 1, got {noise}.",
            f"noise는 0(늘 같은 얼굴)과 1 사이여야 하는데 {noise}예요.",
        )
    if directions is not None:
        directions.check(generator_digest(weights.state), weights.config, z)
    if runtime == "torch":
        from ohlora.face.torch_renderer import TorchRenderer

        return TorchRenderer(weights, z, psi, noise=noise, directions=directions)
    if runtime == "openvino":
        from ohlora.face.openvino import OpenVinoRenderer

        return OpenVinoRenderer(weights, z, psi, noise=noise, directions=directions)
    raise BadInput(
        f"Unknown face runtime {runtime!r}: write {' or '.join(RUNTIMES)}.",
        f"{runtime!r} 실행 방식은 없어요. {', '.join(RUNTIMES)} 중 하나로 적어 주세요.",
    )


def make_label(expression: Expression, label_dim: int) -> NDArray[np.float32]:
    """The generator's label [1, label_dim] for an expression; what it does not name is 0."""
    wanted = {"eyes": expression.eyes, "mouth": expression.mouth, "pose": expression.pose}
    if label_dim not in LABELS:
        raise ShapeError(
            f"A generator with {label_dim} labels is unknown: 0, 3 or 7 are.",
            f"라벨이 {label_dim}개인 생성기는 알 수 없어요. 0, 3, 7개만 쓸 수 있어요.",
        )
    return np.array([[wanted.get(name, 0.0) for name in LABELS[label_dim]]], np.float32)


def content_id(
    weights: GeneratorWeights,
    z: Z,
    psi: float,
    runtime: str,
    noise: float = 0.0,
    directions: Directions | None = None,
) -> str:
    """20 hex digits over everything that decides the pixels."""
    steered = directions.digest if directions else ""
    digest = hashlib.sha256(f"{weights.config} {psi} {runtime}{noise or ''}{steered}".encode())
    for array in (z, *weights.state.values()):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:20]
