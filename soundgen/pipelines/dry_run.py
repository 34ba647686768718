"""What a training would take, found out by a step or two: `train ... --dry-run`."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from soundgen.pipelines.machine_limits import finish


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would take on this machine.

    Attributes:
        data: Of each split, what there is: such as "20 clips, 0.5 h".
        parameters: Of each network.
        batch: Shape of a batch.
        step_s: A step, s.
        steps: How many the recipe has.
        total_s: All of them, s; measuring at checkpoints comes on top.
        memory_bytes: The most that the process has held; on a GPU, there.
        disk_bytes: What the run folder takes at most.
    """

    data: dict[str, str]
    parameters: dict[str, int]
    batch: tuple[int, ...]
    step_s: float
    steps: int
    total_s: float
    memory_bytes: int
    disk_bytes: int

    def lines(self) -> list[str]:
        """Return it in words."""
        sizes = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        return [
            *(f"{split}: {what}" for split, what in self.data.items()),
            f"parameters: {sizes}",
            f"a batch: {' x '.join(map(str, self.batch))}",
            f"a step: {self.step_s:.3g} s; {self.steps:,} steps: about {_spoken(self.total_s)} "
            "here, and the measuring at checkpoints",
            f"memory: {self.memory_bytes / 1e9:.1f} GB; disk: {self.disk_bytes / 1e6:,.0f} MB",
        ]


def try_steps(
    take_step: Callable[[int], dict[str, float]],
    *,
    data: Mapping[str, str],
    networks: Mapping[str, nn.Module],
    batch: tuple[int, ...],
    steps: int,
    disk_bytes: Callable[[], int],
    device: torch.device,
) -> tuple[dict[str, float], Plan]:
    """Take a step, time another one, and return the first one's measurements and the plan.

    Args:
        take_step: Takes step 0 or 1.
        data: As in the plan.
        networks: Whose parameters count, by name.
        batch: Its shape.
        steps: Of the recipe.
        disk_bytes: Says what the run folder takes.
        device: Where it trains.
    """
    metrics = take_step(0)  # memory is touched for the first time, kernels are chosen
    began = time.monotonic()
    take_step(1)
    finish(device)
    step_s = time.monotonic() - began
    plan = Plan(
        data=dict(data),
        parameters={
            name: sum(value.numel() for value in network.parameters())
            for name, network in networks.items()
        },
        batch=batch,
        step_s=step_s,
        steps=steps,
        total_s=step_s * steps,
        memory_bytes=_peak_bytes(device),
        disk_bytes=disk_bytes(),
    )
    return metrics, plan


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _spoken(seconds: float) -> str:
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 100 * size or unit == "h":
            return f"{max(1, round(seconds / size)):,} {unit}"
    raise AssertionError
