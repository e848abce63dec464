"""The Gemma sentence encoder as it is trained: LoRA on frozen layers that look both ways.

    N tokens of B sentences lie packed, one sentence under the other, so that padding costs nothing
    outside the attention; D width, H heads, K head size

    hidden    [N, D]     float32 stream; base weights and products in bfloat16
    pooled    [B, D]     mean of a sentence's RMS-normed tokens, without <bos>
    vector    [B, dim]   unit length: head(pooled)

After the Gemma 3 report, https://arxiv.org/abs/2503.19786, without its causal mask. Sentences are
shorter than the sliding window, so layers differ in their rotary base only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from ohlora.embedding.gemma import token_ids
from ohlora.llm.gguf_base import Base, GemmaShape
from ohlora.training.gemma3 import LoRALinear, Norm, rotary_angles, rotate

Rotary = tuple[Tensor, Tensor]  # cos and sin, [N, 1, K] each

CHUNK = 32  # sentences in one call of the attention


class BothWays(nn.Module):
    """A Gemma layer whose tokens see every token of their own sentence."""

    def __init__(
        self, weights: Mapping[str, Tensor], shape: GemmaShape, rank: int, alpha: float
    ) -> None:
        super().__init__()
        self.shape = shape
        for name, weight in weights.items():
            leaf = name.removesuffix(".weight").rpartition(".")[2]
            norm = leaf.endswith("norm")
            module = Norm(weight, shape.norm_eps) if norm else LoRALinear(weight, rank, alpha)
            self.add_module(leaf, module)

    def forward(self, x: Tensor, rotary: Rotary, chunks: Sequence[Tensor]) -> Tensor:
        """x [N, D] float32, chunks: masks [B, T] with N true places in all -> [N, D]."""
        dtype = self.q_proj.weight.dtype
        h = self.attention(self.input_layernorm(x, dtype), rotary, chunks)
        x = x + self.post_attention_layernorm(h, x.dtype)
        h = self.pre_feedforward_layernorm(x, dtype)
        h = self.down_proj(F.gelu(self.gate_proj(h), approximate="tanh") * self.up_proj(h))
        return x + self.post_feedforward_layernorm(h, x.dtype)

    def attention(self, h: Tensor, rotary: Rotary, chunks: Sequence[Tensor]) -> Tensor:
        N, heads, kv_heads = len(h), self.shape.heads, self.shape.kv_heads
        q = rotate(self.q_norm(self.q_proj(h).view(N, heads, -1), h.dtype), *rotary)
        k = rotate(self.k_norm(self.k_proj(h).view(N, kv_heads, -1), h.dtype), *rotary)
        v = self.v_proj(h).view(N, kv_heads, -1)
        found, start = [], 0
        for mask in chunks:
            rows = slice(start, start + int(mask.sum()))
            start = rows.stop
            found.append(attend(q[rows], k[rows], v[rows], mask))
        return self.o_proj(torch.cat(found))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """q [N, H, K], k and v [N, 1 or H, K] of the N true places of mask [B, T] -> [N, H*K]."""
    padded = []
    for rows in (q, k, v):
        out = rows.new_zeros(*mask.shape, *rows.shape[1:])
        out[mask] = rows
        padded.append(out.transpose(1, 2).expand(-1, q.shape[1], -1, -1))  # [B, H, T, K]
    h = F.scaled_dot_product_attention(*padded, attn_mask=mask[:, None, None])
    return h.transpose(1, 2)[mask].flatten(1)


class SentenceGemma(nn.Module):
    """The network that embedding/gemma.py runs without torch."""

    def __init__(
        self,
        base: Base,
        tokenizer: Tokenizer,
        rank: int,
        alpha: float,
        dim: int,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        """All layers of the base, which must use rotary attention with one key head or as many
        as query heads."""
        super().__init__()
        self.shape, self.tokenizer = base.shape, tokenizer
        weights = {name: torch.from_numpy(array) for name, array in base.tensors.items()}
        embedding = weights["model.embed_tokens.weight"].to(dtype)
        self.register_buffer("embedding", embedding, persistent=False)  # [V, D]
        self.layers = nn.ModuleList()
        for number in range(base.shape.layers):
            prefix = f"model.layers.{number}."
            own = {
                name.removeprefix(prefix): weight if "norm" in name else weight.to(dtype)
                for name, weight in weights.items()
                if name.startswith(prefix)
            }
            self.layers.append(BothWays(own, self.shape, rank, alpha))
        self.head = nn.Linear(self.shape.width, dim)

    def forward(self, texts: Sequence[str], drop: float = 0.0) -> Tensor:
        """Unit vectors [B, dim]; `drop` means something to the bag encoder only."""
        return F.normalize(self.head(self.pooled(texts)), dim=-1)

    def pooled(self, texts: Sequence[str]) -> Tensor:
        """Mean hidden states [B, D]; a text that stands there twice is computed once."""
        lines = dict(zip(texts, token_ids(self.tokenizer, texts), strict=True))
        # By length, the sentences of one chunk pad each other little.
        order = sorted(lines, key=lambda text: len(lines[text]))
        lengths = torch.tensor([len(lines[text]) for text in order])
        chunks = [
            torch.arange(int(part.max()))[None] < part[:, None] for part in lengths.split(CHUNK)
        ]
        ids = torch.tensor([token for text in order for token in lines[text]])  # [N]
        positions = torch.cat([torch.arange(int(n)) for n in lengths])
        x = F.embedding(ids, self.embedding).float() * self.shape.width**0.5  # [N, D]
        rotary = {
            rope: self.rotary(rope, positions)
            for rope in (self.shape.rope_local, self.shape.rope_global)
        }
        for number, layer in enumerate(self.layers):
            is_global = self.shape.is_global(number)
            rope = self.shape.rope_global if is_global else self.shape.rope_local
            x = layer(x, rotary[rope], chunks)
        # The stream grows from layer to layer: each token counts by its direction.
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.shape.norm_eps)
        owner = torch.repeat_interleave(torch.arange(len(order)), lengths)
        keep = (positions > 0).float()[:, None]
        total = torch.zeros(len(order), x.shape[1]).index_add(0, owner, x * keep)
        mean = total / (lengths - 1).clamp(min=1)[:, None]
        place = {text: at for at, text in enumerate(order)}
        return mean[torch.tensor([place[text] for text in texts])]

    def rotary(self, base: float, positions: Tensor) -> Rotary:
        length, dtype = int(positions.max()) + 1, self.embedding.dtype
        cos, sin = rotary_angles(length, self.shape.head_size, base, dtype, positions.device)
        return cos[positions][:, None], sin[positions][:, None]

    @torch.no_grad()
    def whiten(self, texts: Sequence[str]) -> None:
        """Set the head so that vectors of these texts have mean zero and nearly equal spread.

        After Su et al. 2021, https://arxiv.org/abs/2103.15316: untrained means of hidden states
        all point nearly the same way.
        """
        rows = torch.cat([self.pooled(texts[i : i + 128]) for i in range(0, len(texts), 128)])
        mean = rows.mean(0)
        _, spread, directions = torch.linalg.svd(rows - mean, full_matrices=False)
        spread = spread / len(rows) ** 0.5
        dim = self.head.out_features
        # The small directions are noise: they are not blown up all the way.
        weight = directions[:dim] / (spread[:dim, None] + 0.1 * spread[0] / dim**0.5)
        self.head.weight.copy_(weight)
        self.head.bias.copy_(-(weight @ mean))

    def adapter_state(self) -> dict[str, Tensor]:
        """LoRA's tensors under the names PEFT gives them."""
        state = {}
        for number, layer in enumerate(self.layers):
            for name, module in layer.named_children():
                if isinstance(module, LoRALinear):
                    part = "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"
                    path = f"base_model.model.model.layers.{number}.{part}.{name}"
                    state[f"{path}.lora_A.weight"] = module.lora_A.detach()
                    state[f"{path}.lora_B.weight"] = module.lora_B.detach()
        return state

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, dim] float32 of many texts, without a graph."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), self.head.out_features), np.float32)
        for start in range(0, len(order), 64):
            part = order[start : start + 64]
            out[part] = self([texts[i] for i in part]).numpy()
        return out
