"""Several processes that train one model: each takes its parts of a batch, and all stay alike.

Plain `torch.distributed`: after the backward pass the gradients are averaged, as are all other
statistics of the batch, so that every process takes the same step (data-parallel training; Goyal
et al. 2017). Without a launcher each function returns what it was given.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from soundgen.errors import DeviceError
from soundgen.training.launch import is_main, local_rank, num_processes, process_rank

# The main process measures and writes at checkpoints while the others wait for it.
_TIMEOUT = timedelta(hours=1)
_BUCKET_BYTES = 25 * 2**20
"""Gradients that travel together: PyTorch's own default."""

_failures: list[dist.Store] = []
"""Where processes note that they failed; as global as the process group is."""


class BatchParts(NamedTuple):
    """The equal parts that a step's batch is cut into.

    Part `j * W + r` is the j-th that process r of W takes, one after another, before it steps. A
    step so has the same samples in the same order however many processes share them.
    """

    total: int
    """Processes times `training.accumulate`."""
    mine: tuple[int, ...]
    """Numbers of this process's parts, from 0."""

    def rows(self, part: int, size: int) -> slice:
        """Return where part `part` lies in the whole batch, for parts of `size` items."""
        return slice(part * size, (part + 1) * size)


def batch_parts(accumulate: int) -> BatchParts:
    """Return how a batch is cut when every process takes `accumulate` parts of it."""
    count, rank = num_processes(), process_rank()
    return BatchParts(accumulate * count, tuple(j * count + rank for j in range(accumulate)))


def join_processes(device: torch.device) -> torch.device:
    """Join the processes that a launcher started with this one; return this one's device.

    Args:
        device: What was asked for; of CUDA each process of a machine takes a GPU of its own.

    Raises:
        DeviceError: There are fewer GPUs than processes, or the others cannot be reached.
    """
    if num_processes() == 1:
        return device
    if device.type == "mps":
        raise DeviceError("an Apple GPU works with one process only", hint="use --device cpu")
    if device.type == "cuda":
        if local_rank() >= torch.cuda.device_count():
            raise DeviceError(
                f"process {local_rank()} of this machine finds no GPU of its own: there are "
                f"{torch.cuda.device_count()}",
                hint="start no more processes than GPUs (--nproc-per-node), or use --device cpu",
            )
        device = torch.device("cuda", local_rank())
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        _join(device)
    return device


def _join(device: torch.device) -> None:
    # What processes agree upon stays on the processor, so that no GPU has to wait for it.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store, rank, count = next(dist.rendezvous("env://", timeout=_TIMEOUT))
        dist.init_process_group(
            backend,
            store=dist.PrefixStore("soundgen", store),
            rank=rank,
            world_size=count,
            timeout=_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise DeviceError(
            f"the other processes cannot be reached ({str(error).splitlines()[0]})",
            hint="start all with: torchrun --nproc-per-node N -m soundgen train ...",
        ) from error
    _failures.append(dist.PrefixStore("failures", store))
    atexit.register(_leave)


def _leave() -> None:
    _failures.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def first_to_fail() -> bool:
    """Tell whether no other process failed before: what they meet then follows from it."""
    if not _failures:
        return is_main()
    try:
        return int(_failures[0].add("count", 1)) == 1
    except RuntimeError:
        # The store goes with the process that holds it, and with the failure that it told of.
        return is_main()


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of all processes' tensors, any shape."""
    if not dist.is_initialized():
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(tensor: Tensor) -> Tensor:
    """Return the mean of all processes' tensors, any shape."""
    return sum_over_processes(tensor) / num_processes() if dist.is_initialized() else tensor


def gather_rows(rows: Tensor) -> Tensor:
    """Return all processes' rows `[N, ...]`, of as many each, in the order of the processes."""
    if not dist.is_initialized():
        return rows
    gathered = [torch.empty_like(rows) for _ in range(num_processes())]
    dist.all_gather(gathered, rows.contiguous())
    return torch.cat(gathered)


def largest_of_all(values: Sequence[float]) -> list[float]:
    """Return the largest of each value over all processes, for all of them to act on."""
    if not dist.is_initialized():
        return list(values)
    largest = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return list(largest.tolist())


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    pending = []
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        pending.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in pending:
        work.wait()
        flat /= num_processes()
        for gradient, mean in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def share_weights(*modules: nn.Module) -> None:
    """Give every process the main one's parameters and buffers.

    They are drawn alike everywhere; this rules out what another machine may round otherwise.
    """
    if dist.is_initialized():
        for module in modules:
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)


def _buckets(gradients: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    """Yield gradients of one type together, in order, up to a size that travels well."""
    bucket: list[Tensor] = []
    num_bytes = 0
    for gradient in gradients:
        size = gradient.numel() * gradient.element_size()
        if bucket and (num_bytes + size > _BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, num_bytes = [], 0
        bucket.append(gradient)
        num_bytes += size
    if bucket:
        yield bucket
