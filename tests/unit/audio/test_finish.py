"""The finish of a sound, step by step, on signals whose result is known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.audio.finish import SAMPLE_RATES, FinishedSound, FinishSettings, finish, trim
from soundgen.audio.loudness import loudness_lufs, peak_of, true_peak_dbtp
from soundgen.audio.waveform import Waveform

RATE = 16_000
EDGE = 80
"""5 ms."""


def noise(duration_s: float, level: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """Return float32 `[1, T]`."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((1, round(duration_s * RATE)))).astype(np.float32)


def finished(samples: NDArray[np.float32], **settings: object) -> FinishedSound:
    return finish(Waveform(samples, RATE), FinishSettings(**settings))  # type: ignore[arg-type]


def test_by_default_only_the_edges_change() -> None:
    samples = noise(0.5)
    made = finished(samples)
    assert made.waveform.samples.shape == samples.shape
    assert made.waveform.samples.dtype == np.float32
    np.testing.assert_array_equal(made.waveform.samples[:, EDGE:-EDGE], samples[:, EDGE:-EDGE])
    rise = np.sin(np.pi / 2 * np.arange(EDGE) / EDGE) ** 2
    start, end = made.waveform.samples[0, :EDGE], made.waveform.samples[0, -EDGE:]
    np.testing.assert_allclose(start, samples[0, :EDGE] * rise, atol=1e-7)
    np.testing.assert_allclose(end, samples[0, -EDGE:] * rise[::-1], atol=1e-7)
    assert start[0] == end[-1] == 0
    assert made.loudness_lufs is None and made.warnings == ()
    assert made.true_peak_dbtp == round(true_peak_dbtp(made.waveform), 2)


