"""Attention over sequences, with rotary positions (Su et al. 2021, RoFormer) or sinusoids."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rotary_table(num_positions: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of every position's rotation, `[num_positions, head_dim / 2]`."""
    frequencies = 10_000.0 ** (-torch.arange(0, head_dim, 2, device=device) / head_dim)
    angles = torch.arange(num_positions, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


def sinusoids(num_positions: int, dim: int, device: torch.device) -> Tensor:
    """Return what marks each position when added to it, `[num_positions, dim]`.

    Cosines, then sines, of frequencies down to 1 / 10,000 (Vaswani et al. 2017, in the layout of
    AudioCraft).
    """
    half = torch.arange(dim // 2, device=device)
    frequencies = torch.exp(half * (-math.log(10_000) / max(1, dim // 2 - 1)))
    angles = torch.arange(num_positions, device=device)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + head_dim / 2) of `x` `[..., S, head_dim]` by its position's angle."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)


class SelfAttention(nn.Module):
    """Causal multi-head self-attention; one matmul makes queries, keys and values."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attend within `x` `[B, S, D]`; `cos` and `sin` are `[S, head_dim / 2]`."""
        batch, num_steps, dim = x.shape
        qkv = self.qkv(x).view(batch, num_steps, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [B, H, S, head_dim] each
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = _attend(q, k, v, causal=True)
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(batch, num_steps, dim))
        return mixed


class CrossAttention(nn.Module):
    """Multi-head attention to a memory of its own length, masked where it is padding."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values `[B, H, N, head_dim]` of `memory` `[B, N, D]`."""
        batch, length, dim = memory.shape
        kv = self.kv(memory).view(batch, length, 2, self.num_heads, dim // self.num_heads)
        keys, values = kv.permute(2, 0, 3, 1, 4)
        return keys, values

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Attend from `x` `[B, S, D]` to `memory` `[B, N, D]` where `mask` `[B, N]` is true."""
        batch, num_steps, dim = x.shape
        q = self.q(x).view(batch, num_steps, self.num_heads, -1).transpose(1, 2)
        keys, values = self.keys_values(memory)
        y = _attend(q, keys, values, mask=mask[:, None, None])
        mixed: Tensor = self.out(y.transpose(1, 2).reshape(batch, num_steps, dim))
        return mixed


def _attend(
    q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attend; on a CPU in float32, whose attention in bfloat16 takes three times as long."""
    if q.device.type != "cpu" or q.dtype == k.dtype == v.dtype == torch.float32:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(
            q.float(), k.float(), v.float(), attn_mask=mask, is_causal=causal
        )
