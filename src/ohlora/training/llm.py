"""Train an adapter on the embedded base, Gemma 3 270M with a pruned vocabulary; answers only.

    ohlora train llm RUN_DIR --chatbot-data ChatbotData.csv.xz
    python -m ohlora.training.llm RUN_DIR --chatbot-data ChatbotData.csv.xz     the same

A recipe of loop.py, on gemma3.py; other bases are trained by llm_trl.py, with the same rows,
tokens, held-out loss, samples, check and card. Beside what run_folder.py lists, the folder holds

    rows.jsonl              what is trained on and held out: a resumed run goes on with these rows,
                            whatever became of the lines meanwhile
    samples/000500.txt      answers to held-out questions, after every pass over her lines
    adapter/                PEFT layout, float16; rewritten with every checkpoint; README.md says
                            how it was made
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from ohlora.files import write_whole
from ohlora.llm.adapter import merge, read_adapter, write_made_with
from ohlora.llm.gguf_base import Base, load_parts, read_base, to_sentencepiece
from ohlora.paths import embedded
from ohlora.training.faults import diverged
from ohlora.training.gemma3 import Gemma3
from ohlora.training.llm_config import FREE, TrainConfig
from ohlora.training.llm_rows import Rows, keep_rows, rows_for, steps_of
from ohlora.training.llm_run import (
    Logits,
    Told,
    answers,
    check_saved,
    held_loss,
    make_optimizer,
    schedule,
    some,
    write_card,
    write_samples,
)
from ohlora.training.llm_tokens import Coder, embedded_coder, encode
from ohlora.training.loop import LoopConfig, Run
from ohlora.training.loop import train as train_in_loop
from ohlora.training.preview import check_rows

BASE = "google/gemma-3-270m"


def train(config: TrainConfig, run_dir: Path) -> Path:
    """Train; called again with the same run_dir, goes on. Returns the adapter's folder.

    Raises what loop.train raises, and AdapterCheck when the saved adapter is not the trained one.
    """
    rows = rows_for(config, run_dir)
    coder = embedded_coder(Path(config.tokenizer), config.context)
    check_rows(coder, [row for part in rows.trained for row in part])
    data = Batches(coder, rows, config)
    loop = LoopConfig(
        steps=steps_of(config, data.mix), batch_size=config.batch_size,
        log_every=config.log_every, save_every=config.save_every, keep=config.keep,
        seed=config.seed, threads=config.threads, device=config.device,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    recipe = AdapterRecipe(config, coder, rows)
    keep_rows(rows, run_dir)
    train_in_loop(recipe, data, loop, run_dir)
    return run_dir / "adapter"


@dataclass(frozen=True)
class Batch:
    ids: Tensor  # [B, T]
    wanted: Tensor  # [B, T] bool
    targets: Tensor  # [N]
    tokens: int

    def to(self, device: torch.device) -> Batch:
        moved = (tensor.to(device) for tensor in (self.ids, self.wanted, self.targets))
        return Batch(*moved, self.tokens)


class Batches:
    """The rows of a Mix as batches of tokens."""

    def __init__(self, coder: Coder, rows: Rows, config: TrainConfig) -> None:
        self.coder, self.mix, self.digest = coder, rows.mix(config), rows.digest()

    def __len__(self) -> int:
        return len(self.mix)

    def batch(self, number: int, size: int, seed: int) -> Batch:
        rows = replace(self.mix, batch_size=size, seed=seed).rows(number)
        ids, wanted, targets = encode(self.coder, rows)
        return Batch(ids, wanted, targets, int((ids != self.coder.pad).sum()))


class AdapterRecipe:
    """Cross-entropy of the answers' tokens; only the adapter is trained and kept."""

    averaged: tuple[str, ...] = ()
    exported: tuple[str, ...] = ()  # adapter/ is written here, not by the loop
    schedulers: dict[str, Any] = {}

    def __init__(self, config: TrainConfig, coder: Coder, rows: Rows) -> None:
        self.settings, self.coder, self.rows = config, coder, rows
        self.config = {k: v for k, v in asdict(config).items() if k not in FREE}
        base = load_base(coder)
        self.net = Gemma3(
            base.shape, base.tensors, config.rank, config.alpha, noise=config.noise,
            targets=config.targets.split(","),
        )  # fmt: skip
        self.modules = {"adapter": self.net}
        self.optimizer = make_optimizer(self.net.parameters(), config)
        self.optimizers = {"adapter": self.optimizer}
        self.tokens, self.since = 0, time.monotonic()
        self.losses: dict[str, float] = {}
        self.told: Told = []
        self.measured_at = -1  # step

    def step(self, batch: Batch, run: Run) -> dict[str, float | Tensor]:
        if not self.tokens:
            self.since = time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * schedule(run.step, run.config.steps, self.settings)
        loss = F.cross_entropy(self.net(batch.ids, batch.wanted), batch.targets)
        run.backward(loss)
        if run.closing:
            norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip)
            if not torch.isfinite(norm):
                raise diverged(run.step + 1, "gradient")
        run.update("adapter")
        self.tokens += batch.tokens
        speed = self.tokens / (time.monotonic() - self.since)
        return {"loss": loss.detach(), "tokens_per_s": round(speed, 1)}

    @contextmanager
    def still(self) -> Iterator[Logits]:
        """The network as it is asked, without noise."""
        device = self.net.embedding.device
        self.net.eval()
        try:
            yield lambda ids, wanted: self.net(ids.to(device), wanted.to(device))
        finally:
            self.net.train()

    def epoch_end(self, run: Run) -> dict[str, float]:
        """Held-out losses, and answers to held-out questions."""
        held = self.rows.held
        shown = some(held.get("own") or self.rows.own, self.settings.samples)
        with self.still() as logits:
            losses = {
                f"held_{name}": held_loss(logits, self.coder, rows) for name, rows in held.items()
            }
            self.told = list(zip(shown, answers(logits, self.coder, shown), strict=True))
        write_samples(run.path, run.step, self.told)
        self.losses, self.measured_at = losses, run.step
        return losses

    def samples(self, run: Run) -> None:
        return None

    def saved(self, run: Run) -> None:
        export_adapter(run.path / "adapter", self.net, self.settings, self.coder)

    def finish(self, run: Run) -> dict[str, float]:
        """Held-out loss, the check of what was saved, and the card."""
        if self.measured_at != run.step:
            self.epoch_end(run)
        folder, rows = run.path / "adapter", self.rows.held.get("own") or self.rows.own
        off = check_saved(*self.both(folder), self.coder, rows)
        write_card(folder, self.about(run, off), self.told)
        return {**self.losses, "saved_off": off}

    def both(self, folder: Path) -> tuple[Logits, Logits]:
        """The trained network, and the base with the saved adapter folded in, in float32."""
        base, config = load_base(self.coder), self.settings
        trained = Gemma3(
            base.shape, base.tensors, config.rank, config.alpha, torch.float32,
            targets=config.targets.split(","),
        )  # fmt: skip
        trained.load_state_dict(self.net.state_dict())
        folded = merge(base.tensors, read_adapter(folder))
        merged = Gemma3(base.shape, folded, dtype=torch.float32, targets=())
        return trained.eval(), merged.eval()

    def about(self, run: Run, off: float) -> dict[str, object]:
        config, (own, small_talk) = self.settings, self.rows.trained
        return {
            "base": f"{BASE}, {len(self.coder.tokenizer.get_vocab()):,} tokens of its vocabulary "
            f"(tokenizer {self.coder.digest()}); Gemma Terms of Use",
            "job": config.job,
            "LoRA": f"rank {config.rank}, alpha {config.alpha:g}, {config.targets}",
            "rows": f"{len(own)} of its own, {len(small_talk)} small talk "
            f"({config.own_share:.0%} of a batch its own)",
            "training": f"{run.step} steps of {config.batch_size} rows, peak learning rate "
            f"{config.lr:g}, NEFTune {config.noise:g}, seed {config.seed}",
            **{f"{name} (nats a token)": value for name, value in self.losses.items()},
            "saved, loaded, merged": f"differs by {off:.2g} of the logits' deviation",
        }

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        pass


