"""ConvNeXt block over frames (Liu et al. 2022; in one dimension as in Vocos, Siuzdak 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundgen.nn.conv import depthwise
from soundgen.nn.products import linear


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then a pointwise MLP, on a residual path scaled per feature."""

    def __init__(
        self, dim: int, *, hidden_dim: int, kernel_size: int, lookahead: int, layer_scale: float
    ) -> None:
        super().__init__()
        self.lookahead = lookahead
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, hidden_dim)
        self.project = nn.Linear(hidden_dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` `[B, L, D]` to the same shape."""
        bias = self.depthwise.bias
        if bias is None:
            raise RuntimeError("the depthwise convolution has a bias by construction")
        mixed = depthwise(x, self.depthwise.weight, bias, lookahead=self.lookahead)
        y: Tensor = linear(linear(self.norm(mixed), self.expand, gelu=True), self.project)
        return x + self.scale * y
