"""Learning rate and phases as functions of how much of the run is done."""

from __future__ import annotations

import math


def run_share(step: int, num_steps: int, elapsed_s: float, max_time_s: float | None) -> float:
    """Return the share of the run that is done, in [0, 1].

    With a time limit, whichever of steps and time is further ahead counts, so that a schedule
    always ends with the run. Without one the share depends on the step alone, and a resumed run
    repeats an unbroken one exactly.
    """
    share = step / num_steps
    if max_time_s is not None:
        share = max(share, elapsed_s / max_time_s)
    return min(1.0, share)


def learning_rate_factor(
    share: float, step: int, *, warmup_steps: int, decay_start: float, final: float
) -> float:
    """Return what to multiply the peak learning rate by.

    Linear warm-up over `warmup_steps`, flat until `decay_start` of the run, then half a cosine
    down to `final`.
    """
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    if share <= decay_start:
        return warmup
    angle = math.pi * (share - decay_start) / max(1e-9, 1 - decay_start)
    return warmup * (final + (1 - final) * (1 + math.cos(min(angle, math.pi))) / 2)
