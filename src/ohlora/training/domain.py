"""Supervised training on the domain: a code and an expression in, the renderer's picture out.

The renderer knows every pixel, so a generator need not guess from a critic: on two CPU cores this
learns in an hour what adversarial training would not in a day. The picture of `ohlora synth dataset
--who her` is a smooth function of the person's code (synth.near) and the measured expression, so
what is learnt holds for any code.

    z       the code's numbers first, then numbers that mean nothing, drawn anew every step
    label   eyes, mouth, pose measured on the mask; in standard deviations of everyday expressions

Coarse to fine: the first steps draw 1/4 and 1/2 of the resolution (the generator's lod). With
`critic` above 0 a critic of patches brings back the fine texture that averages lose: go on so from
a run without one (`start_from`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.models.generator_config import GeneratorConfig
from ohlora.models.stylegan import MAPPING_LR, Generator
from ohlora.synth.near import CODE_SIZE, code_of, everyday, seed_of_scene
from ohlora.training.face_data import Batch, FaceData, LabelScale
from ohlora.training.face_files import read_manifest
from ohlora.training.loop import LoopConfig, Run, train
from ohlora.training.muon import Muon
from ohlora.training.patch_critic import PatchCritic, balanced, hinge_loss, same_piece
from ohlora.training.randomness import seed_all

# Measured, mask-fine where there is a finer measure. The v2 rules see the pose in the line between
# the eyes and give 0 where they are shut, so the head's own tilt (what that line shows) is learnt.
COLUMNS = ("eyes", "mouth", "roll")
SCORES = ("score_eyes", "score_mouth", "score_pose")  # what the v2 rules give for them
FACE_CLASSES = (2, 3, 4, 5, 7, 8, 9)  # brows, eyes, lips and inner mouth count more
HELD_PEOPLE = 0.04  # share kept from training


@dataclass(frozen=True)
class DomainBatch:
    faces: Batch
    codes: Tensor  # [B, CODE_SIZE]

    def __len__(self) -> int:
        return len(self.faces)

    def to(self, device: torch.device) -> DomainBatch:
        return DomainBatch(self.faces.to(device), self.codes.to(device))


@dataclass(frozen=True)
class DomainData:
    """Faces with the code of each person."""

    faces: FaceData
    codes: NDArray[np.float32]  # [N, CODE_SIZE]

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def digest(self) -> str:
        return self.faces.digest

    def batch(self, number: int, size: int, seed: int) -> DomainBatch:
        faces = self.faces.batch(number, size, seed)
        return DomainBatch(faces, torch.from_numpy(self.codes[faces.rows.numpy()]))

    def take(self, rows: Sequence[int]) -> DomainBatch:
        return DomainBatch(self.faces.take(rows), torch.from_numpy(self.codes[list(rows)]))


@dataclass(frozen=True)
class Domain:
    train: DomainData
    held: DomainData  # not trained on: other people, and she in other expressions
    labels: LabelScale  # standardises COLUMNS
    scores: LabelScale  # standardises SCORES, for whoever measures with the v2 rules


def read_domain(folder: Path, size: int) -> Domain:
    """A folder of `ohlora synth dataset --who her`. Raises BadInput."""
    plan = read_manifest(folder)["plan"]
    if plan["who"] != "her":
        raise BadInput(
            f"{folder} shows anyone: draw one with `ohlora synth dataset --who her`.",
            f"{folder}에는 아무나 들어 있어요. `ohlora synth dataset --who her`로 그려 주세요.",
        )
    faces = FaceData.from_synth(folder, COLUMNS, size)
    scores = FaceData.from_synth(folder, SCORES, size)
    calm = np.array([everyday(seed_of_scene(plan["seed"], int(i))) for i in faces.numbers])
    labels = faces.subset(calm).standardised().scale
    score_scale = scores.subset(calm).standardised().scale
    assert labels is not None and score_scale is not None
    codes = {p: code_of(int(p), plan["own_share"]) for p in np.unique(faces.persons)}
    table = np.array([codes[p] for p in faces.persons], np.float32) * plan["spread"]
    held = np.array([int(p) % round(1 / HELD_PEOPLE) == 7 for p in faces.persons])
    if held.all() or not held.any():
        raise BadInput(
            f"{folder} has too few people ({len(codes)}) to keep some from training: draw more.",
            f"{folder}에 사람이 {len(codes)}명뿐이라 검증용을 남길 수 없어요. 더 그려 주세요.",
        )
    whole = faces.standardised(labels)
    return Domain(
        train=DomainData(whole.subset(~held), table[~held]),
        held=DomainData(whole.subset(held), table[held]),
        labels=labels,
        scores=score_scale,
    )


@dataclass(frozen=True)
class DomainConfig:
    channels: tuple[int, ...] = (256, 256, 192, 128, 64, 32)
    w_dim: int = 256
    steps: int = 8_000  # the schedules' length
    lr: float = 1e-2
    mapping_speed: float = 1.0  # of the mapping's dense layers, relative to the other layers
    coarse: tuple[tuple[float, float], ...] = ((0.08, 2.0), (0.3, 1.0))  # until share, lod
    face_weight: float = 6.0
    critic: float = 0.0  # the critic's gradient, as a share of the teacher's; 0: no critic
    critic_lr: float = 1e-3
    start_from: str | None = None  # a generator.safetensors to go on with
    compile: bool = False  # full resolution through torch.compile: faster, needs a C++ compiler

    @property
    def generator(self) -> GeneratorConfig:
        return GeneratorConfig(3, 16, self.w_dim, self.channels)


class DomainRecipe:
    """See the head of the file. Of the loop's contract: generator (averaged) and perhaps critic."""

    def __init__(self, config: DomainConfig, domain: Domain) -> None:
        self.config, self.domain = config, domain
        self.generator = Generator(config.generator).train()
        with torch.no_grad():  # let the mapping see the code, not the numbers that mean nothing
            self.generator.mapping.dense0.weight[:, :CODE_SIZE] *= 2
            self.generator.mapping.dense0.weight[:, CODE_SIZE : config.w_dim] = 0
        if config.start_from:
            self.generator.load_state_dict(fitting(Path(config.start_from), self.generator))
        self.synthesis = self.generator.synthesis
        if config.compile:
            self.synthesis = torch.compile(self.synthesis)
        self.modules: dict[str, nn.Module] = {"generator": self.generator}
        matrices, rest = by_kind(self.generator, config.mapping_speed)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "matrices": Muon(matrices, config.lr),
            "rest": torch.optim.Adam(rest, config.lr, (0.9, 0.99), fused=True),
        }
        if config.critic:
            self.critic = PatchCritic().train()
            self.modules["critic"] = self.critic
            self.optimizers["critic"] = torch.optim.Adam(
                self.critic.parameters(), config.critic_lr, (0.0, 0.99), fused=True
            )
        self.schedulers: dict[str, Any] = {}
        self.averaged = ("generator",)
        self.lod = 0.0

    def step(self, batch: DomainBatch, run: Run) -> dict[str, float | Tensor]:
        config, share = self.config, min(1.0, run.step / self.config.steps)
        speed = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
        for name, optimizer in self.optimizers.items():
            peak = config.critic_lr if name == "critic" else config.lr
            for group in optimizer.param_groups:
                group["lr"] = peak * speed * group.get("speed", 1.0)
        lod = self.lod = next((lod for until, lod in config.coarse if share < until), 0.0)
        z, label = latent(batch.codes, config.w_dim), batch.faces.labels
        real, weight = targets(batch.faces, lod, config.face_weight)
        fake = draw(self.generator, z, label, lod, self.synthesis if not lod else None)
        loss = picture_loss(fake, real, weight)
        row: dict[str, float | Tensor] = {"loss": loss.detach(), "lod": lod}
        if config.critic and not lod:
            piece, true_piece = same_piece(fake, real)
            row["critic_loss"] = self.criticise(piece, true_piece, run)
            self.critic.requires_grad_(False)
            loss = balanced(loss, -self.critic(piece).mean(), fake, config.critic)
            self.critic.requires_grad_(True)
        run.backward(loss)
        run.update("matrices")
        run.update("rest")
        return row

    def criticise(self, fake: Tensor, real: Tensor, run: Run) -> Tensor:
        """One step of the critic; its loss."""
        loss = hinge_loss(self.critic(real), self.critic(fake.detach()))
        run.backward(loss)
        run.update("critic")
        return loss.detach()

    def epoch_end(self, run: Run) -> dict[str, float]:
        rows = range(0, len(self.domain.held), max(1, len(self.domain.held) // 32))
        batch = self.domain.held.take(rows)
        generator = run.averaged.get("generator", self.generator)
        with torch.no_grad(), run.autocast():
            fake = draw(generator, latent(batch.codes, self.config.w_dim, still=True),
                        batch.faces.labels, self.lod)  # fmt: skip
        real, _ = targets(batch.faces, self.lod, 1.0)
        error = (fake.float().clamp(-1, 1) - real).square().mean((1, 2, 3)) / 4
        decibels = -10 * error.log10()
        return {"held_psnr": float(decibels.mean()), "held_psnr_worst": float(decibels.min())}

    def samples(self, run: Run) -> NDArray[np.uint8]:
        """Held-out truths above what is drawn for them: two double rows of eight."""
        rows = range(0, len(self.domain.held), max(1, len(self.domain.held) // 16))
        batch = self.domain.held.take(rows[:16])
        generator = run.averaged.get("generator", self.generator)
        fake = draw(generator, latent(batch.codes, self.config.w_dim, still=True),
                    batch.faces.labels, self.lod)  # fmt: skip
        real, _ = targets(batch.faces, self.lod, 1.0)
        truth, drawn = (
            ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8) for x in (real, fake)
        )
        strips = [
            torch.cat(list(part[i : i + 8]), 2) for i in (0, 8) for part in (truth, drawn)
            if len(part[i : i + 8]) == 8
        ] or [torch.cat(list(truth), 2), torch.cat(list(drawn), 2)]  # fmt: skip
        return torch.cat(strips, 1).permute(1, 2, 0).cpu().numpy()

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Nothing beyond the networks."""


def by_kind(
    generator: Generator, mapping_speed: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Parameter groups for Muon (weights that are matrices or kernels) and for Adam (the rest).

    StyleGAN's mapping is stored 100 times larger so that it learns 100 times slower, which keeps a
    game of two networks stable; with a teacher it would only be late.
    """
    dense, other, rest = [], [], []
    for name, p in generator.named_parameters():
        if name.startswith("mapping.dense") and p.ndim == 2:
            dense.append(p)
        elif name.endswith("weight") and p.ndim > 1 and p.shape[0] > 3:
            other.append(p)
        else:
            rest.append(p)
    return [{"params": other}, {"params": dense, "speed": mapping_speed / MAPPING_LR}], [
        {"params": rest}
    ]


def latent(codes: Tensor, width: int, still: bool = False) -> Tensor:
    """z [B, width]: the code, then numbers that mean nothing (fixed ones where `still`)."""
    shape = (len(codes), width - CODE_SIZE)
    rest = torch.randn(shape, generator=torch.Generator().manual_seed(0) if still else None)
    return torch.cat([codes, rest.to(codes)], dim=1)


def draw(
    generator: Generator, z: Tensor, label: Tensor, lod: float,
    synthesis: Callable[..., tuple[Tensor, list[Tensor]]] | None = None,
) -> Tensor:  # fmt: skip
    """float [B, 3, R >> lod, R >> lod]; synthesis: the generator's own, compiled."""
    w = generator.mapping(z, label)[0]
    wp = generator.truncation(w, 1.0, 0)
    if synthesis is None:  # a compiled one has no truth value
        synthesis = generator.synthesis
    image, _ = synthesis(wp, lod=lod)
    step = 1 << int(lod)
    return image[..., ::step, ::step]


def targets(batch: Batch, lod: float, face_weight: float) -> tuple[Tensor, Tensor]:
    """The pictures and the weight of their pixels [B, 1, ...], at the resolution of `lod`."""
    assert batch.masks is not None
    parts = torch.zeros(11, device=batch.masks.device)
    parts[list(FACE_CLASSES)] = 1.0
    weight = 1 + (face_weight - 1) * parts[batch.masks.long()][:, None]
    real, step = batch.pixels(), 1 << int(lod)
    if step > 1:
        real, weight = F.avg_pool2d(real, step), F.avg_pool2d(weight, step)
    return real, weight / weight.mean()


def picture_loss(fake: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of pixels, and of their differences to the neighbours at three scales."""
    error = fake.float() - real
    loss = (error.abs() * weight).mean()
    for _ in range(3):
        across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
        down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
        loss = loss + across.mean() + down.mean()
        error, weight = F.avg_pool2d(error, 2), F.avg_pool2d(weight, 2)
    return loss


def fitting(path: Path, generator: Generator) -> dict[str, Tensor]:
    """Weights to start from: a generator of this size, or a smaller one, the rest as it is.

    Raises CheckpointError for a file that holds no generator, BadInput for one that cannot grow.
    """
    from ohlora.checkpoints.load import load_generator

    found, own = load_generator(path).state, generator.state_dict()
    wrong = [n for n, a in found.items() if n not in own or tuple(own[n].shape) != a.shape]
    if wrong:
        raise BadInput(
            f"{path} is of another generator ({wrong[0]} differs): start from the same channels, "
            "or from fewer resolutions.",
            f"{path}은(는) 다른 생성기예요({wrong[0]}). 채널이 같거나 해상도가 낮은 생성기에서 "
            "시작해 주세요.",
        )
    return own | {name: torch.from_numpy(array.copy()) for name, array in found.items()}


def her_z(width: int) -> NDArray[np.float32]:
    """Her own latent [width]: the zero code and fixed numbers that mean nothing."""
    return latent(torch.zeros(1, CODE_SIZE), width, still=True)[0].numpy()


def train_domain(data: Path, config: DomainConfig, loop: LoopConfig, run_dir: Path) -> Path:
    """Train, then write beside the generator: her z (z.csv), labels.json, scores.json.

    Raises what read_domain and loop.train raise.
    """
    domain = read_domain(data, config.generator.resolution)
    seed_all(loop.seed)  # the first weights too
    train(DomainRecipe(config, domain), domain.train, loop, run_dir)
    domain.labels.save(run_dir / "labels.json")
    domain.scores.save(run_dir / "scores.json")
    rows = (
        ",".join(map(str, range(config.w_dim))),
        ",".join(map(repr, her_z(config.w_dim).tolist())),
    )
    write_whole(run_dir / "z.csv", ("\n".join(rows) + "\n").encode())  # as v1's
    return run_dir
