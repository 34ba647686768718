"""Weights as 8-bit integers: how far off they are, and what is left as it was."""

from __future__ import annotations

import torch

from soundgen.nn.int8 import pack_int8, unpack_int8


def test_rows_keep_their_own_scale() -> None:
    torch.manual_seed(0)
    kernel = torch.randn(6, 4, 3, 3) * torch.logspace(-4, 2, 6)[:, None, None, None]
    back = unpack_int8(pack_int8({"kernel": kernel}))["kernel"]
    largest = kernel.abs().amax(dim=(1, 2, 3))
    off = (back - kernel).abs().amax(dim=(1, 2, 3))
    assert bool((off <= largest / 254 * 1.001).all())
    assert bool((off > 0).all())


def test_what_it_holds_is_small() -> None:
    weights = {"linear.weight": torch.randn(64, 128), "linear.bias": torch.randn(64)}
    packed = pack_int8(weights)
    size = sum(value.numel() * value.element_size() for value in packed.values())
    assert size < 0.3 * 4 * sum(value.numel() for value in weights.values())


def test_zeros_integers_and_vectors() -> None:
    weights = {
        "zero": torch.zeros(3, 5),
        "count": torch.tensor(7),
        "scalar": torch.tensor(0.5),
        "bias": torch.tensor([0.25, -3.0]),
    }
    back = unpack_int8(pack_int8(weights))
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        assert torch.equal(back[name].to(value.dtype), value), name


def test_other_types_pass() -> None:
    stored = {"a": torch.randn(2, 3).half(), "b": torch.ones(2, dtype=torch.int8)}
    back = unpack_int8(stored)
    assert back.keys() == stored.keys()
    assert all(torch.equal(back[name], stored[name]) for name in stored)
