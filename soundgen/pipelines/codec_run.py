"""All that moves while a codec trains, as it is saved and taken up again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from soundgen.codec.balancer import Balancer
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator
from soundgen.codec.model import Codec
from soundgen.pipelines.recipes import CodecRecipe
from soundgen.pipelines.training import FiniteGuard
from soundgen.training.ema import WeightAverage


@dataclass
class CodecRun:
    """All that moves while a codec trains."""

    recipe: CodecRecipe
    device: torch.device
    codec: Codec
    discriminator: MultiScaleSTFTDiscriminator
    optimiser: torch.optim.AdamW
    discriminator_optimiser: torch.optim.AdamW
    balancer: Balancer
    average: WeightAverage
    identity: dict[str, str]
    """What a resumed run must share with this one."""
    hits: Tensor
    """Moving average of how often each code is chosen, `[K, V]`: unlike the quantizer's own usage,
    restarts of dead codes do not touch it."""
    guard: FiniteGuard = field(default_factory=FiniteGuard)
    step: int = 0
    licenses: dict[str, str] = field(default_factory=dict)
    """Of the weights that it was started from, where they were others'."""
    num_collapsed: int = 0
    quantizing: bool = False
    best_distance: float = math.inf
    """Lowest mel distance on the valid split so far."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers: all that a resumed run needs."""
        return {
            "identity": self.identity,
            "step": self.step,
            "skipped": [self.guard.skipped, self.guard.in_a_row, self.guard.rollbacks],
            "best_distance": self.best_distance,
            "hits": self.hits,
            "num_collapsed": self.num_collapsed,
            "quantizing": self.quantizing,
            "codec": self.codec.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "discriminator_optimiser": self.discriminator_optimiser.state_dict(),
            "balancer": self.balancer.state_dict(),
            "average": self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of an interrupted run."""
        self.step, self.hits = state["step"], state["hits"].to(self.device)
        self.guard = FiniteGuard(*state["skipped"])
        self.best_distance = state.get("best_distance", math.inf)
        self.num_collapsed, self.quantizing = state["num_collapsed"], state["quantizing"]
        self.codec.load_state_dict(state["codec"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.discriminator_optimiser.load_state_dict(state["discriminator_optimiser"])
        self.balancer.load_state_dict(state["balancer"])
        self.average.load_state_dict(state["average"])
