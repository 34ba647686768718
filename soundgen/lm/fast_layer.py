"""A decoder layer's weights, made ready for generation step by step."""

from __future__ import annotations

import torch

from soundgen.lm.model import DecoderLayer, LanguageModel
from soundgen.lm.products import ProductWay, RowProduct


class FastLayer:
    """The products and norms of one layer.

    Rotary positions turn pairs (i, i + head_dim / 2). With the rows of queries and keys sorted so
    that pairs are neighbours, a rotation is a product of complex numbers; that both are sorted
    alike leaves their products as they were. Queries come out scaled by 1 / sqrt(head_dim).
    """

    def __init__(self, layer: DecoderLayer, num_heads: int, way: ProductWay) -> None:
        self_attention, cross_attention = layer.self_attention, layer.cross_attention
        weight = self_attention.qkv.weight.detach()
        dim = weight.shape[1]
        half = dim // num_heads // 2
        rows = weight.view(3, num_heads, 2, half, dim)
        paired = torch.cat(
            [rows[:2].transpose(2, 3).reshape(2, -1, dim), rows[2:].reshape(1, -1, dim)]
        )
        scale = (dim // num_heads) ** -0.5
        paired[0] *= scale
        self.qkv = RowProduct(paired.reshape(3 * dim, dim), way)
        self.out = RowProduct(self_attention.out.weight, way)
        self.q = RowProduct(cross_attention.q.weight.detach() * scale, way)
        self.cross_out = RowProduct(cross_attention.out.weight, way)
        self.expand = RowProduct(layer.expand.weight, way)
        self.project = RowProduct(layer.project.weight, way)
        self.products = (
            self.qkv, self.out, self.q, self.cross_out, self.expand, self.project,
        )  # fmt: skip
        self.norms = [
            (norm.weight.detach(), None if norm.bias is None else norm.bias.detach())
            for norm in (layer.self_norm, layer.cross_norm, layer.feed_norm)
        ]
        """Weight and bias (or `None`) of each."""


def decoder_layers(model: LanguageModel) -> list[DecoderLayer]:
    """Return a model's layers, by their type."""
    return [layer for layer in model.layers if isinstance(layer, DecoderLayer)]
