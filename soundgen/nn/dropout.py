"""Dropout (Srivastava et al. 2014) that a CPU draws quickly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ByteDropout(nn.Dropout):
    """Dropout that draws a byte for each value on a CPU: `p` is rounded to 1/256 there.

    PyTorch draws one number after the other, on one core, which was a ninth of a training step of
    the language model. Eight bytes at once take a quarter of that.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Set a share of `x`, any shape, to zero, and scale the rest so that the mean stays."""
        dropped = round(self.p * 256)
        if not (self.training and x.device.type == "cpu" and 0 < dropped < 256):
            dropped_x: Tensor = super().forward(x)
            return dropped_x
        # From the lowest integer on, so that all 64 bits are drawn.
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))
