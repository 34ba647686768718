"""What is done to a sound between model and file: trim, rate, fades, channels, level.

It is done in this order:

1. trim: the silence at both ends goes;
2. sample rate;
3. fades, of which none is shorter than 5 ms, so that nothing clicks; a loop has none;
4. channels;
5. level: a loudness below a true-peak ceiling, or a peak, or what keeps it from clipping.

The level comes last because a meter will hear all the others: fades change a loudness, another
rate a true peak, and a second channel adds 3 LU. Rounding to the bit depth is up to
`soundgen.audio.io.write_audio`. It adds no dither: the same sound gives the same bytes, silence
stays digital silence, and the error, 98 dB down at 16 bit, lies far below a codec's own noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.loudness import (
    MIN_LOUDNESS_S,
    amplify,
    below_clipping,
    loudness_lufs,
    peak_of,
    true_peak_dbtp,
)
from soundgen.audio.resample import resample, resample_loop, to_mono
from soundgen.audio.silence import sounding_range
from soundgen.audio.waveform import Waveform
from soundgen.errors import UsageError

SAMPLE_RATES = (16_000, 22_050, 32_000, 44_100, 48_000)
BIT_DEPTHS = (16, 24, 32)
MIN_LOUDNESS_LUFS, MAX_LOUDNESS_LUFS = -60.0, 0.0
"""Nearer to the meter's gate of -70 LUFS a target would have no meaning."""
EDGE_FADE_S = 0.005
"""At both ends of every sound."""
TRUE_PEAK_CEILING_DBTP = -1.0
NORMALIZED_PEAK_DBFS = -1.0
LOUDNESS_TOLERANCE_LU = 0.5
# What a gain lifts above the meter's gates changes the loudness again; two passes mostly do.
_MAX_LEVEL_PASSES = 8
_LEVEL_PRECISION_LU = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishSettings:
    """What is done to a sound between model and file. The default changes nothing but the edges."""

    trim: bool = False
    """Cut the silence at both ends off."""
    sample_rate: int | None = None
    """Hz, of `SAMPLE_RATES`; `None` leaves the model's."""
    fade_in_s: float = 0.0
    """At least `EDGE_FADE_S`, whatever is given."""
    fade_out_s: float = 0.0
    """At least `EDGE_FADE_S`, whatever is given."""
    channels: int = 1
    """2 is the same sound twice."""
    loudness_lufs: float | None = None
    """Loudness to reach, unless the true peak would pass `TRUE_PEAK_CEILING_DBTP`."""
    normalize: bool = False
    """Bring the peak to `NORMALIZED_PEAK_DBFS`; excludes a loudness."""
    bit_depth: int | None = None
    """Of the samples of wav and flac, from `BIT_DEPTHS`; `None` is their default of 16."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, by name."""
        if self.sample_rate is not None and self.sample_rate not in SAMPLE_RATES:
            raise ValueError(f"sample_rate must be one of {SAMPLE_RATES}, got {self.sample_rate}")
        for name, fade_s in (("fade_in_s", self.fade_in_s), ("fade_out_s", self.fade_out_s)):
            if not 0 <= fade_s < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {fade_s}")
        if self.channels not in (1, 2):
            raise ValueError(f"channels must be 1 or 2, got {self.channels}")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise ValueError(f"bit_depth must be one of {BIT_DEPTHS}, got {self.bit_depth}")
        if self.loudness_lufs is None:
            return
        if not MIN_LOUDNESS_LUFS <= self.loudness_lufs <= MAX_LOUDNESS_LUFS:
            raise ValueError(
                f"loudness_lufs must be in [{MIN_LOUDNESS_LUFS:g}, {MAX_LOUDNESS_LUFS:g}], got "
                f"{self.loudness_lufs}"
            )
        if self.normalize:
            raise ValueError("loudness_lufs and normalize exclude each other")


@dataclass(frozen=True, slots=True)
class FinishedSound:
    """A sound as it goes into its file, and what a meter says of it.

    Attributes:
        waveform: float32 `[C, T]`.
        true_peak_dbtp: dB of full scale, to a hundredth.
        loudness_lufs: LUFS, to a hundredth; `None` where none was asked for, or none is defined.
        warnings: What of the settings could not be had, one line each.
    """

    waveform: Waveform
    true_peak_dbtp: float
    loudness_lufs: float | None = None
    warnings: tuple[str, ...] = ()


def finish(waveform: Waveform, settings: FinishSettings, *, is_loop: bool = False) -> FinishedSound:
    """Finish a sound, in the order that the module tells.

    Args:
        waveform: Mono, `[1, T]`.
        settings: What is wanted.
        is_loop: Its end runs into its beginning, and shall go on doing so: no fade of 5 ms.

    Raises:
        UsageError: A loop was to be trimmed or faded.
    """
    if is_loop:
        check_loop_finish(settings)
    if settings.trim:
        waveform = trim(waveform)
    if settings.sample_rate is not None:
        change_rate = resample_loop if is_loop else resample
        waveform = change_rate(waveform, settings.sample_rate)
    warnings = []
    if settings.fade_in_s + settings.fade_out_s > waveform.duration_s:
        warnings.append(f"the fades are longer than the sound of {waveform.duration_s:.2f} s")
    if not is_loop:
        waveform = fade(waveform, settings.fade_in_s, settings.fade_out_s)
    waveform = Waveform(np.repeat(waveform.samples, settings.channels, axis=0),
                        waveform.sample_rate)  # fmt: skip
    loudness = None
    if settings.loudness_lufs is not None:
        waveform, loudness, warning = level_to(waveform, settings.loudness_lufs)
        warnings += [warning] if warning else []
        loudness = None if loudness is None else round(loudness, 2)
    elif settings.normalize:
        waveform = normalize(waveform)
    else:
        waveform = below_clipping(waveform)
    return FinishedSound(waveform, round(true_peak_dbtp(waveform), 2), loudness, tuple(warnings))


