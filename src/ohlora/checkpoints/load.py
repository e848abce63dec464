"""Load a network's weights from a file that nobody vouches for, without torch where possible.

    load_state_dict(path)   every tensor as a numpy array; .safetensors needs no torch
    load_generator(path)    a StyleGAN generator of any variant, checked tensor by tensor

Whatever is wrong with the file is a CheckpointError of one sentence: the file, what was expected,
what was found. Nothing is ever unpickled.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ohlora.checkpoints.tensors import TensorFile, open_tensors
from ohlora.errors import CheckpointError
from ohlora.models.generator_config import (
    VARIANTS,
    GeneratorConfig,
    Shape,
    config_of,
    tensor_shapes,
    variant_of,
)
from ohlora.text import josa

SUFFIXES = (".safetensors", ".pth", ".pt")
NUMPY = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


@dataclass(frozen=True)
class GeneratorWeights:
    """A generator as numbers: float32 arrays in the order of `tensor_shapes(config)`."""

    path: Path
    config: GeneratorConfig
    state: dict[str, NDArray[np.float32]]

    @property
    def variant(self) -> str:
        """ "original", "v1", "v3", "v4", or "custom" for a generator of another size."""
        return variant_of(self.config) or "custom"


def load_state_dict(path: Path, part: str = "") -> dict[str, NDArray[Any]]:
    """Every tensor of a file; bfloat16 widens to float32. `part` picks one of several networks.

    Raises CheckpointError for a missing, empty, truncated, foreign or code-carrying file.
    """
    _check_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch remarks on odd pickle protocols
        opened = open_tensors(path, part)
    return {key: read_array(opened, key) for key in opened.tensors}


def load_generator(path: Path, variant: str | None = None) -> GeneratorWeights:
    """Load a generator; with `variant`, only that one.

    Raises CheckpointError when tensors are missing, left over, misshapen or not finite.
    """
    state = load_state_dict(path, part="generator")
    config = _check_shapes(path, {key: array.shape for key, array in state.items()})
    found = variant_of(config) or "custom"
    if variant not in (None, found) and VARIANTS.get(variant or "") != config:
        label = f"{config.label_dim} labels, embedding {config.embed_dim}"
        raise CheckpointError(
            path,
            f"expected a StyleGAN generator {variant}, found {found} ({label}): "
            "check which file is meant.",
            f"StyleGAN 생성기 {variant}이어야 하는데 {found}({label})예요. 파일을 확인해 주세요.",
        )
    for key, array in state.items():
        if not np.isfinite(array).all():
            raise CheckpointError(
                path,
                f"expected finite numbers, found NaN or infinity in {key}: get the file again.",
                f"유한한 수여야 하는데 {key}에 NaN이나 무한대가 있어요. 다시 받아 주세요.",
            )
    ordered = {key: state[key].astype(np.float32, copy=False) for key in tensor_shapes(config)}
    return GeneratorWeights(path, config, ordered)


def _check_file(path: Path) -> None:
    if path.is_dir():
        found, found_ko = "a folder", "폴더예요"
    elif not path.exists():
        found, found_ko = "nothing there", "파일이 없어요"
    elif path.suffix not in SUFFIXES:
        found, found_ko = f"a file named {path.name}", f"{path.name} 파일이에요"
    elif path.stat().st_size == 0:
        found, found_ko = "an empty file", "빈 파일이에요"
    else:
        return
    raise CheckpointError(
        path,
        f"expected a model file ({', '.join(SUFFIXES)}), found {found}: check the path.",
        f"모델 파일({', '.join(SUFFIXES)})이어야 하는데 {found_ko}. 경로를 확인해 주세요.",
    )


def read_array(opened: TensorFile, key: str) -> NDArray[Any]:
    """One tensor of an opened file; bfloat16 widens to float32. Raises CheckpointError."""
    tensor, raw = opened.tensors[key], opened.read(key)
    if tensor.dtype == "BF16":
        wide = raw.view(np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(tensor.shape)
    if tensor.dtype not in NUMPY:
        raise CheckpointError(
            opened.path,
            f"expected numbers numpy knows, found {tensor.dtype} in {key}: "
            "convert the file to float32.",
            f"{key}의 {tensor.dtype} 형식은 읽을 수 없어요. float32로 바꿔 주세요.",
        )
    return raw.view(NUMPY[tensor.dtype]).reshape(tensor.shape)


def _check_shapes(path: Path, found: Mapping[str, Shape]) -> GeneratorConfig:
    """The configuration these tensors fit exactly; otherwise the nearest one names what is off."""
    candidates = list(VARIANTS.values())
    try:
        candidates.insert(0, config_of(found))
    except (KeyError, ValueError):
        pass
    if not any(key.startswith("mapping.") for key in found):
        first = next(iter(found), "none")
        raise CheckpointError(
            path,
            f"expected a StyleGAN generator, found {len(found)} tensors of something else "
            f"(first: {first}): check which file is meant.",
            f"StyleGAN 생성기여야 하는데 다른 텐서 {len(found)}개(처음: {first})가 들어 있어요. "
            "파일을 확인해 주세요.",
        )

    def differences(config: GeneratorConfig) -> list[str]:
        want = tensor_shapes(config)
        return [key for key in {**want, **found} if want.get(key) != found.get(key)]

    config = min(candidates, key=lambda config: len(differences(config)))
    wrong = differences(config)
    if not wrong:
        return config
    want, key = tensor_shapes(config), wrong[0]
    if key not in found:
        en, ko = f"{key} is missing", f"{josa(key, '이/가')} 없어요"
    elif key not in want:
        en, ko = f"{key} does not belong", f"{josa(key, '은/는')} 있으면 안 돼요"
    else:
        en = f"{key} is {list(found[key])} instead of {list(want[key])}"
        ko = f"{josa(key, '이/가')} {list(want[key])} 대신 {list(found[key])} 모양이에요"
    name = variant_of(config) or "custom"
    raise CheckpointError(
        path,
        f"expected the {len(want)} tensors of a StyleGAN generator ({name}), found {len(wrong)} "
        f"that differ, first: {en}; get the file again.",
        f"StyleGAN 생성기({name})의 텐서 {len(want)}개여야 하는데 {len(wrong)}개가 달라요. "
        f"{ko}. 파일을 다시 받아 주세요.",
    )
