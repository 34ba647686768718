"""What a matcher learns from: pairs of sounds and captions, and a loss that knows near-equals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soundgen.errors import InputError
from soundgen.evaluation.classifier_training import distort, draw_segment
from soundgen.evaluation.matcher import Matcher
from soundgen.training.seeding import sample_rng

_DISTORTIONS = 1 << 40
"""Draws for distortions are numbered from here, draws of clips from 0."""


@dataclass(frozen=True, slots=True)
class CaptionedClip:
    """A clip in memory: its spectrum, and which texts say what it is.

    Attributes:
        magnitudes: `LogMel.magnitudes` of it, float16 `[M, L]`, 1 at the loudest point.
        captions: Rows of the table of sentence vectors, at least one.
        category: Row of that table for the bare name of its category.
        recording: What it was cut from.
    """

    magnitudes: NDArray[np.float16]
    captions: tuple[int, ...]
    category: int
    recording: str


class PairBatch(NamedTuple):
    """B sounds, each with a text.

    Attributes:
        spectrum: float32 `[B, M, L]` in [-1, 0], see `LogMel`.
        text: Sentence vectors, float32 `[B, text_dim]`.
        category: int64 `[B]`; equal for clips of one category.
    """

    spectrum: Tensor
    text: Tensor
    category: Tensor


class PairSampler:
    """Batches as functions of the step: clips distorted, captions drawn among their variants.

    A category is drawn with the power `category_power` of its number of clips taken away, and a
    recording that was cut into many clips counts by the root of their number.

    Args:
        clips: To draw from.
        vectors: The table of sentence vectors, float32 `[num_texts, text_dim]`.
        matcher: Whose features are made.
        batch_size: B.
        category_caption: Share of draws whose text is the bare name of the category.
        category_power: 0: as the clips are; 1: every category as often.
        seed: Of the whole run.

    Raises:
        InputError: There are no clips.
    """

    def __init__(
        self,
        clips: Sequence[CaptionedClip],
        vectors: Tensor,
        matcher: Matcher,
        *,
        batch_size: int,
        category_caption: float,
        category_power: float,
        seed: int,
    ) -> None:
        if not clips:
            raise InputError("no clips of the train split to learn from")
        self._clips, self._vectors = clips, vectors
        self._log_mel, self._config = matcher.log_mel, matcher.config
        self._batch_size, self._category_caption, self._seed = batch_size, category_caption, seed
        categories = Counter(clip.category for clip in clips)
        recordings = Counter((clip.category, clip.recording) for clip in clips)
        self._cumulative = np.cumsum(
            [
                categories[clip.category] ** -category_power
                * recordings[clip.category, clip.recording] ** -0.5
                for clip in clips
            ]
        )

    def batch(self, step: int) -> PairBatch:
        """Return the batch of a step, whatever was drawn before."""
        segments, texts, categories = [], [], []
        for row in range(self._batch_size):
            rng = sample_rng(self._seed, step * self._batch_size + row)
            chosen = int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1]))
            clip = self._clips[min(chosen, len(self._clips) - 1)]
            magnitudes = clip.magnitudes.astype(np.float32)
            segments.append(draw_segment(magnitudes, self._config.segment_frames, rng))
            bare = rng.random() < self._category_caption
            texts.append(clip.category if bare else int(rng.choice(clip.captions)))
            categories.append(clip.category)
        heard = self._log_mel(torch.from_numpy(np.stack(segments)))
        distorted = distort(heard, sample_rng(self._seed, _DISTORTIONS + step))
        return PairBatch(distorted, self._vectors[texts], torch.tensor(categories))


def near_equals(
    text: Tensor, category: Tensor, *, sharpness: float, category_bonus: float
) -> Tensor:
    """Return which sounds a text may be said of, as shares.

    In a batch several clips may have one caption, or captions that say the same; to push their
    sounds away from it would teach what is not so. The frozen text encoder says how alike they
    are.

    Args:
        text: Sentence vectors `[B, text_dim]` of length 1.
        category: int64 `[B]`.
        sharpness: One over the temperature of the softmax over their cosines.
        category_bonus: Added to the cosine of two texts of the same category.

    Returns:
        float32 `[B, B]`, rows summing to 1, the same in both directions before that.
    """
    affinity = text @ text.T + category_bonus * (category[:, None] == category[None])
    return (sharpness * affinity).softmax(dim=1)


def contrastive_loss(audio: Tensor, text: Tensor, scale: Tensor, targets: Tensor) -> Tensor:
    """Return CLIP's symmetric cross-entropy with soft targets, a scalar.

    Args:
        audio: `[B, D]` of length 1.
        text: `[B, D]` of length 1.
        scale: One over the temperature, a scalar.
        targets: `[B, B]` from `near_equals`.
    """
    logits = scale * Matcher.similarity(audio, text)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2
