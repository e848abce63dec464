"""The transformer sentence encoder as it is trained: BERT layers whose weights are seen in 4 bit.

    N tokens of B sentences lie packed, one sentence under the other, so that padding costs nothing
    outside the attention; D width, H heads, K head size

    hidden    [N, D]     token + position, LayerNorm; layers of attention and MLP, LayerNorm after
    vector    [B, D]     mean over a sentence's tokens, unit length

While it is `rounded` each matrix is rounded to 4 bit on its way forward and gets its gradient as if
it were not (straight-through estimator, Bengio et al. 2013, https://arxiv.org/abs/1308.3432), so
that what is trained is what is shipped. A training begins unrounded: the base's weights lie on the
levels, and small steps would not leave them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from ohlora.embedding.transformer import MAX_TOKENS, token_ids
from ohlora.embedding.transformer_weights import GROUP
from ohlora.training.e5_base import E5, HEADS

CHUNK = 32  # sentences in one call of the attention


class FourBit(nn.Linear):
    """A linear layer [out, in] that is seen in 4 bit while it is `rounded`."""

    rounded = True

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, seen(self.weight) if self.rounded else self.weight, self.bias)


def seen(weight: Tensor) -> Tensor:
    """The weight rounded as transformer_weights.pack does; gradients pass unchanged."""
    rows = weight.detach().view(len(weight), -1, GROUP)
    peak = rows.gather(2, rows.abs().argmax(2, keepdim=True))
    scale = (peak / -8).half().float()
    whole = torch.where(scale == 0, 0, rows / scale.where(scale != 0, torch.ones(())))
    rounded = whole.round().clamp(-8, 7) * scale
    return weight + (rounded.view_as(weight) - weight.detach())


class Layer(nn.Module):
    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.ao = (FourBit(width, width) for _ in range(4))
        self.fi, self.fo = FourBit(width, inner), FourBit(inner, width)
        self.aln, self.oln = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)

    def forward(self, x: Tensor, chunks: Sequence[Tensor]) -> Tensor:
        """x [N, D], chunks: masks [B, T] with N true places in all -> [N, D]."""
        q, k, v = (f(x).view(len(x), self.heads, -1) for f in (self.q, self.k, self.v))
        found, start = [], 0
        for mask in chunks:
            rows = slice(start, start + int(mask.sum()))
            start = rows.stop
            found.append(attend(q[rows], k[rows], v[rows], mask))
        x = self.aln(x + self.ao(torch.cat(found)))
        return self.oln(x + self.fo(F.gelu(self.fi(x))))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """q, k and v [N, H, K] of the N true places of mask [B, T] -> [N, H*K]."""
    padded = []
    for rows in (q, k, v):
        out = rows.new_zeros(*mask.shape, *rows.shape[1:])
        out[mask] = rows
        padded.append(out.transpose(1, 2))  # [B, H, T, K]
    h = F.scaled_dot_product_attention(*padded, attn_mask=mask[:, None, None])
    return h.transpose(1, 2)[mask].flatten(1)


class SentenceTransformer(nn.Module):
    """The network that embedding/transformer.py runs without torch."""

    def __init__(
        self, tokenizer: Tokenizer, vocabulary: int, layers: int, width: int, inner: int, heads: int
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.rounded = True
        self.word = nn.Parameter(torch.zeros(vocabulary, width))
        self.pos = nn.Parameter(torch.zeros(MAX_TOKENS, width))
        self.norm = nn.LayerNorm(width, 1e-12)
        self.layers = nn.ModuleList(Layer(width, inner, heads) for _ in range(layers))

    def round(self, rounded: bool) -> None:
        """Whether its matrices are seen in 4 bit."""
        self.rounded = rounded
        for module in self.modules():
            if isinstance(module, FourBit):
                module.rounded = rounded

    def forward(self, texts: Sequence[str], drop: float = 0.0, *, replies: bool = False) -> Tensor:
        """Unit vectors [B, D]; `drop` means something to the bag encoder only."""
        known = list(dict.fromkeys(texts))
        place = {text: at for at, text in enumerate(known)}
        vectors = self.pooled(token_ids(self.tokenizer, known, replies))
        return F.normalize(vectors[torch.tensor([place[text] for text in texts])], dim=-1)

    def pooled(self, lines: Sequence[Sequence[int]]) -> Tensor:
        """Mean hidden states [B, D] of token ids."""
        # By length, the sentences of one chunk pad each other little.
        order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
        lengths = torch.tensor([len(lines[i]) for i in order])
        chunks = [
            torch.arange(int(part.max()))[None] < part[:, None] for part in lengths.split(CHUNK)
        ]
        ids = torch.tensor([token for i in order for token in lines[i]])  # [N]
        positions = torch.cat([torch.arange(int(n)) for n in lengths])
        with torch.autocast("cpu", torch.bfloat16):
            word = seen(self.word) if self.rounded else self.word
            x = self.norm(F.embedding(ids, word) + self.pos[positions])
            for layer in self.layers:
                x = layer(x, chunks)
        owner = torch.repeat_interleave(torch.tensor(order), lengths)
        total = torch.zeros(len(lines), x.shape[1]).index_add(0, owner, x.float())
        return total / torch.tensor([len(line) for line in lines])[:, None]

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, D] float32 of many texts, without a graph."""
        return torch.cat([self(texts[i : i + 512]) for i in range(0, len(texts), 512)]).numpy()


def from_base(base: E5, tokenizer: Tokenizer, layers: Sequence[int]) -> SentenceTransformer:
    """These layers of the base."""
    width = base.embedding.shape[1]
    inner = len(base.tensors["l0.fi.b"])
    model = SentenceTransformer(tokenizer, len(base.embedding), len(layers), width, inner, HEADS)
    as_torch = {name: torch.from_numpy(array.copy()) for name, array in base.tensors.items()}
    with torch.no_grad():
        model.word.copy_(torch.from_numpy(base.embedding))
        # Every token is of type 0: its vector is part of the position's.
        model.pos.copy_(as_torch["emb.pos"][:MAX_TOKENS] + as_torch["emb.type"][:width])
        model.norm.weight.copy_(as_torch["emb.ln.w"])
        model.norm.bias.copy_(as_torch["emb.ln.b"])
        for own, number in zip(model.layers, layers, strict=True):
            for name, module in own.named_children():
                module.weight.copy_(as_torch[f"l{number}.{name}.w"])
                module.bias.copy_(as_torch[f"l{number}.{name}.b"])
    return model
