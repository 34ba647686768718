"""How classifier and matcher hear: log-mel spectra without their level, convolved and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.audio.spectral import stft_magnitude

_QUIET_DB = -50.0
"""Segments this far below the loudest one of a sound have nothing to say about it."""


class LogMel(nn.Module):
    """Waveform -> mel magnitudes -> decibels below the loudest point. Nothing here is learned.

    Args:
        sample_rate: Hz.
        window: STFT window, samples.
        hop_length: Samples from one STFT frame to the next.
        num_mels: Mel bands M.
        range_db: Depth below the loudest point that is heard.
    """

    mel_bank: Tensor

    def __init__(
        self, *, sample_rate: int, window: int, hop_length: int, num_mels: int, range_db: float
    ) -> None:
        # Here, since loading a model whose matcher is not asked needs no mel bands.
        import torchaudio.functional

        super().__init__()
        self.window, self.hop_length, self.range_db = window, hop_length, range_db
        bank = torchaudio.functional.melscale_fbanks(
            window // 2 + 1, 0.0, sample_rate / 2, num_mels, sample_rate
        )
        self.register_buffer("mel_bank", bank.t().contiguous(), persistent=False)

    def magnitudes(self, wav: Tensor) -> Tensor:
        """Return mel magnitudes.

        Args:
            wav: float32 `[B, T]` at the sample rate.

        Returns:
            float32 `[B, M, T // hop_length + 1]`, linear, at least 0.
        """
        return self.mel_bank @ stft_magnitude(wav, self.window, hop_length=self.hop_length)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return segments as a network hears them, the level taken out.

        Args:
            magnitudes: float32 `[B, M, L]`, linear.

        Returns:
            `[B, M, L]`: 0 at the loudest point of each, -1 at `range_db` below it and beyond.
        """
        # Relative to the loudest point: the level of a recording says nothing of its kind.
        top = magnitudes.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        decibels = 20 * (magnitudes / top).clamp(min=1e-12).log10()
        return (decibels / self.range_db).clamp(min=-1.0)


class HearingConfig(Protocol):
    """What of a network's config its ear is built from."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def window(self) -> int:
        """STFT window, samples."""

    @property
    def hop_length(self) -> int:
        """Samples from one STFT frame to the next."""

    @property
    def num_mels(self) -> int:
        """Mel bands M."""

    @property
    def range_db(self) -> float:
        """Depth below the loudest point that is heard."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Width of the convolution blocks."""


class Ear(nn.Module):
    """Log-mel spectrum -> strided convolution blocks -> mean and maximum over time.

    Args:
        config: Features and sizes.
    """

    def __init__(self, config: HearingConfig) -> None:
        super().__init__()
        self.log_mel = LogMel(
            sample_rate=config.sample_rate,
            window=config.window,
            hop_length=config.hop_length,
            num_mels=config.num_mels,
            range_db=config.range_db,
        )
        self.blocks = _convolution_blocks(config.channels)
        self.width = config.channels[-1]
        """D."""
        bands = _bands_left(config.num_mels, len(config.channels))
        self.frame = nn.Linear(self.width * bands, self.width)

    def pooled(self, spectrum: Tensor) -> Tensor:
        """Return one vector a segment.

        Args:
            spectrum: `[B, M, L]` in [-1, 0], see `LogMel`.

        Returns:
            `[B, 2 * D]`, at least 0.
        """
        hidden = self.blocks(spectrum[:, None] * 4 + 2)
        frames = F.relu(self.frame(hidden.flatten(1, 2).transpose(1, 2)))  # [B, L', D]
        return torch.cat([frames.mean(dim=1), frames.amax(dim=1)], dim=1)


def _convolution_blocks(channels: Sequence[int]) -> nn.Sequential:
    """Return blocks that halve bands and frames each: `[B, 1, M, L]` -> `[B, D, M', L']`."""
    blocks: list[nn.Module] = []
    width = 1
    for out in channels:
        first = width == 1
        blocks += [
            nn.Conv2d(width, out, 5 if first else 3, 2, 2 if first else 1),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
        if not first:  # at the first block's resolution a second layer would cost the most
            blocks += [nn.Conv2d(out, out, 3, 1, 1), nn.BatchNorm2d(out), nn.ReLU()]
        width = out
    return nn.Sequential(*blocks)


def _bands_left(num_mels: int, num_blocks: int) -> int:
    """Return how many bands M' the blocks leave of `num_mels`."""
    for _ in range(num_blocks):
        num_mels = (num_mels + 1) // 2
    return num_mels


def cut_segments(magnitudes: Tensor, length: int) -> Tensor:
    """Cut a clip into segments that overlap by half; the last one ends where the clip ends.

    Args:
        magnitudes: `[M, L]`; shorter than a segment, it gets silence behind it.
        length: Frames of a segment.

    Returns:
        `[num_segments, M, length]`.
    """
    L = magnitudes.shape[1]
    if length >= L:
        return F.pad(magnitudes, (0, length - L))[None]
    starts = [*range(0, L - length, length // 2), L - length]
    return torch.stack([magnitudes[:, start : start + length] for start in starts])


def segment_levels_db(segments: Tensor) -> Tensor:
    """Return the level of each of the segments `[B, M, L]` of magnitudes, `[B]` in dB."""
    return 10 * segments.square().mean(dim=(1, 2)).clamp(min=1e-12).log10()


def worth_hearing(levels_db: Tensor) -> Tensor:
    """Return which segments of one sound are not near silence beside the others, bool `[B]`."""
    return levels_db >= levels_db.max() + _QUIET_DB
