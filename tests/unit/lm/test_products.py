"""Products of rows: right, and the same whatever rows stand beside."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch.nn import functional as F

from soundgen.errors import DeviceError
from soundgen.lm.config import Precision
from soundgen.lm.products import _DEVICE_WAYS, _NEAR, _WAYS, ProductWay, RowProduct, find_way

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


def weights() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(96, 64), torch.randn(64, 192), torch.randn(195, 64)]


def way_of(precision: Precision) -> ProductWay:
    try:
        return find_way(weights(), precision)
    except DeviceError as error:
        pytest.skip(error.message)


@pytest.mark.parametrize(
    "way",
    dict.fromkeys(chain(*_WAYS.values(), *_DEVICE_WAYS.values())),
    ids=lambda way: "-".join(map(str, way)),
)
def test_every_way_multiplies_adds_and_applies_gelu(way: ProductWay) -> None:
    if way.precision != "float32":
        way_of(way.precision)
    for weight in weights():
        if way.onednn and not torch.backends.mkldnn.is_available():
            pytest.skip("PyTorch was built without oneDNN")
        product = RowProduct(weight, way)
        rows, residual = torch.randn(32, weight.shape[1]), torch.randn(32, len(weight))
        expected = F.linear(rows, weight)
        share = _NEAR[way.precision]
        near = {"rtol": share, "atol": share * float(expected.abs().max()), "check_dtype": False}
        torch.testing.assert_close(product(rows), expected, **near)
        torch.testing.assert_close(product(rows, gelu=True), F.gelu(expected), **near)
        torch.testing.assert_close(product(rows, added_to=residual), residual + expected, **near)
        assert product(rows).dtype == product(rows, added_to=residual).dtype == torch.float32
        sequences, others = rows.view(4, 8, -1), residual.view(4, 8, -1)
        whole = product.of_sequences(sequences, added_to=others)
        torch.testing.assert_close(whole.view(32, -1), residual + expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_with_the_way_that_is_found_a_row_is_the_same_among_any_others(
    precision: Precision,
) -> None:
    way = way_of(precision)
    for weight in weights():
        product = RowProduct(weight, way)
        rows = torch.randn(20 * way.tile, weight.shape[1])
        whole = product(rows, gelu=True)
        for count in (way.tile, 2 * way.tile, 7 * way.tile):
            start = 3 * way.tile
            part = product(rows[start : start + count].contiguous(), gelu=True)
            assert torch.equal(part, whole[start : start + count])


def test_reduced_weights_are_fewer_bytes_and_as_near_as_they_promise() -> None:
    weight = weights()[0]
    sizes = {p: RowProduct(weight, way_of(p)).num_bytes for p in PRECISIONS}
    assert sizes["float32"] == 2 * sizes["bfloat16"] == 4 * sizes["int8"] == 4 * weight.numel()
    rows = torch.eye(64)
    for precision, bound in (("bfloat16", 2**-8), ("int8", 1 / 250 + 2**-8)):
        stored = RowProduct(weight, way_of(precision))(rows).T  # type: ignore[arg-type]
        off = (stored - weight).abs() / weight.abs().amax(dim=1, keepdim=True)
        assert float(off.max()) <= bound
    # A row of nothing stays nothing.
    assert not RowProduct(torch.zeros(32, 64), way_of("int8"))(rows).any()


def test_a_precision_that_is_not_to_be_had_says_so() -> None:
    elsewhere = [torch.empty(8, 8, device="meta")]
    with pytest.raises(DeviceError, match="weights of int8 are for processors"):
        find_way(elsewhere, "int8")
