"""Spectra of tensors: STFT magnitudes and mel filter banks, differentiable."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_FLOOR = 1e-4
"""Added to mel magnitudes before the logarithm, as the codec's targets define their measure.

Magnitudes are not normalised by the window, so this is about -134 dB of full scale at 2048 samples
and -98 dB at 32: digital silence is far away, and near-silent bins count as much as loud ones.
"""

MEL_WINDOWS = (64, 128, 256, 512, 1024, 2048)
"""Windows of the multi-scale mel distance, samples."""


def num_mels_for(window: int) -> int:
    """Return how many mel bands a window supports without an empty one (at most 80)."""
    return max(4, min(80, window // 8))


def stft_magnitude(wav: Tensor, window: int, *, hop_length: int) -> Tensor:
    """Return |STFT| of `wav` `[B, T]` under a Hann window, `[B, bins, frames]`.

    Frames are centred, zeros stand outside; a full-scale sinusoid gives window / 4.
    """
    margin = window // 2
    frames = F.pad(wav, (margin, margin)).unfold(1, window, hop_length) * _hann(window, wav.device)
    # Real arithmetic: twice as fast backwards on a CPU as abs() of complex numbers.
    parts = torch.view_as_real(torch.fft.rfft(frames))
    return (parts.square().sum(dim=-1) + 1e-12).sqrt().transpose(1, 2)


def log_mel(wav: Tensor, window: int, *, sample_rate: int) -> Tensor:
    """Return the natural log-mel spectrum of `wav` `[B, T]`, `[B, M, frames]`, hop window / 4."""
    return to_log(mel_magnitude(wav, window, sample_rate=sample_rate))


def to_log(magnitude: Tensor) -> Tensor:
    """Return the natural logarithm of magnitudes, any shape, above `LOG_FLOOR`."""
    return (magnitude + LOG_FLOOR).log()


def mel_magnitude(wav: Tensor, window: int, *, sample_rate: int) -> Tensor:
    """Return the mel magnitudes of `wav` `[B, T]`, `[B, M, frames]`, hop window / 4."""
    magnitude = stft_magnitude(wav, window, hop_length=window // 4)
    return to_mel(magnitude, window, sample_rate=sample_rate)


def to_mel(magnitude: Tensor, window: int, *, sample_rate: int) -> Tensor:
    """Sum STFT magnitudes `[B, bins, frames]` of `window` samples to mel bands `[B, M, frames]`."""
    return _mel_bank(window, num_mels_for(window), sample_rate, magnitude.device) @ magnitude


@lru_cache(maxsize=32)
def _hann(window: int, device: torch.device) -> Tensor:
    return torch.hann_window(window, device=device)


@lru_cache(maxsize=32)
def _mel_bank(window: int, num_mels: int, sample_rate: int, device: torch.device) -> Tensor:
    # Here, since generating a sound needs no mel bands.
    import torchaudio.functional

    bank: Tensor = torchaudio.functional.melscale_fbanks(
        window // 2 + 1, 0.0, sample_rate / 2, num_mels, sample_rate, norm=None, mel_scale="htk"
    )
    return bank.t().contiguous().to(device)
