"""What the trainings share: the loop, the report, the optimiser, the guard of non-finite steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from soundgen.config import to_dict
from soundgen.data.segments import prefetch
from soundgen.errors import CheckpointError, ConfigError
from soundgen.pipelines.recipes import (
    CodecRecipe,
    CodecTrainingConfig,
    LMRecipe,
    LMTrainingConfig,
    MatcherTrainingConfig,
    OptimiserConfig,
)
from soundgen.progress import Progress
from soundgen.training.distributed import (
    average_gradients,
    batch_parts,
    largest_of_all,
    mean_over_processes,
)
from soundgen.training.ema import WeightAverage
from soundgen.training.interrupt import deferred_interrupts
from soundgen.training.run import RunFolder
from soundgen.training.schedule import learning_rate_factor, run_share
from soundgen.training.sharding import gathered, load_optimiser, scattered, whole

Batch = TypeVar("Batch")

_MAX_SKIPPED_IN_A_ROW = 50
_PARTS = "parts of a batch"
_NOT_DECAYED = ("original0", "no_text", "no_duration", "scale")
"""Weight norm's magnitudes and learned constants: matrices in shape only."""


class TrainingRun(Protocol):
    """All that moves while a model trains."""

    step: int
    identity: dict[str, str]
    """What a resumed run must share with this one."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers: all that a resumed run needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of an interrupted run."""


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


@dataclass(kw_only=True)
class BestRun:
    """A run whose averaged weights are released as they measured best on the valid split.

    That is early stopping in effect, without ending the run.
    """

    device: torch.device
    model: nn.Module
    optimiser: torch.optim.AdamW
    average: WeightAverage
    identity: dict[str, str]
    """What a resumed run must share with this one."""
    best: dict[str, Tensor]
    """Averaged weights that measured best; the latest before the first measurement."""
    best_loss: float = float("inf")
    best_step: int = 0
    guard: FiniteGuard = field(default_factory=FiniteGuard)
    step: int = 0
    sharded: bool = False
    """Whether each process holds but its share of the weights and of all that goes with them."""

    @property
    def released(self) -> dict[str, Tensor]:
        """The weights to save as the model."""
        return self.best if self.best_step else self.average.shadow

    def descend(
        self, losses: Iterable[Tensor], *, num_parts: int = 1, max_grad_norm: float
    ) -> dict[str, float]:
        """Take the step that lowers the mean of `losses` over all processes, if it is finite.

        Args:
            losses: A scalar for each part of the batch, made as they are asked for: a part's graph
                goes before the next part's comes.
            num_parts: How many there are.
            max_grad_norm: A longer gradient is cut to it.

        Returns:
            That mean as `loss`, and `grad_norm`.

        Raises:
            ConfigError: Too many steps in a row were not finite.
        """
        self.optimiser.zero_grad()
        total = torch.zeros((), device=self.device)
        for loss in losses:
            (loss / num_parts).backward()
            total += loss.detach() / num_parts
        if not self.sharded:
            average_gradients(self.model.parameters())
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_grad_norm)))
        mean = float(mean_over_processes(total))
        if self.guard.accepts(self.step, [mean, norm]):
            self.optimiser.step()
            self.average.update(self.model)
        return {"loss": mean, "grad_norm": norm}

    def keep_if_best(self, loss: float | None) -> None:
        """Remember the averaged weights if they measured best; `None`: nothing to measure on."""
        lower = -float(self.step) if loss is None else loss
        if lower < self.best_loss:
            self.best_loss, self.best_step = lower, self.step
            self.best = {name: value.clone() for name, value in self.average.shadow.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and plain containers: all that a resumed run needs."""
        return {
            "identity": self.identity,
            "step": self.step,
            "skipped": [self.guard.skipped, self.guard.in_a_row],
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "best": gathered(self.best),
            "model": gathered(self.model.state_dict()),
            "optimiser": gathered(self.optimiser.state_dict()),
            "average": gathered(self.average.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state of an interrupted run."""
        self.step, self.guard = state["step"], FiniteGuard(*state["skipped"])
        self.best_loss, self.best_step = state["best_loss"], state["best_step"]
        mine = self.model.state_dict()
        self.best = scattered(state["best"], mine)
        self.model.load_state_dict(scattered(state["model"], mine))
        load_optimiser(self.optimiser, state["optimiser"])
        average = state["average"]
        self.average.load_state_dict(average | {"shadow": scattered(average["shadow"], mine)})


def restore(run: TrainingRun, folder: RunFolder) -> None:
    """Take up the run in `folder`.

    Raises:
        CheckpointError: Its state is damaged, or of another recipe or other data.
    """
    state = folder.load()
    check_same_run(state, run.identity, folder.path)
    try:
        run.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder.state_path}: does not fit this recipe") from error


