"""Rows as tokens: what is read, and which tokens carry loss. Training, preview and checks share it.

A prompt is cut by itself, as at inference, and the answer by itself after it:

    <bos> [내일 일정: 카페] 나 내일 뭐 하지? (답변 시작) | 카페 가잖아! (답변 종료) <eos>
                                              no loss | loss
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ohlora.dialogue.prompt import Prompt
from ohlora.errors import BadInput
from ohlora.llm.adapter import vocabulary_digest
from ohlora.training.llm_config import TrainConfig
from ohlora.training.llm_data import Row

PUBLISHED_MARK = " ### 답변:"  # v1 trained with it and prompted without it


@dataclass(frozen=True)
class Coder:
    """How a base cuts text.

    published: as v1 did it, for `v1-faithful`: one text with "### 답변:" after the start mark,
    cut whole; loss after that mark, which the model never saw when it was asked.
    """

    tokenizer: Tokenizer
    begin: tuple[int, ...]  # ids in front of every prompt
    end: int  # id after every answer
    pad: int
    context: int  # most tokens of a row
    published: bool = False

    def prompt(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [*self.begin, *ids]

    def line(self, row: Row) -> tuple[list[int], int]:
        """A row's ids, and the place of the first that carries loss.

        Raises BadInput when the row is longer than the context.
        """
        if self.published:
            ids, start = self._published_line(row)
        else:
            ids = self.prompt(row.prompt_text())
            start = len(ids)
            ids += self.tokenizer.encode(row.answer_text(), add_special_tokens=False).ids
            ids.append(self.end)
        if len(ids) > self.context:
            where = row.where or repr(row.user[:40])
            raise BadInput(
                f"{where} has {len(ids)} tokens and the model reads {self.context}: shorten it.",
                f"{where}: 토큰이 {len(ids)}개예요. {self.context}개까지 읽으니 줄여 주세요.",
            )
        return ids, start

    def _published_line(self, row: Row) -> tuple[list[int], int]:
        asked = Prompt(row.user, row.memories, exact=True).completion()
        text = f"{asked}{PUBLISHED_MARK}{row.answer_text()} "
        ids = [*self.tokenizer.encode(text, add_special_tokens=False).ids, self.end]
        # Its first token depends on what stands before; v1 looked for the others.
        tail = self.tokenizer.encode(PUBLISHED_MARK.strip(), add_special_tokens=False).ids[1:]
        places = [at for at in range(len(ids)) if ids[at : at + len(tail)] == tail]
        return ids, places[0] + len(tail) if places else len(ids)

    def text(self, ids: Sequence[int]) -> str:
        """Ids as text, special tokens left out."""
        return str(self.tokenizer.decode(list(ids)))

    def digest(self) -> str:
        return vocabulary_digest(self.tokenizer.get_vocab())


def coder_for(config: TrainConfig) -> Coder:
    """Of the embedded base, or of config.base. Raises CheckpointError, BadInput."""
    if not config.base:
        return embedded_coder(Path(config.tokenizer), config.context)
    from ohlora.training.llm_trl import coder_of, load_tokenizer

    return coder_of(load_tokenizer(config.base), config)


def embedded_coder(tokenizer: Path, context: int = 512) -> Coder:
    """Of the pruned tokenizer.json, whose first tokens are pad, eos and bos."""
    return Coder(Tokenizer.from_file(str(tokenizer)), begin=(2,), end=1, pad=0, context=context)


def encode(coder: Coder, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows -> ids [B, T], wanted [B, T] (where an answer token comes next), targets [N]."""
    lines = [coder.line(row) for row in rows]
    T = max(len(ids) for ids, _ in lines) - 1
    ids = torch.full((len(lines), T), coder.pad)
    wanted = torch.zeros((len(lines), T), dtype=torch.bool)
    targets: list[int] = []
    for at, (line, start) in enumerate(lines):
        ids[at, : len(line) - 1] = torch.tensor(line[:-1])
        wanted[at, start - 1 : len(line) - 1] = True
        targets += line[start:]
    return ids, wanted, torch.tensor(targets)
