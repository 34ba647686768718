"""From logits to codes."""

from __future__ import annotations

import pytest
import torch

from soundgen.lm.sampling import SamplingSettings, guide, num_candidates, sample


def draws(logits: torch.Tensor, settings: SamplingSettings, num: int = 4000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    count = num_candidates(len(logits), settings)
    noise = torch.empty(num, count).exponential_(generator=generator)
    return sample(logits.expand(num, -1), noise, settings)


LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])
ALL = SamplingSettings(top_k=0)


def test_draws_follow_the_probabilities() -> None:
    share = torch.bincount(draws(LOGITS, ALL), minlength=5) / 4000
    assert (share - LOGITS.softmax(dim=0)).abs().max() < 0.03
    assert share[4] == 0


def test_temperature_sharpens_and_flattens() -> None:
    cold = draws(LOGITS, SamplingSettings(temperature=0.2, top_k=0))
    hot = draws(LOGITS, SamplingSettings(temperature=5.0, top_k=0))
    assert (cold == 0).float().mean() > 0.95
    assert (hot == 0).float().mean() < 0.4
    assert (draws(LOGITS, SamplingSettings(temperature=0.0)) == 0).all()


def test_top_k_and_top_p_leave_out_the_unlikely() -> None:
    assert set(draws(LOGITS, SamplingSettings(top_k=2)).tolist()) == {0, 1}
    # 0.64, 0.24, 0.09, 0.03: the first two sum to 0.88
    assert set(draws(LOGITS, SamplingSettings(top_k=0, top_p=0.7)).tolist()) == {0, 1}
    assert set(draws(LOGITS, SamplingSettings(top_k=0, top_p=0.5)).tolist()) == {0}


def test_with_top_k_too_draws_follow_the_probabilities_that_are_left() -> None:
    shuffled = LOGITS[torch.tensor([3, 0, 4, 1, 2])]
    share = torch.bincount(draws(shuffled, SamplingSettings(top_k=3)), minlength=5) / 4000
    expected = shuffled.masked_fill(shuffled < 0, -torch.inf).softmax(dim=0)
    assert (share - expected).abs().max() < 0.03
    assert share[0] == share[2] == 0


def test_guidance_moves_away_from_the_unconditional() -> None:
    conditional, unconditional = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])
    assert torch.equal(guide(conditional, unconditional, 1.0), conditional)
    assert torch.equal(guide(conditional, unconditional, 0.0), unconditional)
    assert guide(conditional, unconditional, 3.0)[0] == 3.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 1.5},
        {"cfg_scale": -0.1},
        {"cfg_scale": float("inf")},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingSettings(**wrong)  # type: ignore[arg-type]
