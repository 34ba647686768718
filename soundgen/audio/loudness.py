"""How loud a sound is: its loudness by ITU-R BS.1770-4, its true peak, and room below clipping."""

from __future__ import annotations

import math

import numpy as np

from soundgen.audio.resample import resample_stream
from soundgen.audio.waveform import Waveform

MIN_LOUDNESS_S = 0.4
"""One gating block of BS.1770; what is shorter has no loudness."""
MAX_PEAK = 0.99
"""Where sounds are kept that would clip; some way below 1, for what comes after us."""
_OVERSAMPLING = 4
_BLOCK_SAMPLES = 1 << 16


def loudness_lufs(waveform: Waveform) -> float | None:
    """Return the integrated loudness.

    Two channels of the same sound are 3 LU louder than one, as every meter has it.

    Args:
        waveform: `[C, T]` with C at most 5.

    Returns:
        LUFS; `None` for what is shorter than 0.4 s, or below the gate of -70 LUFS throughout.
    """
    if waveform.duration_s < MIN_LOUDNESS_S:
        return None
    import pyloudnorm  # read only here: SciPy's filters, which it needs, take a second to import

    meter = pyloudnorm.Meter(waveform.sample_rate)
    measured = float(meter.integrated_loudness(waveform.samples.T.astype(np.float64)))
    return measured if math.isfinite(measured) else None


def true_peak_dbtp(waveform: Waveform) -> float:
    """Return the peak between the samples too, by oversampling four times (BS.1770-4, annex 2).

    Returns:
        dB of full scale; minus infinity for silence.
    """
    peak = peak_of(waveform)
    for channel in waveform.samples:
        blocks = (
            channel[start : start + _BLOCK_SAMPLES]
            for start in range(0, len(channel), _BLOCK_SAMPLES)
        )
        rate = waveform.sample_rate
        for block in resample_stream(blocks, rate, _OVERSAMPLING * rate):
            peak = max(peak, float(np.abs(block).max()))
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def peak_of(waveform: Waveform) -> float:
    """Return the largest absolute sample; 0 where there is none."""
    return float(np.abs(waveform.samples).max(initial=0.0))


def amplify(waveform: Waveform, gain: float) -> Waveform:
    """Return `waveform` with every sample multiplied by `gain`."""
    return Waveform(waveform.samples * np.float32(gain), waveform.sample_rate)


def below_clipping(waveform: Waveform) -> Waveform:
    """Return `waveform`, turned down to a peak of `MAX_PEAK` if it is above that."""
    peak = peak_of(waveform)
    return amplify(waveform, MAX_PEAK / peak) if peak > MAX_PEAK else waveform
