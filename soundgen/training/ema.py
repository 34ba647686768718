"""Moving average of a model's weights: the copy that is evaluated and released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average over a module's floating-point state.

    Buffers that are moving averages themselves (codebook sums and usages) are averaged too: the
    entry they define stays a weighted mean of the vectors it was chosen for.

    Args:
        model: The module to follow.
        decay: Reached after a warm-up of about 1 / (1 - decay) steps.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.shadow = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model's present weights."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.shadow[name].lerp_(value, 1 - decay)
            else:
                self.shadow[name].copy_(value)

    def reset(self, model: nn.Module) -> None:
        """Start again from the model's present weights."""
        self.num_updates = 0
        for name, value in model.state_dict().items():
            self.shadow[name].copy_(value)

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """Return what a resumed run needs."""
        return {"num_updates": self.num_updates, "shadow": self.shadow}

    def load_state_dict(self, state: Mapping[str, int | Mapping[str, Tensor]]) -> None:
        """Take up the state of an interrupted run."""
        num_updates, shadow = state["num_updates"], state["shadow"]
        if not isinstance(num_updates, int) or isinstance(shadow, int):
            raise TypeError("not the state of a WeightAverage")
        self.num_updates = num_updates
        for name, value in shadow.items():
            self.shadow[name].copy_(value)


@contextmanager
def averaged(model: nn.Module, average: WeightAverage) -> Iterator[None]:
    """Let a model have its averaged weights, in evaluation mode, while the block runs."""
    own = {name: value.detach().clone() for name, value in model.state_dict().items()}
    was_training = model.training
    model.load_state_dict(average.shadow)
    model.eval()
    try:
        yield
    finally:
        model.load_state_dict(own)
        model.train(was_training)
