"""Modules built without initial values: the same once they are filled."""

from __future__ import annotations

import torch
from torch import nn

from soundgen.nn.unfilled import Unfilled


def build() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.Linear(4, 5), nn.LayerNorm(5), nn.Embedding(7, 5))


def test_nothing_is_drawn_and_what_is_filled_in_is_there() -> None:
    torch.manual_seed(0)
    filled = build()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with Unfilled():
        unfilled = build()
    assert [name for name, _ in unfilled.named_parameters()] == [
        name for name, _ in filled.named_parameters()
    ]
    unfilled.load_state_dict(filled.state_dict())
    for ours, theirs in zip(unfilled.parameters(), filled.parameters(), strict=True):
        assert torch.equal(ours, theirs) and ours.requires_grad
    # Outside of it, values are drawn as ever; inside, only embeddings drew any.
    assert not torch.equal(build()[1].weight, build()[1].weight)
    with Unfilled():
        torch.manual_seed(0)
        nn.Linear(4, 5)
        assert torch.equal(torch.rand(1), expected)
