"""Layers whose weights are laid out once equal the plain ones, and so does what stands in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from soundgen.nn import packed
from soundgen.nn.packed import LOG2_E, PackedConv, PackedLinear, PackedLSTM, scaled_elu


@pytest.fixture(params=["oneDNN", "plain"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run each test with oneDNN, and as on a machine that has none."""
    trials = (packed._convolves, packed._multiplies, packed._recurs, packed._layouts_fit_all)
    if request.param == "plain":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    elif not torch.backends.mkldnn.is_available():
        pytest.skip("no oneDNN here")
    for trial in trials:
        trial.cache_clear()
    with torch.no_grad():
        yield request.param
    for trial in trials:
        trial.cache_clear()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("num_rows", [16, 17, 40, 333])
@pytest.mark.parametrize(
    ("num_in", "num_out", "kernel", "stride", "dilation"),
    [(1, 8, 7, 1, 1), (32, 1, 7, 1, 1), (16, 24, 3, 1, 5), (6, 10, 8, 4, 1), (5, 64, 1, 1, 1)],
)
def test_convolutions_of_any_length(
    num_in: int, num_out: int, kernel: int, stride: int, dilation: int, num_rows: int
) -> None:
    x, weight, bias = noise(num_rows, num_in), noise(num_out, num_in, kernel), noise(num_out)
    convolve = PackedConv(weight, bias, stride=stride, dilation=dilation)
    plain = F.conv1d(x.t()[None], weight, bias, stride=stride, dilation=dilation)[0].t()
    found = convolve(x)
    assert found.is_contiguous()
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fit_all", [False, True])
def test_convolutions_do_not_depend_on_what_came_before(
    fit_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both kinds of machines, whichever this one is.
    monkeypatch.setattr(
        torch.backends.cpu, "get_cpu_capability", lambda: "AVX512" if fit_all else "AVX2"
    )
    weight, bias = noise(128, 64, 8), noise(128)
    convolve = PackedConv(weight, bias, stride=4)
    pieces = [noise(num_rows, 64) for num_rows in (8, 40, 44, 404, 4004)]
    first = [convolve(x) for x in pieces]
    for x, y in zip(pieces, first, strict=True):
        assert torch.equal(convolve(x), y)
        assert torch.equal(PackedConv(weight, bias, stride=4)(x), y)


@pytest.mark.parametrize("num_rows", [1, 3, 200])
def test_products_that_are_added(num_rows: int) -> None:
    x, weight, bias, other = noise(num_rows, 20), noise(33, 20), noise(33), noise(num_rows, 33)
    kept = other.clone()
    found = PackedLinear(weight, bias)(x, added_to=other)
    torch.testing.assert_close(found, F.linear(x, weight, bias) + other, rtol=1e-4, atol=1e-4)
    assert torch.equal(other, kept)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_an_lstm_in_pieces(size: int, num_layers: int) -> None:
    torch.manual_seed(0)
    lstm, x = torch.nn.LSTM(24, 24, num_layers), noise(40, 24)
    plain, states = lstm(x[:, None])
    recur, carried, found = PackedLSTM(lstm), None, []
    for piece in x.split(size):
        y, carried = recur(piece, carried)
        found.append(y)
    assert carried is not None
    torch.testing.assert_close(torch.cat(found), plain[:, 0], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(carried, states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_elu_of_all_numbers() -> None:
    infinite = float("inf")
    special = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 88.0, 2e38, -2e38, infinite, -infinite])
    x = torch.cat([noise(1000) * 10, torch.linspace(-1e-3, 1e-3, 101), special])
    expected, held = F.elu(x), x * LOG2_E
    kept, out = held.clone(), torch.empty_like(x)
    found = scaled_elu(held, out=out) / LOG2_E
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-7)
    assert torch.equal(held, kept)
    assert scaled_elu(torch.tensor([float("nan")]), out=torch.empty(1)).isnan().all()
    # In place.
    torch.testing.assert_close(scaled_elu(held, out=held), out, rtol=0, atol=0)
