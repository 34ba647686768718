"""What a prompt becomes, and how it is blurred in training."""

from __future__ import annotations

import torch

from soundgen.lm.conditioning import TextCondition, corrupt_text


def prompts(count: int = 64) -> TextCondition:
    torch.manual_seed(0)
    mask = torch.arange(12) < torch.randint(3, 13, (count, 1))
    pooled = torch.nn.functional.normalize(torch.randn(count, 32))
    return TextCondition(
        torch.randn(count, 12, 32), mask, pooled, torch.ones(count, dtype=torch.bool)
    )


def test_without_noise_a_prompt_stays_as_it_is() -> None:
    text = prompts()
    for before, after in zip(text, corrupt_text(text), strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_noise_moves_sentence_vectors_by_at_most_so_much_and_keeps_their_norm() -> None:
    text = prompts(512)
    near = corrupt_text(text, vector_noise=0.5)
    torch.testing.assert_close(near.pooled.norm(dim=1), torch.ones(512))
    likeness = (near.pooled * text.pooled).sum(dim=1)
    # Noise of half a norm, across: the cosine is 0.89. Its length varies a little.
    assert 0.75 < float(likeness.min()) < 0.93
    assert float(likeness.max()) > 0.999
    assert torch.equal(near.states, text.states) and torch.equal(near.mask, text.mask)


def test_hidden_tokens_are_hidden_and_no_padding_appears() -> None:
    text = prompts(512)
    fewer = corrupt_text(text, token_dropout=0.3)
    assert not bool((fewer.mask & ~text.mask).any())
    kept = float(fewer.mask.sum() / text.mask.sum())
    assert 0.65 < kept < 0.75
    shares = fewer.mask.sum(dim=1) / text.mask.sum(dim=1)
    assert float(shares.max()) == 1.0 and float(shares.min()) < 0.5
    assert torch.equal(fewer.pooled, text.pooled)
