"""The delay pattern: codebook q of a frame is predicted q steps after codebook 0.

```
step          0   1   2   3   4   5        L = 3 frames, K = 2 codebooks, S = L + K = 5
codebook 0    a0  a1  a2  E   .            E: the end of the sound (only where it is one)
codebook 1    .   b0  b1  b2  .            .: nothing here
```
The input of step s is what stands at step s - 1; the input of step 0 is nothing.

Reference: Copet et al. 2023 (MusicGen, arXiv 2306.05284), section 2.2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def delay_codes(codes: Tensor, special: int) -> Tensor:
    """Shift codebook q of `codes` int64 `[B, K, L]` by q steps, to `[B, K, L + K]`.

    Args:
        codes: The codes.
        special: Stands where there is no code.
    """
    num_codebooks = codes.shape[1]
    rows = [F.pad(codes[:, q], (q, num_codebooks - q), value=special) for q in range(num_codebooks)]
    return torch.stack(rows, dim=1)


def undelay_codes(delayed: Tensor) -> Tensor:
    """Undo `delay_codes`: `[B, K, L + K]` to `[B, K, L]`."""
    num_codebooks = delayed.shape[1]
    num_frames = delayed.shape[2] - num_codebooks
    rows = [delayed[:, q, q : q + num_frames] for q in range(num_codebooks)]
    return torch.stack(rows, dim=1)


def training_pair(
    codes: Tensor, num_frames: Tensor, ends: Tensor, special: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a model reads and what it must say, step for step.

    Args:
        codes: int64 `[B, K, L]`, right of `num_frames` anything.
        num_frames: int64 `[B]`, frames of each item.
        ends: bool `[B]`, whether the item's last frame is the end of its sound.
        special: Index beside the codes.

    Returns:
        Inputs int64 `[B, K, S]`, targets int64 `[B, K, S]` and a bool mask `[B, K, S]` of the
        targets that count, S = L + K.
    """
    _, num_codebooks, longest = codes.shape
    inside = torch.arange(longest, device=codes.device) < num_frames[:, None]  # [B, L]
    padded = codes.masked_fill(~inside[:, None], special)
    targets = delay_codes(padded, special)
    inputs = F.pad(targets[:, :, :-1], (1, 0), value=special)
    steps = torch.arange(longest + num_codebooks, device=codes.device)
    delays = torch.arange(num_codebooks, device=codes.device)
    time = steps[None, :] - delays[:, None]  # [K, S], the frame that each place stands for
    mask = (time >= 0) & (time < num_frames[:, None, None])
    # The end is said once, by codebook 0, on the step after its last frame.
    mask[:, 0] |= (steps == num_frames[:, None]) & ends[:, None]
    return inputs, targets, mask


def corrupt_inputs(inputs: Tensor, special: int, probability: float) -> Tensor:
    """Replace codes that a model reads by others of the batch.

    At generation a model reads what it said itself, mistakes included; one that has only ever
    read real codes takes a mistake for the sound and drifts away from the prompt. The share of
    replaced codes is drawn for each item, evenly from 0 to `2 * probability` (the word dropout of
    Bowman et al. 2016, with codes that could have been said in place of a blank).

    Args:
        inputs: int64 `[B, K, S]`, as `training_pair` makes them.
        special: Index beside the codes; stays where it is and is never put in.
        probability: Mean share of codes that are replaced.
    """
    if not probability:
        return inputs
    batch, num_codebooks, num_steps = inputs.shape
    order = torch.randperm(batch * num_steps, device=inputs.device)
    others = inputs.transpose(1, 2).reshape(-1, num_codebooks)[order]
    others = others.view(batch, num_steps, num_codebooks).transpose(1, 2)
    share = torch.rand(batch, 1, 1, device=inputs.device) * 2 * probability
    chosen = torch.rand(inputs.shape, device=inputs.device) < share
    return torch.where(chosen & (inputs != special) & (others != special), others, inputs)


def swap_beginnings(inputs: Tensor, mask: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Let some items begin as their neighbour does, and count only what comes behind.

    What a sound was so far says more of its next code than a prompt does, so a model comes to
    follow its own past wherever that drifts to. Behind another sound's beginning only the prompt
    says what is to come.

    Args:
        inputs: int64 `[B, K, S]`, as `training_pair` makes them.
        mask: bool `[B, K, S]`, targets that count.
        chosen: bool `[B]`, the items to change.

    Returns:
        Inputs and mask. Where an item passes from the one to the other is drawn evenly.
    """
    batch, _, num_steps = inputs.shape
    ends = (torch.rand(batch, 1, 1, device=inputs.device) * num_steps).long()
    ends = ends * chosen[:, None, None]
    steps = torch.arange(num_steps, device=inputs.device)
    changed = torch.where(steps < ends, inputs.roll(1, dims=0), inputs)
    # What follows the last swapped input is the first that the prompt decides.
    return changed, mask & (steps >= ends - 1)
