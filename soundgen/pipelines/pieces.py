"""Long sounds, made piece by piece: each is the one of several draws that is most like the first.

A language model that reads what it said itself wanders: after ten seconds of rain comes another
rain, birds, or a hiss. What it says next is more often right than not, so a few draws of each
piece are enough to stay where the sound began. Of the first piece, the draw that is most like the
others begins the sound: what is odd about a draw the others do not share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.lm.engine import Engine, SoundPlan
from soundgen.lm.sampling import SamplingSettings

PIECE_S = 2.5
"""Length of a piece; a sound of up to two is drawn in one go."""
NUM_DRAWS = 4
"""Draws of each piece. Of 8 times 10 s of rain, heard by a classifier as rain in each quarter: 5
with one draw, 7 with four."""
_GUIDANCE_SHARE = 2 / 3
"""How much of the guidance counts, of what is above 1. What makes a short sound tell leads a long
one astray: of 24 times 10 s of rain, heard as rain in each quarter, 18 with a scale of 4, 23 with 3
and with 2.5; of quarters of fire 64 of 96 with 4 and with 3, of water 37 and 48."""
_ATTACK_S = 0.5
"""At the very beginning, what says little of how it goes on."""
_MAX_SEED = 2**62


def generate_in_pieces(
    engine: Engine,
    quantizer: ResidualVectorQuantizer,
    plans: Sequence[SoundPlan],
    settings: SamplingSettings,
    *,
    on_step: Callable[[], None] = lambda: None,
) -> list[Tensor]:
    """Generate sounds of one known length, each piece like the sound's first.

    The same plan gives the same sound alone and in any batch. For each plan there are `NUM_DRAWS`
    rows at work.

    Args:
        engine: Draws.
        quantizer: Knows what codes stand for.
        plans: At least one, all with the same `num_frames`, none with given codes.
        settings: How codes are drawn; two thirds of the guidance count.
        on_step: Called after every step of the language model.

    Returns:
        Codes int64 `[K, L]` for each plan.
    """
    guidance = 1 + _GUIDANCE_SHARE * (settings.cfg_scale - 1)
    settings = replace(settings, cfg_scale=guidance)
    ears = [_Ear(quantizer, engine.config.frame_rate) for _ in plans]
    made: list[Tensor | None] = [None] * len(plans)
    (num_frames,) = {plan.num_frames for plan in plans}
    if num_frames is None:
        raise ValueError("a sound that ends by itself has no pieces")
    for stop in piece_stops(num_frames, engine.config.frame_rate):
        draws = [
            plan._replace(given=codes, stop_frame=stop, generator=_branch(plan.generator))
            for plan, codes in zip(plans, made, strict=True)
            for _ in range(NUM_DRAWS)
        ]
        drawn = engine.generate(draws, settings, max_frames=stop, on_step=on_step)
        made = [
            ear.choose(drawn[item * NUM_DRAWS : (item + 1) * NUM_DRAWS])
            for item, ear in enumerate(ears)
        ]
    return [codes for codes in made if codes is not None]


def in_pieces(duration_s: float | None) -> bool:
    """Tell whether a sound that is to be so long is made in pieces."""
    return duration_s is not None and duration_s > 2 * PIECE_S


def piece_stops(num_frames: int, frame_rate: float) -> list[int]:
    """Return the frames at which pieces end; the last one is up to half a piece longer."""
    piece = max(1, round(PIECE_S * frame_rate))
    return [*range(piece, num_frames - piece // 2, piece), num_frames]


def _branch(generator: torch.Generator) -> torch.Generator:
    seed = int(torch.randint(_MAX_SEED, (1,), generator=generator))
    return torch.Generator().manual_seed(seed)


class _Ear:
    """Chooses among the draws of one sound's pieces, in the space of the codec's latents.

    Args:
        quantizer: Knows what codes stand for.
        frame_rate: Of the codes, Hz.
    """

    def __init__(self, quantizer: ResidualVectorQuantizer, frame_rate: float) -> None:
        self._quantizer = quantizer
        self._attack = round(_ATTACK_S * frame_rate)
        self._first: Tensor | None = None
        self._num_frames = 0

    def choose(self, draws: Sequence[Tensor]) -> Tensor:
        """Return the draw that is most like the first piece; of first ones, like the others.

        Args:
            draws: Codes int64 `[K, L]` of the sound so far, which differ in their last piece.
        """
        num_frames = draws[0].shape[1]
        # Of the first piece not the very beginning: that is a fade or an attack.
        begin = self._num_frames or min(self._attack, num_frames // 2)
        self._num_frames = num_frames
        described = torch.stack([self._describe(codes, begin) for codes in draws])
        if self._first is None:
            far = torch.cdist(described, described).sum(dim=1)
        else:
            far = (described - self._first).norm(dim=1)
        chosen = int(far.argmin())
        if self._first is None:
            self._first = described[chosen]
        return draws[chosen]

    def _describe(self, codes: Tensor, begin: int) -> Tensor:
        """Return the frames' mean and how far they spread, `[2 D]`, from `begin` on."""
        codes = codes[None, :, begin:].to(self._quantizer.usage.device)
        latents = self._quantizer.decode(codes)[0]
        return torch.cat([latents.mean(dim=1), latents.std(dim=1, correction=0)])
