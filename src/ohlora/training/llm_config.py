"""Settings of `ohlora train llm`, and the presets by name. Imports nothing heavy.

embedded      Gemma 3 270M with its vocabulary pruned to Korean: trained by llm.py
v1-faithful   Polyglot-Ko 1.3B as v1 published it, its template included (spec/training.md 5):
              trained by llm_trl.py, as is every other base
"""

from __future__ import annotations

from dataclasses import dataclass

LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class TrainConfig:
    chatbot_data: str = ""  # path of ChatbotData.csv.xz; "" for no small talk
    lines: str = ""  # folder of her written lines
    tokenizer: str = ""  # the pruned tokenizer.json of the embedded base
    base: str = ""  # folder or hub id of another base; "" for the embedded one
    data: str = ""  # a .jsonl or .csv file of pairs in place of the lines
    job: str = "answer"  # or memory, expression, summary
    template: str = "shared"  # or "published": v1's, which inference does not share
    total_steps: int = 1_000
    epochs: int = 0  # passes over her lines, in place of total_steps
    batch_size: int = 32  # rows per step
    context: int = 512  # most tokens of a row
    own_share: float = 0.62  # of the rows that are her lines; the rest is Chatbot_data
    facts_times: int = 2  # how often an epoch sees each line about who she is
    reworded: int = 1  # questions are typed in other ways as they are drawn; 0: as written
    rank: int = 16
    alpha: float = 32.0
    targets: str = ",".join(LINEARS)  # layers that get an adapter; all-linear on other bases
    dropout: float = 0.0  # on the way into the adapter; other bases only
    gaussian: int = 0  # 1: the adapter begins with normal numbers; other bases only
    noise: float = 2.0  # NEFTune; 0 for none
    lr: float = 4e-4
    schedule: str = "cosine"  # down to 2 %; or "linear", down to 0
    warmup_steps: int = 50
    weight_decay: float = 0.01
    beta2: float = 0.99  # of AdamW
    clip: float = 1.0  # gradient norm
    log_every: int = 10  # steps
    save_every: int = 150  # steps
    samples: int = 6  # held-out questions that are answered after every pass
    keep: int = 2  # newest checkpoints
    threads: int = 2
    device: str = "cpu"  # or "auto"
    seed: int = 7


# Where things are and how long to go on; everything else decides what a step computes.
FREE = ("chatbot_data", "lines", "tokenizer", "data", "total_steps", "epochs", "log_every",
        "save_every", "samples", "keep", "threads", "device")  # fmt: skip

PRESETS = {
    "embedded": TrainConfig(),
    "v1-faithful": TrainConfig(
        base="polyglot-ko-1.3b",
        template="published",
        epochs=80,
        batch_size=4,
        context=1024,
        own_share=1.0,
        facts_times=1,
        reworded=0,
        rank=128,
        alpha=16.0,
        targets="query_key_value",
        dropout=0.05,
        gaussian=1,
        noise=0.0,
        lr=2e-4,
        schedule="linear",
        warmup_steps=0,
        weight_decay=0.0,
        beta2=0.999,
        log_every=5,
        save_every=90,  # an epoch of v1's 360 rows
        samples=60,  # all of v1's validation
        keep=3,
        device="auto",
    ),
}
