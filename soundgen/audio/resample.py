"""Channels and sample rates: down to mono, up or down to another rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from soundgen.audio.waveform import Waveform

# soxr's "HQ" keeps 91 % of the band and has its aliases 120 dB down: below 16-bit noise.
QUALITY = "HQ"


def to_mono(waveform: Waveform) -> Waveform:
    """Return the mean of all channels as `[1, T]`."""
    if waveform.channels == 1:
        return waveform
    mean = waveform.samples.mean(axis=0, keepdims=True, dtype=np.float32)
    return Waveform(mean, waveform.sample_rate)


def resample(waveform: Waveform, sample_rate: int) -> Waveform:
    """Return `waveform` at `sample_rate` Hz; the duration stays the same within one sample."""
    if waveform.sample_rate == sample_rate:
        return waveform
    if waveform.num_samples == 0:
        return Waveform(waveform.samples, sample_rate)
    frames = np.ascontiguousarray(waveform.samples.T)  # [T, C]
    resampled = soxr.resample(frames, waveform.sample_rate, sample_rate, quality=QUALITY)
    return Waveform(np.ascontiguousarray(resampled.T, dtype=np.float32), sample_rate)


def resample_loop(waveform: Waveform, sample_rate: int) -> Waveform:
    """Return a loop at `sample_rate` Hz: as `resample`, with its end running into its beginning."""
    if waveform.sample_rate == sample_rate:
        return waveform
    from scipy.signal import resample as resample_periodic  # takes a second to import

    num_samples = max(1, round(waveform.num_samples * sample_rate / waveform.sample_rate))
    resampled = resample_periodic(waveform.samples.astype(np.float64), num_samples, axis=1)
    return Waveform(np.ascontiguousarray(resampled, dtype=np.float32), sample_rate)


def resample_stream(
    blocks: Iterable[NDArray[np.float32]], from_rate: int, to_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Resample a mono stream; the result does not depend on how it is cut into blocks.

    Args:
        blocks: float32 `[T]` each, any length.
        from_rate: Hz of the blocks.
        to_rate: Hz of the result.

    Yields:
        float32 `[T']`, never empty; together the same samples as `resample` gives.
    """
    if from_rate == to_rate:
        yield from (block for block in blocks if block.size)
        return
    stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=QUALITY)
    for block in blocks:
        resampled = stream.resample_chunk(block, last=False)
        if resampled.size:
            yield resampled
    tail = stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
    if tail.size:
        yield tail
