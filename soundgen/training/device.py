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


def computes_bfloat16(device: torch.device) -> bool:
    """Say whether matrix products are faster in bfloat16 than in float32 there.

    CUDA, and processors with instructions for it (AVX-512 BF16, AMX), where a training step takes
    half the time; others imitate it, slowly.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def wants_bfloat16(precision: str, device: torch.device) -> bool:
    """Say whether a recipe's `precision` (auto, float32 or bfloat16) means bfloat16 there."""
    return precision == "bfloat16" or (precision == "auto" and computes_bfloat16(device))
