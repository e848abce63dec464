"""A small face parser: which part of a face each pixel of a crop belongs to.

It stands in for FaceXFormer where that one's weights are absent, and is trained on synthetic
faces, whose masks are exact. A U-Net after Ronneberger et al. 2015
(https://arxiv.org/abs/1505.04597) whose skips are added instead of concatenated, and which draws
four pixels at a time from half resolution (Shi et al. 2016, https://arxiv.org/abs/1609.05158).

    crop    [B, 3, 224, 224]   RGB normalised as vision.parse.preprocess does; any multiple of 32
    logits  [B, 11, 224, 224]  order models.face_parts.CLASSES

At the default widths: 0.62 M parameters, 5 to 8 ms a crop on one CPU core.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import ShapeError
from ohlora.models.face_parts import CLASSES

WIDTHS = (16, 32, 64, 96, 128)  # channels at 1/2, 1/4 ... 1/32 of the crop's size


def block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class FaceUNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        pairs = list(zip(widths, widths[1:], strict=False))
        self.stem = block(3, widths[0], stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b, stride=2), block(b, b)) for a, b in pairs
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(block(a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 4 * len(CLASSES), 1)

    def forward(self, crop: Tensor) -> Tensor:
        """Return logits. Raises ShapeError when the crop's sides do not halve evenly."""
        step = 2 ** len(self.widths)
        if crop.ndim != 4 or crop.shape[1] != 3 or crop.shape[2] % step or crop.shape[3] % step:
            raise ShapeError(
                f"want crops [B, 3, H, W] with sides a multiple of {step}, got {list(crop.shape)}",
                f"조각은 [B, 3, H, W]이고 변이 {step}의 배수여야 하는데 {list(crop.shape)}이에요",
            )
        x = self.stem(crop)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for narrow, up in zip(reversed(self.narrow), reversed(self.up), strict=True):
            wide = F.interpolate(narrow(x), scale_factor=2.0, mode="bilinear")
            x = up(wide + skips.pop())
        return F.pixel_shuffle(self.head(x), 2)


def make_face_parser(state: Mapping[str, Tensor]) -> FaceUNet:
    """A parser as wide as its weights, in eval mode, float32, channels last (faster on a CPU).

    Raises KeyError or RuntimeError when they are another network's.
    """
    widths = [len(state["stem.0.weight"])]
    while (key := f"down.{len(widths) - 1}.0.0.weight") in state:
        widths.append(len(state[key]))
    net = FaceUNet(tuple(widths))
    net.load_state_dict(dict(state))  # float16 widens to float32
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@torch.inference_mode()
def parse_classes(net: FaceUNet, crops: Tensor) -> Tensor:
    """Class of every pixel, uint8 [B, H, W], on the CPU; runs where the network lies."""
    weight = net.head.weight
    inputs = crops.to(weight.device, weight.dtype, memory_format=torch.channels_last)
    return net(inputs).argmax(dim=1).to(torch.uint8).cpu()
