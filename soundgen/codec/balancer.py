"""Gradient balancer: loss weights that mean shares of the gradient (EnCodec, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from soundgen.training.distributed import mean_over_processes


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

    def gradients(self, losses: Mapping[str, Tensor], wav: Tensor) -> dict[str, Tensor]:
        """Return each loss's gradient at `wav`, the decoder's output `[B, 1, T]`.

        Args:
            losses: Scalars that depend on `wav`; those of weight 0 are left out.
            wav: A leaf, or part of the graph, which is kept.
        """
        active = {name: loss for name, loss in losses.items() if self.weights[name] > 0}
        return {
            name: torch.autograd.grad(loss, [wav], retain_graph=True)[0]
            for name, loss in active.items()
        }

    def combine(self, parts: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """Return the balanced gradient at each part's output, from what `gradients` gave for it.

        The norms are means over all parts, and all processes. A loss that is a mean over B items
        has gradients of 1 / B; divided by their norm they have not, so the balanced gradients of
        parts are to be added where gradients of losses are to be averaged.
        """
        share = sum(self.weights[name] for name in parts[0])
        # Mean over the batch of each item's norm, in fp32.
        norms = {
            name: torch.stack(
                [part[name].detach().float().flatten(1).norm(dim=1).mean() for part in parts]
            ).mean()
            for name in parts[0]
        }
        means = mean_over_processes(torch.stack(list(norms.values()))).tolist()
        scales = {
            name: self.weights[name] / share / self._average(name, norm)
            for name, norm in zip(norms, means, strict=True)
        }
        totals = []
        for part in parts:
            total = torch.zeros_like(next(iter(part.values())))
            for name, gradient in part.items():
                total += gradient * scales[name]
            totals.append(total)
        return totals

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


def send_back(gradient: Tensor, wav: Tensor, unbalanced: Tensor) -> None:
    """Send a balanced gradient back from the decoder's output, and another loss's own with it.

    Args:
        gradient: At `wav`, of its shape.
        wav: The decoder's output `[B, 1, T]`, part of the graph.
        unbalanced: A scalar whose own gradient is added as it is, in the same pass.
    """
    if unbalanced.requires_grad:
        torch.autograd.backward([wav, unbalanced], [gradient, None])
    else:
        wav.backward(gradient)
