"""How far a reconstruction is from its original: the measures `eval codec` and training report."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from soundgen.audio.spectral import MEL_WINDOWS, log_mel, stft_magnitude
from soundgen.errors import ShapeError

LSD_WINDOW = 2048
LSD_HOP = 512
LSD_FLOOR_DB = -100.0
"""Floor of the log-spectral distance: dB of what a full-scale sinusoid gives in its bin.

Rounding to 16 bits makes about -126 dB a bin in this window, and dither a few dB more; so neither
counts, nor does what a decoder puts in place of digital silence.
"""


class Distances(NamedTuple):
    """A reconstruction beside its original."""

    mel_distance: float
    """See `Original.compare`; natural log units."""
    log_spectral_distance_db: float
    si_sdr_db: float


class Original:
    """A waveform that reconstructions are compared with; its spectra are taken once.

    Args:
        wav: float32 `[T]`.
        sample_rate: Hz.

    Raises:
        ShapeError: `wav` is not `[T]`.
    """

    @torch.no_grad()
    def __init__(self, wav: Tensor, *, sample_rate: int) -> None:
        _check_shapes(wav, wav)
        self.wav, self.sample_rate = wav, sample_rate
        self._log_mels = _log_mels(wav, sample_rate)
        self._level_db = _level_db(wav)

    @torch.no_grad()
    def compare(self, wav: Tensor) -> Distances:
        """Return how far `wav` `[T]` is from the original.

        - Mel distance: `mel_distance`.
        - Log-spectral distance: spectra with a Hann window of 2048 samples, hop 512; the
          difference of 20 log10 of the magnitudes, neither taken below `LSD_FLOOR_DB`; root mean
          square over bins, mean over frames; dB (Gray & Markel 1976, in the form that bandwidth
          extension reports it).
        - SI-SDR: `si_sdr_db`.

        Raises:
            ShapeError: The two differ in shape.
        """
        _check_shapes(wav, self.wav)
        mel = _mean_difference(_log_mels(wav, self.sample_rate), self._log_mels)
        difference_db = _level_db(wav) - self._level_db  # [bins, frames]
        spectral = float(difference_db.square().mean(dim=0).sqrt().mean())
        return Distances(mel, spectral, si_sdr_db(wav, self.wav))


@torch.no_grad()
def mel_distance(wav: Tensor, target: Tensor, *, sample_rate: int) -> float:
    """Return the multi-scale log-mel distance of two waveforms `[T]`.

    Mean absolute difference of natural log-mel spectra over windows 64..2048 samples, hop a
    quarter, min(80, window / 8) bands, floor 1e-4.

    Raises:
        ShapeError: The two differ in shape.
    """
    _check_shapes(wav, target)
    return _mean_difference(_log_mels(wav, sample_rate), _log_mels(target, sample_rate))


@torch.no_grad()
def si_sdr_db(wav: Tensor, target: Tensor) -> float:
    """Return the scale-invariant signal-to-distortion ratio of `wav` `[T]`, dB (Le Roux 2019)."""
    scale = (wav * target).sum() / target.square().sum().clamp(min=1e-12)
    signal = scale * target
    noise = wav - signal
    ratio = signal.square().sum().clamp(min=1e-12) / noise.square().sum().clamp(min=1e-12)
    return float(10 * ratio.log10())


def _check_shapes(wav: Tensor, target: Tensor) -> None:
    if wav.shape != target.shape or wav.ndim != 1:
        raise ShapeError(f"expected two [T], got {list(wav.shape)} and {list(target.shape)}")


def _mean_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    pairs = zip(ours, theirs, strict=True)
    return float(torch.stack([(a - b).abs().mean() for a, b in pairs]).mean())


def _log_mels(wav: Tensor, sample_rate: int) -> list[Tensor]:
    return [log_mel(wav[None], window, sample_rate=sample_rate) for window in MEL_WINDOWS]


def _level_db(wav: Tensor) -> Tensor:
    """Return levels `[bins, frames]` in dB of a full-scale sinusoid, no lower than the floor."""
    magnitude = stft_magnitude(wav[None], LSD_WINDOW, hop_length=LSD_HOP)[0]
    return (20 * (magnitude / (LSD_WINDOW / 4)).log10()).clamp(min=LSD_FLOOR_DB)
