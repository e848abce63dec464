"""Which part of a face each pixel belongs to: FaceXFormer on batches of crops.

    crops    uint8 [224, 224, 3]   from detect.crop_face
    classes  uint8 [224, 224]      order models.face_parts.CLASSES

Two runtimes give the same maps: torch (CPU or GPU) and OpenVINO (CPU, about twice as fast).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from ohlora.models.facexformer import FaceXFormer

Pixels = NDArray[np.uint8]
Parser = Callable[["Tensor"], list[Pixels]]  # preprocessed crops to class maps

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1]
STD = (0.229, 0.224, 0.225)


def preprocess(crops: Sequence[Pixels]) -> Tensor:
    """uint8 crops to the network's float32 [B, 3, 224, 224]."""
    import torch

    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def face_pixels(inputs: Tensor) -> list[Pixels]:
    """The original's face_NNNNNN.png: its input turned back into pixels, decimals cut off.

    A few pixels come out one step darker than in the crop; v2 scores were made from these.
    """
    import torch

    pixels = inputs * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    return list((pixels * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy())


class TorchParser:
    """Runs where the network lies, in its precision."""

    def __init__(self, net: FaceXFormer) -> None:
        self.net = net

    def __call__(self, inputs: Tensor) -> list[Pixels]:
        import torch

        weight = self.net.linear_fuse.weight
        with torch.inference_mode():
            logits = self.net(inputs.to(weight.device, weight.dtype))["parsing"]
            return list(logits.argmax(dim=1).to(torch.uint8).cpu().numpy())


class OpenVinoParser:
    """Runs a prepared network on the CPU, one crop per thread."""

    def __init__(self, prepared: Path, precision: str = "f32") -> None:
        """`prepared` is a folder of `prepare`; precision f32, or bf16 where the CPU has it."""
        import openvino as ov

        core = ov.Core()
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,  # unasked, it would take bf16 where it can
            "PERFORMANCE_HINT": "THROUGHPUT",
        }
        compiled = core.compile_model(prepared / "model.xml", "CPU", options)
        self.queue = ov.AsyncInferQueue(compiled)
        self.queue.set_callback(self._keep)
        self.maps: dict[int, Pixels] = {}

    def __call__(self, inputs: Tensor) -> list[Pixels]:
        for i, crop in enumerate(inputs.numpy()):
            self.queue.start_async(crop[None], userdata=i)
        self.queue.wait_all()
        return [self.maps.pop(i) for i in range(len(inputs))]

    def _keep(self, request: Any, i: int) -> None:
        self.maps[i] = request.get_output_tensor().data[0].copy()


def prepare(net: FaceXFormer, folder: Path) -> None:
    """Convert a network for OpenVinoParser: about 10 seconds and 370 MB, once.

    Writes model.xml and model.bin into `folder`, which must not exist yet; it is there whole or
    not at all.
    """
    import os
    import shutil
    import warnings

    import openvino as ov
    import torch

    class ClassMap(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, image: Tensor) -> Tensor:
            classes: Tensor = self.net(image)["parsing"].argmax(dim=1).to(torch.uint8)
            return classes

    image = torch.zeros(1, 3, 224, 224)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer points at every shape that is fixed here
        model = ov.convert_model(ClassMap().eval(), example_input=image, input=[1, 3, 224, 224])
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        ov.save_model(model, partial / "model.xml", compress_to_fp16=False)
        if not folder.exists():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
