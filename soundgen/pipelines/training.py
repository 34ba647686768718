"""What both trainings share: the report, the optimiser, the guard against non-finite steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soundgen.errors import CheckpointError, ConfigError
from soundgen.pipelines.recipes import OptimiserConfig
from soundgen.training.schedule import learning_rate_factor

_MAX_SKIPPED_IN_A_ROW = 50
_NOT_DECAYED = ("original0", "no_text", "no_duration", "scale")
"""Weight norm's magnitudes and learned constants: matrices in shape only."""


@dataclass(frozen=True)
class TrainReport:
    """What a training run came to.

    Attributes:
        out: The run folder, a model folder too.
        step: Steps taken.
        finished: Whether all of the recipe's steps were; not with a time limit that ended it.
        metrics: The last measurements on the valid split.
    """

    out: Path
    step: int
    finished: bool
    metrics: dict[str, float]


@dataclass
class FiniteGuard:
    """Counts steps that were not finite, and gives up when there is nothing else."""

    skipped: int = 0
    """Over the whole run."""
    in_a_row: int = field(default=0)

    def accepts(self, step: int, values: Iterable[float]) -> bool:
        """Say whether a step with these losses and norms may be taken.

        Raises:
            ConfigError: Too many in a row could not.
        """
        if all(map(math.isfinite, values)):
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise ConfigError(
                f"step {step}: {self.in_a_row} steps in a row were not finite",
                hint="start a new run with a lower optimiser.learning_rate, from the last "
                "checkpoint with --init",
            )
        return False


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
    )


def set_learning_rate(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig, share: float, step: int
) -> None:
    """Set the rate that the schedule has at `share` of the run."""
    factor = learning_rate_factor(
        share,
        step,
        warmup_steps=config.warmup_steps,
        decay_start=config.decay_start,
        final=config.final_factor,
    )
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * factor


def check_same_run(saved: Mapping[str, Any], ours: Mapping[str, str], where: Path) -> None:
    """Refuse to go on with a run under another recipe or on other data.

    Args:
        saved: The state that was saved.
        ours: What identifies the run, by what it is called in the message.
        where: The run folder, for the message.

    Raises:
        CheckpointError: One differs.
    """
    before = saved.get("identity")
    if not isinstance(before, dict):
        raise CheckpointError(f"{where}: not the state of this kind of training")
    for name, value in ours.items():
        if before.get(name) != value:
            raise CheckpointError(
                f"{where}: was started with another {name}",
                hint=f"resume with the {name} it was started with, or begin a new run with --init",
            )
