"""Which device to compute on: asked for or found, never silently another."""

from __future__ import annotations

import torch

from soundgen.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`: auto, cpu, cuda or mps.

    Raises:
        DeviceError: The device asked for is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device was found", hint="use --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("no Apple GPU was found", hint="use --device cpu")
    if name not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"unknown device '{name}'", hint="use auto, cpu, cuda or mps")
    return torch.device(name)
