"""Convolutions padded as the released EnCodec weights want it: each one pads its own input.

Ours see zeros before a sound and a waveform that was filled up to a whole frame. EnCodec's
(Defossez et al. 2022) mirror what stands at the edge, fill up at each stride on its own, and may
look ahead (the 32 kHz codec of MusicGen does). Where nothing looks ahead a stream equals the whole,
as long as its first piece is longer than the convolution's past.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.nn.conv import CausalConv1d, CausalConvTranspose1d, StreamState

EdgeMode = Literal["constant", "reflect"]


class PaddedConv1d(CausalConv1d):
    """Convolution that pads both edges of what it is given, to whole strides.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: Taps.
        stride: Samples a step.
        dilation: Samples between two taps.
        use_weight_norm: Keep direction and magnitude of the weight apart.
        pad_mode: Zeros, or what stands at the edge, mirrored.
        causal: See the present and the past only, or as much of what is to come.
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
        pad_mode: EdgeMode = "reflect",
        causal: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            dilation=dilation,
            use_weight_norm=use_weight_norm,
        )
        self.pad_mode: EdgeMode = pad_mode
        self.stride, self.lookahead = stride, 0 if causal else self.context // 2

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Convolve `x` `[B, C_in, T]` to `[B, C_out, ceil(T / stride)]`.

        With `state`, `x` continues the piece that was given before; only the last piece of a
        stream may be of other than whole strides. What looks ahead takes the stream in one piece.
        """
        right = self.lookahead + -x.shape[2] % self.stride
        past = None if state is None else state.get("past")
        if past is None:
            padded = pad_edges(x, self.context - self.lookahead, right, self.pad_mode)
        else:
            padded = pad_edges(torch.cat([past, x], dim=2), 0, right, self.pad_mode)
        if state is not None:
            known = padded.shape[2] - right
            state["past"] = padded[:, :, known - self.context : known]
        return self.conv(padded)  # type: ignore[no-any-return]


class TrimmedConvTranspose1d(CausalConvTranspose1d):
    """Transposed convolution whose surplus is cut off at both ends; for whole sounds.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: Taps.
        stride: Samples that one becomes.
        use_weight_norm: Keep direction and magnitude of the weight apart.
        trim_left: Samples of the surplus that are cut off before the sound.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        use_weight_norm: bool = False,
        trim_left: int,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, use_weight_norm=use_weight_norm
        )
        self.trim_left = trim_left

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Upsample `x` `[B, C_in, L]`, a whole sound, to `[B, C_out, L * stride]`."""
        y: Tensor = self.conv(x)
        end = y.shape[2] - (self.overlap - self.trim_left)
        return y[:, :, self.trim_left : end] + self.bias[:, None]


def pad_edges(x: Tensor, left: int, right: int, mode: EdgeMode) -> Tensor:
    """Pad the last dimension of `x` `[B, C, T]`; one too short to be mirrored has zeros behind."""
    if mode == "constant":
        return F.pad(x, (left, right))
    missing = max(0, max(left, right) + 1 - x.shape[2])
    mirrored = F.pad(F.pad(x, (0, missing)), (left, right), mode="reflect")
    return mirrored[:, :, : mirrored.shape[2] - missing]