def load_base(coder: Coder) -> Base:
    """The dequantised base with the coder's rows of the embedding, float32."""
    order = sorted(coder.tokenizer.get_vocab().items(), key=lambda item: item[1])
    keep = [to_sentencepiece(token) for token, _ in order]
    return read_base(load_parts(lambda what, part: None), keep)


def export_adapter(folder: Path, net: Gemma3, config: TrainConfig, coder: Coder) -> None:
    """Write the adapter as PEFT reads it, in float16, without embeddings. Raises Unwritable."""
    state = {name: t.half().cpu().contiguous() for name, t in net.adapter_state().items()}
    settings = {
        "base_model_name_or_path": BASE,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": config.rank,
        "target_modules": sorted(config.targets.split(",")),
        "task_type": "CAUSAL_LM",
    }
    write_whole(folder / "adapter_config.json", (json.dumps(settings, indent=2) + "\n").encode())
    write_made_with(folder, coder.digest(), config.job)
    write_whole(folder / "adapter_model.safetensors", save(state, metadata={"format": "pt"}))


def main() -> None:
    defaults = TrainConfig(
        lines=str(embedded() / "personas" / "ohlora" / "lines"),
        tokenizer=str(embedded() / "llm" / "tokenizer.json"),
    )
    parser = argparse.ArgumentParser(description="Train an adapter on the embedded base.")
    parser.add_argument("run_dir", type=Path)
    for field in fields(TrainConfig):
        value = getattr(defaults, field.name)
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, help=f"default {value}")
    options = vars(parser.parse_args())
    run_dir = options.pop("run_dir")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train(TrainConfig(**options), run_dir)


if __name__ == "__main__":
    main()
