"""Synthetic noise and tones: finite, within full scale, and as different as their draws."""

from __future__ import annotations

import numpy as np

from soundgen.data.synthetic import synthetic_audio


def test_drawn_sounds_are_finite_and_do_not_clip() -> None:
    for seed in range(60):
        audio = synthetic_audio(np.random.default_rng(seed), 16_000, 16_000)
        assert audio.dtype == np.float32
        assert audio.shape == (16_000,)
        assert np.isfinite(audio).all()
        assert np.abs(audio).max() <= 1


def test_noise_and_tones_are_both_drawn() -> None:
    flatness = []
    for seed in range(40):
        audio = synthetic_audio(np.random.default_rng(seed), 16_000, 16_000).astype(np.float64)
        power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2 + 1e-12
        # The share of bins that hold half of the power: few for a tone, many for noise.
        order = np.sort(power)[::-1].cumsum()
        flatness.append(float(np.searchsorted(order, order[-1] / 2)) / len(power))
    assert sum(value < 0.002 for value in flatness) > 8
    assert sum(value > 0.01 for value in flatness) > 8


def test_the_same_draw_repeats() -> None:
    first, second = (synthetic_audio(np.random.default_rng(3), 8_000, 16_000) for _ in range(2))
    assert np.array_equal(first, second)
