"""From logits to codes: guidance, temperature, top-k, top-p, and a draw that repeats."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingSettings:
    """How codes are drawn."""

    temperature: float = 1.0
    """0 takes the likeliest."""
    top_k: int = 50
    """Draw from this many likeliest; 0: from all."""
    top_p: float = 0.0
    """Draw from the likeliest that sum to this; 0: no such limit."""
    cfg_scale: float = 4.0
    """Weight of the prompt against no prompt; 1: no guidance."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, got {self.top_k}")
        if not 0 <= self.top_p <= 1:
            raise ValueError(f"top_p must be in [0, 1], got {self.top_p}")
        if not 0 <= self.cfg_scale < float("inf"):
            raise ValueError(f"cfg_scale must be 0 or more, got {self.cfg_scale}")


def guide(conditional: Tensor, unconditional: Tensor, cfg_scale: float) -> Tensor:
    """Move logits away from what the model says without the prompt (Ho & Salimans 2022)."""
    return unconditional + cfg_scale * (conditional - unconditional)


def sample(logits: Tensor, noise: Tensor, settings: SamplingSettings) -> Tensor:
    """Draw an index from each row of logits.

    Args:
        logits: float32 `[..., V]`; -inf where an index may not be drawn.
        noise: float32 `[..., C]` with C = `num_candidates(V, settings)`, drawn from the
            exponential distribution of rate 1: for the likeliest index, for the next, and so on
            with top-k, else for each index. Dividing by it and taking the largest draws in
            proportion to the probabilities, without a running sum whose rounding would decide
            between neighbours.
        settings: How.

    Returns:
        int64 `[...]`.
    """
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    order = None
    if noise.shape[-1] < logits.shape[-1]:
        logits, order = logits.topk(noise.shape[-1], dim=-1)
    probabilities = (logits / settings.temperature).softmax(dim=-1)
    if 0 < settings.top_p < 1:
        probabilities = _within_top_p(probabilities, settings.top_p)
    drawn = (probabilities / noise).argmax(dim=-1)
    return drawn if order is None else order.gather(-1, drawn[..., None])[..., 0]


def num_candidates(vocab_size: int, settings: SamplingSettings) -> int:
    """Return C: how many indices of a row can be drawn, and so need noise."""
    return min(settings.top_k, vocab_size) if settings.top_k else vocab_size


def _within_top_p(probabilities: Tensor, top_p: float) -> Tensor:
    """Return them with 0 for what the likelier ones, summing to `top_p`, leave no room for."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    dropped = (ordered.cumsum(dim=-1) - ordered) >= top_p
    return probabilities.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), 0.0)
