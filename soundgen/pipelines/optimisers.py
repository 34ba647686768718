"""The optimiser of all trainings, and the learning rate that it has at each moment."""

from __future__ import annotations

import torch
from torch import nn

from soundgen.pipelines.recipes import OptimiserConfig
from soundgen.training.schedule import learning_rate_factor

_NOT_DECAYED = ("original0", "no_text", "no_duration", "scale")
"""Weight norm's magnitudes and learned constants: matrices in shape only."""


def make_adamw(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices and leaves biases, norms and scales alone."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim > 1 and not name.endswith(_NOT_DECAYED)
        (decayed if is_matrix else kept).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        fused=True,
    )


def set_learning_rate(
    optimiser: torch.optim.Optimizer,
    config: OptimiserConfig,
    share: float,
    step: int,
    *,
    halvings: int = 0,
) -> None:
    """Set the rate that the schedule has at `share` of the run, halved so many times."""
    factor = 0.5**halvings * learning_rate_factor(
        share,
        step,
        warmup_steps=config.warmup_steps,
        decay_start=config.decay_start,
        final=config.final_factor,
    )
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * factor
