"""Train an adapter on any causal language model with trl and peft.

    ohlora train llm RUN_DIR --base my-llama/ --epochs 3
    ohlora train llm RUN_DIR --preset v1-faithful --data OhLoRA_fine_tuning_25042213.csv

The base is bfloat16 and frozen, the adapter float32. trl's SFTTrainer makes the steps; rows, tokens
and their loss, held-out loss, samples, check and card are those of llm.py, so are the run folder
and its resume. Checkpoints are trl's own, written beside and renamed when whole, and without the
pickled arguments that it would add.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ohlora.checkpoints.named import path_of
from ohlora.errors import BadInput, CheckpointError
from ohlora.llm.adapter import write_made_with
from ohlora.training.faults import check_finite, diverged
from ohlora.training.llm_config import FREE, TrainConfig
from ohlora.training.llm_data import Mix
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
from ohlora.training.llm_tokens import Coder
from ohlora.training.preview import check_rows
from ohlora.training.run_folder import RunFolder

log = logging.getLogger(__name__)
IGNORED = -100  # a label without loss


def train(config: TrainConfig, run_dir: Path) -> Path:
    """Train; called again with the same run_dir, goes on. Returns the adapter's folder.

    On a CPU a resumed run ends bit by bit like one that was never stopped. Raises BadInput (rows,
    targets), CheckpointError (base, another configuration), StoreError (full disk), TrainingError
    (NaN), AdapterCheck (the saved adapter is not the trained one).
    """
    torch.set_num_threads(config.threads)
    rows = rows_for(config, run_dir)
    tokenizer = load_tokenizer(config.base)
    coder = coder_of(tokenizer, config)
    check_rows(coder, [row for part in rows.trained for row in part])
    mix = rows.mix(config)
    steps = steps_of(config, mix)
    settings = {k: v for k, v in asdict(config).items() if k not in FREE}
    wanted = {
        "recipe": "trl", "loop": {"steps": steps}, "data": rows.digest(),
        "settings": {**settings, "vocabulary": coder.digest()},
    }  # fmt: skip
    folder = RunFolder(run_dir, wanted, config.keep)
    keep_rows(rows, run_dir)
    torch.manual_seed(config.seed)
    model = with_adapter(load_base(config.base), config)
    with quiet():
        trainer = make_trainer(model, tokenizer, coder, mix, steps, config, folder, rows)
        newest = folder.checkpoints[-1] if folder.checkpoints else None
        folder.begin(int(newest.name.removeprefix("step_")) if newest else 0)
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    finish(trainer, run_dir)
    return run_dir / "adapter"


def load_tokenizer(base: str) -> Any:
    """The base's tokenizer. Raises CheckpointError."""
    from transformers import AutoTokenizer

    where = path_of(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(where.as_posix())
    except Exception as error:  # transformers raises almost anything on a bad folder
        raise unreadable(where, error) from error
    if not getattr(tokenizer, "is_fast", False) or tokenizer.eos_token_id is None:
        raise CheckpointError(
            where,
            "its tokenizer has no fast form or no end token: choose another base.",
            "빠른 토크나이저나 끝 토큰이 없어요. 다른 바탕 모델을 골라 주세요.",
        )
    return tokenizer


def coder_of(tokenizer: Any, config: TrainConfig) -> Coder:
    """How the base reads a prompt at inference: whatever its tokenizer puts in front of it."""
    plain = tokenizer("가", add_special_tokens=False)["input_ids"]
    whole = tokenizer("가")["input_ids"]
    begin = tuple(whole[: len(whole) - len(plain)]) if whole[-len(plain) :] == plain else ()
    pad = tokenizer.pad_token_id
    return Coder(
        tokenizer.backend_tokenizer, begin, tokenizer.eos_token_id,
        tokenizer.eos_token_id if pad is None else pad, config.context,
        config.template == "published",
    )  # fmt: skip


def load_base(base: str) -> Any:
    """The base model in bfloat16. Raises CheckpointError."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    where = path_of(base)
    try:
        return AutoModelForCausalLM.from_pretrained(where.as_posix(), dtype=torch.bfloat16)
    except Exception as error:
        raise unreadable(where, error) from error


def unreadable(where: Path, error: Exception) -> CheckpointError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return CheckpointError(
        where,
        f"the base cannot be loaded ({first}): give a folder or hub id of a causal language model.",
        f"바탕 모델을 읽을 수 없어요({first}). 언어 모델의 폴더나 허브 이름을 적어 주세요.",
    )


def with_adapter(base: Any, config: TrainConfig) -> Any:
    """The base with a fresh adapter. Raises BadInput when it has none of the target layers."""
    from peft import LoraConfig, get_peft_model

    everywhere = config.targets == "all-linear"
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        init_lora_weights="gaussian" if config.gaussian else True,
        target_modules="all-linear" if everywhere else config.targets.split(","),
        task_type="CAUSAL_LM",
    )
    try:
        with quiet():
            return get_peft_model(base, lora)
    except ValueError as error:
        linear = {
            name.rpartition(".")[2] for name, module in base.named_modules()
            if isinstance(module, nn.Linear)
        }  # fmt: skip
        raise BadInput(
            f"The base has no layer {config.targets!r} for the adapter: choose among "
            f"{', '.join(sorted(linear))}, or all-linear.",
            f"바탕 모델에 {config.targets!r} 층이 없어요. {', '.join(sorted(linear))}, all-linear "
            "가운데 골라 주세요.",
        ) from error


def make_trainer(
    model: Any,
    tokenizer: Any,
    coder: Coder,
    mix: Mix,
    steps: int,
    config: TrainConfig,
    folder: RunFolder,
    rows: Rows,
) -> Any:
    """An SFTTrainer that sees the rows of `mix` in their order and writes into `folder`."""
    from datasets import Dataset
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import PrinterCallback
    from trl import SFTConfig

    lines = [coder.line(row) for step in range(steps) for row in mix.rows(step)]
    data = Dataset.from_dict(
        {
            "input_ids": [ids for ids, _ in lines],
            "labels": [[IGNORED] * start + ids[start:] for ids, start in lines],
        }
    )
    optimizer = make_optimizer((p for p in model.parameters() if p.requires_grad), config)
    arguments = SFTConfig(
        str(folder.path),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        max_grad_norm=config.clip,
        neftune_noise_alpha=config.noise or None,
        activation_checkpointing=False,
        bf16=False,  # the base's weights are; the adapter stays float32
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        save_steps=config.save_every,
        use_cpu=config.device == "cpu",
        seed=config.seed,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    factor = LambdaLR(optimizer, lambda step: schedule(step, steps, config))
    trainer = answer_trainer()(
        model, arguments, train_dataset=data, processing_class=tokenizer,
        optimizers=(optimizer, factor),
        coder=coder, rows=rows, mix=mix, folder=folder, settings=config,
        lengths=[len(ids) for ids, _ in lines],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # log.jsonl has it all
    return trainer


def answer_trainer() -> Any:
    """The class, made when trl is at hand."""
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        def __init__(
            self,
            *arguments: Any,
            coder: Coder,
            rows: Rows,
            mix: Mix,
            folder: RunFolder,
            settings: TrainConfig,
            lengths: list[int],
            **named: Any,
        ) -> None:
            self.coder, self.rows, self.mix, self.folder = coder, rows, mix, folder
            self.settings, self.lengths = settings, lengths
            self.losses: dict[str, float] = {}
            self.told: Told = []
            self.measured_at = -1  # step
            self.begun: tuple[int, float] | None = None  # step and time
            super().__init__(*arguments, **named)

        @property
        def epoch(self) -> int:
            """Passes over the lines that are finished."""
            return int(self.state.global_step * self.settings.batch_size // len(self.mix))

        def training_step(self, *arguments: Any, **named: Any) -> Tensor:
            if self.begun is None:
                self.begun = self.state.global_step, time.monotonic()
            loss: Tensor = super().training_step(*arguments, **named)
            if not torch.isfinite(loss):
                raise diverged(self.state.global_step + 1, "")
            return loss

        def _get_grad_norm(self, *arguments: Any, **named: Any) -> Any:
            norm = super()._get_grad_norm(*arguments, **named)
            if not torch.isfinite(torch.as_tensor(norm)):
                raise diverged(self.state.global_step + 1, "gradient")
            return norm

        def _maybe_log_save_evaluate(self, *arguments: Any, **named: Any) -> None:
            step, batch = self.state.global_step, self.settings.batch_size
            if self.epoch > (step - 1) * batch // len(self.mix):
                self.folder.note(step, epoch=self.epoch, **self.measure())
            super()._maybe_log_save_evaluate(*arguments, **named)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs and self.begun:
                first, since = self.begun
                size = self.settings.batch_size
                tokens = sum(self.lengths[first * size : self.state.global_step * size])
                speed = round(tokens / (time.monotonic() - since), 1)
                row = {"loss": round(float(logs["loss"]), 4), "tokens_per_s": speed}
                self.folder.note(self.state.global_step, **row)
                log.info("step %d %s", self.state.global_step, row)
            super().log(logs, start_time)

        def measure(self) -> dict[str, float]:
            """Held-out losses, and answers to held-out questions."""
            held = self.rows.held
            shown = some(held.get("own") or self.rows.own, self.settings.samples)
            with still(self.model) as logits:
                self.losses = {
                    f"held_{name}": held_loss(logits, self.coder, found)
                    for name, found in held.items()
                }
                self.told = list(zip(shown, answers(logits, self.coder, shown), strict=True))
            write_samples(self.folder.path, self.state.global_step, self.told)
            self.measured_at = self.state.global_step
            return self.losses

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            check_finite(self.state.global_step, self.model)
            with self.folder.new_checkpoint(self.state.global_step) as part:
                kept, self.args.output_dir = self.args.output_dir, str(part)
                try:
                    super()._save_checkpoint(model, trial)
                finally:
                    self.args.output_dir = kept
                (inner,) = part.iterdir()
                for path in inner.iterdir():
                    os.replace(path, part / path.name)
                inner.rmdir()

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            save_adapter(self.model, Path(output_dir or self.args.output_dir))

        def create_model_card(self, *arguments: Any, **named: Any) -> None:
            pass  # finish() writes one

    return AnswerTrainer


def save_adapter(model: Any, folder: Path) -> None:
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # peft's, of empty headings


@contextmanager
def still(model: Any) -> Iterator[Logits]:
    """The network as it is asked: without dropout or noise, its random numbers untouched."""
    device = next(model.parameters()).device

    def logits(ids: Tensor, wanted: Tensor) -> Tensor:
        out: Tensor = model(input_ids=ids.to(device), use_cache=False).logits
        return out[wanted.to(device)].float()

    was_training = model.training
    model.eval()
    try:
        yield logits
    finally:
        model.train(was_training)


def finish(trainer: Any, run_dir: Path) -> None:
    """Write adapter/, check it against what was trained, and write its card."""
    config, coder, rows = trainer.settings, trainer.coder, trainer.rows
    if trainer.measured_at != trainer.state.global_step:
        trainer.measure()
    adapter, part = run_dir / "adapter", run_dir / ".adapter.part"
    with trainer.folder.writing():
        shutil.rmtree(part, ignore_errors=True)
        save_adapter(trainer.model, part)
        write_made_with(part, coder.digest(), config.job)
        shutil.rmtree(adapter, ignore_errors=True)
        os.replace(part, adapter)
    off = check_adapter(trainer, adapter)
    own, small_talk = rows.trained
    about = {
        "base": config.base,
        "job": config.job,
        "template": config.template,
        "LoRA": f"rank {config.rank}, alpha {config.alpha:g}, {config.targets}",
        "rows": f"{len(own)} of its own, {len(small_talk)} small talk",
        "training": f"{trainer.state.global_step} steps of {config.batch_size} rows, peak learning "
        f"rate {config.lr:g} ({config.schedule}), seed {config.seed}",
        "tokenizer": coder.digest(),
        **{f"{name} (nats a token)": value for name, value in trainer.losses.items()},
        "saved, loaded, merged": f"differs by {off:.2g} of the logits' deviation",
    }
    write_card(adapter, about, trainer.told)
    trainer.folder.note(trainer.state.global_step, **trainer.losses, saved_off=off)
    trainer.folder.export({}, {})


def check_adapter(trainer: Any, adapter: Path) -> float:
    """check_saved in float32: the model in memory, and base + adapter as they lie on the disk."""
    from peft import PeftModel

    with quiet():
        base = load_base(trainer.settings.base).float()  # rounded as the trained one is
        merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    trainer.model.float()
    merged.to(next(trainer.model.parameters()).device)
    rows = trainer.rows.held.get("own") or trainer.rows.own
    with still(trainer.model) as trained, still(merged) as loaded:
        return check_saved(trained, loaded, trainer.coder, rows)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notes of trl, peft and transformers about names they give up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
