"""Building blocks against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from soundgen.data.synth import signals as s

RATE = 16000


def test_a_mode_rings_at_its_pitch_for_its_time() -> None:
    hit = np.zeros(RATE)
    hit[0] = 1
    ring = s.modes(hit, [1000.0, 7900.0], [0.5, 0.5], [1.0, 1.0])  # 16 kHz cannot hold the second
    spectrum = np.abs(np.fft.rfft(ring))
    assert abs(np.argmax(spectrum) - 1000) <= 1
    fallen = np.abs(ring[8000:8200]).max() / np.abs(ring[:200]).max()
    assert 20 * np.log10(fallen) == pytest.approx(-60, abs=1.5)


def test_sloped_noise_slopes() -> None:
    x = s.sloped(np.random.default_rng(0), 10 * RATE, -6.0, 10, 20000)
    assert np.sqrt(np.mean(x**2)) == pytest.approx(1, abs=1e-6)
    power = np.abs(np.fft.rfft(x)) ** 2
    low, high = power[10 * 500 : 10 * 1000].mean(), power[10 * 2000 : 10 * 4000].mean()
    assert 10 * np.log10(low / high) == pytest.approx(12, abs=0.5)


def test_arrivals_come_as_often_as_asked() -> None:
    rate = np.concatenate([np.zeros(RATE), np.full(RATE, 2000.0)])
    at = s.arrivals(np.random.default_rng(1), 2 * RATE, rate)
    assert at.min() >= RATE - 1
    assert len(at) == pytest.approx(2000, abs=200)
    assert (np.diff(at) >= 0).all()


def test_scatter_adds_up_and_cuts_off() -> None:
    pieces = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    total = s.scatter(4, np.array([1, 2]), pieces)
    assert total.tolist() == [0, 1, 12, 23]
    assert s.scatter(4, np.zeros(0, np.int64), np.zeros((0, 1))).tolist() == [0, 0, 0, 0]


def test_a_bubble_of_three_millimetres_rings_at_a_kilohertz() -> None:
    rng = np.random.default_rng(2)
    x = s.bubbles(rng, 4 * RATE, 5.0, 3.0, 3.0001)
    spectrum = np.abs(np.fft.rfft(x))
    assert 1000 <= np.argmax(spectrum) / 4 <= 1120  # and rises a little


def test_drift_is_smooth_and_centred() -> None:
    x = s.drift(np.random.default_rng(3), 60 * RATE, 2.0)
    assert abs(x.mean()) < 0.3
    assert 0.7 < x.std() < 1.3
    assert np.abs(np.diff(x)).max() < 0.002


def test_nothing_of_a_silent_sound_is_nan() -> None:
    rng = np.random.default_rng(4)
    quiet = np.zeros(800)
    for x in (s.unit_rms(quiet), s.unit_peak(quiet), s.room(rng, quiet, 0.5, 0.5)):
        assert not x.any()
