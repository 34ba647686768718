"""SEANet's layers over rows of time, for inference on a CPU.

The modules of `seanet.py` hold a signal as `[C, T]`. Held as `[T, C]`, features last, it is what
oneDNN's convolutions and LSTM take and give without reordering anything, and their weights are laid
out once (`nn/packed.py`). A signal goes through several layers tile by tile, so that what they make
of it stays in the cache. Between layers it is held times log2 e, which spares ELU a pass; biases,
and the first and the last weight, see to that.

The results equal the plain modules' within rounding. What a layer remembers of a stream are the
rows of its input that it will see again, so that a stream has to stay on the way it began on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from soundgen.nn.conv import (
    CausalConv1d,
    CausalConvTranspose1d,
    StreamingLSTM,
    StreamState,
    is_normalised,
)
from soundgen.nn.packed import LOG2_E, PackedConv, PackedLinear, PackedLSTM, Rows, scaled_elu

TILE_VALUES = 1 << 19
"""Of a tile, where a layer's input or output is largest: 2 MB."""


class RowLayer(Protocol):
    """A layer over rows.

    Attributes:
        num_in: Features of its input.
        num_out: Features of its output.
        ratio: Rows of its output for each row of its input.
    """

    num_in: int
    num_out: int
    ratio: Fraction

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Map `x` `[T, num_in]` to `[T * ratio, num_out]`, after what `state` remembers."""
        ...


_CONVOLUTIONS = (CausalConv1d, CausalConvTranspose1d)


class RowConv:
    """`CausalConv1d` over rows; may apply ELU to its input.

    Args:
        conv: Whose weights to take, without weight norm.
        elu_first: Apply ELU to the input.
        gain: What the output is held times over what the input is.
        bias_gain: What the output is held times.
    """

    def __init__(
        self,
        conv: CausalConv1d,
        *,
        elu_first: bool = False,
        gain: float = 1.0,
        bias_gain: float = LOG2_E,
    ) -> None:
        plain = _plain(conv)
        weight = plain.weight.detach()
        self.num_out, self.num_in, _ = weight.shape
        self.ratio = Fraction(1, plain.stride[0])
        self._context, self._elu_first = conv.context, elu_first
        self._convolve = PackedConv(
            weight if gain == 1 else weight * gain,
            _bias_of(plain) * bias_gain,
            stride=plain.stride[0],
            dilation=plain.dilation[0],
        )

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Convolve `x` `[T, C_in]` to `[T / stride, C_out]`."""
        return self._convolve(_after_past(x, state, self._context, elu_first=self._elu_first))


class RowUnit:
    """`seanet.ResidualUnit` over rows."""

    ratio = Fraction(1)

    def __init__(self, narrow: CausalConv1d, widen: CausalConv1d) -> None:
        self._narrow = RowConv(narrow, elu_first=True)
        self.num_in = self.num_out = self._narrow.num_in
        pointwise = _plain(widen)
        self._widen = PackedLinear(pointwise.weight.detach()[:, :, 0], _bias_of(pointwise) * LOG2_E)

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Map `x` `[T, C]` to the same shape."""
        hidden = self._narrow(x, state)
        return self._widen(scaled_elu(hidden, out=hidden), added_to=x)


class RowConvTranspose:
    """`CausalConvTranspose1d` of kernel 2 stride over rows, after ELU.

    A block of outputs is made of two inputs, so it is a convolution of kernel 2 to blocks.
    """

    def __init__(self, conv: CausalConvTranspose1d) -> None:
        plain = _plain(conv)
        weight, stride = plain.weight.detach(), plain.stride[0]
        self.num_in, self.num_out, _ = weight.shape
        self.ratio = Fraction(stride)
        # What an input gives to the next block of outputs comes first: it is the past's.
        taps = weight.view(self.num_in, self.num_out, 2, stride).flip(2).permute(3, 1, 0, 2)
        self._convolve = PackedConv(
            taps.reshape(stride * self.num_out, self.num_in, 2),
            conv.bias.detach().repeat(stride) * LOG2_E,
        )

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Upsample `x` `[L, C_in]` to `[L * stride, C_out]`."""
        return self._convolve(_after_past(x, state, 1, elu_first=True)).view(-1, self.num_out)


class RowLSTM:
    """`StreamingLSTM` over rows."""

    ratio = Fraction(1)

    def __init__(self, module: StreamingLSTM) -> None:
        self.num_in = self.num_out = module.lstm.hidden_size
        self._recur = PackedLSTM(module.lstm)

    def __call__(self, x: Rows, state: StreamState) -> Rows:
        """Return `x + LSTM(x)`, `[L, D]`."""
        carried = (state["hidden"], state["cell"]) if "hidden" in state else None
        y, (state["hidden"], state["cell"]) = self._recur(x / LOG2_E, carried)
        return x.add(y, alpha=LOG2_E)


