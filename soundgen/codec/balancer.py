"""Gradient balancer: loss weights that mean shares of the gradient (EnCodec, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


class Balancer:
    """Scales each loss's gradient at the decoder's output by a moving average of its norm.

    A weight is then the share of the total gradient that its loss gets, whatever its own scale.

    Args:
        weights: Share of each loss, relative to the sum over the losses given in a step.
        decay: Of the moving averages.
    """

    def __init__(self, weights: Mapping[str, float], *, decay: float = 0.99) -> None:
        self.weights = dict(weights)
        self.decay = decay
        self.averages: dict[str, float] = {}
        """Moving average of each gradient's norm: with the weights, all of the state."""
        self.corrections: dict[str, float] = {}

    def backward(self, losses: Mapping[str, Tensor], wav: Tensor, *, unbalanced: Tensor) -> None:
        """Send the balanced gradient of `losses` back through `wav`.

        Args:
            losses: Scalars that depend on `wav`; those of weight 0 are left out.
            wav: The decoder's output `[B, 1, T]`, part of the graph.
            unbalanced: A scalar whose own gradient is added as it is, in the same pass.
        """
        active = {name: loss for name, loss in losses.items() if self.weights[name] > 0}
        share = sum(self.weights[name] for name in active)
        total = torch.zeros_like(wav)
        for name, loss in active.items():
            (gradient,) = torch.autograd.grad(loss, [wav], retain_graph=True)
            # Mean over the batch of each item's norm, in fp32.
            norm = float(gradient.detach().float().flatten(1).norm(dim=1).mean())
            total += gradient * (self.weights[name] / share / self._average(name, norm))
        if unbalanced.requires_grad:
            torch.autograd.backward([wav, unbalanced], [total, None])
        else:
            wav.backward(total)

    def _average(self, name: str, norm: float) -> float:
        if not math.isfinite(norm):
            # The step will be skipped; its norm must not stay in the average for good.
            return 1.0
        # Adam's bias correction, so that the first steps are not divided by almost nothing.
        self.averages[name] = self.decay * self.averages.get(name, 0.0) + (1 - self.decay) * norm
        self.corrections[name] = self.decay * self.corrections.get(name, 0.0) + (1 - self.decay)
        return max(self.averages[name] / self.corrections[name], 1e-12)

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Return what a resumed run needs."""
        return {"averages": dict(self.averages), "corrections": dict(self.corrections)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Take up the state of an interrupted run."""
        self.averages = dict(state["averages"])
        self.corrections = dict(state["corrections"])
