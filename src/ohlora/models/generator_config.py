"""The shape of a StyleGAN generator, without torch: variants, layers, the list of its tensors.

One skeleton serves every published file; only the label input of the mapping net differs.

    variant    label   embedding   tensors
    original       0           -       122    the face GAN everything started from
    v1, v2         7          16       123    VectorFind-v8 too
    v3             7          24       123    the final product
    v4             3          16       123    VectorFind-v6 and v7 too

Resolutions run 4, 8, ... 256. Each has two style layers: layer 2i is the first and layer 2i+1 the
second at resolution 4 * 2**i; every first layer but layer 0 doubles the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LABELS = {
    7: ("eyes", "hair_color", "hair_length", "mouth", "pose", "background_mean", "background_std"),
    3: ("eyes", "mouth", "pose"),
    0: (),
}
MAPPING_LAYERS = 8
Shape = tuple[int, ...]


@dataclass(frozen=True)
class GeneratorConfig:
    label_dim: int = 7
    embed_dim: int = 24  # width of the label embedding
    w_dim: int = 512  # width of z and w
    channels: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64)  # per resolution, from 4
    fused_from: int = 128  # resolution from which upsampling is one transposed convolution
    style_mixing_prob: float = 0.0  # per forward, in train mode only

    @property
    def resolution(self) -> int:
        return 4 << (len(self.channels) - 1)

    @property
    def num_layers(self) -> int:
        return 2 * len(self.channels)


@dataclass(frozen=True)
class Layer:
    """One style layer. `upsample` is None, "nearest" or "fused"."""

    index: int
    resolution: int
    in_channels: int
    out_channels: int
    upsample: str | None


def layers(config: GeneratorConfig) -> Iterator[Layer]:
    for i, out in enumerate(config.channels):
        resolution = 4 << i
        up = "fused" if resolution >= config.fused_from else "nearest"
        first = out if i == 0 else config.channels[i - 1]
        yield Layer(2 * i, resolution, first, out, up if i else None)
        yield Layer(2 * i + 1, resolution, out, out, None)


VARIANTS = {
    "original": GeneratorConfig(label_dim=0, embed_dim=0, style_mixing_prob=0.9),
    "v1": GeneratorConfig(label_dim=7, embed_dim=16, style_mixing_prob=0.9),
    "v2": GeneratorConfig(label_dim=7, embed_dim=16),
    "v3": GeneratorConfig(label_dim=7, embed_dim=24),
    "v4": GeneratorConfig(label_dim=3, embed_dim=16),
}


def tensor_shapes(config: GeneratorConfig) -> dict[str, Shape]:
    """Every tensor of the state dict, in its order."""
    w = config.w_dim
    shapes: dict[str, Shape] = {}
    if config.label_dim:
        shapes["mapping.label_weight"] = (config.label_dim, config.embed_dim)
    for i in range(MAPPING_LAYERS):
        shapes[f"mapping.dense{i}.weight"] = (w, w if i else w + config.embed_dim)
        shapes[f"mapping.dense{i}.bias"] = (w,)
    shapes["truncation.w_avg"] = (w,)
    shapes["synthesis.lod"] = ()
    for layer in layers(config):
        name, r, c = f"synthesis.layer{layer.index}", layer.resolution, layer.out_channels
        shapes[f"{name}.bias"] = (c,)
        if layer.index == 0:
            shapes[f"{name}.const"] = (1, c, r, r)
        else:
            shapes[f"{name}.weight"] = (c, layer.in_channels, 3, 3)
        shapes[f"{name}.apply_noise.weight"] = (c,)
        shapes[f"{name}.apply_noise.noise"] = (1, 1, r, r)
        shapes[f"{name}.style.weight"] = (2 * c, w)
        shapes[f"{name}.style.bias"] = (2 * c,)
        if layer.upsample:
            shapes[f"{name}.blur.kernel"] = (c, 1, 3, 3)
        if layer.index % 2:
            shapes[f"synthesis.output{layer.index // 2}.bias"] = (3,)
            shapes[f"synthesis.output{layer.index // 2}.weight"] = (3, c, 1, 1)
    return shapes


def config_of(shapes: Mapping[str, Shape]) -> GeneratorConfig:
    """Read the configuration off the tensors' shapes.

    Raises KeyError or ValueError when they are not a generator's. A mixing probability leaves no
    trace in the tensors: v1's and the original's are their class defaults.
    """
    w_dim, wide = shapes["mapping.dense0.weight"]
    label_dim, embed_dim = shapes.get("mapping.label_weight", (0, 0))
    if wide != w_dim + embed_dim:
        raise ValueError(f"dense0 takes {wide} features, z and label give {w_dim + embed_dim}")
    channels = []
    while (bias := f"synthesis.layer{2 * len(channels)}.bias") in shapes:
        channels.append(shapes[bias][0])
    if not channels:
        raise KeyError("synthesis.layer0.bias")
    config = GeneratorConfig(label_dim, embed_dim, w_dim, tuple(channels))
    return VARIANTS.get(variant_of(config) or "", config)


def variant_of(config: GeneratorConfig) -> str | None:
    """Name of the published variant with these tensors; None for a generator of another size."""
    for name, known in VARIANTS.items():
        if tensor_shapes(known) == tensor_shapes(config):
            return name
    return None
