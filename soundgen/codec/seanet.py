"""SEANet encoder and decoder of EnCodec (Tagliasacchi et al. 2020; Defossez et al. 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.codec.config import CodecConfig, SeanetConfig
from soundgen.codec.seanet_rows import RowsOf
from soundgen.nn.conv import CausalConv1d, CausalConvTranspose1d, StreamingLSTM, StreamState
from soundgen.nn.padded_conv import PaddedConv1d, TrimmedConvTranspose1d
from soundgen.nn.products import in_inference

_ELU_GAIN = 1.2
"""Keeps the variance of a unit normal signal through an ELU and a convolution."""
_OUTPUT_GAIN = 0.1
"""Of the decoder's last convolution: recordings are nearer to -20 dBFS than to full scale."""

SeanetState = dict[str, StreamState]
"""State of a whole encoder or decoder: one entry a layer, made on first use."""


class ResidualUnit(nn.Module):
    """Two convolutions around a bottleneck, added to the input (or to a convolution of it)."""

    def __init__(
        self, config: SeanetConfig, channels: int, *, dilation: int, use_weight_norm: bool
    ) -> None:
        super().__init__()
        hidden = channels // config.compress
        self.narrow = _conv(
            config,
            channels,
            hidden,
            config.residual_kernel_size,
            dilation=dilation,
            use_weight_norm=use_weight_norm,
        )
        self.widen = _conv(config, hidden, channels, 1, use_weight_norm=use_weight_norm)
        self.shortcut: nn.Module = nn.Identity()
        if config.conv_shortcut:
            self.shortcut = _conv(config, channels, channels, 1, use_weight_norm=use_weight_norm)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """Map `x` `[B, C, T]` to the same shape."""
        # A 1x1 convolution has no past, so the unit's state is its first convolution's.
        added: Tensor = self.shortcut(x) + self.widen(F.elu(self.narrow(F.elu(x), state)))
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


def _conv(
    config: SeanetConfig,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    use_weight_norm: bool,
) -> CausalConv1d:
    """Build a convolution whose edges are padded as the configuration says."""
    sizes = (in_channels, out_channels, kernel_size)
    if config.pad_mode == "waveform":
        return CausalConv1d(
            *sizes, stride=stride, dilation=dilation, use_weight_norm=use_weight_norm
        )
    return PaddedConv1d(
        *sizes,
        stride=stride,
        dilation=dilation,
        use_weight_norm=use_weight_norm,
        pad_mode=config.pad_mode,
        causal=config.causal,
    )


def _conv_transpose(
    config: SeanetConfig, in_channels: int, out_channels: int, stride: int, *, use_weight_norm: bool
) -> CausalConvTranspose1d:
    """Build a transposed convolution whose surplus is cut off where the configuration says."""
    sizes = (in_channels, out_channels, stride * 2)
    if config.streams:
        return CausalConvTranspose1d(*sizes, stride=stride, use_weight_norm=use_weight_norm)
    right = math.ceil(stride * config.trim_right_ratio) if config.causal else stride // 2
    return TrimmedConvTranspose1d(
        *sizes, stride=stride, use_weight_norm=use_weight_norm, trim_left=stride - right
    )


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
        width, last_kernel = sea.num_filters, sea.last_kernel_size or sea.kernel_size
        layers: list[nn.Module] = [
            _conv(sea, 1, width, sea.kernel_size, use_weight_norm=use_weight_norm)
        ]
        for stride in config.strides:
            layers += [
                ResidualUnit(
                    sea,
                    width,
                    dilation=sea.dilation_base**index,
                    use_weight_norm=use_weight_norm,
                )
                for index in range(sea.num_residual_layers)
            ]
            layers += [
                Elu(),
                _conv(
                    sea,
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
            _conv(sea, width, config.latent_dim, last_kernel, use_weight_norm=use_weight_norm),
        ]
        self.layers = nn.ModuleList(layers)
        _initialise(self.layers)
        self._rows = RowsOf(config.hop_length)

    def forward(self, wav: Tensor, state: SeanetState | None = None) -> Tensor:
        """Encode `wav` `[B, 1, T]`, T a multiple of the hop (or any), to latents `[B, D, L]`."""
        return _run(self.layers, wav, state, self._rows)


class SeanetDecoder(nn.Module):
    """Latents to waveform: the encoder's mirror."""

    def __init__(self, config: CodecConfig, *, use_weight_norm: bool) -> None:
        super().__init__()
        sea = config.seanet
        width = sea.num_filters * 2 ** len(config.strides)
        last_kernel = sea.last_kernel_size or sea.kernel_size
        layers: list[nn.Module] = [
            _conv(sea, config.latent_dim, width, sea.kernel_size, use_weight_norm=use_weight_norm)
        ]
        if sea.num_lstm_layers:
            layers.append(StreamingLSTM(width, sea.num_lstm_layers))
        for stride in reversed(config.strides):
            layers += [
                Elu(),
                _conv_transpose(sea, width, width // 2, stride, use_weight_norm=use_weight_norm),
            ]
            width //= 2
            layers += [
                ResidualUnit(
                    sea,
                    width,
                    dilation=sea.dilation_base**index,
                    use_weight_norm=use_weight_norm,
                )
                for index in range(sea.num_residual_layers)
            ]
        layers += [
            Elu(),
            _conv(sea, width, 1, last_kernel, use_weight_norm=use_weight_norm),
        ]
        self.layers = nn.ModuleList(layers)
        _initialise(self.layers, output_gain=_OUTPUT_GAIN)
        self._rows = RowsOf(1)

    def forward(self, latents: Tensor, state: SeanetState | None = None) -> Tensor:
        """Decode `latents` `[B, D, L]` to `wav` `[B, 1, L * hop_length]`."""
        return _run(self.layers, latents, state, self._rows)