def test_fades_have_the_length_asked_for() -> None:
    made = finished(np.full((1, 3 * RATE), 0.5, np.float32), fade_in_s=1.0, fade_out_s=0.5)
    envelope = made.waveform.samples[0] / 0.5
    assert envelope[RATE // 2] == pytest.approx(0.5, abs=1e-6)
    assert envelope[RATE : -RATE // 2] == pytest.approx(1.0)
    assert envelope[-1 - RATE // 4] == pytest.approx(0.5, abs=1e-3)
    assert np.all(np.diff(envelope[:RATE]) >= 0) and np.all(np.diff(envelope[-RATE // 2 :]) <= 0)


def test_fades_longer_than_the_sound_are_cut_and_said() -> None:
    made = finished(np.ones((1, 1000), np.float32), fade_in_s=0.05, fade_out_s=9.0)
    assert made.waveform.num_samples == 1000
    assert made.warnings == ("the fades are longer than the sound of 0.06 s",)
    tiny = finished(np.ones((1, 3), np.float32))
    assert tiny.waveform.num_samples == 3 and tiny.waveform.samples[0, 0] == 0
    assert finished(np.zeros((1, 0), np.float32)).waveform.num_samples == 0


def test_trim_leaves_some_air_around_the_sound() -> None:
    silence = np.zeros((1, RATE), np.float32)
    samples = np.concatenate([silence, noise(0.5), silence], axis=1)
    made = finished(samples, trim=True)
    # 20 ms before and 60 ms behind.
    assert made.waveform.duration_s == pytest.approx(0.58, abs=0.011)
    assert peak_of(made.waveform) == peak_of(Waveform(samples, RATE))
    assert trim(Waveform(silence, RATE)).num_samples == RATE


@pytest.mark.parametrize("sample_rate", SAMPLE_RATES)
def test_another_rate_keeps_length_and_tone(sample_rate: int) -> None:
    time = np.arange(RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)[None]
    made = finished(tone, sample_rate=sample_rate)
    assert made.waveform.sample_rate == sample_rate
    assert made.waveform.num_samples == sample_rate
    spectrum = np.abs(np.fft.rfft(made.waveform.samples[0]))
    assert int(spectrum.argmax()) == 1000
    assert made.true_peak_dbtp == pytest.approx(-6.02, abs=0.05)


def test_what_overshoots_between_the_samples_does_not_clip() -> None:
    square = np.where(np.arange(RATE) // 8 % 2, 0.99, -0.99).astype(np.float32)[None]
    assert peak_of(finished(square, sample_rate=48_000).waveform) == pytest.approx(0.99)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("target_lufs", [-16.0, -30.0])
def test_a_loudness_is_reached_as_a_meter_reads_it(target_lufs: float, channels: int) -> None:
    made = finished(
        noise(3.5, 0.01), loudness_lufs=target_lufs, channels=channels, sample_rate=44_100
    )
    assert made.warnings == ()
    assert made.waveform.channels == channels
    np.testing.assert_array_equal(made.waveform.samples[0], made.waveform.samples[-1])
    assert loudness_lufs(made.waveform) == pytest.approx(target_lufs, abs=0.05)
    assert made.loudness_lufs == pytest.approx(target_lufs, abs=0.05)


def test_a_tail_that_passes_the_gate_when_turned_up_is_counted() -> None:
    # At first only the burst counts; once that is loud, the tail does too and the mean falls.
    samples = np.concatenate([noise(0.5, 0.003), noise(9.0, 0.0002, seed=1)], axis=1)
    before = loudness_lufs(Waveform(samples, RATE))
    assert before == pytest.approx(-49.3, abs=0.2)
    plain = Waveform(samples * np.float32(10 ** ((-30 - before) / 20)), RATE)
    assert loudness_lufs(plain) == pytest.approx(-42.1, abs=0.2)
    made = finished(samples, loudness_lufs=-30.0)
    assert loudness_lufs(made.waveform) == pytest.approx(-30, abs=0.05)
    assert made.warnings == ()


def test_the_true_peak_ceiling_binds_and_says_so() -> None:
    clicks = np.zeros((1, 4 * RATE), np.float32)
    clicks[0, RATE // 2 :: RATE] = 0.5
    made = finished(clicks, loudness_lufs=-16.0)
    assert made.true_peak_dbtp == -1.0
    assert made.loudness_lufs is not None and made.loudness_lufs < -30
    (warning,) = made.warnings
    assert warning == (
        f"loudness is {made.loudness_lufs:.1f} LUFS, not -16: more would pass the true-peak "
        "ceiling of -1 dBTP"
    )


@pytest.mark.parametrize(
    ("samples", "why"),
    [(noise(0.3), "shorter than 0.4 s"), (noise(1.0, 1e-4), "so quiet")],
    ids=["short", "quiet"],
)
def test_where_loudness_is_not_defined_the_true_peak_is_set(
    samples: NDArray[np.float32], why: str
) -> None:
    made = finished(samples, loudness_lufs=-16.0)
    assert made.true_peak_dbtp == -1.0
    assert (made.loudness_lufs is None) == (why != "so quiet")
    (warning,) = made.warnings
    assert f"not defined for a sound {why}; its true peak was set to -1 dBTP" in warning


def test_normalize_sets_the_peak() -> None:
    made = finished(noise(0.5), normalize=True)
    assert 20 * math.log10(peak_of(made.waveform)) == pytest.approx(-1, abs=1e-4)
    silence = np.zeros((1, 100), np.float32)
    assert peak_of(finished(silence, normalize=True).waveform) == 0
    assert finished(silence, loudness_lufs=-20.0).true_peak_dbtp == -math.inf


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 12_345}, "sample_rate must be one of"),
        ({"fade_in_s": -1.0}, "fade_in_s must be 0 or more"),
        ({"fade_out_s": math.nan}, "fade_out_s must be 0 or more"),
        ({"channels": 3}, "channels must be 1 or 2"),
        ({"bit_depth": 8}, "bit_depth must be one of"),
        ({"loudness_lufs": 1.0}, r"loudness_lufs must be in \[-60, 0\]"),
        ({"loudness_lufs": math.nan}, "loudness_lufs must be in"),
        ({"loudness_lufs": -16.0, "normalize": True}, "exclude each other"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FinishSettings(**settings)  # type: ignore[arg-type]
