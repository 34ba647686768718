"""Layers over rows of time `[T, C]` whose weights are laid out for oneDNN once.

PyTorch lays a weight out at each call, which for an LSTM of 512 features takes as long as 100 of
its steps, and has oneDNN's convolutions of features-last rows only for images. The entries that its
own compiler calls take weights that were laid out before. They are not part of PyTorch's public
interface, so they are tried out once; where one is missing or wrong, a plain function is taken.
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

LOG2_E = 1 / math.log(2)
"""e^x is 2 to the power of x times this."""
_NUM_ROWS = 1000
"""That products and LSTMs are laid out for: many. It is right for few as well."""


class PackedConv:
    """`F.conv1d` over rows, without padding.

    Args:
        weight: float32 `[C_out, C_in, kernel]`.
        bias: float32 `[C_out]`.
        stride: Rows from one output to the next.
        dilation: Rows from one tap to the next.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, stride: int = 1, dilation: int = 1) -> None:
        self._weight, self._bias = weight.contiguous(), bias
        self._stride, self._dilation = stride, dilation
        self._packed, self._num_rows = self._weight, 0

    def __call__(self, x: Rows) -> Rows:
        """Convolve `x` `[T, C_in]` to `[T', C_out]`; the same values whatever came before."""
        if not _convolves():
            return _unfolded_product(x, self._weight, self._bias, self._stride, self._dilation)
        if len(x) > self._num_rows:
            # For the most rows so far: whole tiles.
            packed = _pack_conv(self._weight, self._stride, self._dilation, len(x))
            self._packed, self._num_rows = packed, len(x)
        is_fit = len(x) == self._num_rows or _layouts_fit_all()
        weight = self._packed if is_fit else self._weight[:, :, None]
        return _convolve(x, weight, self._bias, self._stride, self._dilation)


class PackedLinear:
    """`F.linear` over rows.

    Args:
        weight: float32 `[O, D]`.
        bias: float32 `[O]`.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight.contiguous(), bias
        self._multiply: Callable[..., Rows] = product
        if _multiplies():
            self._weight, self._multiply = _pack_linear(self._weight), _multiply

    def __call__(self, x: Rows, *, added_to: Rows) -> Rows:
        """Return `x` `[T, D]` times the weight, added to `added_to` `[T, O]`."""
        return self._multiply(x, self._weight, self._bias, added_to=added_to)


class PackedLSTM:
    """`nn.LSTM` in one direction over rows.

    Args:
        lstm: With biases.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        self._lstm = lstm
        self._layers = _pack_lstm(lstm) if _recurs() else None

    def __call__(self, x: Rows, carried: LSTMState | None) -> tuple[Rows, LSTMState]:
        """Return `LSTM(x)` of `x` `[T, D]`, and the state after it."""
        if self._layers is None:
            y, (hidden, cell) = self._lstm(x[:, None], carried)
            return y[:, 0], (hidden, cell)
        return _recur(self._layers, x, carried)


def scaled_elu(x: Tensor, *, out: Tensor) -> Tensor:
    """Write ELU into `out`, where `x` and `out`, of one shape, hold values times `LOG2_E`.

    In three fast passes, twice as fast as `F.elu`: PyTorch takes a fifth of the time for 2^x that
    it takes for e^x, and as e^x - 1 is never below x, ELU is the smaller one of that and x's
    positive part.
    """
    grown = torch.exp2(x)
    torch.add(x.new_tensor(-LOG2_E), grown, alpha=LOG2_E, out=grown)
    return torch.clamp(x, min=x.new_zeros(()), max=grown, out=out)


def _as_image(rows: Rows) -> Tensor:
    """View `[T, C]` as `[1, C, 1, T]`: features last is its memory."""
    return rows.t()[None, :, None]


def _pack_conv(weight: Tensor, stride: int, dilation: int, num_rows: int) -> Tensor:
    """Lay out `[C_out, C_in, kernel]` for `num_rows` rows of input."""
    kernel, size = weight[:, :, None].contiguous(), [1, weight.shape[1], 1, num_rows]
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        kernel, [0, 0], [1, stride], [1, dilation], 1, size
    )
    return packed


def _convolve(x: Rows, weight: Tensor, bias: Tensor, stride: int, dilation: int) -> Rows:
    run: Any = torch.ops.mkldnn._convolution_pointwise.default
    shape = ([0, 0], [1, stride], [1, dilation], 1)
    y: Tensor = run(_as_image(x), weight, bias, *shape, "none", [], "")
    return y[0, :, 0].t().contiguous()


def _unfolded_product(x: Rows, weight: Tensor, bias: Tensor, stride: int, dilation: int) -> Rows:
    num_out, width, kernel = weight.shape
    length = (len(x) - (kernel - 1) * dilation - 1) // stride + 1
    x = x.contiguous()
    taps = x.as_strided((length, kernel, width), (stride * width, dilation * width, 1))
    return product(taps.reshape(length, -1), weight.transpose(1, 2).reshape(num_out, -1), bias)


@cache
def _layouts_fit_all() -> bool:
    """Say whether what is laid out for one number of rows is, or nearly is, right for others.

    With AVX2, oneDNN wants others for others, and to lay out again what is laid out already takes
    it longer than to convolve; from the plain weight it is fast.
    """
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


def _pack_linear(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _NUM_ROWS)
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


def _pack_lstm(lstm: nn.LSTM) -> list[_LSTMLayer]:
    layers = []
    for kernel, recurrent, *biases in lstm.all_weights:
        size = [_NUM_ROWS, 1, kernel.shape[1]]
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
    sizes = ((30, 20), (9, 20, 4), (9,))
    x, weight, bias = (torch.randn(size, generator=generator) for size in sizes)

    def attempt() -> list[tuple[Tensor, Tensor]]:
        found = _convolve(x, _pack_conv(weight, 2, 3, len(x)), bias, 2, 3)
        return [(found, F.conv1d(x.t()[None], weight, bias, stride=2, dilation=3)[0].t())]

    return _tried(attempt)


@cache
@torch.no_grad()
def _multiplies() -> bool:
    generator = torch.Generator().manual_seed(0)
    sizes = ((6, 20), (9, 20), (9,), (6, 9))
    x, weight, bias, other = (torch.randn(size, generator=generator) for size in sizes)

    def attempt() -> list[tuple[Tensor, Tensor]]:
        found = _multiply(x, _pack_linear(weight), bias, added_to=other)
        return [(found, F.linear(x, weight, bias) + other)]

    return _tried(attempt)


@cache
@torch.no_grad()
def _recurs() -> bool:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        lstm, x = nn.LSTM(20, 20, 2), torch.randn(9, 20)

    def attempt() -> list[tuple[Tensor, Tensor]]:
        layers = _pack_lstm(lstm)
        pairs = []
        found = plain = None
        for piece in x.split(5):
            y, found = _recur(layers, piece, found)
            expected, plain = lstm(piece[:, None], plain)
            pairs += [(y, expected[:, 0]), *zip(found, plain, strict=True)]
        return pairs

    return _tried(attempt)
