"""Where sound begins and ends."""

from __future__ import annotations

import numpy as np

from soundgen.audio.silence import sounding_range, swing


def test_silence_at_the_ends_goes_and_some_air_stays() -> None:
    samples = np.zeros(16000, dtype=np.float32)
    samples[5000:9000] = 0.5 * np.sin(np.arange(4000))
    start, stop = sounding_range(samples, 16000)
    assert 5000 - 0.04 * 16000 <= start <= 5000
    assert 9000 <= stop <= 9000 + 0.08 * 16000


def test_nothing_is_cut_from_a_sound_that_fills_its_file() -> None:
    samples = np.random.default_rng(0).standard_normal(1601).astype(np.float32)
    assert sounding_range(samples, 16000) == (0, 1601)


def test_a_quiet_recording_is_measured_by_itself() -> None:
    samples = np.zeros(16000, dtype=np.float32)
    samples[8000:] = 1e-4 * np.sin(np.arange(8000))
    start, stop = sounding_range(samples, 16000)
    assert 7000 < start <= 8000
    assert stop == 16000


def test_a_constant_offset_is_no_sound() -> None:
    assert swing(np.full(100, 0.5, dtype=np.float32)) == 0.0
    assert swing(np.zeros(0, dtype=np.float32)) == 0.0
    assert sounding_range(np.full(100, 0.5, dtype=np.float32), 16000) == (0, 0)
    assert sounding_range(np.zeros(0, dtype=np.float32), 16000) == (0, 0)
