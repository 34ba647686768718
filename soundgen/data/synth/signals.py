"""Building blocks of synthetic sounds: noise, filters, grains, oscillators, rooms.

All signals are float64 `[T]` at 16 kHz; scipy is imported where it is used, since it takes a
second and a wrong option should be refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from soundgen.data.fingerprint import SAMPLE_RATE
from soundgen.data.synth.kind import Samples

Rng = np.random.Generator

NYQUIST = SAMPLE_RATE / 2
# An amplitude has fallen by 60 dB.
_LOG_1000 = 6.907755
# Grains are summed in pieces of this many values, 32 MiB.
_BATCH_VALUES = 1 << 22


def seconds(duration_s: float) -> int:
    """Return a length in samples, at least one."""
    return max(1, round(duration_s * SAMPLE_RATE))


def noise(rng: Rng, num_samples: int) -> Samples:
    """Draw white Gaussian noise of RMS 1."""
    return rng.standard_normal(num_samples)


def coloured(rng: Rng, num_samples: int, gain: Callable[[Samples], Samples]) -> Samples:
    """Draw noise of RMS 1 whose spectrum follows `gain`, a function of frequencies in Hz."""
    size = -(-num_samples // 2000) * 2000  # a product of small primes, for the FFT's sake
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    shape = gain(np.maximum(frequency, 1.0))
    shape[0] = 0.0
    spectrum = shape * (
        rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))
    )
    return unit_rms(np.fft.irfft(spectrum, n=size)[:num_samples])


def sloped(rng: Rng, num_samples: int, db_per_octave: float, low: float, high: float) -> Samples:
    """Draw noise of RMS 1 that slopes by `db_per_octave` between two soft edges, in Hz."""
    return coloured(
        rng,
        num_samples,
        lambda f: (
            (f / 1000) ** (db_per_octave / 6.02)
            / np.sqrt((1 + (low / f) ** 4) * (1 + (f / high) ** 4))
        ),
    )


def unit_rms(x: Samples) -> Samples:
    """Scale to an RMS of 1; silence stays silence."""
    return x / (float(np.sqrt(np.mean(x * x))) + 1e-12)


def unit_peak(x: Samples) -> Samples:
    """Scale to a peak of 1; silence stays silence."""
    return x / (float(np.abs(x).max()) + 1e-12)


def low_pass(x: Samples, hz: float, order: int = 2) -> Samples:
    """Butterworth low-pass filter, causal."""
    return _butterworth(x, "lowpass", min(hz, 0.98 * NYQUIST), order)


def high_pass(x: Samples, hz: float, order: int = 2) -> Samples:
    """Butterworth high-pass filter, causal."""
    return _butterworth(x, "highpass", min(hz, 0.98 * NYQUIST), order)


def band_pass(x: Samples, low: float, high: float, order: int = 2) -> Samples:
    """Butterworth band-pass filter, causal."""
    return high_pass(low_pass(x, high, order), low, order)


def _butterworth(x: Samples, kind: str, edge: float, order: int) -> Samples:
    from scipy.signal import butter, sosfilt

    sections = butter(order, edge, kind, fs=SAMPLE_RATE, output="sos")
    filtered: Samples = sosfilt(sections, x)
    return filtered


def resonate(x: Samples, hz: float, width_hz: float) -> Samples:
    """Filter with one resonance, gain 1 at its peak."""
    from scipy.signal import lfilter

    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    gain = (1 - radius**2) / 2
    poles = [1.0, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2]
    filtered: Samples = lfilter([gain, 0.0, -gain], poles, x)
    return filtered


def formants(x: Samples, peaks: Sequence[tuple[float, float, float]]) -> Samples:
    """Filter with parallel resonances, each (Hz, width in Hz, gain): a throat, a box, a pipe."""
    total = np.zeros_like(x)
    for hz, width_hz, gain in peaks:
        if hz < 0.95 * NYQUIST:
            total += gain * resonate(x, hz, width_hz)
    return total


def modes(
    excitation: Samples,
    hz: Sequence[float] | Samples,
    t60_s: Sequence[float] | Samples,
    gain: Sequence[float] | Samples,
) -> Samples:
    """Let a body ring: each mode is a damped sine that `excitation` drives.

    Modal synthesis (van den Doel and Pai 1998, "The sounds of physical shapes").

    Args:
        excitation: What strikes it, `[T]`.
        hz: Frequencies; those that 16 kHz cannot hold are left out.
        t60_s: Times in which the modes fall by 60 dB.
        gain: How much each is driven.
    """
    from scipy.signal import lfilter

    total = np.zeros_like(excitation)
    for frequency, decay_s, level in zip(hz, t60_s, gain, strict=True):
        if frequency > 0.96 * NYQUIST:
            continue
        omega = 2 * np.pi * frequency / SAMPLE_RATE
        radius = np.exp(-_LOG_1000 / (decay_s * SAMPLE_RATE))
        poles = [1.0, -2 * radius * np.cos(omega), radius**2]
        total += level * lfilter([0.0, radius * np.sin(omega)], poles, excitation)
    return total


def strike(rng: Rng, num_samples: int, contact_s: float, roughness: float = 0.0) -> Samples:
    """Make a blow: a raised cosine as long as the contact; the shorter, the brighter it rings.

    Args:
        rng: For the roughness.
        num_samples: Length.
        contact_s: How long the bodies touch; 0.1 ms is steel on steel, 5 ms a felt mallet.
        roughness: Share of noise in it.
    """
    x = np.zeros(num_samples)
    width = min(num_samples, max(2, seconds(contact_s)))
    pulse = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)
    pulse *= 1 + roughness * rng.standard_normal(width)
    x[:width] = pulse / width
    return x


def decay(num_samples: int, t60_s: float, attack_s: float = 0.0) -> Samples:
    """Make an envelope that rises in `attack_s` and falls by 60 dB in `t60_s`."""
    time = np.arange(num_samples) / SAMPLE_RATE
    envelope = np.exp(-_LOG_1000 * np.maximum(time - attack_s, 0) / t60_s)
    if attack_s > 0:
        envelope *= np.minimum(time / attack_s, 1.0)
    return envelope


def drift(rng: Rng, num_samples: int, hz: float) -> Samples:
    """Draw a smooth random curve of mean 0 and variance about 1 that changes `hz` times a s."""
    position = np.arange(num_samples) * (hz / SAMPLE_RATE) + rng.random()
    points = rng.standard_normal(int(position[-1]) + 2) * 1.2
    whole = position.astype(np.int64)
    part = position - whole
    part = part * part * (3 - 2 * part)
    curve: Samples = points[whole] * (1 - part) + points[whole + 1] * part
    return curve


def choice(condition: NDArray[np.bool_], yes: Samples | float, no: Samples | float) -> Samples:
    """Return `yes` where the condition holds and `no` elsewhere, as floats."""
    chosen: Samples = np.where(condition, yes, no).astype(np.float64)
    return chosen


def phase_of(hz: Samples | float, num_samples: int, rng: Rng | None = None) -> Samples:
    """Return the phase, in radians, of an oscillator whose frequency follows `hz`."""
    start = rng.random() if rng is not None else 0.0
    steps = np.broadcast_to(np.asarray(hz, dtype=np.float64), num_samples)
    return 2 * np.pi * (np.cumsum(steps) / SAMPLE_RATE + start)


def pulses(phase: Samples, sharpness: float) -> Samples:
    """Make one bump a cycle, smooth, so that nothing aliases; the sharper, the more harmonics."""
    bumps: Samples = np.exp(sharpness * (np.cos(phase) - 1)) - np.exp(-sharpness)
    return bumps


def harmonics(phase: Samples, gain: Sequence[float], highest_hz: float) -> Samples:
    """Add up sines at multiples of a phase, those below 7.5 kHz.

    Args:
        phase: Of the fundamental, radians.
        gain: One for each harmonic from the first.
        highest_hz: Highest frequency of the fundamental.
    """
    # sin(n x) = 2 cos(x) sin((n - 1) x) - sin((n - 2) x): a tenth of the time of a sine.
    this, before, twice = np.sin(phase), np.zeros_like(phase), 2 * np.cos(phase)
    total = np.zeros_like(phase)
    for number, level in enumerate(gain, start=1):
        if number * highest_hz >= 7500:
            break
        total += level * this
        this, before = twice * this - before, this
    return total


def swept_noise(rng: Rng, hz: Samples, width_hz: float) -> Samples:
    """Draw a band of noise of RMS 1 whose middle follows `hz`: wind past an edge, a swish."""
    num_samples = len(hz)
    base = noise(rng, num_samples) + 1j * noise(rng, num_samples)
    slow = low_pass(base.real, width_hz / 2) + 1j * low_pass(base.imag, width_hz / 2)
    return unit_rms((slow * np.exp(1j * phase_of(hz, num_samples))).real)


def arrivals(rng: Rng, num_samples: int, per_s: Samples | float) -> NDArray[np.int64]:
    """Draw the moments of a Poisson process, in samples, sorted; `per_s` may change with time."""
    rate = np.broadcast_to(np.asarray(per_s, dtype=np.float64), num_samples) / SAMPLE_RATE
    total = np.cumsum(np.maximum(rate, 0))
    count = int(rng.poisson(total[-1]))
    at = np.searchsorted(total, np.sort(rng.random(count)) * total[-1])
    moments: NDArray[np.int64] = np.minimum(at, num_samples - 1).astype(np.int64)
    return moments


def scatter(num_samples: int, onsets: NDArray[np.int64], pieces: Samples) -> Samples:
    """Add up grains.

    Args:
        num_samples: Length of the result; what sticks out is cut off.
        onsets: Where each grain begins, in samples, `[G]`.
        pieces: The grains, `[G, L]`.
    """
    length = pieces.shape[1]
    total = np.zeros(num_samples + length)
    rows = max(1, _BATCH_VALUES // length)
    for first in range(0, len(onsets), rows):
        places = onsets[first : first + rows, None] + np.arange(length)
        values = pieces[first : first + rows]
        total += np.bincount(places.ravel(), values.ravel(), minlength=len(total))
    return total[:num_samples]


def damped(hz: Samples, t60_s: Samples, gain: Samples, rise: float = 0.0) -> Samples:
    """Make damped sines as grains `[G, L]`, each as long as the longest needs to fall by 40 dB.

    Args:
        hz: Their frequencies, `[G]`.
        t60_s: Times in which they fall by 60 dB, `[G]`.
        gain: Their levels, `[G]`.
        rise: Relative rise of the frequency over one time constant, as of a bubble.
    """
    if not len(hz):
        return np.zeros((0, 1))
    time = np.arange(seconds(0.67 * float(t60_s.max()))) / SAMPLE_RATE
    rate = (_LOG_1000 / t60_s)[:, None]
    cycles = hz[:, None] * time * (1 + 0.5 * rise * rate * time)
    grains: Samples = gain[:, None] * np.exp(-rate * time) * np.sin(2 * np.pi * cycles)
    return grains


def scatter_damped(
    num_samples: int,
    onsets: NDArray[np.int64],
    hz: Samples,
    t60_s: Samples,
    gain: Samples,
    rise: float = 0.0,
) -> Samples:
    """Add up damped sines that begin at `onsets`; the rest is as in `damped`."""
    total = np.zeros(num_samples)
    # Grains are as long as the longest of them: like with like is a fraction of the work.
    for some in np.array_split(np.argsort(t60_s), 5):
        grains = damped(hz[some], t60_s[some], gain[some], rise)
        total += scatter(num_samples, onsets[some], grains)
    return total


def bubbles(
    rng: Rng, num_samples: int, per_s: Samples | float, low_mm: float, high_mm: float
) -> Samples:
    """Draw air bubbles in water, each a damped sine that rises as it nears the surface.

    Frequency 3 / r, damping 0.13 / r + 0.0072 r^-1.5 (van den Doel 2005, "Physically-based models
    for liquid sounds"), which also has large bubbles fewer and louder.

    Args:
        rng: Where they are drawn from.
        num_samples: Length.
        per_s: How many, on average.
        low_mm: Smallest radius; 0.6 mm is 5 kHz.
        high_mm: Largest radius; 10 mm is 300 Hz.
    """
    onsets = arrivals(rng, num_samples, per_s)
    radius = 1e-3 * low_mm * (high_mm / low_mm) ** (rng.random(len(onsets)) ** 1.5)
    rate = 0.13 / radius + 0.0072 * radius**-1.5
    gain = (radius * 1000) ** 0.8 * rng.random(len(onsets)) ** 2
    rise = float(rng.uniform(0.05, 0.2))
    return scatter_damped(num_samples, onsets, 3 / radius, _LOG_1000 / rate, gain, rise)


def add_at(total: Samples, piece: Samples, at: int, gain: float = 1.0) -> None:
    """Add `piece` to `total` from sample `at` on; what sticks out is cut off."""
    stop = min(len(total), at + len(piece))
    if 0 <= at < stop:
        total[at:stop] += gain * piece[: stop - at]


def room(rng: Rng, x: Samples, t60_s: float, wet: float, damping_hz: float = 4000) -> Samples:
    """Put a sound into a room: exponentially decaying noise as its response (Moorer 1979).

    Args:
        rng: Where the room is drawn from.
        x: The dry sound; the result is as long.
        t60_s: Time in which the room falls silent by 60 dB.
        wet: RMS of the reverberation over that of the dry sound.
        damping_hz: Above this the walls swallow it.
    """
    from scipy.signal import fftconvolve

    length = min(len(x), seconds(0.8 * t60_s))
    response = low_pass(noise(rng, length), damping_hz, 1) * decay(length, t60_s, 0.004)
    late = fftconvolve(x, response)[: len(x)]
    mixed: Samples = x + late * (
        wet * np.sqrt(np.mean(x * x)) / (np.sqrt(np.mean(late**2)) + 1e-12)
    )
    return mixed


def far_away(rng: Rng, x: Samples, damping_hz: float, t60_s: float = 1.5) -> Samples:
    """Move a sound away: air takes the highs, and echoes come to be as loud as what is direct."""
    return room(rng, low_pass(x, damping_hz, 1), t60_s, 1.0, damping_hz)
