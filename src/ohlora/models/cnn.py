"""Small CNNs that judge a whole face picture: woman or man, good or bad.

    image   [B, 3, 256, 256]  RGB in [0, 1]
    output  [B, 1]            gender: 1 is a woman; quality: 1 is a good picture

The architecture of the ten published files gender_model_{0..4}.pt and quality_model_{0..4}.pt;
five nets of a kind are averaged. A net for one crop of the face is described by one line:

    "1 2 P 2 4 P"   3x3 convolutions to 1 and 2 times `unit` channels, 2x2 max pool, and so on

`unit` is 32 in every published file; a smaller one makes the same net thinner, for tests.
"""

from __future__ import annotations

from torch import Tensor, nn

from ohlora.errors import ShapeError

SIZE = 256  # pixels, both sides, of every picture the nets were trained on


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Unpadded 3x3 convolution: each one trims a pixel from every side."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=3),
        nn.LeakyReLU(0.01),
        nn.Dropout2d(0.05),
    )


def hidden_block(features_in: int, features_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features_in, features_out), nn.Tanh(), nn.Dropout(0.45))


class ConvStack(nn.Module):
    """Crop rows x cols out of the picture and run `stack` over it.

    [B, 3, 256, 256] -> [B, features], channel-major. Children are conv1, conv2, ...
    """

    def __init__(self, rows: slice, cols: slice, stack: str, unit: int) -> None:
        super().__init__()
        self.rows, self.cols = rows, cols
        self.steps: list[str] = []
        height = len(range(*rows.indices(SIZE)))
        width = len(range(*cols.indices(SIZE)))
        channels = 3
        for step in stack.split():
            if step == "P":
                self.steps.append("pool")
                height, width = height // 2, width // 2
            else:
                name = f"conv{sum(s != 'pool' for s in self.steps) + 1}"
                self.steps.append(name)
                self.add_module(name, conv_block(channels, int(step) * unit))
                height, width, channels = height - 2, width - 2, int(step) * unit
        self.features = channels * height * width

    def flatten(self, image: Tensor) -> Tensor:
        if image.shape[1:] != (3, SIZE, SIZE):
            raise ShapeError(f"want images [B, 3, {SIZE}, {SIZE}], got {list(image.shape)}")
        x = image[:, :, self.rows, self.cols]
        for step in self.steps:
            x = nn.functional.max_pool2d(x, 2) if step == "pool" else getattr(self, step)(x)
        return x.flatten(1)

    def forward(self, image: Tensor) -> Tensor:
        return self.flatten(image)


class JudgeCNN(ConvStack):
    """A crop's features, one hidden layer of 512, one probability."""

    def __init__(self, rows: slice, cols: slice, stack: str, unit: int) -> None:
        super().__init__(rows, cols, stack, unit)
        self.fc1 = hidden_block(self.features, 16 * unit)
        self.fc_final = nn.Sequential(nn.Linear(16 * unit, 1), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        """Return probabilities [B, 1]. Raises ShapeError unless images are 256 x 256."""
        return self.fc_final(self.fc1(self.flatten(image)))


class GenderCNN(JudgeCNN):
    """Probability that the face is a woman's, from the whole picture; 16 tensors."""

    def __init__(self, unit: int = 32) -> None:
        super().__init__(slice(0, 256), slice(0, 256), "1 2 P 4 P 4 P 8 P 8 P", unit)


class QualityCNN(JudgeCNN):
    """Probability that the picture is a good one, from its top middle; 14 tensors."""

    def __init__(self, unit: int = 32) -> None:
        super().__init__(slice(0, 64), slice(64, 192), "1 2 P 4 P 4 P 8", unit)
