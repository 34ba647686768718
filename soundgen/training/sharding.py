"""A model split over processes (FSDP), and its tensors made whole again to save them.

Each process holds a share of every weight, gradient and moment, and fetches a layer's weights when
the layer's turn comes (Zhao et al. 2023; ZeRO stage 3, Rajbhandari et al. 2020). Saved states are
whole, so that any number of processes can take them up. What is not split passes through as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from soundgen.training.launch import is_main, num_processes


def shard_model(model: nn.Module, layers: Iterable[nn.Module]) -> None:
    """Split a model's weights over the processes.

    Args:
        model: With the same weights in every process.
        layers: Its parts whose weights are fetched together, one part at a time.
    """
    # Named, or a GPU that is there would be taken where the processor was asked for.
    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (num_processes(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor without the split; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(state: Any) -> Any:
    """Return a state dict with whole tensors, in the main process only; the others get none.

    One tensor at a time, on the processor: a device need not hold the whole of it.
    """
    if isinstance(state, DTensor):
        full = state.full_tensor()
        return full.cpu() if is_main() else None
    if isinstance(state, Mapping):
        return {key: gathered(value) for key, value in state.items()}
    if isinstance(state, list):
        return [gathered(value) for value in state]
    return state


def scattered(state: Mapping[str, Tensor], split: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return whole tensors split as their namesakes in `split` are."""
    return {name: _split_as(value, split[name]) for name, value in state.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take up an optimiser's state, split as its parameters are."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    moments = {
        index: {
            name: _split_as(value, parameters[index])
            if isinstance(value, Tensor) and value.shape == parameters[index].shape
            else value
            for name, value in entries.items()
        }
        for index, entries in state["state"].items()
    }
    optimiser.load_state_dict({**state, "state": moments})


def _split_as(value: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return value
    split: Tensor = distribute_tensor(value.to(like.device), like.device_mesh, like.placements)
    return split
