"""Seamless loops: material past the end crossfaded over the beginning, and what tells if it works.

```
material   |---lead---|beginning=====================end|~~more~~|
loop                  |more fades out, beginning in=======end|
```
The sample after the last one is the first one of `more`, which is what followed it in the material:
there is no join to hear. What may be heard is that the sound changes over the crossfade, so the
place is chosen where both parts are most alike, and the change is measured against those inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.errors import InputError

CROSSFADE_S = 0.5
"""Half the loop if that is shorter."""
SEARCH_S = 1.5
"""More material to choose the place in; onset and end of a sound lie there too."""
_MIN_CROSSFADE_S = 0.02
_FLUX_WINDOW_S = 0.02
# Long enough to hear a level in; an eighth of the loop if that is shorter.
_LEVEL_WINDOW_S = 0.25
_NUM_BANDS = 24
_FLOOR_DB = -80.0
# Below these a change is not heard (a level step of 1 dB just is), however steady the rest may be;
# the level of shorter windows wavers more, by the square root of their length.
_INAUDIBLE_FLUX_DB, _INAUDIBLE_STEP_DB = 3.0, 1.5
# The most that changes at one place of even noise is now and then at the seam, the oftener the
# shorter the loop: one in ten of 0.1 s.
_TOLERANCE = 1.25
_MAX_PLACES = 20_000
_SPECTRUM_S, _SPECTRUM_HOP_S = 0.032, 0.01
# Relative to the loudest bin, so that what nobody hears does not count as difference.
_SPECTRUM_FLOOR = 1e-3
# How much quieter than the sound's middle the place may be before that outweighs a difference.
_QUIET_WEIGHT = 0.5
# Of the material's; a loop with less, 10 dB down, has missed the sound.
_MIN_POWER_SHARE = 0.1

_Measure = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]
]
"""Of windows before, across and after places, each `[N, T]`: how much changes there, `[N]`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seam:
    """How a loop passes from its end to its beginning, against how it changes inside.

    Attributes:
        flux_db: Change of the spectrum at the seam: mean over bands, from 20 ms before it to 20 ms
            across it, or from those to 20 ms after it.
        flux_percentile: Share of places inside that change less, in %.
        flux_limit_db: Where it would be heard: above the largest change inside.
        step_db: Largest step of the level over the crossfade, between 0.25 s before and after.
        step_percentile: Share of places inside with a smaller step, in %.
        step_limit_db: Likewise.
    """

    flux_db: float
    flux_percentile: float
    flux_limit_db: float
    step_db: float
    step_percentile: float
    step_limit_db: float

    @property
    def fault(self) -> str:
        """What makes it no loop; empty if its seam is not beyond what is heard inside."""
        for what, change_db, limit_db in (
            ("level steps", self.step_db, self.step_limit_db),
            ("spectrum jumps", self.flux_db, self.flux_limit_db),
        ):
            if change_db > limit_db:
                return (
                    f"its {what} by {change_db:.1f} dB where it starts again, elsewhere by less "
                    f"than {limit_db:.1f} dB"
                )
        return ""


def surplus_s(duration_s: float) -> float:
    """Return how much longer than the loop its material should be, s."""
    return _crossfade_s(duration_s) + SEARCH_S


