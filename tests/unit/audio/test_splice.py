"""A sound joined to what a codec made of its end: no click, no step, and the sound as it was."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.audio.splice import SPLICE_S, max_lag, splice

RATE = 16_000
OVERLAP = RATE // 2


def tone(start: int, end: int, phase: float = 0.0) -> NDArray[np.float32]:
    time = np.arange(start, end) / RATE
    return (0.4 * np.sin(2 * np.pi * 220 * time + phase)).astype(np.float32)


def levels_db(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the levels of windows of 20 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 320)[::40]
    return np.asarray(10 * np.log10((frames**2).mean(axis=1)))


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
def test_a_tone_goes_on_whatever_phase_and_level_the_codec_gives_it(phase: float) -> None:
    original = tone(0, RATE)
    decoded = np.float32(0.6) * tone(RATE - OVERLAP, RATE + 8000, phase)
    whole = splice(original, decoded, OVERLAP, RATE)
    kept = RATE - round(SPLICE_S * RATE)
    np.testing.assert_array_equal(whole[:kept], original[:kept])
    assert 8000 - max_lag(RATE) <= len(whole) - RATE <= 8000 + max_lag(RATE)
    levels = levels_db(whole)
    assert levels.max() - levels.min() < 1.0
    # A click is a sample that its neighbours do not foretell.
    bends = np.abs(np.diff(whole.astype(np.float64), 2))
    assert bends[kept - 100 :].max() < 1.5 * bends[: kept - 100].max()


def test_noise_goes_on_at_its_level() -> None:
    rng = np.random.default_rng(0)
    original, decoded = (rng.normal(0, 0.1, 2 * RATE).astype(np.float32) for _ in range(2))
    levels = levels_db(splice(original, decoded, OVERLAP, RATE))
    assert np.abs(levels - levels.mean()).max() < 3.0


def test_what_comes_stays_below_clipping_and_short_sounds_join_too() -> None:
    loud = np.float32(5) * tone(0, RATE)
    whole = splice(tone(0, RATE), loud, OVERLAP, RATE)
    assert np.abs(whole).max() <= 0.99 + 1e-6
    short = splice(tone(0, 320), tone(0, 640), 320, RATE)
    assert len(short) >= 640 - max_lag(RATE)
    silent = splice(tone(0, 800), np.zeros(1600, dtype=np.float32), 800, RATE)
    assert np.isfinite(silent).all() and len(silent) == 1600
