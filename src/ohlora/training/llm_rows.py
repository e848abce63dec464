"""The rows of one training: from the lines, a file or a job's own source, and kept with the run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.training.llm_config import TrainConfig
from ohlora.training.llm_data import Mix, Row, read_chatbot_data, read_pairs, read_persona, split


@dataclass(frozen=True)
class Rows:
    own: list[Row]
    small_talk: list[Row]
    by_hash: bool = True  # one in twenty is held out beside the marked ones

    @property
    def trained(self) -> tuple[list[Row], list[Row]]:
        return split(self.own, self.by_hash)[0], split(self.small_talk, self.by_hash)[0]

    @property
    def held(self) -> dict[str, list[Row]]:
        parts = {"own": self.own, "small_talk": self.small_talk}
        found = {name: split(rows, self.by_hash)[1] for name, rows in parts.items()}
        return {name: rows for name, rows in found.items() if rows}

    def mix(self, config: TrainConfig) -> Mix:
        own, small_talk = self.trained
        return Mix(
            own, small_talk, config.own_share, config.batch_size, config.seed,
            window=16 if config.reworded else 1,
            rewords=bool(config.reworded) and config.job == "answer",
        )  # fmt: skip

    def digest(self) -> str:
        text = repr([self.own, self.small_talk])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def steps_of(config: TrainConfig, mix: Mix) -> int:
    """Optimizer steps in all."""
    if config.epochs:
        return math.ceil(config.epochs * len(mix) / config.batch_size)
    return config.total_steps


def rows_for(config: TrainConfig, run_dir: Path) -> Rows:
    """The rows the run in the folder began with, or those it would begin with. Raises BadInput."""
    path = run_dir / "rows.jsonl"
    if path.is_file():
        kept: dict[str, list[Row]] = {"own": [], "small_talk": []}
        for line in path.read_text("utf-8", "surrogatepass").splitlines():
            entry = json.loads(line)
            part, memories = entry.pop("part"), tuple(entry.pop("memories"))
            kept[part].append(Row(memories=memories, **entry))
        return Rows(**kept, by_hash=config.template != "published")
    rows = read_rows(config)
    if not rows.trained[0]:
        where = config.data or config.lines
        raise BadInput(
            f"{where} holds no line to train on: write some first.",
            f"{where}에 학습할 대사가 없어요. 먼저 적어 주세요.",
        )
    return rows


def keep_rows(rows: Rows, run_dir: Path) -> None:
    """run_dir/rows.jsonl, if it is not there: a resumed run goes on with the same rows."""
    path = run_dir / "rows.jsonl"
    if not path.is_file():
        parts = [("own", row) for row in rows.own]
        parts += [("small_talk", row) for row in rows.small_talk]
        lines = [
            json.dumps({"part": part, **asdict(row)}, ensure_ascii=False) for part, row in parts
        ]
        write_whole(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass"))


def read_rows(config: TrainConfig) -> Rows:
    """Rows of config.data, else of the job's own source. Raises BadInput."""
    if config.data:
        exact = config.template == "published"
        own = read_pairs(Path(config.data), config.job, exact)
    elif config.job != "answer":
        from ohlora.training.llm_jobs import job_rows

        own = job_rows(config.job, Path(config.lines))
    else:
        own = read_persona(Path(config.lines), config.facts_times)
    small_talk: list[Row] = []
    if config.chatbot_data and config.job == "answer":
        small_talk = read_chatbot_data(Path(config.chatbot_data), config.seed)
    return Rows(own, small_talk, config.template != "published")
