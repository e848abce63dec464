"""Training an adapter on the embedded base: our recipe against trl's SFTTrainer, in tokens/s.

    python -m benchmarks.training_llm [--steps 20] [--rounds 3] [--batch 32] [--threads 2] [--cpu]

Same base, adapter, rows and batches, in bfloat16 with a float32 adapter; the two take turns. It is
part of `python -m benchmarks.training`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.report import Row
from ohlora.paths import embedded
from ohlora.training import llm_trl
from ohlora.training.llm import AdapterRecipe, Batches, load_base
from ohlora.training.llm_config import TrainConfig
from ohlora.training.llm_rows import Rows, read_rows
from ohlora.training.llm_tokens import Coder, embedded_coder
from ohlora.training.loop import LoopConfig, Run
from ohlora.training.run_folder import RunFolder

NOTE = (
    "The adapter of the embedded model: the same base, adapter, rows and batches for our recipe "
    "(gemma3.py in loop.py) and for trl's SFTTrainer with transformers and peft, one thread."
)
Clock = Callable[[], float]


def ours(config: TrainConfig, coder: Coder, rows: Rows) -> Callable[[int, Clock], float]:
    """Takes `steps` steps and says how many tokens a second it made."""
    recipe, data = AdapterRecipe(config, coder, rows), Batches(coder, rows, config)
    loop = LoopConfig(steps=10_000, batch_size=config.batch_size, device="cpu")
    run = Run(recipe, data, loop, Path())
    run.closing = True

    def take(steps: int, clock: Clock) -> float:
        recipe.step(data.batch(0, config.batch_size, config.seed), run)
        tokens, start = 0, clock()
        for number in range(1, steps):
            batch = data.batch(number, config.batch_size, config.seed)
            recipe.step(batch, run)
            tokens += batch.tokens
        return tokens / (clock() - start)

    return take


def trl(config: TrainConfig, coder: Coder, rows: Rows) -> Callable[[int, Clock], float]:
    from transformers import PreTrainedTokenizerFast, TrainerCallback

    model = llm_trl.with_adapter(transformers_base(coder), config)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=coder.tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
    )
    mix = rows.mix(config)

    class Stamps(TrainerCallback):
        def __init__(self, clock: Clock) -> None:
            self.clock, self.times = clock, list[float]()

        def on_step_end(self, *given: Any, **named: Any) -> None:
            self.times.append(self.clock())

    def take(steps: int, clock: Clock) -> float:
        with tempfile.TemporaryDirectory() as folder, llm_trl.quiet():
            made = llm_trl.make_trainer(
                model, tokenizer, coder, mix, steps, config, RunFolder(Path(folder), {}), rows
            )
            made.args.save_strategy = "no"
            stamps = Stamps(clock)
            made.add_callback(stamps)
            made.train()
        tokens = sum(made.lengths[config.batch_size :]) - (steps - 1) * config.batch_size
        return tokens / (stamps.times[-1] - stamps.times[0])

    return take


def transformers_base(coder: Coder) -> Any:
    """The embedded base as transformers has it."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    base = load_base(coder)
    shape = base.shape
    config = Gemma3TextConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads, head_dim=shape.head_size,
        query_pre_attn_scalar=shape.head_size, sliding_window=shape.window,
        tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    model = Gemma3ForCausalLM(config)
    tensors = {name: torch.from_numpy(tensor) for name, tensor in base.tensors.items()}
    model.load_state_dict(tensors, strict=False)
    model.tie_weights()
    return model.to(torch.bfloat16)


def settings(batch: int) -> TrainConfig:
    return TrainConfig(
        lines=str(embedded() / "personas" / "ohlora" / "lines"),
        tokenizer=str(embedded() / "llm" / "tokenizer.json"),
        batch_size=batch, threads=torch.get_num_threads(), log_every=10_000,
    )  # fmt: skip


def measure(config: TrainConfig, steps: int, rounds: int, clock: Clock) -> Iterator[Row]:
    coder, rows = embedded_coder(Path(config.tokenizer)), read_rows(config)
    takes = {"ours": ours(config, coder, rows), "trl": trl(config, coder, rows)}
    speeds = [{name: take(steps, clock) for name, take in takes.items()} for _ in range(rounds)]
    best = {name: max(speed[name] for speed in speeds) for name in takes}
    ratio = median(speed["ours"] / speed["trl"] for speed in speeds)
    what = f"adapter on the embedded base, batch {config.batch_size}"
    yield Row(what, best["ours"], "tokens/s", ratio, "trl's SFTTrainer")
    yield Row(f"{what}, with trl and peft", best["trl"], "tokens/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="CPU time: for a machine in use")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu else time.perf_counter
    rows = measure(settings(options.batch), options.steps, options.rounds, clock)
    print(json.dumps([row.to_dict() for row in rows], indent=1))


if __name__ == "__main__":
    main()
