"""How far a reconstruction is from its original: the measures `eval codec` and training report."""

from __future__ import annotations

import torch
from torch import Tensor

from soundgen.audio.spectral import MEL_WINDOWS, log_mel
from soundgen.errors import ShapeError


@torch.no_grad()
def mel_distance(wav: Tensor, target: Tensor, *, sample_rate: int) -> float:
    """Return the multi-scale log-mel distance of two waveforms `[T]`.

    Mean absolute difference of natural log-mel spectra over windows 64..2048 samples, hop a
    quarter, min(80, window / 8) bands, floor 1e-4.

    Raises:
        ShapeError: The two differ in shape.
    """
    if wav.shape != target.shape or wav.ndim != 1:
        raise ShapeError(f"expected two [T], got {list(wav.shape)} and {list(target.shape)}")
    distances = [
        (
            log_mel(wav[None], window, sample_rate=sample_rate)
            - log_mel(target[None], window, sample_rate=sample_rate)
        )
        .abs()
        .mean()
        for window in MEL_WINDOWS
    ]
    return float(torch.stack(distances).mean())


@torch.no_grad()
def si_sdr_db(wav: Tensor, target: Tensor) -> float:
    """Return the scale-invariant signal-to-distortion ratio of `wav` `[T]`, dB (Le Roux 2019)."""
    scale = (wav * target).sum() / target.square().sum().clamp(min=1e-12)
    signal = scale * target
    noise = wav - signal
    ratio = signal.square().sum().clamp(min=1e-12) / noise.square().sum().clamp(min=1e-12)
    return float(10 * ratio.log10())
