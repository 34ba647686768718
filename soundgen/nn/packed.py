"""Layers over rows of time `[T, C]` whose weights are laid out for oneDNN once.

PyTorch lays a weight out at each call, which for an LSTM of 512 features takes as long as 100 of
its steps, and has oneDNN's convolutions of features-last rows only for images. The entries that its
own compiler calls take weights that were laid out before. They are not part of PyTorch's public
interface, so they are tried out once; where one is missing or wrong, the plain function is taken.
A weight that is laid out is a copy, and can itself be neither copied nor pickled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.nn.products import product

Rows = Tensor
"""float32 `[T, C]`."""
LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state, float32 `[layers, 1, D]` each."""


class PackedConv:
    """`F.conv1d` over rows, without padding.

    Args:
        weight: float32 `[C_out, C_in, kernel]`.
        bias: float32 `[C_out]`.
        stride: Rows from one output to the next.
        dilation: Rows from one tap to the next.
        num_rows: Of the usual input, for which the weight is laid out; others are as right.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, *, stride: int = 1, dilation: int = 1, num_rows: int
    ) -> None:
        self._bias = bias
        self._shape: _Shape = ((1, stride), (0, 0), (1, dilation))
        # One row of an image whose columns are the rows of time: features last is its memory.
        self._weight = weight[:, :, None].contiguous()
        self._convolve: Callable[..., Tensor] = F.conv2d
        if _convolves():
            self._weight = _pack_conv(self._weight, self._shape, num_rows)
            self._convolve = _convolve

    def __call__(self, x: Rows) -> Rows:
        """Convolve `x` `[T, C_in]` to `[T', C_out]`."""
        y = self._convolve(_as_image(x), self._weight, self._bias, *self._shape)
        return y[0, :, 0].t().contiguous()


class PackedLinear:
    """`F.linear` over rows.

    Args:
        weight: float32 `[O, D]`.
        bias: float32 `[O]`.
        num_rows: As of `PackedConv`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, num_rows: int) -> None:
        self._weight, self._bias = weight.contiguous(), bias
        self._multiply: Callable[..., Rows] = product
        if _multiplies():
            self._weight, self._multiply = _pack_linear(self._weight, num_rows), _multiply

    def __call__(self, x: Rows, *, added_to: Rows) -> Rows:
        """Return `x` `[T, D]` times the weight, added to `added_to` `[T, O]`."""
        return self._multiply(x, self._weight, self._bias, added_to=added_to)


class PackedLSTM:
    """`nn.LSTM` in one direction over rows.

    Args:
        lstm: With biases.
        num_rows: As of `PackedConv`.
    """

    def __init__(self, lstm: nn.LSTM, *, num_rows: int) -> None:
        self._lstm = lstm
        self._layers = _pack_lstm(lstm, num_rows) if _recurs() else None

    def __call__(self, x: Rows, carried: LSTMState | None) -> tuple[Rows, LSTMState]:
        """Return `LSTM(x)` of `x` `[T, D]`, and the state after it."""
        if self._layers is None:
            y, (hidden, cell) = self._lstm(x[:, None], carried)
            return y[:, 0], (hidden, cell)
        return _recur(self._layers, x, carried)


def elu(x: Tensor, *, out: Tensor) -> Tensor:
    """Write ELU of `x` into `out` of its shape, 1.5 times as fast as `F.elu`.

    PyTorch takes a fifth of the time for 2^x that it takes for e^x. As e^x - 1 is never below x,
    ELU is the smaller one of that and x's positive part.
    """
    grown = x * (1 / math.log(2))
    torch.exp2(grown, out=grown).sub_(1)
    return torch.clamp(x, min=x.new_zeros(()), max=grown, out=out)


def _as_image(rows: Rows) -> Tensor:
    """View `[T, C]` as features-last `[1, C, 1, T]`."""
    return rows.t()[None, :, None]


