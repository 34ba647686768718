"""Downmixing and resampling: lengths, identity, independence of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.audio.resample import resample, resample_stream, to_mono
from soundgen.audio.waveform import Waveform


def noise(channels: int, num_samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((channels, num_samples), dtype=np.float32)


def test_mono_is_the_mean_of_the_channels() -> None:
    samples = noise(5, 100)
    mono = to_mono(Waveform(samples, 8000))
    assert mono.samples.shape == (1, 100)
    assert np.allclose(mono.samples[0], samples.mean(axis=0), atol=1e-6)
    same = Waveform(samples[:1], 8000)
    assert to_mono(same) is same


@pytest.mark.parametrize("num_samples", [0, 1, 7, 1000, 44101])
@pytest.mark.parametrize("rates", [(44100, 16000), (8000, 48000), (16000, 16000)])
def test_duration_stays(num_samples: int, rates: tuple[int, int]) -> None:
    before, after = rates
    result = resample(Waveform(noise(2, num_samples), before), after)
    assert result.sample_rate == after
    assert result.samples.dtype == np.float32
    assert result.channels == 2
    assert result.num_samples == pytest.approx(num_samples * after / before, abs=1)


@pytest.mark.parametrize("block", [1, 17, 1000, 99999])
@pytest.mark.parametrize("rates", [(44100, 16000), (11025, 16000), (16000, 16000)])
def test_a_stream_does_not_depend_on_its_blocks(block: int, rates: tuple[int, int]) -> None:
    samples = noise(1, 5000)
    blocks = [samples[0, start : start + block] for start in range(0, 5000, block)]
    streamed = list(resample_stream(blocks, *rates))
    assert all(piece.size and piece.dtype == np.float32 for piece in streamed)
    whole = resample(Waveform(samples, rates[0]), rates[1]).samples[0]
    assert np.array_equal(np.concatenate(streamed), whole)


def test_an_empty_stream_stays_empty() -> None:
    assert list(resample_stream([], 44100, 16000)) == []
    assert list(resample_stream([np.zeros(0, np.float32)], 16000, 16000)) == []
