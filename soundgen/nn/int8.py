"""Weights in a quarter of their size: 8-bit integers, with a scale for each row.

For what a file holds, not for arithmetic: weights are float32 again as soon as they are loaded. A
row is off by at most 1/254 of its largest value, which a network that compares directions does not
notice; it is what lets the shipped model folder stay small.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".int8_scale"


def pack_int8(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn matrices and kernels, `[rows, ...]`, into int8 and scales; vectors into float16.

    Integers stay as they are.
    """
    packed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if not value.is_floating_point():
            packed[name] = value
        elif value.ndim < 2:
            packed[name] = value.half()
        else:
            rows = value.float().flatten(1)
            scale = rows.abs().amax(dim=1) / 127
            divisor = torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
            packed[name] = (rows / divisor).round().to(torch.int8).view(value.shape)
            packed[name + _SCALE] = scale
    return packed


def unpack_int8(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `pack_int8`; weights that were stored otherwise stay as they are."""
    weights: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(_SCALE):
            continue
        scale = stored.get(name + _SCALE)
        if scale is not None:
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        weights[name] = value
    return weights
