"""The fast CPU renderer: the generator as an OpenVINO graph, built from numpy weights, no torch.

Same numbers as models/stylegan.py, less work:

* Nearest x2 upsampling followed by a 3x3 convolution is a transposed 4x4 convolution: 4 products
  per output pixel and channel pair instead of 9. Exact, at the borders too.
* Everything that depends on neither z nor label is computed once: the first layer up to its norm,
  noise * strength + bias.
* The mapping net runs once per frame in numpy (codes.py); its styles enter the graph.
* Convolutions run in bfloat16 where the CPU has it (AVX512-BF16 or AMX), else in float32.

OpenVINO's own cache of compiled graphs is left off: it writes 84 MB or more per face, and reading
it back took longer than compiling. Folding the blur into the transposed convolution is not exact
at the borders and costs more products; Winograd by hand and 2x2 convolutions per output phase were
slower (docs/log.md).
"""

from __future__ import annotations

from math import sqrt
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as op

from ohlora.checkpoints.load import GeneratorWeights
from ohlora.directions.control import Directions
from ohlora.expression import Expression
from ohlora.face.codes import Array, StyleCodes
from ohlora.face.latent import Z
from ohlora.face.pixels import Pixels, to_pixels
from ohlora.face.renderer import content_id
from ohlora.models.generator_config import GeneratorConfig, Layer, layers

EPS = 1e-8
BLUR = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
PRECISIONS = ("f32", "bf16", "int8")
CALIBRATION = (-1.2, 0.2, 1.6)  # expressions that int8 ranges are read from


def best_precision(core: ov.Core) -> str:
    """bf16 where this CPU computes it, else f32."""
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


class OpenVinoRenderer:
    """Draws one face; thread-safe, one frame at a time."""

    def __init__(
        self,
        weights: GeneratorWeights,
        z: Z,
        psi: float = 1.0,
        *,
        noise: float = 0.0,
        directions: Directions | None = None,
        precision: str | None = None,
        threads: int | None = None,
    ) -> None:
        """`precision` None takes the best for this CPU; `threads` None takes all cores.

        The graph is compiled at the first frame (1 to 2 s), so a face whose frames are all on
        disk opens without it.
        """
        self._core = ov.Core()
        self._precision = precision or best_precision(self._core)
        self.id = content_id(weights, z, psi, f"openvino-{self._precision}", noise, directions)
        self.size = weights.config.resolution
        self.follows = weights.config.label_dim > 0 or directions is not None
        self._weights, self._threads = weights, threads
        self._codes = StyleCodes(weights, z, psi, noise, directions)
        self._compiled: ov.CompiledModel | None = None
        self._lock = Lock()

    def image(self, expression: Expression) -> Array:
        """Float RGB [3, size, size], not clamped."""
        styles = self._codes.of(expression)
        with self._lock:
            self._compiled = self._compiled or self._compile()
            return np.array(self._compiled([styles])[0][0], np.float32)

    def render(self, expression: Expression) -> Pixels:
        return to_pixels(self.image(expression))

    def _compile(self) -> ov.CompiledModel:
        config, state = self._weights.config, self._weights.state
        limits = self._activation_limits() if self._precision == "int8" else {}
        graph = build_graph(config, state, limits)
        return compile_graph(self._core, graph, self._precision, self._threads)

    def _activation_limits(self) -> dict[int, float]:
        """Largest usual magnitude (99.99 %) of each convolution's input, over a few faces."""
        config = self._weights.config
        probe = build_graph(config, self._weights.state, probe=True)
        compiled = compile_graph(self._core, probe, "f32", self._threads)
        limits: dict[int, float] = {}
        for level in CALIBRATION:
            outputs = compiled([self._codes.of(Expression(level, level, level))])
            for index in range(1, config.num_layers):
                seen = float(np.percentile(np.abs(outputs[index]), 99.99))
                limits[index] = max(seen, limits.get(index, 0.0))
        return limits


def compile_graph(
    core: ov.Core, graph: ov.Model, precision: str, threads: int | None
) -> ov.CompiledModel:
    # int8 layers are marked in the graph; what lies between them runs in the best precision.
    hint = best_precision(core) if precision == "int8" else precision
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    return core.compile_model(graph, "CPU", options)


