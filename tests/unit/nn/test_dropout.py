"""Dropout by bytes: the share that it drops, the mean that stays, and when it does nothing."""

from __future__ import annotations

import pytest
import torch

from soundgen.nn.dropout import ByteDropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1001, 333, requires_grad=True)
    y = ByteDropout(p)(x)
    kept = y != 0
    assert abs(float(kept.float().mean()) - (1 - p)) < 0.004
    assert abs(float(y.detach().mean()) - 1) < 0.01
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, y)
    # No place is favoured: each eighth byte is drawn as any other.
    for place in range(8):
        share = kept.flatten()[place::8].float().mean()
        assert abs(float(share) - (1 - p)) < 0.01


def test_it_repeats_with_a_seed_and_keeps_dtypes() -> None:
    dropout, x = ByteDropout(0.3), torch.randn(7, 3).bfloat16()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(dropout(x))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert found[0].dtype == torch.bfloat16


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_and_everything(p: float) -> None:
    x = torch.randn(5, 5)
    assert torch.equal(ByteDropout(p)(x), (1 - p) * x)
    assert torch.equal(ByteDropout(0.5).eval()(x), x)
