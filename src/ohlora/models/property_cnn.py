"""Property scores read off a face: seven of them in v1, eight from v3 on.

    image   [B, 3, 256, 256]  RGB in [-1, 1]
    scores  [B, 7] or [B, 8]  in standard deviations of the training faces, order PROPERTIES

One small net per property, each looking at its own part of the picture. The published files are
stylegan_gen_fine_tuned_v2_cnn.pth (PropertyCNN) and ohlora_v3_merged_property_cnn.pth
(MergedPropertyCNN, which adds straight or curly hair).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohlora.models.cnn import ConvStack, hidden_block

PROPERTIES = (
    "eyes",
    "hair_color",
    "hair_length",
    "mouth",
    "pose",
    "background_mean",
    "background_std",
)
ALL = slice(0, 256)


class ScoreCNN(ConvStack):
    """A crop's features, one hidden layer of 256, n plain numbers."""

    def __init__(self, rows: slice, cols: slice, stack: str, unit: int, scores: int = 1) -> None:
        super().__init__(rows, cols, stack, unit)
        self.fc1 = hidden_block(self.features, 8 * unit)
        self.fc_final = nn.Linear(8 * unit, scores)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc_final(self.fc1(self.flatten(image)))


class PropertyCNN(nn.Module):
    """Seven property scores; 86 tensors."""

    def __init__(self, unit: int = 32) -> None:
        super().__init__()
        near, tall = "1 2 P 2 P 4 P", "1 2 P 2 P 4 P 4 P 4"
        self.eyes_score_cnn = ScoreCNN(slice(96, 144), slice(64, 192), near, unit)
        self.mouth_score_cnn = ScoreCNN(slice(160, 208), slice(96, 160), near, unit)
        self.pose_score_cnn = ScoreCNN(slice(112, 160), slice(88, 168), "1 2 P 2 P 4 4", unit)
        self.hair_color_score_cnn = ScoreCNN(ALL, ALL, tall + " P", unit)
        self.hair_length_score_cnn = ScoreCNN(slice(128, 256), ALL, tall, unit)
        self.background_score_cnn = ScoreCNN(slice(0, 128), ALL, tall, unit, scores=2)

    def forward(self, image: Tensor) -> Tensor:
        """Return scores [B, 7]. Raises ShapeError unless images are 256 x 256."""
        nets = (
            self.eyes_score_cnn,
            self.hair_color_score_cnn,
            self.hair_length_score_cnn,
            self.mouth_score_cnn,
            self.pose_score_cnn,
            self.background_score_cnn,  # mean and deviation
        )
        return torch.cat([net(image) for net in nets], dim=1)


class HairstyleCNN(nn.Module):
    """Straight (low) or curly (high) from the two lower corners, where long hair hangs."""

    def __init__(self, unit: int = 32) -> None:
        super().__init__()
        stack = "1 2 P 2 P 3 P 4 4"
        self.bottom_left_cnn = ConvStack(slice(128, 256), slice(0, 96), stack, unit)
        self.bottom_right_cnn = ConvStack(slice(128, 256), slice(160, 256), stack, unit)
        self.fc1 = hidden_block(2 * self.bottom_left_cnn.features, 16 * unit)
        self.fc_final = nn.Linear(16 * unit, 1)

    def forward(self, image: Tensor) -> Tensor:
        corners = torch.cat([self.bottom_left_cnn(image), self.bottom_right_cnn(image)], dim=1)
        return self.fc_final(self.fc1(corners))


class MergedPropertyCNN(PropertyCNN):
    """The seven scores of v1 and the hairstyle score of v3; 114 tensors."""

    def __init__(self, unit: int = 32) -> None:
        super().__init__(unit)
        self.hairstyle_score_cnn = HairstyleCNN(unit)

    def forward(self, image: Tensor) -> Tensor:
        """Return scores [B, 8]. Raises ShapeError unless images are 256 x 256."""
        return torch.cat([super().forward(image), self.hairstyle_score_cnn(image)], dim=1)
