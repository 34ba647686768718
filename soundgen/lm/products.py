"""Matrix products of a few rows, as generation makes them at every step.

Two things are asked of them: that a row's result does not depend on how many rows there are, nor on
which (so that a prompt sounds the same alone and in a batch), and speed. BLAS libraries compute a
few rows at a time, with other kernels and another order of summation for what is left over, and
pack the weights anew at each call, which for two rows costs more than the product. oneDNN takes
weights that were packed once, and then sums a row alike among any others. Where it does not, rows
go through in pieces; what holds on a machine is tried out when a model is loaded.

With two rows a product takes as long as reading its weight does, so a weight of half or a quarter
of the bytes is that much faster: bfloat16, or 8-bit integers with a scale a row (as of LLM.int8,
Dettmers et al. 2022, without its outliers). Rows are rounded to bfloat16 for both; sums are kept in
float32, and so is the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.errors import DeviceError
from soundgen.lm.config import FLOAT32, Precision


class ProductWay(NamedTuple):
    """How rows are multiplied."""

    tile: int
    """Rows come in multiples of this."""
    piece: int | None
    """Rows of one call at most, a multiple of `tile`; `None`: all in one."""
    onednn: bool = False
    """Whether by oneDNN, which PyTorch calls for its own compiled models."""
    packed: bool = False
    """Whether with weights that oneDNN has laid out in blocks."""
    precision: Precision = FLOAT32
    """Of the weight."""


_WAYS: dict[Precision, tuple[ProductWay, ...]] = {
    "float32": (
        ProductWay(2, None, onednn=True, packed=True),
        *(ProductWay(tile, 8, onednn=True) for tile in (2, 4, 8)),
        *(ProductWay(tile, None) for tile in (4, 8, 16, 32)),
    ),
    "bfloat16": tuple(
        ProductWay(tile, piece, onednn=True, packed=True, precision="bfloat16")
        for tile, piece in ((2, None), (2, 8), (4, None), (8, None), (8, 8), (16, None), (32, None))
    ),
    "int8": tuple(ProductWay(tile, None, precision="int8") for tile in (2, 4, 8, 16, 32)),
}
"""Fastest first. The last one is taken where none makes rows independent: batches may then differ
from single prompts by rounding."""

_DEVICE_WAYS: dict[Precision, tuple[ProductWay, ...]] = {
    "float32": tuple(ProductWay(tile, None) for tile in (4, 8, 16, 32)),
    "bfloat16": tuple(ProductWay(tile, None, precision="bfloat16") for tile in (2, 4, 8, 16, 32)),
    "int8": (),
}
"""Elsewhere than on a CPU."""

_BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2, "int8": 1}
_PACKED_ROWS = 512
"""For how many rows a weight is laid out: the blocks that oneDNN takes for many are faster for two
rows and for thirty-two than those that it takes for few, and no shape is left unpacked."""
_NEAR: dict[Precision, float] = {"float32": 1e-4, "bfloat16": 0.03, "int8": 0.03}
"""How far products may be from float32's, of the largest."""


class RowProduct:
    """Multiplies rows by one weight, with what follows a product in a Transformer.

    Args:
        weight: float32 `[O, D]`, as of `nn.Linear`.
        way: How; of `find_way`.
    """

    def __init__(self, weight: Tensor, way: ProductWay) -> None:
        self.weight, self.way = weight.detach(), way
        self._multiply = _kernel(self.weight, way)

    @property
    def num_bytes(self) -> int:
        """What a product of few rows reads of its weight."""
        return self.weight.numel() * _BYTES[self.way.precision]

    def __call__(
        self, rows: Tensor, *, added_to: Tensor | None = None, gelu: bool = False
    ) -> Tensor:
        """Return `rows` `[N, D]` times the weight, `[N, O]`.

        Args:
            rows: N a multiple of the way's tile.
            added_to: `[N, O]`, the residual that the result is added to.
            gelu: Apply GELU to the product; the result may then be bfloat16, for the next product.
        """
        piece = self.way.piece
        if piece is None or len(rows) <= piece:
            return self._multiply(rows, added_to, gelu)
        others = [None] * len(rows) if added_to is None else added_to.split(piece)
        parts = zip(rows.split(piece), others, strict=False)
        return torch.cat([self._multiply(part, other, gelu) for part, other in parts])

    def of_sequences(
        self, x: Tensor, *, added_to: Tensor | None = None, gelu: bool = False
    ) -> Tensor:
        """Return `x` `[R, P, D]` times the weight, `[R, P, O]`, each sequence by itself.

        For many positions at once, P > 1, where packing pays, in float32 whatever the precision; a
        sequence's shape is the same whatever is beside it.
        """
        product = torch.stack([F.linear(sequence, self.weight) for sequence in x])
        return _finished(product, added_to, gelu)


