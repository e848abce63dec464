"""CVAE encoder: the latent z that would draw a given face with a given label.

FineTune-v3 trained it together with the generator, which is its decoder. The encoder itself was
never published; this one has the same layers and keys, for training anew.

    image         [B, 3, 256, 256]  RGB in [-1, 1]
    label         [B, 7]            in standard deviations, order PROPERTIES
    mean, logvar  [B, 512]          of a normal distribution over z
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohlora.errors import ShapeError


def halve(channels_in: int, channels_out: int) -> nn.Sequential:
    """4x4 convolution with stride 2: half the height and width."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, padding_mode="reflect"),
        nn.LeakyReLU(0.01),
    )


class CVAEEncoder(nn.Module):
    def __init__(self, z_dim: int = 512, label_dim: int = 7) -> None:
        super().__init__()
        self.label_dim = label_dim
        self.conv1 = halve(3, 32)
        self.conv2 = halve(32, 64)
        self.conv3 = halve(64, 128)
        self.conv4 = halve(128, 128)
        self.conv5 = halve(128, 256)
        self.fc1 = nn.Sequential(nn.Linear(256 * 8 * 8 + label_dim, 512), nn.ELU())
        self.fc2_mu = nn.Linear(512 + label_dim, z_dim)
        self.fc2_var = nn.Linear(512 + label_dim, z_dim)

    def forward(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z. Raises ShapeError on a wrong image or label."""
        if image.shape[1:] != (3, 256, 256) or label.shape != (len(image), self.label_dim):
            raise ShapeError(
                f"want image [B, 3, 256, 256] and label [B, {self.label_dim}], "
                f"got {list(image.shape)} and {list(label.shape)}"
            )
        x = image
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = conv(x)
        x = self.fc1(torch.cat([x.flatten(1), label], dim=1))
        x = torch.cat([x, label], dim=1)
        return self.fc2_mu(x), self.fc2_var(x)


def sample_z(mean: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw z [B, 512] so that gradients reach the encoder (the reparametrisation trick)."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + torch.exp(0.5 * logvar) * noise
