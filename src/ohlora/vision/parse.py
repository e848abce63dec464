"""Which part of a face each pixel belongs to: FaceXFormer on batches of crops.

crops    uint8 [224, 224, 3]   from detect.crop_face
classes  uint8 [224, 224]      order models.face_parts.CLASSES
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from ohlora.models.facexformer import FaceXFormer

Pixels = NDArray[np.uint8]

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


def parse(net: FaceXFormer, inputs: Tensor) -> list[Pixels]:
    """Class maps of preprocessed crops, computed where the network lies, in its precision."""
    import torch

    weight = net.linear_fuse.weight
    with torch.inference_mode():
        logits = net(inputs.to(weight.device, weight.dtype))["parsing"]
        return list(logits.argmax(dim=1).to(torch.uint8).cpu().numpy())
