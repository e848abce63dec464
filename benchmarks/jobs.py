"""Does a learned job beat the simpler way it would replace? On development data.

    python -m benchmarks.jobs --memory RUN_DIR/adapter --expression ... --summary ...

The adapters come from `ohlora train llm RUN_DIR --job NAME` and are switched on one base (the
embedded one, as transformers has it).

memory       sentences of tests/memory/heldout.txt, labelled by hand; against memory/extract's rules
expression   every fifth line of expression/lines.toml; against the regression of
             expression/learned.py, fitted to the other lines
summary      talks of evaluation/development; against memory/summary.py. What counts is whether the
             line still holds what is asked later, and how short it is
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from benchmarks.report import Row
from benchmarks.training_llm import transformers_base
from ohlora.embedding import load_encoder
from ohlora.evaluation.sets import memory_scripts
from ohlora.expression import Expression, learned
from ohlora.llm.hf import HFJobs
from ohlora.llm.jobs import face_said, facts_said, words_of
from ohlora.paths import embedded
from ohlora.training.llm_jobs import facts_of, job_rows, summary_of
from ohlora.training.llm_tokens import embedded_coder

Says = Callable[[str], str]
LINES = embedded() / "personas" / "ohlora" / "lines"
SENTENCES = Path(__file__).parent.parent / "tests" / "memory" / "heldout.txt"
TURNS = 5  # of a conversation, summed up at once


def write_base(folder: Path) -> None:
    """The embedded base as a Hugging Face folder."""
    path = embedded() / "llm" / "tokenizer.json"
    transformers_base(embedded_coder(path)).save_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)]
    )
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def memory(says: Says) -> Iterator[Row]:
    lines = [line for line in SENTENCES.read_text("utf-8").splitlines() if line[:1] not in "#"]
    turns = [line.split(" | ")[0].strip() for line in lines]
    wanted = [set(re.split(r";\s*", line.split(" | ")[1].strip())) - {"-"} for line in lines]
    ruled = [{text[1:-1] for text in facts_of(turn)} for turn in turns]
    told = [{f"{key}: {value}" for key, value in facts_said(says(turn))} for turn in turns]
    for name, found in (("rules", ruled), ("learned", told)):
        right = sum(len(a & b) for a, b in zip(found, wanted, strict=True))
        silent = [not a for a, b in zip(found, wanted, strict=True) if not b]
        yield Row(f"memory, {name}: precision", right / max(1, sum(map(len, found))), "")
        yield Row(f"memory, {name}: recall", right / sum(map(len, wanted)), "")
        yield Row(f"memory, {name}: silent where nothing is told", float(np.mean(silent)), "")


def expression(says: Says) -> Iterator[Row]:
    held = {row.user for row in job_rows("expression", LINES) if row.split == "test"}
    everything = learned.lines()
    asked = [row for row in everything if row[0] in held]
    wanted = [learned.FACES[feeling] for _, feeling in asked]
    ridge = learned.Learned(
        load_encoder("embedded").encode, [row for row in everything if row[0] not in held]
    )
    axes = ("eyes", "mouth", "pose")
    middle = Expression(
        *(float(np.mean([getattr(face, axis) for face in learned.FACES.values()])) for axis in axes)
    )
    for name, found in (
        ("regression", [ridge(line) for line, _ in asked]),
        ("learned", [face_said(says(line)) or middle for line, _ in asked]),
    ):
        gaps = [
            abs(getattr(a, axis) - getattr(b, axis))
            for a, b in zip(found, wanted, strict=True)
            for axis in axes
        ]
        right = [words_of(a) == words_of(b) for a, b in zip(found, wanted, strict=True)]
        yield Row(f"expression, {name}: error", float(np.mean(gaps)), "sd")
        yield Row(f"expression, {name}: all three words right", float(np.mean(right)), "")


def summary(says: Says) -> Iterator[Row]:
    groups: list[list[str]] = []
    wants: list[str] = []
    for script in memory_scripts("development"):
        turns = [step.say for step in script.steps if step.say]
        groups += [turns[at : at + TURNS] for at in range(0, len(turns), TURNS)]
        wants += [step.want for step in script.steps if step.want]
    whole = [" / ".join(turns) for turns in groups]
    held = [(want, at) for want in wants for at, text in enumerate(whole) if re.search(want, text)]
    for name, lines in (
        ("rule", [summary_of(turns) for turns in groups]),
        ("learned", [says(text) for text in whole]),
    ):
        kept = [bool(re.search(want, lines[at])) for want, at in held]
        yield Row(f"summary, {name}: holds what is asked later", float(np.mean(kept)), "")
        size = sum(map(len, lines)) / sum(map(len, whole))
        yield Row(f"summary, {name}: length", size, "of the turns")


MEASURES = {"memory": memory, "expression": expression, "summary": summary}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for job in MEASURES:
        parser.add_argument(f"--{job}", type=Path, help="its adapter")
    given = {job: path for job, path in vars(parser.parse_args()).items() if path}
    with tempfile.TemporaryDirectory() as folder:
        write_base(Path(folder))
        jobs = HFJobs(Path(folder), given)
        for job in given:
            for row in MEASURES[job](lambda text, job=job: jobs.ask(job, text)):
                print(json.dumps(row.to_dict(), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