def _after_past(x: Rows, state: StreamState, num_past: int, *, elu_first: bool) -> Rows:
    """Return `x` `[T, C]`, ELU applied or not, after the `num_past` rows that came before."""
    # One pass makes room for the past and applies ELU.
    seen = x.new_empty(num_past + len(x), x.shape[1])
    if elu_first:
        scaled_elu(x, out=seen[num_past:])
    else:
        seen[num_past:] = x
    past = state.get("rows")
    if past is None:
        seen[:num_past].zero_()
    else:
        seen[:num_past] = past
    state["rows"] = seen[len(seen) - num_past :].clone()
    return seen


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
    if not all(isinstance(layer, CausalConv1d) for layer in (layers[0], layers[-1])):
        return None
    found: list[RowLayer] = []
    after_elu = False
    for layer in layers:
        convolutions = [m for m in layer.modules() if isinstance(m, _CONVOLUTIONS)]
        if any(type(m) not in _CONVOLUTIONS or is_normalised(m.conv) for m in convolutions):
            return None
        if isinstance(layer, CausalConv1d):
            before = 1.0 if layer is layers[0] else LOG2_E
            after = 1.0 if layer is layers[-1] else LOG2_E
            found.append(RowConv(layer, elu_first=after_elu, gain=after / before, bias_gain=after))
        elif isinstance(layer, CausalConvTranspose1d) and after_elu:
            found.append(RowConvTranspose(layer))
        elif isinstance(layer, StreamingLSTM):
            found.append(RowLSTM(layer))
        elif isinstance(narrow := getattr(layer, "narrow", None), CausalConv1d):
            widen = layer.get_submodule("widen")
            if not isinstance(widen, CausalConv1d) or len(convolutions) > 2:
                return None
            found.append(RowUnit(narrow, widen))
        # ELU is applied by the layer behind it.
        after_elu = not list(layer.parameters())
    return found


class _Stage(NamedTuple):
    """Layers that take a signal in the same tiles."""

    layers: list[tuple[int, RowLayer]]
    tile_rows: int

    def run(self, rows: Rows, state: dict[str, StreamState]) -> Rows:
        """Return what the layers make of `rows` `[T, C]`."""
        if len(rows) <= self.tile_rows:
            return self._run_tile(rows, state)
        ratio = math.prod(layer.ratio for _, layer in self.layers)
        made = rows.new_empty(int(len(rows) * ratio), self.layers[-1][1].num_out)
        tiles = zip(
            rows.split(self.tile_rows), made.split(int(self.tile_rows * ratio)), strict=True
        )
        for tile, place in tiles:
            # While it is in the cache; a cat() of all would come too late, and on one thread.
            place.copy_(self._run_tile(tile, state))
        return made

    def _run_tile(self, rows: Rows, state: dict[str, StreamState]) -> Rows:
        for index, layer in self.layers:
            rows = layer(rows, state.setdefault(str(index), {}))
        return rows


def _stages(layers: Sequence[RowLayer], rows_per_frame: int) -> list[_Stage]:
    stages: list[_Stage] = []
    rate, tile = Fraction(rows_per_frame), 0
    for index, layer in enumerate(layers):
        values = max(rate * layer.num_in, rate * layer.ratio * layer.num_out)
        num_frames = max(1, int(TILE_VALUES / values))
        if num_frames != tile:
            tile = num_frames
            stages.append(_Stage([], int(tile * rate)))
        stages[-1].layers.append((index, layer))
        rate *= layer.ratio
    return stages


class RowsOf:
    """The row layers of a module list, made anew when its weights change.

    Args:
        rows_per_frame: Of the first layer's input.
    """

    def __init__(self, rows_per_frame: int) -> None:
        self._rows_per_frame = rows_per_frame
        self._stages: list[_Stage] | None = None
        self._made_of: tuple[tuple[int, int], ...] = ()

    def __reduce__(self) -> tuple[type[RowsOf], tuple[int]]:
        """Copy without the layers: weights that are laid out cannot be copied."""
        return RowsOf, (self._rows_per_frame,)

    def run(self, layers: nn.ModuleList, x: Tensor, state: dict[str, StreamState]) -> Tensor | None:
        """Return what `layers` make of `x` `[1, C, T]`; `None` if it cannot be done over rows."""
        stages = self._find(layers)
        if stages is None:
            return None
        # What is left over of a frame changes nothing.
        num_frames = x.shape[2] // self._rows_per_frame
        rows = x[0, :, : num_frames * self._rows_per_frame].t()
        for stage in stages:
            rows = stage.run(rows, state)
        return rows.t()[None]

    def _find(self, layers: nn.ModuleList) -> list[_Stage] | None:
        made_of = tuple(
            (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
            for weight in layers.parameters()
        )
        if made_of != self._made_of:
            found = row_layers(list(layers))
            self._stages = None if found is None else _stages(found, self._rows_per_frame)
            self._made_of = made_of
        return self._stages
