"""The delay pattern's indices."""

from __future__ import annotations

import pytest
import torch

from soundgen.lm.delay import (
    corrupt_inputs,
    delay_codes,
    swap_beginnings,
    training_pair,
    undelay_codes,
)

SPECIAL = 9


def test_the_drawing_in_the_docstring() -> None:
    codes = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    assert delay_codes(codes, SPECIAL).tolist() == [[[1, 2, 3, 9, 9], [9, 4, 5, 6, 9]]]


@pytest.mark.parametrize("num_codebooks", [1, 2, 4, 8])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 50])
def test_undelay_undoes_delay(num_codebooks: int, num_frames: int) -> None:
    codes = torch.randint(0, SPECIAL, (3, num_codebooks, num_frames))
    assert torch.equal(undelay_codes(delay_codes(codes, SPECIAL)), codes)


def test_inputs_are_the_step_before() -> None:
    codes = torch.randint(0, SPECIAL, (2, 3, 6))
    lengths = torch.tensor([6, 6])
    inputs, targets, _ = training_pair(codes, lengths, torch.ones(2, dtype=torch.bool), SPECIAL)
    assert (inputs[:, :, 0] == SPECIAL).all()
    assert torch.equal(inputs[:, :, 1:], targets[:, :, :-1])


def test_every_code_is_a_target_once_and_the_end_is_said_once() -> None:
    codes = torch.randint(0, SPECIAL, (2, 3, 6))
    lengths, ends = torch.tensor([6, 4]), torch.tensor([True, True])
    _, targets, mask = training_pair(codes, lengths, ends, SPECIAL)
    for row, length in enumerate((6, 4)):
        assert mask[row, 0].sum() == length + 1
        assert targets[row, 0, length] == SPECIAL
        assert mask[row, 0, length]
        for q in range(1, 3):
            assert mask[row, q].sum() == length
            assert torch.equal(targets[row, q][mask[row, q]], codes[row, q, :length])


def test_a_window_cut_out_of_a_sound_has_no_end() -> None:
    codes = torch.randint(0, SPECIAL, (1, 2, 5))
    _, _, mask = training_pair(codes, torch.tensor([5]), torch.tensor([False]), SPECIAL)
    assert mask[0].sum(dim=1).tolist() == [5, 5]


def test_padding_does_not_reach_inputs() -> None:
    codes = torch.full((1, 2, 6), 3)
    inputs, _, _ = training_pair(codes, torch.tensor([2]), torch.tensor([True]), SPECIAL)
    assert (inputs[0] == 3).sum() == 4


def test_corrupted_inputs_are_codes_of_the_batch_where_codes_stood() -> None:
    torch.manual_seed(0)
    # Codebook k holds codes 10 k .. 10 k + 8 only, so a code from elsewhere would show.
    codes = torch.randint(0, 9, (16, 3, 200)) + 10 * torch.arange(3)[:, None]
    lengths = torch.randint(50, 201, (16,))
    inputs, _, _ = training_pair(codes, lengths, torch.ones(16, dtype=torch.bool), 99)
    corrupted = corrupt_inputs(inputs, 99, 0.2)
    assert torch.equal(corrupted == 99, inputs == 99)
    for k in range(3):
        held = corrupted[:, k][corrupted[:, k] != 99]
        assert 10 * k <= int(held.min()) <= int(held.max()) <= 10 * k + 8
    real = inputs != 99
    changed = ((corrupted != inputs) & real).sum(dim=(1, 2)) / real.sum(dim=(1, 2))
    # A ninth of the replacements draws the same code; padding replaces nothing.
    assert 0.08 < float(changed.mean()) < 0.2
    assert float(changed.max()) - float(changed.min()) > 0.15
    assert corrupt_inputs(inputs, 99, 0.0) is inputs


def test_swapped_beginnings_are_the_neighbours_and_do_not_count() -> None:
    torch.manual_seed(0)
    # Codes that say whose they are: item b has 100 b to 100 b + 99.
    codes = torch.arange(8)[:, None, None] * 100 + torch.arange(20) + torch.zeros(1, 2, 1).long()
    inputs, _, mask = training_pair(
        codes, torch.full((8,), 20), torch.ones(8, dtype=torch.bool), 999
    )
    chosen = torch.tensor([True, False] * 4)
    changed, counted = swap_beginnings(inputs, mask, chosen)
    assert torch.equal(changed[1::2], inputs[1::2]) and torch.equal(counted[1::2], mask[1::2])
    lengths = set()
    for item in range(0, 8, 2):
        differs = (changed[item] != inputs[item]).any(dim=0).nonzero().flatten()
        end = int(differs[-1]) + 1 if len(differs) else 0
        lengths.add(end)
        assert torch.equal(changed[item, :, :end], inputs[item - 1, :, :end])
        assert torch.equal(changed[item, :, end:], inputs[item, :, end:])
        assert not counted[item, :, : max(0, end - 1)].any()
        assert torch.equal(counted[item, :, end:], mask[item, :, end:])
    assert len(lengths) > 2
