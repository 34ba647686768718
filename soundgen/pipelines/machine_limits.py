"""What a machine can do at most: the limits that speeds are held against (a roofline)."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from soundgen.nn.products import product

_BLOCK_FLOATS = 64_000_000
_MATRIX = 1536
_TRIES = 8


def read_bandwidth(device: torch.device) -> float:
    """Return how fast memory is read, bytes/s: the best of several sums over 256 MB."""
    block = torch.ones(_BLOCK_FLOATS, device=device)
    return block.numel() * 4 / _best(lambda: block.sum(), device)


@torch.no_grad()
def product_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return how fast large matrices are multiplied, FLOP/s: the best of several."""
    a = torch.randn(_MATRIX, _MATRIX, device=device, dtype=dtype)
    # As inference multiplies: PyTorch's own product may reach half of that.
    return 2 * _MATRIX**3 / _best(lambda: product(a, a), device)


def finish(device: torch.device) -> None:
    """Wait for what a device was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _best(run: Callable[[], object], device: torch.device) -> float:
    best = float("inf")
    for _ in range(_TRIES):
        finish(device)
        start = time.perf_counter()
        run()
        finish(device)
        best = min(best, time.perf_counter() - start)
    return best
