"""Products of rows: right, and the same whatever rows stand beside."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from soundgen.lm.products import _WAYS, ProductWay, RowProduct, find_way


def weights() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(96, 48), torch.randn(48, 192), torch.randn(195, 48)]


@pytest.mark.parametrize("way", [*_WAYS["float32"], find_way(weights())])
def test_every_way_multiplies_adds_and_applies_gelu(way: ProductWay) -> None:
    for weight in weights():
        if way.onednn and not torch.backends.mkldnn.is_available():
            pytest.skip("PyTorch was built without oneDNN")
        product = RowProduct(weight, way)
        rows, residual = torch.randn(32, weight.shape[1]), torch.randn(32, len(weight))
        expected = F.linear(rows, weight)
        near = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(product(rows), expected, **near)
        torch.testing.assert_close(product(rows, gelu=True), F.gelu(expected), **near)
        torch.testing.assert_close(product(rows, added_to=residual), residual + expected, **near)
        sequences, others = rows.view(4, 8, -1), residual.view(4, 8, -1)
        whole = product.of_sequences(sequences, added_to=others)
        torch.testing.assert_close(whole.view(32, -1), residual + expected, **near)


def test_with_the_way_that_is_found_a_row_is_the_same_among_any_others() -> None:
    way = find_way(weights())
    for weight in weights():
        product = RowProduct(weight, way)
        rows = torch.randn(20 * way.tile, weight.shape[1])
        whole = product(rows, gelu=True)
        for count in (way.tile, 2 * way.tile, 7 * way.tile):
            start = 3 * way.tile
            part = product(rows[start : start + count].contiguous(), gelu=True)
            assert torch.equal(part, whole[start : start + count])
