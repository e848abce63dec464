"""Settings of the face GANs by name: what is trained, and how long.

base          StyleGAN from nothing
v1, v4        FineTune, mended: learning rates follow their schedule, averaged weights
v1-faithful, v4-faithful    as published, its flaws included: constant rates, no average
"""

from __future__ import annotations

from dataclasses import dataclass

from ohlora.training import finetune_v1, finetune_v4
from ohlora.training.loop import LoopConfig
from ohlora.training.stylegan_base import BaseConfig

ALL_SCORES = (
    "eyes_score", "hair_color_score", "hair_length_score", "mouth_score", "pose_score",
    "background_mean_score", "background_std_score",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    recipe: BaseConfig | finetune_v1.FineTuneConfig
    loop: LoopConfig
    columns: tuple[str, ...]  # labels in v1's tables; a synthetic set has score_eyes for eyes_score

    def columns_of_synth(self) -> tuple[str, ...]:
        return tuple(f"score_{name.removesuffix('_score')}" for name in self.columns)


THREE = ("eyes_score", "mouth_score", "pose_score")
PRESETS = {
    "base": Preset(
        BaseConfig(),
        LoopConfig(steps=50_000, batch_size=16, ema=0.999, sample_every=500, save_every=1_000),
        THREE,
    ),
    "v1": Preset(
        finetune_v1.DEFAULT,
        LoopConfig(epochs=40, batch_size=16, ema=0.999, sample_every=100),
        ALL_SCORES,
    ),
    "v1-faithful": Preset(
        finetune_v1.FAITHFUL,
        LoopConfig(epochs=500, batch_size=16, sample_every=10),
        ALL_SCORES,
    ),
    "v4": Preset(
        finetune_v4.DEFAULT,
        LoopConfig(epochs=80, batch_size=8, ema=0.999, sample_every=100),
        THREE,
    ),
    "v4-faithful": Preset(
        finetune_v4.FAITHFUL,
        LoopConfig(epochs=500, batch_size=8, log_every=20, sample_every=20),
        THREE,
    ),
}
