"""What rows 8 and 9 of `lm_quality.py` measure in a sound: whether it has a pitch, and stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SOUNDING_DB = -40.0
"""Frames this far below the loudest one of a sound have no say in whether it has a pitch."""


def pitched_share(samples: NDArray[np.float32], sample_rate: int) -> float | None:
    """Return the share of sounding frames of `[T]` that pYIN finds voiced; `None` without any.

    Mauch and Dixon 2014, by librosa, C2 to C7.
    """
    import librosa

    window, hop = 2048, 512
    if not samples.any():
        return None
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    level = librosa.feature.rms(y=padded, frame_length=window, hop_length=hop)[0]
    _, voiced, _ = librosa.pyin(
        padded, fmin=65.4, fmax=2093.0, sr=sample_rate, frame_length=window, hop_length=hop
    )
    sounding = level >= level.max() * 10 ** (SOUNDING_DB / 20)
    return float(voiced[sounding[: len(voiced)]].mean())


def drift(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, float]:
    """Compare the last 10 s of a sound `[T]` with its first: level in dB, centroid in octaves."""
    ends = samples[: 10 * sample_rate], samples[-10 * sample_rate :]
    (first_level, first_hz), (last_level, last_hz) = (
        (
            10 * np.log10(np.mean(end.astype(np.float64) ** 2) + 1e-12),
            _centroid_hz(end, sample_rate),
        )
        for end in ends
    )
    return float(last_level - first_level), float(np.log2(last_hz / first_hz))


def _centroid_hz(samples: NDArray[np.float32], sample_rate: int) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    return float((power * frequencies).sum() / (power.sum() + 1e-12) + 1.0)
