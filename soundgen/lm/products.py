"""Matrix products of a few rows, as generation makes them at every step.

Two things are asked of them: that a row's result does not depend on how many rows there are, nor on
which (so that a prompt sounds the same alone and in a batch), and speed. BLAS libraries compute a
few rows at a time, with other kernels and another order of summation for what is left over, and
pack the weights anew at each call, which for two rows costs more than the product. oneDNN's small
products do without packing, three to five times as fast for eight rows and fewer. So rows go
through in pieces, and which pieces agree with each other is tried out when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class ProductWay(NamedTuple):
    """How rows are multiplied."""

    tile: int
    """Rows come in multiples of this."""
    piece: int | None
    """Rows of one call at most, a multiple of `tile`; `None`: all in one."""
    onednn: bool
    """Whether by oneDNN, which PyTorch calls for its own compiled models."""


_WAYS = (
    *(ProductWay(tile, 8, True) for tile in (2, 4, 8)),
    *(ProductWay(tile, None, False) for tile in (4, 8, 16, 32)),
)
_LAST_WAY = _WAYS[-1]
"""Where none was found, batches may differ from single prompts by rounding."""


class RowProduct:
    """Multiplies rows by one weight, with what follows a product in a Transformer.

    Args:
        weight: float32 `[O, D]`, as of `nn.Linear`.
        way: How; of `find_way`.
    """

    def __init__(self, weight: Tensor, way: ProductWay) -> None:
        self.weight, self.way = weight.detach(), way
        # A copy in oneDNN's own layout; weights of the file stay mapped.
        self._packed = self.weight.to_mkldnn() if way.onednn else None

    def __call__(
        self, rows: Tensor, *, added_to: Tensor | None = None, gelu: bool = False
    ) -> Tensor:
        """Return `rows` `[N, D]` times the weight, `[N, O]`.

        Args:
            rows: N a multiple of the way's tile.
            added_to: `[N, O]`, the residual that the result is added to.
            gelu: Apply GELU to the product.
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

        For many positions at once, P > 1, where packing pays; a sequence's shape is the same
        whatever is beside it.
        """
        product = torch.stack([F.linear(sequence, self.weight) for sequence in x])
        if gelu:
            product = F.gelu(product)
        return product if added_to is None else added_to + product

    def _multiply(self, rows: Tensor, added_to: Tensor | None, gelu: bool) -> Tensor:
        if self._packed is None:
            product = F.linear(rows, self.weight)
            if gelu:
                product = F.gelu(product)
            return product if added_to is None else added_to + product
        linear = torch.ops.mkldnn._linear_pointwise
        fused: Tensor
        if added_to is None:
            name, variant = ("gelu", "none") if gelu else ("none", "")
            fused = linear(rows, self._packed, None, name, [], variant)
        else:
            fused = linear.binary(rows, added_to, self._packed, None, "add")
        return fused


def find_way(weights: Sequence[Tensor]) -> ProductWay:
    """Find the fastest way that makes rows independent of each other, on every shape of a model.

    Which one does differs between processors and numbers of threads, so it is tried out with the
    threads that there are (milliseconds).

    Args:
        weights: float32 `[O, D]` each.
    """
    shapes = {tuple(weight.shape): weight.detach() for weight in weights}
    on_cpu = all(weight.device.type == "cpu" for weight in weights)
    generator = torch.Generator().manual_seed(0)
    for way in _WAYS:
        if way.onednn and not (on_cpu and torch.backends.mkldnn.is_available()):
            continue
        if all(_rows_agree(weight, way, generator) for weight in shapes.values()):
            return way
    return _LAST_WAY


@torch.no_grad()
def _rows_agree(weight: Tensor, way: ProductWay, generator: torch.Generator) -> bool:
    probe = torch.randn(16 * way.tile, weight.shape[1], generator=generator).to(weight.device)
    try:
        product = RowProduct(weight, way)
        whole = product(probe)
        if way.onednn and not _is_the_product(product, probe, whole):
            return False
        turned = product(probe.flip(0)).flip(0)
        if not torch.equal(turned, whole):
            return False
        for num_rows in (way.tile, 2 * way.tile, 3 * way.tile, 5 * way.tile):
            parts = [product(part) for part in probe.split(num_rows)]
            if not torch.equal(torch.cat(parts), whole):
                return False
    except (RuntimeError, AttributeError, NotImplementedError):
        # oneDNN's entry is not part of PyTorch's public interface: another build may lack it.
        if not way.onednn:
            raise
        return False
    return True


def _is_the_product(product: RowProduct, probe: Tensor, whole: Tensor) -> bool:
    """Say whether oneDNN computed what its options should mean."""
    expected = F.linear(probe, product.weight)
    near = 1e-4 * float(expected.abs().max())
    return all(
        torch.allclose(ours, theirs, rtol=1e-4, atol=near)
        for ours, theirs in (
            (whole, expected),
            (product(probe, gelu=True), F.gelu(expected)),
            (product(probe, added_to=expected), 2 * expected),
        )
    )
