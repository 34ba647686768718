"""A step whose shapes never change, recorded once and replayed: a CUDA graph.

On a GPU a step of a small model is a hundred kernels of a few microseconds each, and what starts
them takes longer than they do. Recorded once, all of them start at once (Gray 2019, "Getting
started with CUDA graphs"). A recording has fixed addresses and shapes: so attention reads the whole
window, what lies ahead masked, and the position is a tensor. By hand rather than by
`torch.compile`, which would take longer to start than a sound does to make.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

StepFunction = Callable[[Tensor, Tensor], Tensor]
"""Takes `x` `[R, D]` and its position, int64 `[1]`; returns logits `[R, K, V]`."""

_WARM_UPS = 3
"""Before recording: libraries make themselves ready in their first calls."""


class CapturedStep:
    """Records a step at once, and replays it.

    Args:
        step: What to record. All that it reads beside its arguments stays where it is.
        rows: R.
        dim: D.
        device: A CUDA device.

    Raises:
        RuntimeError: The driver cannot record it.
    """

    def __init__(self, step: StepFunction, *, rows: int, dim: int, device: torch.device) -> None:
        self._x = torch.zeros(rows, dim, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                step(self._x, self._position)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = step(self._x, self._position)

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """Take the step; the logits `[R, K, V]` are overwritten by the next one."""
        self._x.copy_(x)
        self._position.fill_(position)
        self._graph.replay()
        return self._logits