_Shape = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Stride, padding and dilation of an image."""


def _pack_conv(weight: Tensor, shape: _Shape, num_rows: int) -> Tensor:
    stride, padding, dilation = shape
    size = [1, weight.shape[1], 1, num_rows]
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, stride, dilation, 1, size
    )
    return packed


def _convolve(
    image: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    run: Any = torch.ops.mkldnn._convolution_pointwise.default
    y: Tensor = run(image, weight, bias, padding, stride, dilation, 1, "none", [], "")
    return y


def _pack_linear(weight: Tensor, num_rows: int) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, num_rows)
    return packed


def _multiply(x: Rows, weight: Tensor, bias: Tensor, *, added_to: Rows) -> Rows:
    run: Any = torch.ops.mkldnn._linear_pointwise.binary
    y: Rows = run(x, added_to, weight, bias, "add")
    return y


class _LSTMLayer(NamedTuple):
    kernel: Tensor
    recurrent: Tensor
    kernel_bias: Tensor
    recurrent_bias: Tensor


_LSTM_MODE = 2
"""oneDNN's number of it."""


def _pack_lstm(lstm: nn.LSTM, num_rows: int) -> list[_LSTMLayer]:
    layers = []
    for kernel, recurrent, *biases in lstm.all_weights:
        size = [num_rows, 1, kernel.shape[1]]
        packed = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
            kernel.detach(), recurrent.detach(), lstm.hidden_size, False, True, False, size
        )
        layers.append(_LSTMLayer(*packed, *(bias.detach() for bias in biases)))
    return layers


def _recur(layers: list[_LSTMLayer], x: Rows, carried: LSTMState | None) -> tuple[Rows, LSTMState]:
    run: Any = torch.ops.aten.mkldnn_rnn_layer.default
    size = len(layers[0].kernel_bias) // 4
    hidden, cell = carried or (x.new_zeros(len(layers), 1, size),) * 2
    y, hiddens, cells = x[:, None], [], []
    for layer, h, c in zip(layers, hidden.split(1), cell.split(1), strict=True):
        # Forwards, no padding, one layer, with biases, in one direction, time first, no training.
        y, h, c, _ = run(y, *layer, h, c, False, [], _LSTM_MODE, size, 1, True, False, False, False)
        hiddens.append(h.view(1, 1, size))
        cells.append(c.view(1, 1, size))
    return y[:, 0], (torch.cat(hiddens), torch.cat(cells))


def _tried(attempt: Callable[[], list[tuple[Tensor, Tensor]]]) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        return all(torch.allclose(found, plain, atol=1e-4) for found, plain in attempt())
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


@cache
@torch.no_grad()
def _convolves() -> bool:
    generator = torch.Generator().manual_seed(0)
    sizes = ((30, 20), (9, 20, 1, 4), (9,))
    x, weight, bias = (torch.randn(size, generator=generator) for size in sizes)
    shape = ((1, 2), (0, 0), (1, 3))

    def attempt() -> list[tuple[Tensor, Tensor]]:
        found = _convolve(_as_image(x), _pack_conv(weight, shape, len(x)), bias, *shape)
        return [(found, F.conv2d(_as_image(x), weight, bias, *shape))]

    return _tried(attempt)


@cache
@torch.no_grad()
def _multiplies() -> bool:
    generator = torch.Generator().manual_seed(0)
    sizes = ((6, 20), (9, 20), (9,), (6, 9))
    x, weight, bias, other = (torch.randn(size, generator=generator) for size in sizes)

    def attempt() -> list[tuple[Tensor, Tensor]]:
        found = _multiply(x, _pack_linear(weight, len(x)), bias, added_to=other)
        return [(found, F.linear(x, weight, bias) + other)]

    return _tried(attempt)


@cache
@torch.no_grad()
def _recurs() -> bool:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lstm, x = nn.LSTM(20, 20, 2), torch.randn(9, 20)

    def attempt() -> list[tuple[Tensor, Tensor]]:
        layers = _pack_lstm(lstm, len(x))
        pairs = []
        found = plain = None
        for piece in x.split(5):
            y, found = _recur(layers, piece, found)
            expected, plain = lstm(piece[:, None], plain)
            pairs += [(y, expected[:, 0]), *zip(found, plain, strict=True)]
        return pairs

    return _tried(attempt)
