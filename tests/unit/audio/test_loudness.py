"""Loudness and true peak of signals whose values are known beforehand."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundgen.audio.loudness import below_clipping, loudness_lufs, peak_of, true_peak_dbtp
from soundgen.audio.waveform import Waveform

RATE = 48_000


def sine(hz: float, amplitude: float, duration_s: float, phase: float = 0.0) -> NDArray[np.float32]:
    """Return float32 `[1, T]`."""
    time = np.arange(round(duration_s * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * time + phase)).astype(np.float32)[None]


@pytest.mark.parametrize("target_lufs", [-23.0, -16.0])
def test_a_sine_of_known_loudness(target_lufs: float) -> None:
    # BS.1770 weighs 997 Hz so that a full-scale sine in one channel reads -3.01 LUFS.
    amplitude = 10 ** ((target_lufs + 3.01) / 20)
    mono = sine(997, amplitude, 3.0)
    assert loudness_lufs(Waveform(mono, RATE)) == pytest.approx(target_lufs, abs=0.1)
    both = Waveform(np.repeat(mono, 2, axis=0), RATE)
    assert loudness_lufs(both) == pytest.approx(target_lufs + 3.01, abs=0.1)


def test_what_has_no_loudness() -> None:
    assert loudness_lufs(Waveform(sine(997, 0.5, 0.399), RATE)) is None
    assert loudness_lufs(Waveform(sine(997, 0.5, 0.4), RATE)) is not None
    assert loudness_lufs(Waveform(sine(997, 1e-4, 1.0), RATE)) is None
    assert loudness_lufs(Waveform(np.zeros((1, RATE), np.float32), RATE)) is None


@pytest.mark.needs_ffmpeg
def test_another_meter_agrees(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    swell = np.linspace(0, 1, 4 * RATE) ** 2
    samples = (0.2 * rng.standard_normal((2, 4 * RATE)) * swell).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples.T, RATE, subtype="FLOAT")
    shown = subprocess.run(
        ["ffmpeg", "-i", tmp_path / "a.wav", "-af", "ebur128=peak=true", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    loudness, peak = (
        float(re.findall(rf"{name}:\s+(-?[\d.]+) ", shown)[-1]) for name in ("I", "Peak")
    )
    waveform = Waveform(samples, RATE)
    assert loudness_lufs(waveform) == pytest.approx(loudness, abs=0.2)
    assert true_peak_dbtp(waveform) == pytest.approx(peak, abs=0.3)


def test_the_true_peak_lies_between_the_samples() -> None:
    # A quarter of the rate, 45 degrees off: every sample is at 0.71 of the crest that it misses.
    samples = sine(RATE / 4, 0.5, 2.0, phase=np.pi / 4) * np.hanning(2 * RATE).astype(np.float32)
    waveform = Waveform(samples, RATE)
    assert 20 * math.log10(peak_of(waveform)) == pytest.approx(-9.03, abs=0.01)
    assert true_peak_dbtp(waveform) == pytest.approx(-6.02, abs=0.05)
    quiet = np.zeros_like(samples)
    assert true_peak_dbtp(Waveform(np.concatenate([quiet, samples]), RATE)) > -6.1
    assert true_peak_dbtp(Waveform(quiet, RATE)) == -math.inf


def test_below_clipping_turns_down_only_what_would_clip() -> None:
    loud = Waveform(np.array([[0.5, -2.0]], np.float32), RATE)
    assert below_clipping(loud).samples[0] == pytest.approx([0.2475, -0.99])
    softer = Waveform(np.array([[0.5, -0.98]], np.float32), RATE)
    assert below_clipping(softer) is softer
