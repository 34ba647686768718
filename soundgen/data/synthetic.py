"""Synthetic noise and tones: what any codec is tried with first, and recordings rarely hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVELS_DBFS = (-45.0, -9.0)


def synthetic_audio(
    rng: np.random.Generator, num_samples: int, sample_rate: int
) -> NDArray[np.float32]:
    """Draw steady noise or a tone, float32 `[num_samples]`, at -45 to -9 dBFS (RMS) or less."""
    draw = _noise if rng.random() < 0.5 else _tone
    audio = draw(rng, num_samples, sample_rate)
    level = 10 ** (rng.uniform(*_LEVELS_DBFS) / 20)
    audio *= level / (np.sqrt(np.mean(audio**2)) + 1e-9)
    scaled: NDArray[np.float32] = (audio / max(1.0, np.abs(audio).max())).astype(np.float32)
    return scaled


def _noise(rng: np.random.Generator, num_samples: int, sample_rate: int) -> NDArray[np.float64]:
    """Gaussian noise, flat or falling by up to 9 dB an octave, half of it cut to a band."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples, 1 / sample_rate)
    spectrum *= (1 + frequency / 100) ** (-rng.uniform(0, 9) / 6.02)
    if rng.random() < 0.5:
        low, high = np.sort(np.exp(rng.uniform(np.log(50), np.log(sample_rate / 2), 2)))
        spectrum *= (frequency >= low) & (frequency <= max(high, 2 * low))
    return np.fft.irfft(spectrum, n=num_samples)


def _tone(rng: np.random.Generator, num_samples: int, sample_rate: int) -> NDArray[np.float64]:
    """One to eight partials, steady, decaying or gliding by up to an octave."""
    time = np.arange(num_samples) / sample_rate
    pitch = np.exp(rng.uniform(np.log(60), np.log(4000)))
    glide = rng.uniform(-1, 1) * (rng.random() < 0.3)
    cycles = 2 ** (glide * time / time[-1])
    stretched = rng.random() < 0.3
    audio = np.zeros(num_samples)
    for partial in range(1, int(rng.integers(1, 9)) + 1):
        ratio = partial * (rng.uniform(0.8, 1.25) if stretched else 1.0)
        # Where a glide would pass the Nyquist frequency, the partial is left out.
        if pitch * ratio * cycles.max() > 0.47 * sample_rate:
            continue
        phase = 2 * np.pi * (np.cumsum(pitch * ratio * cycles) / sample_rate + rng.random())
        audio += np.sin(phase) * rng.uniform(0.2, 1) / partial ** rng.uniform(0, 1.5)
    if rng.random() < 0.5:
        audio *= np.exp(-time * np.exp(rng.uniform(np.log(1), np.log(20))))
    return audio
