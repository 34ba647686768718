"""The matcher: sounds and texts as vectors of one space, near each other where they belong.

It is CLAP's idea (Wu et al. 2023) at the size of a sound effect: a small convolutional network
over log-mel spectra is drawn to the frozen sentence vectors of the captions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.errors import InputError
from soundgen.evaluation.hearing import (
    Ear,
    cut_segments,
    segment_levels_db,
    worth_hearing,
)
from soundgen.evaluation.matcher_config import SILENT, MatcherConfig

SILENT_PEAK = 1e-4
"""-80 dB of full scale: what stays below all along is silence, and matches nothing."""

_BATCH_SEGMENTS = 32
_SECTION_SEGMENTS = 16
"""A long sound is heard in sections of so many segments' length, so that memory is bounded."""
_START_SCALE = 1 / 0.07
_MAX_SCALE = 100.0
"""CLIP (Radford et al. 2021): where the learned temperature starts, and how sharp it may get."""


class Matcher(Ear):
    """Audio tower and text projection; similarities are cosines.

    Embedding is exact about level (a sound and the same at a tenth of its level give the same
    vector) and takes any length from a fraction of a frame on: long sounds are the mean over
    their segments, near-silent ones left out. Call it in evaluation mode.

    Args:
        config: Features and sizes.
    """

    def __init__(self, config: MatcherConfig) -> None:
        super().__init__(config)
        self.config = config
        width = self.width
        self.audio_head = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, 2 * width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, config.dim),
        )
        self.text_head = nn.Linear(config.text_dim, config.dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_START_SCALE)))

    @property
    def scale(self) -> Tensor:
        """One over the temperature that similarities are compared at, a scalar."""
        return self.log_scale.exp().clamp(max=_MAX_SCALE)

    @torch.no_grad()
    def start_from_texts(self, vectors: Tensor) -> None:
        """Let the text projection begin as the principal directions of what it will see.

        Distances between texts then start out as the text encoder has them, so that words that
        no caption holds keep their place among those that some do.

        Args:
            vectors: Sentence vectors float32 `[N, text_dim]`.
        """
        mean = vectors.mean(dim=0)
        directions = torch.linalg.svd(vectors - mean, full_matrices=False)[2]
        rows = min(len(directions), self.config.dim)
        self.text_head.weight.zero_()
        self.text_head.weight[:rows] = directions[:rows]
        self.text_head.bias.copy_(-self.text_head.weight @ mean)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Embed segments.

        Args:
            spectrum: `[B, M, L]` in [-1, 0], see `LogMel`.

        Returns:
            `[B, D]`, each of length 1.
        """
        return F.normalize(self.audio_head(self.pooled(spectrum)), dim=1)

    def embed_text(self, vectors: Tensor) -> Tensor:
        """Embed texts.

        Args:
            vectors: The text encoder's pooled vectors, float32 `[B, text_dim]`.

        Returns:
            float32 `[B, D]`, each of length 1.
        """
        return F.normalize(self.text_head(vectors), dim=1)

    def embed_audio(self, wav: Tensor | Sequence[Tensor]) -> Tensor:
        """Embed sounds.

        Args:
            wav: float32 `[B, T]` at `config.sample_rate`, or a list of B sounds `[T]` of any
                lengths.

        Returns:
            float32 `[B, D]`, each of length 1.

        Raises:
            InputError: A sound is empty, silent or holds values that are not finite.
        """
        rows = [self.embed_stream([row.detach().cpu().float().numpy()]) for row in wav]
        if not rows:
            return torch.zeros(0, self.config.dim)
        return torch.stack(rows)

    @torch.no_grad()
    def embed_stream(self, blocks: Iterable[NDArray[np.float32]]) -> Tensor:
        """Embed one sound that comes in blocks, in memory that does not grow with its length.

        Args:
            blocks: float32 `[T]` each, one after the other, at `config.sample_rate`. How they are
                cut does not matter.

        Returns:
            float32 `[D]`, of length 1.

        Raises:
            InputError: The sound is empty, silent or holds values that are not finite.
        """
        peak, length = 0.0, 0
        sections: list[tuple[Tensor, Tensor, float]] = []
        size = _SECTION_SEGMENTS * self.config.segment_frames * self.config.hop_length
        device = self.log_scale.device
        for section in _sections(blocks, size):
            if not np.isfinite(section).all():
                raise InputError("holds NaN or infinite samples")
            peak, length = max(peak, float(np.abs(section).max())), length + section.size
            wav = torch.from_numpy(section).to(device)
            sections.append(self._hear(self.log_mel.magnitudes(wav[None])[0]))
        if peak < SILENT_PEAK:
            raise InputError(SILENT if length else "is empty")
        return _pool(sections)

    @torch.no_grad()
    def embed_magnitudes(self, magnitudes: Tensor) -> Tensor:
        """Embed one sound whose spectrum is known already.

        Args:
            magnitudes: `LogMel.magnitudes` of all of it, float32 `[M, L]`.

        Returns:
            float32 `[D]`, of length 1.
        """
        return _pool([self._hear(magnitudes)])

    @staticmethod
    def similarity(audio: Tensor, text: Tensor) -> Tensor:
        """Return the cosines of sounds `[B, D]` with texts `[N, D]`, `[B, N]` in [-1, 1]."""
        return audio @ text.T

    def _hear(self, magnitudes: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return vectors `[S, D]` and levels `[S]` in dB of a section's segments, and their weight.

        A section that is shorter than a segment counts by the share of one that it fills.
        """
        length = self.config.segment_frames
        segments = cut_segments(magnitudes, length)
        heard = [self(self.log_mel(batch)) for batch in segments.split(_BATCH_SEGMENTS)]
        weight = min(1.0, magnitudes.shape[1] / length)
        return torch.cat(heard), segment_levels_db(segments), weight


def _pool(sections: Sequence[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Return the mean direction `[D]` of the segments of one sound, near-silent ones left out."""
    vectors = torch.cat([vectors for vectors, _, _ in sections])
    levels_db = torch.cat([levels_db for _, levels_db, _ in sections])
    weights = torch.cat([torch.full_like(levels, weight) for _, levels, weight in sections])
    weights = weights * worth_hearing(levels_db)
    return F.normalize((vectors * weights[:, None]).sum(dim=0), dim=0).cpu()


def _sections(blocks: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Yield the sound of `blocks` in sections of `size` samples, the last one what is left."""
    waiting: list[NDArray[np.float32]] = []
    missing = size
    for block in blocks:
        rest = np.asarray(block, dtype=np.float32)
        while rest.size:
            piece, rest = rest[:missing], rest[missing:]
            waiting.append(piece)
            missing -= piece.size
            if not missing:
                yield np.concatenate(waiting)
                waiting, missing = [], size
    if waiting:
        yield np.concatenate(waiting)