def run_steps(
    run: TrainingRun,
    folder: RunFolder,
    config: CodecTrainingConfig | LMTrainingConfig | MatcherTrainingConfig,
    *,
    what: str,
    make_batch: Callable[[int], Batch],
    take_step: Callable[[Batch, float], dict[str, float]],
    checkpoint: Callable[[], dict[str, float]],
    save: Callable[[], None],
    max_time_s: float | None,
    progress: Progress,
) -> dict[str, float]:
    """Take steps until the recipe's or the time are used up; return the last measurements.

    Args:
        run: Advanced by one with each step.
        folder: Where it logs.
        config: How many steps, and when to log and to checkpoint.
        what: For the progress line.
        make_batch: Makes the batch of a step; a function of the step's number alone.
        take_step: Takes a batch and the share of the run that is over; returns what to log.
        checkpoint: Saves and measures.
        save: Saves only: an interrupted run has no time to measure.
        max_time_s: End the run after so many seconds, over all the times it was started.
        progress: Listens.
    """
    progress.start(what, config.steps)
    progress.advance(run.step)
    measured: dict[str, float] = {}
    batches = prefetch(make_batch, run.step)
    with deferred_interrupts() as interrupt, closing(batches):

        def look_up() -> tuple[float, int]:
            """Return the share of the run that is over, and a signal: the same to all processes."""
            share = run_share(run.step, config.steps, folder.elapsed_s, max_time_s)
            share, number = largest_of_all([share, interrupt.signal_number or 0])
            return share, int(number)

        share, _ = look_up()
        while share < 1:
            metrics = take_step(next(batches), share)
            run.step += 1
            progress.advance()
            if run.step % config.log_every == 0:
                folder.log(run.step, metrics)
                progress.metrics(run.step, metrics)
            if run.step % config.checkpoint_every == 0:
                measured = checkpoint()
            share, number = look_up()
            if number:
                save()
                interrupt.signal_number = number
                interrupt.raise_pending()
        if run.step % config.checkpoint_every or not measured:
            measured = checkpoint()
    progress.finish()
    return measured


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


def recipe_identity(recipe: CodecRecipe | LMRecipe) -> dict[str, str]:
    """Return what of a recipe and of how it is run a resumed run must share.

    How the batch is cut may change, as long as it stays as large: two processes go on with what
    one began with `training.accumulate = 2`.
    """
    plain = to_dict(recipe)
    for name in ("accumulate", "sharded"):
        plain["training"].pop(name, None)
    total = batch_parts(recipe.training.accumulate).total
    return {"recipe": json.dumps(plain, sort_keys=True), _PARTS: str(total)}


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
    # Runs of earlier versions do not say it.
    total = before.get(_PARTS, "1")
    if ours.get(_PARTS, "1") != total:
        raise CheckpointError(
            f"{where}: processes times training.accumulate was {total} and is now {ours[_PARTS]}",
            hint=f"go on with {total} processes, or with one and --set training.accumulate={total}",
        )
    for name, value in ours.items():
        if name != _PARTS and before.get(name) != value:
            raise CheckpointError(
                f"{where}: was started with another {name}",
                hint=f"resume with the {name} it was started with, or begin a new run with --init",
            )
