"""Matrix products of inference: oneDNN's where they are faster than what PyTorch takes.

On processors with AVX-512 that Intel did not make, PyTorch's float32 product reaches half of
oneDNN's rate. oneDNN's entry is not part of PyTorch's public interface, so it is tried out once;
where it is missing or wrong, and wherever gradients are wanted, the plain product is taken.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def product(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    gelu: bool = False,
    added_to: Tensor | None = None,
) -> Tensor:
    """Return `x` `[..., D]` times `weight` `[O, D]`, plus `bias` `[O]`, as `[..., O]`.

    Equal to `F.linear` within rounding.

    Args:
        x: Rows.
        weight: As of `nn.Linear`.
        bias: As of `nn.Linear`.
        gelu: Apply GELU to the sum.
        added_to: `[..., O]`, added at the end.
    """
    if not (_is_plain(x) and _onednn_works()):
        y = F.linear(x, weight, bias)
        y = F.gelu(y) if gelu else y
        return y if added_to is None else added_to + y
    y = _onednn(x, weight, bias, added_to=None if gelu else added_to, gelu=gelu)
    return y + added_to if gelu and added_to is not None else y


def linear(x: Tensor, layer: nn.Linear, *, gelu: bool = False) -> Tensor:
    """Return `layer(x)`, with GELU if asked for, as `product` computes it."""
    return product(x, layer.weight, layer.bias, gelu=gelu)


def in_inference(x: Tensor) -> bool:
    """Say whether nobody wants gradients of what is computed from `x`, on a CPU in float32."""
    return _is_plain(x)


def _is_plain(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, added_to: Tensor | None, gelu: bool
) -> Tensor:
    multiply = torch.ops.mkldnn._linear_pointwise
    y: Tensor
    if added_to is not None:
        y = multiply.binary(x, added_to, weight, bias, "add")
    elif gelu:
        y = multiply(x, weight, bias, "gelu", [], "none")
    else:
        y = multiply(x, weight, bias, "none", [], "")
    return y


@cache
@torch.no_grad()
def _onednn_works() -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight, bias, other = (
        torch.randn(shape, generator=generator) for shape in ((6, 20), (9, 20), (9,), (6, 9))
    )
    plain = F.linear(x, weight, bias)
    try:
        found = [
            _onednn(x, weight, bias, added_to=None, gelu=False),
            _onednn(x, weight, bias, added_to=None, gelu=True),
            _onednn(x, weight, bias, added_to=other, gelu=False),
        ]
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    expected = [plain, F.gelu(plain), plain + other]
    return all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))
