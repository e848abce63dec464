"""Generators: StyleGAN from nothing, the original's fine-tunings, and the supervised one.

base -> v1 -> v3, v4 repeat the original; `domain` learns from the renderer and is the one that
goes on to directions and the face pack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ohlora.checkpoints import load_catalog
from ohlora.checkpoints.load import load_state_dict
from ohlora.models.cnn import GenderCNN
from ohlora.models.property_cnn import PropertyCNN
from ohlora.pipeline.faces import FACES, KEPT
from ohlora.pipeline.measure import SCORES
from ohlora.pipeline.stage import Curve, Machine, Number, Picture, Told, Work
from ohlora.training import finetune_v1, finetune_v3, finetune_v4
from ohlora.training.domain import DomainConfig, train_domain
from ohlora.training.face_data import FaceData
from ohlora.training.finetune_v1 import FineTune, FineTuneConfig
from ohlora.training.finetune_v3 import FineTuneV3, V3Config
from ohlora.training.finetune_v4 import FineTuneV4
from ohlora.training.loop import LoopConfig, train
from ohlora.training.presets import ALL_SCORES, THREE
from ohlora.training.property_cnn import NAME as PROPERTY_CNN
from ohlora.training.randomness import seed_all
from ohlora.training.stylegan_base import BaseConfig, StyleganBase
from ohlora.vision.weights import fitted

RUN = "run"
GENERATOR, DISCRIMINATOR = "generator.ema.safetensors", "discriminator.safetensors"


@dataclass(frozen=True)
class Base:
    loop: LoopConfig
    net: BaseConfig = BaseConfig(label_dim=0, embed_dim=0)


def base(work: Work[Base]) -> Told:
    """FOLDER/run: a StyleGAN of the kept faces, without labels as the original's was."""
    net, loop = work.options.net, started(work.options.loop, work.machine)
    faces = FaceData.from_csv(
        work.inputs["filter"] / KEPT, work.inputs["filter"] / "filtered.csv",
        size=net.generator.resolution,
    )  # fmt: skip
    train(StyleganBase(net), faces, loop, work.folder / RUN)
    return told(work, loop, len(faces), ("d_loss", "g_loss"))


@dataclass(frozen=True)
class V1:
    loop: LoopConfig
    net: FineTuneConfig = finetune_v1.DEFAULT


def v1(work: Work[V1]) -> Told:
    """FOLDER/run: FineTune-v1, seven labels."""
    loop = started(work.options.loop, work.machine)
    recipe = FineTune(*first_nets(work.inputs["base"], work.options.net), work.options.net)
    size = recipe.generator.config.resolution
    table = work.inputs["score"] / SCORES
    faces = FaceData.from_csv(work.inputs["filter"] / KEPT, table, ALL_SCORES, size)
    train(recipe, faces, loop, work.folder / RUN)
    return told(work, loop, len(faces), ("d_loss", "g_loss"))


def first_nets(folder: Path, config: FineTuneConfig) -> tuple[Any, Any]:
    """Generator and discriminator of an earlier stage, made ready for other labels."""
    generator, critic = (load_state_dict(folder / RUN / n) for n in (GENERATOR, DISCRIMINATOR))
    return finetune_v1.start_from(generator, critic, config)


@dataclass(frozen=True)
class V3:
    loop: LoopConfig
    net: V3Config = finetune_v3.DEFAULT


def v3(work: Work[V3]) -> Told:
    """FOLDER/run: FineTune-v3, which the CNNs of earlier stages judge."""
    loop = started(work.options.loop, work.machine)
    state = load_state_dict(work.inputs["v1"] / RUN / GENERATOR)
    generator = finetune_v3.start_from(state, work.options.net)
    catalog = load_catalog()
    score_net = fitted(PropertyCNN, catalog["property-cnn"].files[0].nets[0],
                       work.inputs["property"] / PROPERTY_CNN)  # fmt: skip
    woman_net = fitted(GenderCNN, catalog["gender-cnn"].files[0].nets[0],
                       work.inputs["cnn"] / "models" / "gender_model_0.pt")  # fmt: skip
    table = work.inputs["property"] / "all_scores_v2_cnn.csv"
    size = generator.config.resolution
    faces = FaceData.from_csv(work.inputs["filter"] / KEPT, table, ALL_SCORES, size)
    recipe = FineTuneV3(generator, score_net, woman_net, work.options.net)
    finetune_v3.finetune(recipe, faces, loop, work.folder / RUN)
    return told(work, loop, len(faces), ("total_loss", "mse", "gender_loss"))


@dataclass(frozen=True)
class V4:
    loop: LoopConfig
    net: FineTuneConfig = finetune_v4.DEFAULT


def v4(work: Work[V4]) -> Told:
    """FOLDER/run: FineTune-v4, eyes, mouth and pose only."""
    loop = started(work.options.loop, work.machine)
    recipe = FineTuneV4(*first_nets(work.inputs["v1"], work.options.net), work.options.net)
    table = work.inputs["property"] / "all_scores_v2_cnn.csv"
    size = recipe.generator.config.resolution
    faces = FaceData.from_csv(work.inputs["filter"] / KEPT, table, THREE, size)
    train(recipe, faces, loop, work.folder / RUN)
    return told(work, loop, len(faces), ("d_loss", "g_loss"))


@dataclass(frozen=True)
class Domain:
    loop: LoopConfig  # its steps are the schedules' length too
    net: DomainConfig = DomainConfig()


def domain(work: Work[Domain]) -> Told:
    """FOLDER/run: the generator that learns from the renderer; z.csv is she."""
    loop = started(work.options.loop, work.machine)
    net = replace(work.options.net, steps=loop.steps or work.options.net.steps)
    train_domain(work.inputs["near"] / FACES, net, loop, work.folder / RUN)
    return told(work, loop, None, ("loss", "held_psnr"))


def started(loop: LoopConfig, machine: Machine) -> LoopConfig:
    """The loop on this machine; fresh networks draw their first weights from its seed."""
    seed_all(loop.seed)
    return replace(loop, device=machine.device, threads=machine.threads)


def told(work: Work[Any], loop: LoopConfig, faces: int | None, columns: tuple[str, ...]) -> Told:
    rows = [] if faces is None else [Number("pictures", "그림", faces)]
    ends = (("steps", "스텝", loop.steps), ("epochs", "에폭", loop.epochs))
    rows += [Number(en, ko, value) for en, ko, value in ends if value]
    rows.append(Number("batch", "배치", loop.batch_size))
    newest = sorted((work.folder / RUN / "samples").glob("*.webp"))[-1:]
    pictures = [Picture(f"samples at step {int(path.stem)}", f"{int(path.stem)}스텝의 그림",
                        f"{RUN}/samples/{path.name}") for path in newest]  # fmt: skip
    curves = (Curve("training", "학습", f"{RUN}/log.jsonl", columns),)
    return Told(tuple(rows), tuple(pictures), curves)
