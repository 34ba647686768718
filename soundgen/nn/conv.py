"""Causal 1-d convolutions whose past can be carried, so that a stream equals the whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

StreamState = dict[str, Tensor]
"""What one module remembers between two pieces of a stream; empty at the beginning."""


def _normalised(module: nn.Module) -> nn.Module:
    return weight_norm(module)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def _draw_weight(conv: nn.Module, std: float) -> None:
    weight: Tensor = conv.weight  # type: ignore[assignment]
    drawn = torch.randn_like(weight) * std
    if nn.utils.parametrize.is_parametrized(conv, "weight"):
        conv.weight = drawn  # through weight norm's right inverse
    else:
        weight.copy_(drawn)


class CausalConv1d(nn.Module):
    """Convolution that sees the present and the past only.

    ```
    kernel 3, stride 1:   0 0 | x0 x1 x2      zeros on the left, none on the right
                          `---y0
                            `-----y1
    ```
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        use_weight_norm: bool = False,
    ) -> None:
        super().__init__()
        conv = nn.Conv1d(in_channels, out_channels, kernel_size, stride=stride, dilation=dilation)
        self.conv = _normalised(conv) if use_weight_norm else conv
        self.context = (kernel_size - 1) * dilation + 1 - stride
        self.fan_in = in_channels * kernel_size

    @torch.no_grad()
    def initialise(self, gain: float) -> None:
        """Draw weights that give a unit normal input the standard deviation `gain`; no bias."""
        _draw_weight(self.conv, gain / self.fan_in**0.5)
        nn.init.zeros_(self.conv.get_parameter("bias"))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Convolve `x` `[B, C_in, T]` (T a multiple of the stride) to `[B, C_out, T / stride]`.

        With `state`, `x` continues the piece that was given before.
        """
        past = None if state is None else state.get("past")
        if past is None:
            past = x.new_zeros(x.shape[0], x.shape[1], self.context)
        x = torch.cat([past, x], dim=2)
        if state is not None:
            state["past"] = x[:, :, x.shape[2] - self.context :]
        return self.conv(x)  # type: ignore[no-any-return]


class CausalConvTranspose1d(nn.Module):
    """Transposed convolution whose tail overlaps the next piece instead of being cut off."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        use_weight_norm: bool = False,
    ) -> None:
        super().__init__()
        conv = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride=stride, bias=False)
        self.conv = _normalised(conv) if use_weight_norm else conv
        # The bias stands outside, so that it is added once where two pieces overlap.
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.overlap = kernel_size - stride
        # Each output sample is the sum of kernel / stride taps.
        self.fan_in = in_channels * kernel_size / stride

    @torch.no_grad()
    def initialise(self, gain: float) -> None:
        """Draw weights that give a unit normal input the standard deviation `gain`; no bias."""
        _draw_weight(self.conv, gain / self.fan_in**0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Upsample `x` `[B, C_in, L]` to `[B, C_out, L * stride]`."""
        y: Tensor = self.conv(x)
        if self.overlap:
            if state is not None:
                tail = state.get("tail")
                if tail is not None:
                    y = torch.cat([y[:, :, : self.overlap] + tail, y[:, :, self.overlap :]], dim=2)
                state["tail"] = y[:, :, y.shape[2] - self.overlap :]
            y = y[:, :, : y.shape[2] - self.overlap]
        return y + self.bias[:, None]


class StreamingLSTM(nn.Module):
    """LSTM with a skip connection over `[B, D, L]`, its state carried between pieces."""

    def __init__(self, dim: int, num_layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, num_layers)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Return `x + LSTM(x)`, `[B, D, L]`."""
        carried = None
        if state is not None and "hidden" in state:
            carried = (state["hidden"], state["cell"])
        y, (hidden, cell) = self.lstm(x.permute(2, 0, 1), carried)
        if state is not None:
            state["hidden"], state["cell"] = hidden, cell
        added: Tensor = x + y.permute(1, 2, 0)
        return added


def is_normalised(conv: nn.Module) -> bool:
    """Say whether the weight of `conv` has weight norm."""
    return bool(nn.utils.parametrize.is_parametrized(conv, "weight"))


def fold_weight_norm(module: nn.Module) -> None:
    """Replace every weight-normalised weight below `module` by its plain value, in place."""
    for part in module.modules():
        if is_normalised(part):
            nn.utils.parametrize.remove_parametrizations(part, "weight")


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, *, lookahead: int) -> Tensor:
    """Convolve each feature of `x` `[B, L, D]` with its own kernel `[D, 1, kernel]`.

    Zeros stand outside the sequence; `lookahead` taps lie to the right of the present.
    """
    kernel = weight.shape[2]
    # In float32 on a CPU: in bfloat16 it takes twice as long backwards.
    with torch.autocast("cpu", enabled=False):
        x = x.float() if x.device.type == "cpu" else x
        x = F.pad(x.transpose(1, 2), (kernel - 1 - lookahead, lookahead))
        return F.conv1d(x, weight, bias, groups=weight.shape[0]).transpose(1, 2)
