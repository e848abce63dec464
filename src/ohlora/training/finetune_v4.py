"""FineTune-v4: FineTune-v1 once more, from v1, with eyes, mouth and pose only (Oh-LoRA v1).

Same frozen layers, losses and loop; labels of all_scores_v2_cnn.csv, batches of 8, a row of
train_log.csv every 20 batches. The pictures for the eye are the 50 labels of the acceptance test
for one z. Published as not adopted: after 79 epochs the labels were hardly obeyed (mean
correlation 0.38, 0.05, 0.02). Its README says "without style mixing", its code mixes; so do we.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ohlora.models.protocol50 import LABELS50
from ohlora.training.finetune_v1 import FAITHFUL as FAITHFUL_V1
from ohlora.training.finetune_v1 import FineTune
from ohlora.training.loop import Run
from ohlora.training.stylegan_base import tiled

FAITHFUL = replace(FAITHFUL_V1, version="v4", label_dim=3, log_batches=20)
DEFAULT = replace(FAITHFUL, lr_period=10)


class FineTuneV4(FineTune):
    """Recipe (loop.py)."""

    @torch.no_grad()
    def samples(self, run: Run) -> NDArray[np.uint8]:
        """uint8 [5 R, 10 R, 3]: a row for each mouth, columns eyes and pose."""
        net = run.averaged.get("generator", self.generator)
        mode, device = net.training, run.device
        labels = torch.tensor(LABELS50, dtype=torch.float32, device=device)
        z = torch.randn(1, net.config.w_dim, generator=torch.Generator().manual_seed(0))
        z = z.to(device).expand(10, -1)
        net.eval()
        try:
            rows = [net(z, row).image.float().cpu().numpy() for row in labels.split(10)]
        finally:
            net.train(mode)
        return tiled([list(row) for row in rows])
