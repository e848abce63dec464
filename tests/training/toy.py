"""A network of three numbers that learns brightness: small enough to train in a blink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ohlora.training.face_data import FaceData
from ohlora.training.loop import Run


@dataclass(frozen=True)
class ToyConfig:
    lr: float = 0.01
    width: int = 3


class Toy:
    """Regresses the first label from the mean colour, with noise so that random numbers matter."""

    def __init__(self, config: ToyConfig = ToyConfig()) -> None:
        torch.manual_seed(0)
        self.config = config
        net = nn.Sequential(nn.Linear(3, config.width), nn.Tanh(), nn.Linear(config.width, 1))
        self.modules: dict[str, nn.Module] = {"net": net}
        self.optimizers = {"net": torch.optim.AdamW(net.parameters(), lr=config.lr)}
        self.schedulers = {
            "net": torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizers["net"], 10)
        }
        self.averaged = ("net",)
        self.epochs = 0
        self.poison = 0  # the step whose loss is NaN
        self.limit = 1 << 30  # pictures a batch that fit the memory

    def step(self, batch: Any, run: Run) -> dict[str, float | Tensor]:
        if len(batch) > self.limit:
            raise torch.OutOfMemoryError("made up")
        mean = batch.pixels().mean(dim=(2, 3))
        noisy = mean + 0.01 * torch.randn_like(mean) + 0.01 * float(np.random.rand())
        loss = (self.modules["net"](noisy).float() - batch.labels[:, :1]).square().mean()
        if run.step + 1 == self.poison:
            loss = loss * float("nan")
        run.backward(loss)
        run.update("net")
        return {"loss": loss.detach()}

    def epoch_end(self, run: Run) -> dict[str, float | Tensor]:
        self.epochs += 1
        self.schedulers["net"].step()
        return {"epochs": float(self.epochs)}

    def samples(self, run: Run) -> np.ndarray:
        return (torch.rand(8, 8, 3) * 255).to(torch.uint8).numpy()

    def extra_state(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


def toy_data(count: int = 50, size: int = 8, labels: int = 1) -> FaceData:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    bright = images.mean(axis=(1, 2, 3))[:, None] / 255
    return FaceData(
        images=images,
        labels=np.repeat(bright, labels, axis=1).astype(np.float32),
        names=("eyes", "mouth", "pose", "hair_color")[:labels],
        masks=None,
        persons=np.arange(count),
        numbers=np.arange(count),
        digest=f"toy {count} {size} {labels}",
    )