def find_way(weights: Sequence[Tensor], precision: Precision = FLOAT32) -> ProductWay:
    """Find the fastest way that makes rows independent of each other, on every shape of a model.

    Which one does differs between processors and numbers of threads, so it is tried out with the
    threads that there are (milliseconds).

    Args:
        weights: float32 `[O, D]` each.
        precision: Of the products.

    Raises:
        DeviceError: There are no products of that precision here.
    """
    shapes = {tuple(weight.shape): weight.detach() for weight in weights}
    on_cpu = all(weight.device.type == "cpu" for weight in weights)
    generator = torch.Generator().manual_seed(0)
    usable = None
    ways = (_WAYS if on_cpu else _DEVICE_WAYS)[precision]
    if not ways:
        raise DeviceError(
            f"weights of {precision} are for processors", hint="use --precision float32"
        )
    for way in ways:
        if way.onednn and not torch.backends.mkldnn.is_available():
            continue
        found = [_tried(weight, way, generator) for weight in shapes.values()]
        if None not in found:
            usable = way
            if all(found):
                return way
    if usable is None:
        raise DeviceError(
            f"this {'processor' if on_cpu else 'device'} or this PyTorch has no products "
            f"of {precision}",
            hint="use --precision float32",
        )
    return usable


_Kernel = Callable[[Tensor, Tensor | None, bool], Tensor]


def _kernel(weight: Tensor, way: ProductWay) -> _Kernel:
    """Return what multiplies; the weights of the file stay mapped beside its own copy, if any."""
    if way.precision == "int8":
        return _int8_kernel(weight)
    if way.precision == "bfloat16":
        return _packed_bfloat16_kernel(weight) if way.packed else _bfloat16_kernel(weight)
    if way.packed:
        return _onednn_kernel(_packed(weight))
    if way.onednn:
        return _onednn_kernel(weight.to_mkldnn())
    return lambda rows, added_to, gelu: _finished(F.linear(rows, weight), added_to, gelu)


def _onednn_kernel(packed: Tensor) -> _Kernel:
    # The overloads, not their packet: choosing among them costs as much as a small product.
    linear: Any = torch.ops.mkldnn._linear_pointwise.default
    adding: Any = torch.ops.mkldnn._linear_pointwise.binary

    def multiply(rows: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
        fused: Tensor
        if added_to is not None:
            fused = adding(rows, added_to, packed, None, "add")
        elif gelu:
            fused = linear(rows, packed, None, "gelu", [], "none")
        else:
            fused = linear(rows, packed, None, "none", [], "")
        return fused

    return multiply


def _packed(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight.default(weight, _PACKED_ROWS)
    return packed


def _bfloat16_kernel(weight: Tensor) -> _Kernel:
    halved = weight.bfloat16()

    def multiply(rows: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
        return _finished(F.linear(rows.bfloat16(), halved).float(), added_to, gelu)

    return multiply


def _packed_bfloat16_kernel(weight: Tensor) -> _Kernel:
    packed = _packed(weight.bfloat16())
    linear: Any = torch.ops.mkldnn._linear_pointwise.default

    def multiply(rows: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
        half = rows.bfloat16()
        if gelu:
            fused: Tensor = linear(half, packed, None, "gelu", [], "none")
            return fused
        product: Tensor = linear(half, packed, None, "none", [], "")
        return product.float() if added_to is None else added_to + product

    return multiply


def _int8_kernel(weight: Tensor) -> _Kernel:
    integers, scales = _quantised(weight)
    product_of: Any = torch.ops.aten._weight_int8pack_mm.default

    def multiply(rows: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
        product: Tensor = product_of(rows.bfloat16(), integers, scales)
        if gelu:
            return F.gelu(product)
        return product.float() if added_to is None else added_to + product

    return multiply


def _quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 `[O, D]` and bfloat16 scales `[O]`: off by 1/254 of a row's largest at most."""
    # Scales are rounded first, and up, so that dividing by them takes their rounding back.
    scales = (weight.abs().amax(dim=1) / 126).clamp(min=1e-8).bfloat16()
    integers = (weight / scales.float()[:, None]).round().clamp(-127, 127)
    return integers.to(torch.int8).contiguous(), scales


def _finished(product: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
    if gelu:
        product = F.gelu(product)
    return product if added_to is None else added_to + product


@torch.no_grad()
def _tried(weight: Tensor, way: ProductWay, generator: torch.Generator) -> bool | None:
    """Say whether rows are independent of each other; `None`: this way is not to be had here."""
    probe = torch.randn(16 * way.tile, weight.shape[1], generator=generator).to(weight.device)
    try:
        product = RowProduct(weight, way)
        whole = product(probe)
        is_other = way.onednn or way.precision != FLOAT32
        if is_other and not _is_the_product(product, probe, whole):
            return None
        return all(torch.equal(again, whole) for again in _otherwise(product, probe))
    except (RuntimeError, AttributeError, NotImplementedError):
        # These entries are not part of PyTorch's public interface: another build may lack them.
        if not way.onednn and way.precision == FLOAT32:
            raise
        return None


def _otherwise(product: RowProduct, probe: Tensor) -> Iterator[Tensor]:
    """Compute the same rows in another order, and in other company."""
    yield product(probe.flip(0)).flip(0)
    for num_tiles in (1, 2, 3, 5):
        parts = probe.split(num_tiles * product.way.tile)
        yield torch.cat([product(part) for part in parts])


def _is_the_product(product: RowProduct, probe: Tensor, whole: Tensor) -> bool:
    """Say whether a kernel computed what its options should mean."""
    expected = F.linear(probe, product.weight)
    share = _NEAR[product.way.precision]
    near = share * float(expected.abs().max())
    return all(
        torch.allclose(ours.float(), theirs, rtol=share, atol=near)
        for ours, theirs in (
            (whole, expected),
            (product(probe, gelu=True), F.gelu(expected)),
            (product(probe, added_to=expected), 2 * expected),
        )
    )
