"""Sounds made from a sound: its codes, of which the language model keeps some and draws others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from soundgen.audio.loudness import below_clipping
from soundgen.audio.resample import resample, to_mono
from soundgen.audio.splice import max_lag, splice
from soundgen.audio.waveform import Waveform
from soundgen.codec.model import Codec
from soundgen.errors import InputError
from soundgen.lm.config import LMConfig
from soundgen.pipelines.sound_source import DEFAULT_CONTEXT_S, DEFAULT_STRENGTH

_MIRROR_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """What comes behind a sound.

    Attributes:
        waveform: The sound, at any rate; it is heard as mono.
        context_s: How much of its end the model hears, s; at most what the model looks back over.
    """

    waveform: Waveform
    context_s: float = DEFAULT_CONTEXT_S

    def __post_init__(self) -> None:
        """Refuse a context of nothing."""
        if not 0 < self.context_s < math.inf:
            raise ValueError(f"context_s must be above 0, got {self.context_s}")


@dataclass(frozen=True, kw_only=True)
class Variation:
    """Another take of a sound, as long as it is.

    Attributes:
        waveform: The sound, at any rate; it is heard as mono.
        strength: Share of its codes that are drawn anew. 0 is what the codec makes of it, 1 is
            a new sound of that length.
    """

    waveform: Waveform
    strength: float = DEFAULT_STRENGTH

    def __post_init__(self) -> None:
        """Refuse a share outside 0..1."""
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength must be in [0, 1], got {self.strength}")


@dataclass(frozen=True)
class Beginning:
    """What is there before a language model begins.

    Attributes:
        samples: float32 `[T]`, the sound at the codec's rate.
        codes: int64 `[K, L]`, -1 where one is to be drawn.
        start_frame: Frames of the sound before the first of `codes`.
        hop_length: Samples a frame.
        sample_rate: Hz.
        goes_on: Whether something is to come behind; else it is another take.
    """

    samples: NDArray[np.float32]
    codes: torch.Tensor
    start_frame: int
    hop_length: int
    sample_rate: int
    goes_on: bool

    def num_frames(self, num_samples: int | None) -> int | None:
        """Return how many frames the model is to have in the end, with those that are there.

        Args:
            num_samples: Of what comes behind; `None` leaves it to the model.
        """
        there = self.codes.shape[1]
        if not self.goes_on:
            return there
        if num_samples is None:
            return None
        return there + math.ceil((num_samples + max_lag(self.sample_rate)) / self.hop_length)

    def joined(self, decoded: NDArray[np.float32], num_samples: int | None) -> NDArray[np.float32]:
        """Return the whole sound, float32 `[T']`, from what the codec made of all codes.

        Args:
            decoded: float32 `[T'']`.
            num_samples: Of what comes behind; `None` for all of it.
        """
        length = len(self.samples)
        if not self.goes_on:
            mono = Waveform(np.ascontiguousarray(decoded[None, :length]), self.sample_rate)
            return np.asarray(below_clipping(mono).samples[0])
        overlap = self.codes.shape[1] * self.hop_length
        whole = splice(self.samples, decoded, overlap, self.sample_rate)
        return whole if num_samples is None else whole[: length + num_samples]


def begin(codec: Codec, lm: LMConfig, origin: Continuation | Variation) -> Beginning:
    """Encode a sound, and mark what of it the language model is to draw.

    Args:
        codec: In evaluation mode.
        lm: Of the model that goes on.
        origin: The sound, and what is to be made of it.

    Raises:
        InputError: The sound is shorter than a frame.
    """
    config = codec.config
    mono = resample(to_mono(origin.waveform), config.sample_rate).samples[0]
    hop = config.hop_length
    if len(mono) < hop:
        raise InputError(f"a sound of {len(mono)} samples is too short to go on from")
    if isinstance(origin, Variation):
        codes = _encode(codec, mono, lm.n_q)
        codes[drawn_anew(lm.n_q, codes.shape[1], origin.strength)] = -1
        return Beginning(mono, codes, 0, hop, config.sample_rate, goes_on=False)
    num_frames = min(
        max(1, round(origin.context_s * lm.frame_rate)),
        len(mono) // hop,
        lm.context_length - lm.n_q,
    )
    context = mono[len(mono) - num_frames * hop :]
    # Behind the end the encoder would hear silence, and the model would go on with it: so it
    # hears the end backwards.
    mirrored = context[::-1][: round(_MIRROR_S * config.sample_rate)]
    codes = _encode(codec, np.concatenate([context, mirrored]), lm.n_q)[:, :num_frames]
    before = len(mono) - len(context)
    return Beginning(mono, codes, round(before / hop), hop, config.sample_rate, goes_on=True)


def drawn_anew(num_codebooks: int, num_frames: int, strength: float) -> torch.Tensor:
    """Say which codes of a sound a variation draws anew: the finest codebooks first.

    Where the share ends within a codebook, the later frames of that are drawn: the model hears
    only what was before, so a kept part behind a new one would not follow from it.

    Args:
        num_codebooks: K.
        num_frames: L.
        strength: Share of all codes, in [0, 1]. What a lower one draws, a higher one draws too.

    Returns:
        bool `[K, L]`.
    """
    share = strength * num_codebooks - torch.arange(num_codebooks - 1, -1, -1)
    first_drawn = (num_frames * (1 - share.clamp(0, 1))).round()
    return torch.arange(num_frames) >= first_drawn[:, None]


def _encode(codec: Codec, samples: NDArray[np.float32], n_q: int) -> torch.Tensor:
    wav = torch.from_numpy(np.ascontiguousarray(samples))
    return codec.encode(wav[None, None], n_q)[0].clone()
