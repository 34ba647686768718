"""Multi-scale STFT discriminator (EnCodec, Defossez et al. 2022, section 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


class Verdict(NamedTuple):
    """What one scale says of a batch."""

    logits: Tensor
    """`[B, 1, frames, bins]`: positive means real."""
    features: list[Tensor]
    """Activations of the hidden layers, for feature matching."""


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> nn.Module:
    padding = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation, strict=True))
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        dilation=dilation,
        padding=(padding[0], padding[1]),
    )
    return weight_norm(conv)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


class STFTDiscriminator(nn.Module):
    """2-d convolutions over one complex STFT, dilated in time, strided in frequency."""

    window: Tensor

    def __init__(self, n_fft: int, num_filters: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        wide = (3, 9)
        self.hidden = nn.ModuleList(
            [
                _conv(2, num_filters, wide),
                *(
                    _conv(num_filters, num_filters, wide, stride=(1, 2), dilation=(d, 1))
                    for d in (1, 2, 4)
                ),
                _conv(num_filters, num_filters, (3, 3)),
            ]
        )
        self.head = _conv(num_filters, 1, (3, 3))

    def forward(self, wav: Tensor) -> Verdict:
        """Judge `wav` `[B, 1, T]`."""
        # Unit energy per window, so that all scales see values of one size.
        spectrum = torch.stft(
            wav[:, 0],
            self.n_fft,
            hop_length=self.n_fft // 4,
            window=self.window / self.window.square().sum().sqrt(),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        x = torch.stack([spectrum.real, spectrum.imag], dim=1).transpose(2, 3)  # [B, 2, frames, F]
        features = []
        for layer in self.hidden:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return Verdict(self.head(x), features)


class MultiScaleSTFTDiscriminator(nn.Module):
    """One `STFTDiscriminator` a window length."""

    def __init__(self, windows: tuple[int, ...], num_filters: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(STFTDiscriminator(n_fft, num_filters) for n_fft in windows)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Judge `wav` `[B, 1, T]` at every scale."""
        return [scale(wav) for scale in self.scales]
