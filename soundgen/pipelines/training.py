"""What the trainings share: the loop, the report, the guard of non-finite steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from soundgen.data.segments import prefetch
from soundgen.errors import CheckpointError, ConfigError, InputError
from soundgen.files import check_space
from soundgen.pipelines.dry_run import Plan
from soundgen.pipelines.recipes import (
    CodecRecipe,
    CodecTrainingConfig,
    LMRecipe,
    LMTrainingConfig,
    MatcherTrainingConfig,
    what_shapes,
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
from soundgen.training.launch import is_main, num_processes
from soundgen.training.run import RunFolder
from soundgen.training.schedule import run_share
from soundgen.training.sharding import gathered, load_optimiser, scattered, whole

Batch = TypeVar("Batch")

_MAX_SKIPPED_IN_A_ROW = 50
_MAX_ROLLBACKS = 3
_PARTS = "parts of a batch"


class NotFiniteError(ConfigError):
    """Step after step was not finite: what moves has come to hold NaN or infinity."""


class TrainingRun(Protocol):
    """All that moves while a model trains."""

    step: int
    guard: FiniteGuard
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
        plan: What a dry run found, and nothing of a real one.
    """

    out: Path
    step: int
    finished: bool
    metrics: dict[str, float]
    plan: Plan | None = None


@dataclass
class FiniteGuard:
    """Counts steps that were not finite, and gives up when there is nothing else."""

    skipped: int = 0
    """Over the whole run."""
    in_a_row: int = field(default=0)
    rollbacks: int = 0
    """How often the run went back to its last checkpoint; each halves the learning rate."""

    def accepts(self, step: int, values: Iterable[float]) -> bool:
        """Say whether a step with these losses and norms may be taken.

        Raises:
            NotFiniteError: Too many in a row could not.
        """
        if all(map(math.isfinite, values)):
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise NotFiniteError(
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
            NotFiniteError: Too many steps in a row were not finite.
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
            "skipped": [self.guard.skipped, self.guard.in_a_row, self.guard.rollbacks],
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
    num_bytes = disk_bytes(run)  # every process: a model that is split is put together for it
    if is_main():
        # To the others the folder may not be there yet.
        check_space(folder.path, num_bytes // (2 if folder.state_path.exists() else 1))
    progress.start(what, config.steps)
    progress.advance(run.step)
    measured: dict[str, float] = {}
    first = run.step
    with deferred_interrupts() as interrupt, ExitStack() as stack:

        def batches_from_here() -> Iterator[Batch]:
            made = prefetch(make_batch, run.step)
            stack.callback(made.close)
            return made

        def look_up() -> tuple[float, int]:
            """Return the share of the run that is over, and a signal: the same to all processes."""
            share = run_share(run.step, config.steps, folder.elapsed_s, max_time_s)
            share, number = largest_of_all([share, interrupt.signal_number or 0])
            return share, int(number)

        batches = batches_from_here()
        share, _ = look_up()
        while True:
            try:
                if share >= 1 or has_stalled(run, config):
                    check_end(run)
                    break
                metrics = take_step(next(batches), share)
            except NotFiniteError as error:
                roll_back(run, folder, error, progress)
                batches = batches_from_here()
                share, _ = look_up()
                continue
            except InputError:
                # A clip that has gone or is damaged ends the run here; what it learned stays. Of
                # several processes only this one knows, and cannot save alone.
                if num_processes() == 1 and run.step > first and is_sound(run):
                    save()
                raise
            run.step += 1
            progress.advance()
            if run.step % config.log_every == 0:
                folder.log(run.step, metrics)
                progress.metrics(run.step, metrics)
            # What is not finite must not take the last good state's place.
            if run.step % config.checkpoint_every == 0 and is_sound(run):
                measured = checkpoint()
            share, number = look_up()
            if number:
                if is_sound(run):
                    save()
                interrupt.signal_number = number
                interrupt.raise_pending()
        if run.step % config.checkpoint_every or not measured:
            measured = checkpoint()
    progress.finish()
    return measured


def roll_back(
    run: TrainingRun, folder: RunFolder, error: NotFiniteError, progress: Progress
) -> None:
    """Take up the last checkpoint, with half the learning rate.

    The same steps would end the same way, being functions of their numbers; smaller ones need not.

    Raises:
        NotFiniteError: There is no checkpoint yet, or this has not helped before.
    """
    rollbacks = run.guard.rollbacks + 1
    if rollbacks > _MAX_ROLLBACKS or not folder.state_path.exists():
        raise error
    run.load_state_dict(folder.load(keep_clock=True))
    run.guard = FiniteGuard(run.guard.skipped, 0, rollbacks)
    folder.log(run.step, {"rollbacks": float(rollbacks)}, prefix="rollback")
    progress.notice(
        f"warning: {error.message}; back to step {run.step}, with half the learning rate"
    )


def is_sound(run: TrainingRun) -> bool:
    """Tell whether what moves is finite and can be saved; a skipped step may leave it so."""
    if not run.guard.in_a_row:
        return True
    # The main process alone holds the whole of a model that is split; all must say the same.
    (damaged,) = largest_of_all([float(not _is_finite(run.state_dict()))])
    return not damaged


def check_end(run: TrainingRun) -> None:
    """Refuse to end a run with what is not finite.

    Raises:
        NotFiniteError: Something is not.
    """
    if not is_sound(run):
        raise NotFiniteError(f"step {run.step}: the last {run.guard.in_a_row} were not finite")


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, (list, tuple)) else True


def has_stalled(
    run: TrainingRun, config: CodecTrainingConfig | LMTrainingConfig | MatcherTrainingConfig
) -> bool:
    """Tell whether the valid split measured no better for `patience` checkpoints."""
    if not isinstance(run, BestRun) or isinstance(config, CodecTrainingConfig):
        return False
    waited = run.step // config.checkpoint_every - run.best_step // config.checkpoint_every
    return bool(run.best_step) and 0 < config.patience <= waited


def disk_bytes(run: TrainingRun) -> int:
    """Return what the state takes on the disk, with the next one beside it as it is written."""
    total = _num_bytes(run.state_dict())
    for optimiser in vars(run).values():
        if isinstance(optimiser, torch.optim.Optimizer):
            values = (value for group in optimiser.param_groups for value in group["params"])
            # Two moments of each, from the first step on.
            total += sum(2 * value.nbytes for value in values if value not in optimiser.state)
    return 2 * total


def _num_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_num_bytes, value.values()))
    return sum(map(_num_bytes, value)) if isinstance(value, (list, tuple)) else 0


def recipe_identity(recipe: CodecRecipe | LMRecipe) -> dict[str, str]:
    """Return what of a recipe and of how it is run a resumed run must share.

    How the batch is cut may change, as long as it stays as large: two processes go on with what
    one began with `training.accumulate = 2`.
    """
    plain = what_shapes(recipe)
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