def make_loop(
    samples: NDArray[np.float32], sample_rate: int, num_samples: int
) -> tuple[NDArray[np.float32], Seam]:
    """Cut a loop from longer material.

    Args:
        samples: float32 `[T]`.
        sample_rate: Hz.
        num_samples: Of the loop.

    Returns:
        float32 `[num_samples]`, and what was measured at its seam.

    Raises:
        InputError: The material is not longer by at least 20 ms, or is over too soon.
    """
    spare = len(samples) - num_samples
    crossfade = round(_crossfade_s(num_samples / sample_rate) * sample_rate)
    crossfade = min(crossfade, spare)
    if crossfade < min(round(_MIN_CROSSFADE_S * sample_rate), num_samples // 2) or crossfade < 1:
        raise InputError(
            f"a loop of {num_samples / sample_rate:.2f} s needs material that is longer than "
            f"{len(samples) / sample_rate:.2f} s"
        )
    start = _best_start(samples, sample_rate, num_samples, crossfade)
    loop = samples[start : start + num_samples].copy()
    if _power(loop) < _MIN_POWER_SHARE * _power(samples):
        raise InputError("no loop: nothing of it goes on long enough to begin again")
    more = samples[start + num_samples : start + num_samples + crossfade]
    loop[:crossfade] = crossfaded(more, loop[:crossfade])
    return loop, measure_seam(loop, sample_rate, crossfade)


def measure_seam(loop: NDArray[np.float32], sample_rate: int, crossfade: int = 0) -> Seam:
    """Compare how a loop changes at its seam with how it changes everywhere else.

    Args:
        loop: float32 `[T]`, at least 32 samples.
        sample_rate: Hz.
        crossfade: Samples at its beginning that belong to the seam.
    """
    middle = len(loop) // 2
    turned = np.roll(loop, middle).astype(np.float64)  # the seam lies at `middle`
    fine = min(round(_FLUX_WINDOW_S * sample_rate), len(loop) // 8)
    coarse = min(round(_LEVEL_WINDOW_S * sample_rate), len(loop) // 8)
    flux, inside_flux = _at_and_beside(turned, middle, 0, fine, _flux_db)
    step, inside_step = _at_and_beside(turned, middle, crossfade, coarse, _step_db)
    inaudible_step_db = _INAUDIBLE_STEP_DB * (_LEVEL_WINDOW_S * sample_rate / coarse) ** 0.5
    return Seam(
        flux_db=round(flux, 2),
        flux_percentile=_percentile(flux, inside_flux),
        flux_limit_db=round(max(_TOLERANCE * float(inside_flux.max()), _INAUDIBLE_FLUX_DB), 2),
        step_db=round(step, 2),
        step_percentile=_percentile(step, inside_step),
        step_limit_db=round(max(_TOLERANCE * float(inside_step.max()), inaudible_step_db), 2),
    )


def _crossfade_s(duration_s: float) -> float:
    return min(CROSSFADE_S, duration_s / 2)


def _best_start(
    samples: NDArray[np.float32], sample_rate: int, num_samples: int, crossfade: int
) -> int:
    """Return where to begin the loop: where what follows its end is most like its beginning."""
    spare = len(samples) - num_samples
    hop = round(_SPECTRUM_HOP_S * sample_rate)
    whole = _magnitudes(samples, sample_rate, 10 * hop, len(samples))
    floor = _SPECTRUM_FLOOR * max(float(whole.max()), 1e-9)
    heads, tails = (
        np.log(_magnitudes(part, sample_rate, hop, spare) + floor)  # [L, F]
        for part in (samples, samples[num_samples:])
    )
    difference = np.abs(heads - tails).mean(axis=1)
    level = np.minimum(heads.mean(axis=1), tails.mean(axis=1))
    usual = float(np.median(np.log(whole + floor).mean(axis=1)))
    cost = difference + _QUIET_WEIGHT * np.maximum(0.0, usual - level)
    span = min(max(1, crossfade // hop), len(cost))
    costs = np.convolve(cost, np.ones(span) / span, mode="valid")
    starts = np.arange(len(costs)) * hop
    costs[starts > spare - crossfade] = np.inf
    return int(starts[int(np.argmin(costs))])


def _magnitudes(
    samples: NDArray[np.float32], sample_rate: int, hop: int, num_samples: int
) -> NDArray[np.float64]:
    """Return spectra `[L, F]` of frames that begin in the first `num_samples`, one a hop."""
    size = round(_SPECTRUM_S * sample_rate)
    padded = np.pad(samples[: num_samples + size].astype(np.float64), (0, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:num_samples:hop]
    return np.asarray(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)))


def crossfaded(falling: NDArray[np.float32], rising: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blend two parts `[T]` at equal power, whatever they have in common.

    Two noises add in power, two equal tones in amplitude; gains that sum to one in either sense
    are 3 dB off in the other. What is between is told by their correlation.
    """
    num_samples = len(falling)
    phase = 0.5 * np.pi * np.arange(num_samples) / num_samples
    down, up = np.cos(phase), np.sin(phase)
    one, other = falling.astype(np.float64), rising.astype(np.float64)
    power = float(np.sqrt((one @ one) * (other @ other)))
    # Parts that cancel would be lifted without end; 4 dB is enough.
    shared = max(-0.6, float(one @ other) / power) if power > 0 else 0.0
    gain = 1 / np.sqrt(1 + 2 * shared * down * up)
    return np.asarray(gain * (down * one + up * other), dtype=np.float32)


def _at_and_beside(
    samples: NDArray[np.float64], seam: int, crossfade: int, window: int, measure: _Measure
) -> tuple[float, NDArray[np.float64]]:
    """Return the largest change over the seam, and all changes that it has no part in."""
    # Close enough to meet what changes inside as exactly as the seam is met.
    hop = max(1, window // 8, len(samples) // _MAX_PLACES)
    places = np.arange(0, len(samples), hop)
    outside = places[(places + window <= seam) | (places - window >= seam + crossfade)]
    over = np.arange(seam, seam + crossfade + 1, hop)
    # Window i begins at sample i - window; the ring is closed on both sides.
    ring = np.pad(samples, window, mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(ring, window)
    at_seam, inside = (
        measure(windows[where], windows[where + window // 2], windows[where + window])
        for where in (over, outside)
    )
    return float(at_seam.max()), inside if inside.size else np.zeros(1)


def _step_db(
    before: NDArray[np.float64], _across: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the steps of level between windows `[N, T]`, dB `[N]`."""
    one, other = (_decibels((part**2).mean(axis=1)) for part in (before, after))
    return np.abs(other - one)


def _flux_db(
    before: NDArray[np.float64], across: NDArray[np.float64], after: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the changes of spectrum between windows `[N, T]`, mean over bands, dB `[N]`.

    A click shows in the window that lies across it, in no other.
    """
    one, between, other = (_bands_db(part) for part in (before, across, after))
    changes = [np.abs(between - part).mean(axis=1) for part in (one, other)]
    return np.asarray(np.maximum(*changes))


def _bands_db(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power of frames `[N, T]` in bands that widen with frequency, dB `[N, bands]`."""
    size = frames.shape[1]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2 / size**2
    edges = np.unique(np.geomspace(1, power.shape[1], _NUM_BANDS + 1).astype(int))
    return _decibels(np.add.reduceat(power, edges[:-1], axis=1))


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10))))


def _power(samples: NDArray[np.float32]) -> float:
    return float((samples.astype(np.float64) ** 2).mean())


def _percentile(value: float, inside: NDArray[np.float64]) -> float:
    return round(100.0 * float((inside < value).mean()), 1)
