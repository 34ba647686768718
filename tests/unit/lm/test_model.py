"""The language model as a module: how it starts, and in which precision it computes."""

from __future__ import annotations

import pytest
import torch

from soundgen.errors import ShapeError
from soundgen.lm.conditioning import TextCondition, TimeCondition
from soundgen.lm.config import LMConfig
from soundgen.lm.model import LanguageModel

CONFIG = LMConfig(
    n_q=3, codebook_size=64, dim=48, num_layers=2, num_heads=3, dropout=0.0, text_dim=16
)


def test_codes_that_sound_alike_begin_alike() -> None:
    torch.manual_seed(0)
    model = LanguageModel(CONFIG)
    before = model.embedding.weight.std().item(), model.head.weight.std().item()
    entries = torch.randn(3, 64, 24) * torch.tensor([1.0, 0.1, 0.01])[:, None, None]
    entries[:, 1] = entries[:, 0] * 1.05
    model.start_from_codebooks(entries)
    for weight, spread in zip((model.embedding.weight, model.head.weight), before, strict=True):
        rows = weight.detach().view(3, 65, 48)
        likeness = torch.nn.functional.cosine_similarity(rows[:, :1], rows[:, 1:], dim=2)
        assert float(likeness[:, 0].min()) > 0.97
        assert float(likeness[:, 1:].abs().mean()) < 0.4
        # All codebooks are heard as loudly as the random start would have them.
        for codebook in rows:
            assert codebook[:64].std().item() == pytest.approx(spread, rel=0.3)


def test_codebooks_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"entries must be \[3, 64, D\]"):
        LanguageModel(CONFIG).start_from_codebooks(torch.randn(3, 32, 24))


def test_bfloat16_computes_the_same_within_its_rounding() -> None:
    torch.manual_seed(0)
    model = LanguageModel(CONFIG).eval()
    inputs = torch.randint(0, 64, (2, 3, 40))
    text = TextCondition(
        torch.randn(2, 5, 16),
        torch.ones(2, 5, dtype=torch.bool),
        torch.nn.functional.normalize(torch.randn(2, 16)),
        torch.ones(2, dtype=torch.bool),
    )
    time = TimeCondition(torch.zeros(2), torch.tensor([0.8, torch.nan]))
    with torch.no_grad():
        exact = model(inputs, text, time)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(inputs, text, time)
    assert rounded.dtype == torch.bfloat16
    # bfloat16 has 8 bits: two layers of it stay within a few of their steps.
    error = float((rounded.float() - exact).abs().max() / exact.std())
    assert 0 < error < 0.1
