"""Gemma 3 with LoRA, as small as training needs it: no cache, no dropout, answers only.

After the Gemma 3 report, https://arxiv.org/abs/2503.19786, and Hu et al. 2021,
https://arxiv.org/abs/2106.09685. Base weights are frozen bfloat16; adapters and the residual
stream are float32. Shapes: B rows, T tokens, D width, H heads, K head size.

Every row is shorter than the sliding window, so local layers differ from global ones only in
their rotary base. Padding stands on the right, where a causal model never looks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohlora.errors import BadInput, ShapeError
from ohlora.llm.gguf_base import GemmaShape
from ohlora.training.llm_config import LINEARS


class LoRALinear(nn.Module):
    """y = W x + (alpha / rank) B A x, W frozen. B starts at zero: a new adapter does nothing.

    rank 0: W alone.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        wide, narrow = weight.shape
        self.register_buffer("weight", weight, persistent=False)
        self.rank = rank
        if not rank:
            return
        self.lora_A = nn.Parameter(torch.empty(rank, narrow))
        self.lora_B = nn.Parameter(torch.zeros(wide, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        if not self.rank:
            return F.linear(x, self.weight)
        low = F.linear(x, self.lora_A.to(x.dtype))
        return F.linear(x, self.weight) + F.linear(low, (self.scale * self.lora_B).to(x.dtype))


class Norm(nn.Module):
    """RMS norm in float32 with gain 1 + weight; the result has the given dtype."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.register_buffer("gain", 1.0 + weight.float(), persistent=False)
        self.eps = eps

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x = x.float()
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return (x * self.gain).to(dtype)


class Layer(nn.Module):
    def __init__(
        self,
        weights: Mapping[str, Tensor],
        shape: GemmaShape,
        rank: int,
        alpha: float,
        targets: Collection[str],
    ) -> None:
        super().__init__()
        self.shape = shape
        for name, weight in weights.items():
            module, leaf = name.removesuffix(".weight").rpartition(".")[::2]
            if leaf in LINEARS:
                own = rank if leaf in targets else 0
                self.add_module(leaf, LoRALinear(weight, own, alpha))
            else:
                self.add_module(leaf, Norm(weight, shape.norm_eps))

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """x [B, T, D] float32 -> [B, T, D]."""
        dtype = self.q_proj.weight.dtype
        h = self.attention(self.input_layernorm(x, dtype), rotary)
        x = x + self.post_attention_layernorm(h, x.dtype)
        h = self.pre_feedforward_layernorm(x, dtype)
        h = self.down_proj(F.gelu(self.gate_proj(h), approximate="tanh") * self.up_proj(h))
        return x + self.post_feedforward_layernorm(h, x.dtype)

    def attention(self, h: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        B, T, _ = h.shape
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        q = self.q_norm(self.q_proj(h).view(B, T, heads, -1), h.dtype).transpose(1, 2)
        k = self.k_norm(self.k_proj(h).view(B, T, kv_heads, -1), h.dtype).transpose(1, 2)
        v = self.v_proj(h).view(B, T, kv_heads, -1).transpose(1, 2)
        repeat = heads // kv_heads
        k = rotate(k, *rotary).repeat_interleave(repeat, dim=1)  # [B, H, T, K]
        h = F.scaled_dot_product_attention(
            rotate(q, *rotary), k, v.repeat_interleave(repeat, dim=1), is_causal=True
        )
        return self.o_proj(h.transpose(1, 2).reshape(B, T, -1))


class Gemma3(nn.Module):
    """The base model with a fresh adapter in every linear layer of `targets`."""

    def __init__(
        self,
        shape: GemmaShape,
        tensors: Mapping[str, np.ndarray],
        rank: int = 16,
        alpha: float = 32.0,
        dtype: torch.dtype = torch.bfloat16,
        noise: float = 0.0,
        targets: Collection[str] = LINEARS,
    ) -> None:
        """noise: strength of NEFTune, https://arxiv.org/abs/2310.05914, while training.

        Raises BadInput on a target that is no linear layer.
        """
        super().__init__()
        if wrong := [name for name in targets if name not in LINEARS]:
            raise BadInput(
                f"The base has no layer {wrong[0]!r} for the adapter: choose among "
                f"{', '.join(LINEARS)}.",
                f"바탕 모델에 {wrong[0]!r} 층이 없어요. {', '.join(LINEARS)} 가운데 골라 주세요.",
            )
        self.shape, self.noise = shape, noise
        weights = {name: torch.from_numpy(array) for name, array in tensors.items()}
        embedding = weights["model.embed_tokens.weight"].to(dtype)
        self.register_buffer("embedding", embedding, persistent=False)  # [V, D]
        self.norm = Norm(weights["model.norm.weight"], shape.norm_eps)
        self.layers = nn.ModuleList()
        for number in range(shape.layers):
            prefix = f"model.layers.{number}."
            own = {
                name.removeprefix(prefix): weight if "norm" in name else weight.to(dtype)
                for name, weight in weights.items()
                if name.startswith(prefix)
            }
            self.layers.append(Layer(own, shape, rank, alpha, targets))

    def forward(self, tokens: Tensor, wanted: Tensor) -> Tensor:
        """tokens [B, T], wanted [B, T] bool -> logits [N, V] at the N wanted places, row by row."""
        if tokens.shape != wanted.shape or tokens.shape[1] > self.shape.window:
            raise ShapeError(
                f"want tokens and wanted [B, T] with T <= {self.shape.window}, "
                f"got {list(tokens.shape)} and {list(wanted.shape)}"
            )
        dtype = self.embedding.dtype
        x = F.embedding(tokens, self.embedding).float() * self.shape.width**0.5
        if self.training and self.noise:
            # NEFTune scales by the raw embedding; ours is already times sqrt(D).
            spread = self.noise / tokens.shape[1] ** 0.5
            x = x + torch.empty_like(x).uniform_(-spread, spread)
        angles = {
            base: rotary_angles(tokens.shape[1], self.shape.head_size, base, dtype, tokens.device)
            for base in (self.shape.rope_local, self.shape.rope_global)
        }
        for number, layer in enumerate(self.layers):
            is_global = self.shape.is_global(number)
            x = layer(x, angles[self.shape.rope_global if is_global else self.shape.rope_local])
        return F.linear(self.norm(x[wanted], dtype), self.embedding).float()

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's tensors under the names PEFT gives them."""
        state = {}
        for number, layer in enumerate(self.layers):
            for name, module in layer.named_children():
                if isinstance(module, LoRALinear) and module.rank:
                    part = "mlp" if name in ("gate_proj", "up_proj", "down_proj") else "self_attn"
                    path = f"base_model.model.model.layers.{number}.{part}.{name}"
                    state[f"{path}.lora_A.weight"] = module.lora_A.detach()
                    state[f"{path}.lora_B.weight"] = module.lora_B.detach()
        return state


def rotary_angles(
    length: int, head_size: int, base: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """cos and sin [T, K] of rotary positions, both halves alike."""
    powers = torch.arange(0, head_size, 2, device=device).float() / head_size
    angles = torch.arange(length, device=device).float()[:, None] / base**powers
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin
