"""SEANet's layers as matrix products over rows of time, for inference on a CPU.

The convolutions of `seanet.py` hold a signal as `[C, T]`. Held as `[T, C]`, each of them is a sum
of products of shifted rows with one tap's weights, without unfolding or reordering anything; a
convolution with stride s and kernel 2 s is two products of whole blocks of s rows, and so is its
transpose. Bias and residual are added within the products.

The results equal the plain modules' within rounding. What a layer remembers of a stream are the
rows of its input that it will see again, so that a stream has to stay on the way it began on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.nn.conv import (
    CausalConv1d,
    CausalConvTranspose1d,
    StreamingLSTM,
    StreamState,
    is_normalised,
)
from soundgen.nn.products import product

TILE_FRAMES = 50
"""Convolutions take so many frames at a time: what they make of them stays in the cache."""

Rows = Tensor
"""float32 `[T, C]`."""
RowLayer = Callable[[Rows, StreamState], Rows]

_CONVOLUTIONS = (CausalConv1d, CausalConvTranspose1d)


class RowConv:
    """`CausalConv1d` over rows; may apply ELU to its input and add to its output.

    Args:
        conv: Whose weights to take, without weight norm.
        elu: Apply ELU first.
    """

    def __init__(self, conv: CausalConv1d, *, elu: bool = False) -> None:
        plain = _plain(conv)
        weight, self._bias = plain.weight.detach(), _bias_of(plain)
        self._num_out, self._num_in, self._kernel = weight.shape
        self._stride, self._dilation = plain.stride[0], plain.dilation[0]
        self._context, self._elu = conv.context, elu
        taps = weight.permute(2, 0, 1)  # [kernel, out, in]
        if self._stride > 1:
            # A block is `stride` rows one after another.
            blocks = taps.view(-1, self._stride, self._num_out, self._num_in).transpose(1, 2)
            self._weights = blocks.flatten(2).contiguous()
        elif self._num_in == 1:
            self._weights = taps.permute(2, 1, 0).contiguous()  # [1, out, kernel]
        elif self._num_out == 1:
            self._weights = taps.transpose(0, 1).contiguous()  # [1, kernel, in]
        else:
            self._weights = taps.contiguous()

    def __call__(self, x: Rows, state: StreamState, added_to: Rows | None = None) -> Rows:
        """Convolve `x` `[T, C_in]` to `[T / stride, C_out]`."""
        # One pass makes room for the past and applies ELU.
        seen = x.new_empty(self._context + len(x), self._num_in)
        now = seen[self._context :]
        if self._elu:
            torch.ops.aten.elu.out(x, out=now)
        else:
            now.copy_(x)
        past = state.get("rows")
        if past is None:
            seen[: self._context].zero_()
        else:
            seen[: self._context] = past
        state["rows"] = seen[len(seen) - self._context :].clone()
        if self._stride == 1 and self._num_in == 1:
            return product(seen[:, 0].unfold(0, self._kernel, 1), self._weights[0], self._bias)
        if self._stride == 1 and self._num_out == 1:
            taken = product(seen, self._weights[0])  # [T + context, kernel]
            length = len(x)
            # Row t of tap j stands at t + j.
            diagonals = taken.as_strided((length, self._kernel), (self._kernel, self._kernel + 1))
            return diagonals.sum(dim=1, keepdim=True) + self._bias
        blocks = seen.view(-1, self._stride * self._num_in)
        num_out = len(x) // self._stride
        step = self._dilation
        y = product(blocks[:num_out], self._weights[0], self._bias, added_to=added_to)
        for tap in range(1, len(self._weights)):
            shifted = blocks[tap * step : tap * step + num_out]
            y = product(shifted, self._weights[tap], added_to=y)
        return y


class RowUnit:
    """`seanet.ResidualUnit` over rows."""

    def __init__(self, narrow: CausalConv1d, widen: CausalConv1d) -> None:
        self._narrow = RowConv(narrow, elu=True)
        pointwise = _plain(widen)
        self._weight = pointwise.weight.detach()[:, :, 0].contiguous()
        self._bias = _bias_of(pointwise)

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Map `x` `[T, C]` to the same shape."""
        return product(F.elu_(self._narrow(x, state)), self._weight, self._bias, added_to=x)


class RowConvTranspose:
    """`CausalConvTranspose1d` of kernel 2 stride over rows, after ELU."""

    def __init__(self, conv: CausalConvTranspose1d) -> None:
        plain = _plain(conv)
        weight, self._stride = plain.weight.detach(), plain.stride[0]
        self._num_in, self._num_out, _ = weight.shape
        # [2, stride * out, in]: what an input gives to its own block of outputs, then to the next.
        taps = weight.permute(2, 1, 0).reshape(2, self._stride * self._num_out, self._num_in)
        self._weights = taps.contiguous()
        self._bias = conv.bias.detach().repeat(self._stride)

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Upsample `x` `[L, C_in]` to `[L * stride, C_out]`."""
        seen = x.new_zeros(len(x) + 1, self._num_in)
        torch.ops.aten.elu.out(x, out=seen[1:])
        past = state.get("rows")
        if past is not None:
            seen[:1] = past
        state["rows"] = seen[-1:].clone()
        y = product(seen[1:], self._weights[0], self._bias)
        return product(seen[:-1], self._weights[1], added_to=y).view(-1, self._num_out)


class RowLSTM:
    """`StreamingLSTM` over rows."""

    def __init__(self, module: StreamingLSTM) -> None:
        self._lstm = module.lstm

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Return `x + LSTM(x)`, `[L, D]`."""
        carried = (state["hidden"], state["cell"]) if "hidden" in state else None
        y, (state["hidden"], state["cell"]) = self._lstm(x[:, None], carried)
        added: Rows = x + y[:, 0]
        return added


def _plain(conv: CausalConv1d | CausalConvTranspose1d) -> nn.Conv1d | nn.ConvTranspose1d:
    inner = conv.conv
    if not isinstance(inner, nn.Conv1d | nn.ConvTranspose1d):
        raise TypeError(f"expected a convolution, got {type(inner).__name__}")
    return inner


def _bias_of(conv: nn.Module) -> Tensor:
    return conv.get_parameter("bias").detach()


def row_layers(layers: Sequence[nn.Module]) -> list[RowLayer] | None:
    """Return what does the same as SEANet's `layers` over rows; `None` if one cannot be done so.

    Those whose edges are padded otherwise, as in imported codecs, cannot.
    """
    found: list[RowLayer] = []
    elu = False
    for layer in layers:
        convolutions = [m for m in layer.modules() if isinstance(m, _CONVOLUTIONS)]
        if any(type(m) not in _CONVOLUTIONS or is_normalised(m.conv) for m in convolutions):
            return None
        if isinstance(layer, CausalConv1d):
            found.append(RowConv(layer, elu=elu))
        elif isinstance(layer, CausalConvTranspose1d) and elu:
            found.append(RowConvTranspose(layer))
        elif isinstance(layer, StreamingLSTM):
            found.append(RowLSTM(layer))
        elif isinstance(narrow := getattr(layer, "narrow", None), CausalConv1d):
            widen = layer.get_submodule("widen")
            if not isinstance(widen, CausalConv1d) or len(convolutions) > 2:
                return None
            found.append(RowUnit(narrow, widen))
        # ELU is applied by the layer behind it.
        elu = not list(layer.parameters())
    return found


class RowsOf:
    """The row layers of a module list, made anew when its weights change.

    Args:
        rows_per_frame: Of the first layer's input.
    """

    def __init__(self, rows_per_frame: int) -> None:
        self._rows_per_frame = rows_per_frame
        self._layers: list[RowLayer] | None = None
        self._made_of: tuple[tuple[int, int], ...] = ()

    def run(self, layers: nn.ModuleList, x: Tensor, state: dict[str, StreamState]) -> Tensor | None:
        """Return what `layers` make of `x` `[1, C, T]`; `None` if it cannot be done over rows."""
        row_layers = self._find(layers)
        if row_layers is None:
            return None
        rows = x[0].t()
        num_frames = len(rows) // self._rows_per_frame
        for is_lstm, group in groupby(enumerate(row_layers), lambda item: _is_lstm(item[1])):
            part = list(group)
            # An LSTM has its weights reordered at each call; convolutions leave the cache.
            tile = len(rows) if is_lstm else len(rows) // num_frames * TILE_FRAMES
            pieces = [_run(part, piece, state) for piece in rows.split(tile)]
            rows = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        return rows.t()[None]

    def _find(self, layers: nn.ModuleList) -> list[RowLayer] | None:
        made_of = tuple(
            (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
            for weight in layers.parameters()
        )
        if made_of != self._made_of:
            self._layers, self._made_of = row_layers(list(layers)), made_of
        return self._layers


def _is_lstm(layer: RowLayer) -> bool:
    return isinstance(layer, RowLSTM)


def _run(layers: Sequence[tuple[int, RowLayer]], rows: Rows, state: dict[str, StreamState]) -> Rows:
    for index, layer in layers:
        rows = layer(rows, state.setdefault(str(index), {}))
    return rows
