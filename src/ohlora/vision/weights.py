"""The networks that look at faces, from their published files, checked before they are used.

    load_mtcnn()                 finds faces
    load_facexformer()           parses one; load_parser() makes it ready to be called, or the
                                 small parser of `ohlora train parser` where it is not there
    load_cnns("gender-cnn")      judge a whole picture; also quality-cnn, property-cnn and
                                 v3-merged-property-cnn

Without a path files are looked for where `ohlora models pull` puts them. Narrower networks of
the same build are accepted as they are. Models come in eval() mode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ohlora.checkpoints import load_catalog
from ohlora.checkpoints.catalog import Net
from ohlora.checkpoints.judge import judge
from ohlora.checkpoints.load import load_state_dict
from ohlora.checkpoints.sizes import sizes_of
from ohlora.checkpoints.state import file_path
from ohlora.checkpoints.tensors import open_tensors
from ohlora.errors import BadInput, CheckpointError
from ohlora.paths import embedded, home
from ohlora.text import josa
from ohlora.vision.table import writing

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ohlora.models.facexformer import FaceXFormer
    from ohlora.models.mtcnn import MTCNN
    from ohlora.vision.parse import Parser

    Network = TypeVar("Network", bound=nn.Module)

SMALL_PARSER = "face_parser.safetensors"
RUNTIMES = ("openvino", "torch")
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # torch's names: OpenVINO's


def mtcnn_files(folder: Path | None = None) -> list[Path]:
    """The files of P, R and O. Raises CheckpointError when one is missing."""
    row = load_catalog()["mtcnn"]
    paths = [folder / file.name if folder else file_path(row, file) for file in row.files]
    for path in paths:
        if not path.is_file():
            raise missing(path, "mtcnn", "--mtcnn FOLDER")
    return paths


def facexformer_file(path: Path | None = None) -> Path:
    """Raises CheckpointError when the file is missing."""
    row = load_catalog()["facexformer"]
    path = path or file_path(row, row.files[0])
    if not path.is_file():
        raise missing(path, "facexformer", "--facexformer FILE")
    return path


def parser_file(path: Path | None = None) -> Path:
    """`path`, else FaceXFormer's file, else that of the small parser that stands in for it.

    Raises CheckpointError when there is none.
    """
    if path is None:
        row = load_catalog()["facexformer"]
        small = (home() / "models" / SMALL_PARSER, embedded() / "vision" / SMALL_PARSER)
        for found in (file_path(row, row.files[0]), *small):
            if found.is_file():
                return found
    return facexformer_file(path)


def missing(path: Path, row: str, option: str = "") -> CheckpointError:
    instead = f", or say where it is with {option}" if option else ""
    pull = josa(f"`ohlora models pull {row}`", "을/를")
    instead_ko = f"실행하거나 {josa(option, '으로/로')} 위치를 알려" if option else "실행해"
    return CheckpointError(
        path,
        f"not here: run `ohlora models pull {row}`{instead}.",
        f"파일이 없어요. {pull} {instead_ko} 주세요.",
    )


def load_mtcnn(folder: Path | None = None) -> MTCNN:
    """The detector, on the CPU as in v1: its nets are too small for a GPU to help.

    Raises CheckpointError for a missing or wrong file.
    """
    from ohlora.models.mtcnn import MTCNN

    mtcnn = MTCNN()
    files = load_catalog()["mtcnn"].files
    nets = (mtcnn.pnet, mtcnn.rnet, mtcnn.onet)
    for path, file, net in zip(mtcnn_files(folder), files, nets, strict=True):
        judge(path, file.nets)
        net.load_state_dict(tensors(path, file.nets[0].part))
    return mtcnn.eval()


def load_facexformer(
    path: Path | None = None, device: str = "cpu", dtype: torch.dtype | None = None
) -> FaceXFormer:
    """The face parser's network.

    Raises CheckpointError for a missing or wrong file, BadInput for a device that is not there.
    """
    import torch

    from ohlora.models.facexformer import FaceXFormer

    check_device(device)
    (wanted,) = load_catalog()["facexformer"].files[0].nets
    net = fitted(FaceXFormer, wanted, facexformer_file(path))
    return net.to(device, dtype or torch.float32)


def load_cnns(row: str, folder: Path | None = None, device: str = "cpu") -> list[nn.Module]:
    """Every net of a row: five for gender and quality, whose scores are averaged, else one.

    Raises CheckpointError for a missing or wrong file, BadInput for a device that is not there.
    """
    from ohlora.models.cnn import GenderCNN, QualityCNN
    from ohlora.models.property_cnn import MergedPropertyCNN, PropertyCNN

    kinds: dict[str, type[nn.Module]] = {
        "gender-cnn": GenderCNN,
        "quality-cnn": QualityCNN,
        "property-cnn": PropertyCNN,
        "v3-merged-property-cnn": MergedPropertyCNN,
    }
    check_device(device)
    found = load_catalog()[row]
    nets = []
    for file in found.files:
        path = folder / file.name if folder else file_path(found, file)
        if not path.is_file():
            raise missing(path, row)
        nets.append(fitted(kinds[row], file.nets[0], path).to(device))
    return nets


def fitted(kind: type[Network], wanted: Net, path: Path) -> Network:
    """A network as wide as the file says, with its weights. Raises CheckpointError."""
    judge(path, (wanted,))
    state = tensors(path, wanted.part)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    net = kind(**(sizes_of(wanted.name, shapes) or {}))
    net.load_state_dict(state)
    return net.eval()


def check_device(device: str) -> None:
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise BadInput(
            f"There is no device {device!r} here: use --device cpu.",
            f"{device!r} 장치가 없어요. --device cpu를 쓰세요.",
        )


def load_parser(
    path: Path | None = None,
    *,
    runtime: str = "openvino",
    device: str = "cpu",
    precision: str = "float32",
    progress: Callable[[str, float], None] | None = None,
) -> Parser:
    """The face parser, ready to be called: FaceXFormer or, where that is not there, the small one.

    OpenVINO prepares FaceXFormer's file under OHLORA_HOME once; the small one always runs in torch.
    Raises CheckpointError for a missing or wrong file, BadInput for options that do not fit.
    """
    from ohlora.vision.parse import OpenVinoParser, TorchParser, prepare

    if runtime not in RUNTIMES or precision not in PRECISIONS:
        raise BadInput(
            f"There is no runtime {runtime!r} in {precision!r}: use {' or '.join(RUNTIMES)}, in "
            f"{' or '.join(PRECISIONS)}.",
            f"{runtime!r}, {precision!r} 조합이 없어요. 런타임은 {', '.join(RUNTIMES)}, "
            f"정밀도는 {', '.join(PRECISIONS)} 중에서 고르세요.",
        )
    path = parser_file(path)
    if is_small_parser(path):
        return load_small_parser(path, device, precision)
    if runtime == "torch" or device != "cpu":
        import torch

        return TorchParser(load_facexformer(path, device, getattr(torch, precision)))
    prepared = home() / "models" / f"facexformer-openvino-{digest(path)}"
    if not prepared.is_dir():
        if progress:
            progress("preparing the face parser, once", 0.0)
        with writing(prepared):
            prepared.parent.mkdir(parents=True, exist_ok=True)
            prepare(load_facexformer(path), prepared)
    return OpenVinoParser(prepared, PRECISIONS[precision])


def is_small_parser(path: Path) -> bool:
    return path.suffix == ".safetensors" and "stem.0.weight" in open_tensors(path).tensors


def load_small_parser(path: Path, device: str = "cpu", precision: str = "float32") -> Parser:
    """The parser of `ohlora train parser`, ready to be called. Raises CheckpointError, BadInput."""
    import torch

    from ohlora.models.face_parser import make_face_parser, parse_classes

    check_device(device)
    try:
        net = make_face_parser(tensors(path, ""))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            path,
            "expected a face parser made by `ohlora train parser`, found another network.",
            "`ohlora train parser`로 만든 얼굴 파서여야 하는데 다른 신경망이에요.",
        ) from error
    net.to(device, getattr(torch, precision))
    return lambda crops: list(parse_classes(net, crops).numpy())


def digest(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def tensors(path: Path, part: str) -> dict[str, Tensor]:
    import numpy as np
    import torch

    arrays = load_state_dict(path, part)
    return {key: torch.from_numpy(np.require(a, requirements="W")) for key, a in arrays.items()}