def build_graph(
    config: GeneratorConfig,
    state: dict[str, NDArray[np.float32]],
    limits: dict[int, float] | None = None,
    probe: bool = False,
) -> ov.Model:
    """styles [1, sum of 2 C] -> image [1, 3, R, R].

    `limits` marks layers for int8 with the magnitude of their input; `probe` adds every
    convolution's input as an output.
    """
    limits = limits or {}
    sizes = [c for layer in layers(config) for c in (layer.out_channels, layer.out_channels)]
    styles = op.parameter([1, sum(sizes)], np.float32, name="styles")
    parts = op.variadic_split(styles, _ints(1), _ints(*sizes)).outputs()
    probes = []
    x: Any = None
    for layer in layers(config):
        if layer.index == 0:
            x = op.constant(_start(state))
        else:
            probes.append(x)
            x = _convolve(x, layer, state, limits.get(layer.index))
            x = op.prelu(op.add(x, _noise_and_bias(layer.index, state)), _floats(0.2))
            x = op.mvn(x, _ints(2, 3), True, EPS, "inside_sqrt")
        shape = _ints(1, layer.out_channels, 1, 1)
        scale, shift = (
            op.reshape(parts[2 * layer.index + i], shape, special_zero=False) for i in (0, 1)
        )
        x = op.add(op.multiply(x, op.add(scale, _floats(1))), shift)
    name = f"synthesis.output{config.num_layers // 2 - 1}"
    weight = state[f"{name}.weight"] * np.float32(1 / sqrt(config.channels[-1]))
    x = op.convolution(x, _floats(weight), [1, 1], [0, 0], [0, 0], [1, 1])
    x = op.add(x, _floats(state[f"{name}.bias"].reshape(1, 3, 1, 1)))
    outputs = [op.result(x), *(op.result(one) for one in probes if probe)]
    return ov.Model(outputs, [styles], "stylegan")


def _start(state: dict[str, Array]) -> Array:
    """Layer 0 up to its norm: it depends on nothing."""
    name = "synthesis.layer0"
    x = state[f"{name}.const"] + _noise(0, state)
    x = x + state[f"{name}.bias"].reshape(1, -1, 1, 1)
    x = np.where(x < 0, x * np.float32(0.2), x)
    x = x - x.mean(axis=(2, 3), keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=(2, 3), keepdims=True) + np.float32(EPS))
    return np.asarray(x, np.float32)


def _noise(index: int, state: dict[str, Array]) -> Array:
    name = f"synthesis.layer{index}.apply_noise"
    return np.asarray(state[f"{name}.noise"] * state[f"{name}.weight"].reshape(1, -1, 1, 1))


def _noise_and_bias(index: int, state: dict[str, Array]) -> Any:
    bias = state[f"synthesis.layer{index}.bias"].reshape(1, -1, 1, 1)
    return _floats(_noise(index, state) + bias)


def _convolve(x: Any, layer: Layer, state: dict[str, Array], limit: float | None) -> Any:
    """3x3 convolution, or for an upsampling layer transposed 4x4 convolution and blur."""
    weight = state[f"synthesis.layer{layer.index}.weight"]
    weight = weight * np.float32(sqrt(2) / sqrt(9 * layer.in_channels))
    if limit is not None:
        x = _quantise(x, np.float32(limit), 256)
    if layer.upsample is None:
        kernel = _weights(weight, 0, limit)
        return op.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    kernel = _weights(up_kernel(weight, layer.upsample), 1, limit)
    x = op.convolution_backprop_data(x, kernel, [2, 2], pads_begin=[1, 1], pads_end=[1, 1])
    blur = np.tile(BLUR, (layer.out_channels, 1, 1, 1, 1))
    return op.group_convolution(x, _floats(blur), [1, 1], [1, 1], [1, 1], [1, 1])


def up_kernel(weight: Array, upsample: str) -> Array:
    """[O, I, 3, 3] -> [I, O, 4, 4] for a transposed convolution of stride 2, padding 1.

    The sum of four shifted copies. The published fused layers take the kernel as it is; to equal
    nearest upsampling and convolution it is turned by 180 degrees first.
    """
    if upsample == "nearest":
        weight = weight[..., ::-1, ::-1]
    w = np.pad(weight, ((0, 0), (0, 0), (1, 1), (1, 1)))
    w = w[..., 1:, 1:] + w[..., :-1, 1:] + w[..., 1:, :-1] + w[..., :-1, :-1]
    return np.ascontiguousarray(w.transpose(1, 0, 2, 3), np.float32)


def _weights(weight: Array, out_axis: int, limit: float | None) -> Any:
    """A constant, rounded to int8 steps per output channel when the layer runs in int8."""
    if limit is None:
        return _floats(weight)
    others = tuple(axis for axis in range(4) if axis != out_axis)
    return _quantise(_floats(weight), np.abs(weight).max(axis=others, keepdims=True), 255)


def _quantise(x: Any, limit: Any, levels: int) -> Any:
    low, high = _floats(-limit), _floats(limit * np.float32((levels // 2 - 1) / (levels // 2)))
    if levels == 255:  # symmetric: weights
        high = _floats(limit)
    return op.fake_quantize(x, low, high, low, high, levels)


def _floats(value: Any) -> Any:
    return op.constant(np.ascontiguousarray(value, np.float32))


def _ints(*values: int) -> Any:
    return op.constant(np.array(values if len(values) > 1 else values[0], np.int64))