def check_loop_finish(settings: FinishSettings) -> None:
    """Refuse what would open a loop again.

    Raises:
        UsageError: It is to be trimmed or faded.
    """
    if settings.trim or settings.fade_in_s or settings.fade_out_s:
        raise UsageError("a loop has no ends to trim or to fade", hint="leave those out")


def trim(waveform: Waveform) -> Waveform:
    """Return `waveform` without the silence at its ends; as it is if there is nothing else."""
    start, end = sounding_range(to_mono(waveform).samples[0], waveform.sample_rate)
    if start == end:
        return waveform
    return Waveform(waveform.samples[:, start:end], waveform.sample_rate)


def fade(waveform: Waveform, fade_in_s: float, fade_out_s: float) -> Waveform:
    """Fade both ends along half a cosine, which has no corner to hear; the length stays.

    Args:
        waveform: `[C, T]`.
        fade_in_s: s; `EDGE_FADE_S` if shorter, the whole sound if longer than that.
        fade_out_s: Likewise. Where the two meet they multiply.
    """
    gains = np.ones(waveform.num_samples, dtype=np.float32)
    rise = _rise(fade_in_s, waveform)
    fall = _rise(fade_out_s, waveform)
    gains[: len(rise)] *= rise
    gains[len(gains) - len(fall) :] *= fall[::-1]
    return Waveform(waveform.samples * gains, waveform.sample_rate)


def _rise(fade_s: float, waveform: Waveform) -> NDArray[np.float32]:
    """Return the gains of a fade-in, float32 `[T]`, from 0 to just below 1."""
    num_samples = round(max(fade_s, EDGE_FADE_S) * waveform.sample_rate)
    num_samples = min(num_samples, waveform.num_samples)
    phase = np.arange(num_samples) / max(num_samples, 1)
    return np.asarray(np.sin(0.5 * np.pi * phase) ** 2, dtype=np.float32)


def normalize(waveform: Waveform) -> Waveform:
    """Return `waveform` with its peak at `NORMALIZED_PEAK_DBFS`; silence stays silence."""
    peak = peak_of(waveform)
    return amplify(waveform, _ratio(NORMALIZED_PEAK_DBFS) / peak) if peak > 0 else waveform


def level_to(waveform: Waveform, target_lufs: float) -> tuple[Waveform, float | None, str]:
    """Give a sound a loudness, as far as its true peak stays below the ceiling.

    Where a loudness is not defined, the true peak is brought to the ceiling instead.

    Args:
        waveform: `[C, T]`.
        target_lufs: LUFS.

    Returns:
        The sound, its loudness in LUFS if it has one, and what is to be said of it: empty if the
        loudness was reached within `LOUDNESS_TOLERANCE_LU`.
    """
    room_db = TRUE_PEAK_CEILING_DBTP - true_peak_dbtp(waveform)
    measured = loudness_lufs(waveform)
    if measured is None:
        short = waveform.duration_s < MIN_LOUDNESS_S
        why = f"shorter than {MIN_LOUDNESS_S:g} s" if short else "so quiet"
        levelled = amplify(waveform, _ratio(room_db)) if math.isfinite(room_db) else waveform
        return (
            levelled,
            loudness_lufs(levelled),
            f"loudness is not defined for a sound {why}; its true peak was set to "
            f"{TRUE_PEAK_CEILING_DBTP:g} dBTP instead",
        )
    gain_db, reached = _gain_to(waveform, measured, target_lufs)
    held_back = gain_db >= room_db
    levelled = amplify(waveform, _ratio(min(gain_db, room_db)))
    if held_back:
        reached = loudness_lufs(levelled)
    if reached is not None and abs(reached - target_lufs) <= LOUDNESS_TOLERANCE_LU:
        return levelled, reached, ""
    shown = "below what can be measured" if reached is None else f"{reached:.1f} LUFS"
    why = (
        f"more would pass the true-peak ceiling of {TRUE_PEAK_CEILING_DBTP:g} dBTP"
        if held_back
        else "its parts lie at the meter's gate"
    )
    return levelled, reached, f"loudness is {shown}, not {target_lufs:g}: {why}"


def _gain_to(
    waveform: Waveform, measured: float | None, target_lufs: float
) -> tuple[float, float | None]:
    """Return the gain in dB that gives a sound the loudness of `target_lufs`, and what it gives.

    `measured` is its loudness as it is.
    """
    gain_db = 0.0
    for _ in range(_MAX_LEVEL_PASSES):
        if measured is None or abs(target_lufs - measured) <= _LEVEL_PRECISION_LU:
            break
        gain_db += target_lufs - measured
        measured = loudness_lufs(amplify(waveform, _ratio(gain_db)))
    return gain_db, measured


def _ratio(decibels: float) -> float:
    """Return the ratio of amplitudes that `decibels` stand for."""
    return float(10 ** (decibels / 20))
