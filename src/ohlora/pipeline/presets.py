"""The options of every stage: `tiny` to see it run, `cpu` for a night on a laptop, `gpu` in full.

How long each takes: docs/pipeline.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ohlora.directions.fit import FitConfig
from ohlora.pipeline.faces import Cnn, Filter, Label
from ohlora.pipeline.generators import V1, V3, V4, Base, Domain
from ohlora.pipeline.judge import Accept, Pack, Steering
from ohlora.pipeline.measure import Parser, Parsing, Property, Scoring
from ohlora.synth.dataset import Plan
from ohlora.training import finetune_v1, finetune_v3, finetune_v4
from ohlora.training.cnn import CnnConfig
from ohlora.training.domain import DomainConfig
from ohlora.training.face_parser import ParserConfig
from ohlora.training.loop import LoopConfig
from ohlora.training.property_cnn import PropertyConfig
from ohlora.training.stylegan_base import BaseConfig

Options = Mapping[str, Any]

# Every stage for real, nothing learned well: networks of width 2 to 32, pictures of 32 and 64 px.
TINY: Options = {
    "synthesise": Plan(48, 64, oversample=1, seed=6, pictures_per_person=2, shard_size=16),
    "label": Label(hand=40),
    "cnn": Cnn(
        LoopConfig(epochs=2, batch_size=8, log_every=5, save_every=5),
        CnnConfig("gender", lr=1e-3, retries=0, unit=2),
        CnnConfig("quality", lr=1e-3, retries=0, unit=2),
    ),
    "filter": Filter(),
    "parser": Parser(
        LoopConfig(steps=900, batch_size=1, ema=0.95, log_every=10, save_every=100),
        ParserConfig(lr=1e-2, jitter=0.02, widths=(12, 24, 32, 48, 64)),
        ParserConfig(lr=1e-2, jitter=0.02, widths=(10, 20, 32, 48, 64)),
    ),
    "parse": Parsing(),
    "score": Scoring(),
    "property": Property(
        LoopConfig(epochs=2, batch_size=4, log_every=4, save_every=20),
        PropertyConfig(lr=1e-3, unit=2),
    ),
    "base": Base(
        LoopConfig(steps=16, batch_size=8, ema=0.9, log_every=1, sample_every=8, save_every=8),
        BaseConfig(label_dim=0, embed_dim=0, w_dim=64, channels=(16, 16, 16, 8)),
    ),
    "v1": V1(
        LoopConfig(steps=8, batch_size=8, ema=0.9, log_every=1, sample_every=8, save_every=8),
        replace(finetune_v1.DEFAULT, embed_dim=8, group=4, log_batches=2),
    ),
    "v3": V3(
        LoopConfig(epochs=1, batch_size=4, ema=0.9, log_every=1, sample_every=4, save_every=4),
        replace(finetune_v3.DEFAULT, embed_dim=8, test_zs=1, test_pictures=False, log_batches=2),
    ),
    "v4": V4(
        LoopConfig(steps=8, batch_size=8, ema=0.9, log_every=1, sample_every=8, save_every=8),
        replace(finetune_v4.DEFAULT, embed_dim=8, group=4, log_batches=2),
    ),
    "near": Plan(
        40, 64, oversample=1, pictures_per_person=5, shard_size=10, who="her", spread=0.5,
        own_share=0.5,
    ),
    "domain": Domain(
        LoopConfig(steps=200, batch_size=8, ema=0.95, log_every=10, sample_every=100,
                   save_every=50),
        DomainConfig(channels=(32, 32, 24, 16), w_dim=64, coarse=((0.2, 1.0),)),
    ),
    "directions": Steering(FitConfig(faces=5, settings=8, held_out=2), probes=8),
    "accept": Accept(zs=2, faces=3, pictures=24),
    "pack": Pack(grid="2x2x3", runtime="torch"),
}  # fmt: skip

# 128 px, slim networks, a few hours on two cores.
CPU: Options = {
    "synthesise": Plan(3_000, 128),
    "label": Label(hand=800),
    "cnn": Cnn(
        LoopConfig(epochs=30, batch_size=16),
        CnnConfig("gender", lr=1e-4, patience=8, retries=1, unit=16),
        CnnConfig("quality", lr=1e-4, patience=8, retries=1, unit=16),
    ),
    "filter": Filter(),
    "parser": Parser(
        LoopConfig(steps=2_000, batch_size=16, precision="bfloat16", ema=0.995, channels_last=True)
    ),
    "parse": Parsing(),
    "score": Scoring(),
    "property": Property(
        LoopConfig(epochs=30, batch_size=16), PropertyConfig(lr=1e-4, patience=8, unit=16)
    ),
    "base": Base(
        LoopConfig(steps=8_000, batch_size=8, precision="bfloat16", ema=0.998, sample_every=500),
        BaseConfig(0, 0, 256, (256, 256, 192, 128, 64, 32), augment=0.6),
    ),
    "v1": V1(
        LoopConfig(epochs=8, batch_size=8, precision="bfloat16", ema=0.99, sample_every=100),
        replace(finetune_v1.DEFAULT, group=8),
    ),
    "v3": V3(
        LoopConfig(epochs=4, batch_size=8, ema=0.99, sample_every=100),
        replace(finetune_v3.DEFAULT, test_pictures=False),
    ),
    "v4": V4(
        LoopConfig(epochs=8, batch_size=8, precision="bfloat16", ema=0.99, sample_every=100),
        replace(finetune_v4.DEFAULT, group=8),
    ),
    "near": Plan(6_000, 128, who="her"),
    "domain": Domain(
        LoopConfig(steps=8_000, batch_size=8, precision="bfloat16", ema=0.998, sample_every=500)
    ),
    "directions": Steering(),
    "accept": Accept(),
    "pack": Pack(),
}

# 256 px and the published widths.
GPU: Options = {
    "synthesise": Plan(10_000, 256),
    "label": Label(),
    "cnn": Cnn(LoopConfig(epochs=100, batch_size=16)),
    "filter": Filter(),
    "parser": Parser(
        LoopConfig(steps=6_000, batch_size=32, precision="bfloat16", ema=0.998, channels_last=True)
    ),
    "parse": Parsing(batch=32),
    "score": Scoring(),
    "property": Property(LoopConfig(epochs=130, batch_size=16)),
    "base": Base(
        LoopConfig(steps=60_000, batch_size=32, precision="bfloat16", ema=0.999,
                   sample_every=1_000, save_every=1_000),
        BaseConfig(label_dim=0, embed_dim=0, augment=0.6),
    ),
    "v1": V1(
        LoopConfig(epochs=40, batch_size=16, precision="bfloat16", ema=0.999, sample_every=500)
    ),
    "v3": V3(
        LoopConfig(epochs=20, batch_size=8, ema=0.999, sample_every=500),
        replace(finetune_v3.DEFAULT, test_pictures=False),
    ),
    "v4": V4(
        LoopConfig(epochs=40, batch_size=8, precision="bfloat16", ema=0.999, sample_every=500)
    ),
    "near": Plan(16_000, 256, who="her"),
    "domain": Domain(
        LoopConfig(steps=40_000, batch_size=32, precision="bfloat16", ema=0.999,
                   sample_every=1_000, save_every=1_000),
        DomainConfig(channels=(512, 512, 256, 192, 96, 48, 24), critic=0.5),
    ),
    "directions": Steering(FitConfig(faces=96, settings=32, held_out=32)),
    "accept": Accept(),
    "pack": Pack(),
}  # fmt: skip

PRESETS = {"tiny": TINY, "cpu": CPU, "gpu": GPU}
