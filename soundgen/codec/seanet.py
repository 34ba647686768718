"""SEANet encoder and decoder of EnCodec (Tagliasacchi et al. 2020; Defossez et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.codec.config import CodecConfig
from soundgen.codec.seanet_rows import RowsOf
from soundgen.nn.conv import CausalConv1d, CausalConvTranspose1d, StreamingLSTM, StreamState
from soundgen.nn.products import in_inference

_ELU_GAIN = 1.2
"""Keeps the variance of a unit normal signal through an ELU and a convolution."""
_OUTPUT_GAIN = 0.1
"""Of the decoder's last convolution: recordings are nearer to -20 dBFS than to full scale."""

SeanetState = dict[str, StreamState]
"""State of a whole encoder or decoder: one entry a layer, made on first use."""


class ResidualUnit(nn.Module):
    """Two convolutions around a bottleneck, added to the input."""

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        dilation: int,
        compress: int,
        use_weight_norm: bool,
    ) -> None:
        super().__init__()
        hidden = channels // compress
        self.narrow = CausalConv1d(
            channels,
            hidden,
            kernel_size,
            dilation=dilation,
            use_weight_norm=use_weight_norm,
        )
        self.widen = CausalConv1d(hidden, channels, 1, use_weight_norm=use_weight_norm)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Map `x` `[B, C, T]` to the same shape."""
        # The 1x1 convolution has no past, so the unit's state is its first convolution's.
        added: Tensor = x + self.widen(F.elu(self.narrow(F.elu(x), state)))
        return added


class Elu(nn.Module):
    """ELU that takes the (absent) state of its neighbours in a layer list."""

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Apply ELU to `x`, any shape."""
        return F.elu(x)


@torch.no_grad()
def _initialise(layers: nn.ModuleList, *, output_gain: float = 1.0) -> None:
    """Draw weights that keep the signal's variance from layer to layer, and no biases.

    PyTorch's default shrinks it threefold at every layer. Over the dozen of them the output was
    that of the biases alone, latents moved by a hundredth, and 250 steps had not changed it.
    """
    gains: dict[nn.Module, float] = {}
    for unit in layers.modules():
        if isinstance(unit, CausalConv1d | CausalConvTranspose1d):
            gains.setdefault(unit, _ELU_GAIN)
            last = unit
        elif isinstance(unit, ResidualUnit):
            # What a unit adds starts smaller than what it adds to.
            gains[unit.widen] = _ELU_GAIN / 2
    gains[last] *= output_gain
    for unit, gain in gains.items():
        if isinstance(unit, CausalConv1d | CausalConvTranspose1d):
            unit.initialise(gain)


def _run(layers: nn.ModuleList, x: Tensor, state: SeanetState | None, rows: RowsOf) -> Tensor:
    if len(x) == 1 and in_inference(x):
        found = rows.run(layers, x, {} if state is None else state)
        if found is not None:
            return found
    for index, layer in enumerate(layers):
        x = layer(x, None if state is None else state.setdefault(str(index), {}))
    return x


class SeanetEncoder(nn.Module):
    """Waveform to latents; each stage halves the time by its stride and doubles the channels."""

    def __init__(self, config: CodecConfig, *, use_weight_norm: bool) -> None:
        super().__init__()
        sea = config.seanet
        width = sea.num_filters
        layers: list[nn.Module] = [
            CausalConv1d(1, width, sea.kernel_size, use_weight_norm=use_weight_norm)
        ]
        for stride in config.strides:
            layers += [
                ResidualUnit(
                    width,
                    kernel_size=sea.residual_kernel_size,
                    dilation=sea.dilation_base**index,
                    compress=sea.compress,
                    use_weight_norm=use_weight_norm,
                )
                for index in range(sea.num_residual_layers)
            ]
            layers += [
                Elu(),
                CausalConv1d(
                    width,
                    width * 2,
                    stride * 2,
                    stride=stride,
                    use_weight_norm=use_weight_norm,
                ),
            ]
            width *= 2
        if sea.num_lstm_layers:
            layers.append(StreamingLSTM(width, sea.num_lstm_layers))
        layers += [
            Elu(),
            CausalConv1d(
                width, config.latent_dim, sea.kernel_size, use_weight_norm=use_weight_norm
            ),
        ]
        self.layers = nn.ModuleList(layers)
        _initialise(self.layers)
        self._rows = RowsOf(config.hop_length)

    def forward(self, wav: Tensor, state: SeanetState | None = None) -> Tensor:
        """Encode `wav` `[B, 1, T]`, T a multiple of the hop, to latents `[B, D, L]`."""
        return _run(self.layers, wav, state, self._rows)


class SeanetDecoder(nn.Module):
    """Latents to waveform: the encoder's mirror."""

    def __init__(self, config: CodecConfig, *, use_weight_norm: bool) -> None:
        super().__init__()
        sea = config.seanet
        width = sea.num_filters * 2 ** len(config.strides)
        layers: list[nn.Module] = [
            CausalConv1d(config.latent_dim, width, sea.kernel_size, use_weight_norm=use_weight_norm)
        ]
        if sea.num_lstm_layers:
            layers.append(StreamingLSTM(width, sea.num_lstm_layers))
        for stride in reversed(config.strides):
            layers += [
                Elu(),
                CausalConvTranspose1d(
                    width,
                    width // 2,
                    stride * 2,
                    stride=stride,
                    use_weight_norm=use_weight_norm,
                ),
            ]
            width //= 2
            layers += [
                ResidualUnit(
                    width,
                    kernel_size=sea.residual_kernel_size,
                    dilation=sea.dilation_base**index,
                    compress=sea.compress,
                    use_weight_norm=use_weight_norm,
                )
                for index in range(sea.num_residual_layers)
            ]
        layers += [
            Elu(),
            CausalConv1d(width, 1, sea.kernel_size, use_weight_norm=use_weight_norm),
        ]
        self.layers = nn.ModuleList(layers)
        _initialise(self.layers, output_gain=_OUTPUT_GAIN)
        self._rows = RowsOf(1)

    def forward(self, latents: Tensor, state: SeanetState | None = None) -> Tensor:
        """Decode `latents` `[B, D, L]` to `wav` `[B, 1, L * hop_length]`."""
        return _run(self.layers, latents, state, self._rows)
