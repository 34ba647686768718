"""Seamless loops: exact, continuous, as even at the seam as inside; what is none is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.audio.loop import make_loop, measure_seam, surplus_s
from soundgen.audio.resample import resample_loop
from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError

RATE = 16_000
Samples = NDArray[np.float32]


def noise(duration_s: float, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 0.1, round(duration_s * RATE)).astype(np.float32)


def tone(duration_s: float, frequency_hz: float = 440.3) -> Samples:
    time = np.arange(round(duration_s * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def times(samples: Samples) -> NDArray[np.float64]:
    return np.arange(len(samples)) / RATE


def looped(samples: Samples, duration_s: float = 3.0) -> Samples:
    loop, seam = make_loop(samples, RATE, round(duration_s * RATE))
    assert seam.fault == ""
    assert len(loop) == round(duration_s * RATE) and loop.dtype == np.float32
    return loop


def fault_of(material: Samples) -> str:
    try:
        return make_loop(material, RATE, 3 * RATE)[1].fault
    except InputError as error:
        return error.message


@pytest.mark.parametrize("duration_s", [0.1, 0.25, 1.0, 3.0, 12.3])
def test_noise_of_any_length_becomes_a_loop(duration_s: float) -> None:
    for seed in range(4):
        looped(noise(duration_s + surplus_s(duration_s), seed), duration_s)


def test_the_sample_after_the_last_is_the_first_and_was_in_the_material_too() -> None:
    material = noise(5)
    loop = looped(material)
    (last,) = np.flatnonzero(material == loop[-1])
    assert material[last + 1] == loop[0]
    # Behind the crossfade of half a second the loop is the material, untouched.
    np.testing.assert_array_equal(loop[8000:], material[last + 1 - 40_000 : last + 1])


@pytest.mark.parametrize(
    "material",
    [noise(5), tone(5), tone(5, 100) + noise(5) / 10, noise(5) * (times(noise(5)) % 0.5 < 0.25)],
    ids=["noise", "tone", "hum", "pulses"],
)
def test_nothing_is_louder_softer_or_brighter_at_the_seam(material: Samples) -> None:
    loop = looped(material.astype(np.float32))
    # An independent look: the level over a turn of the loop, in steps of 100 ms around the seam.
    turned = np.roll(loop, 16_000).reshape(-1, 1600).astype(np.float64)
    levels = np.sqrt((turned**2).mean(axis=1))
    around, elsewhere = levels[8:18], np.concatenate([levels[:8], levels[18:]])
    assert elsewhere.min() * 0.7 <= around.min() and around.max() <= elsewhere.max() * 1.4


def test_equal_parts_and_unlike_ones_keep_their_level_over_the_crossfade() -> None:
    for material in (tone(5, 100.0), noise(5)):
        loop = looped(material)
        levels = np.sqrt((loop[:8000].reshape(5, -1).astype(np.float64) ** 2).mean(axis=1))
        inside = float(np.sqrt((loop[8000:].astype(np.float64) ** 2).mean()))
        np.testing.assert_allclose(levels, inside, rtol=0.06)


def test_onset_and_end_of_the_material_are_left_out() -> None:
    material = noise(5)
    time = times(material)
    material *= np.clip(np.minimum(time / 0.5, (5 - time) / 0.5), 0, 1).astype(np.float32)
    levels = np.sqrt((looped(material).reshape(-1, 1600).astype(np.float64) ** 2).mean(axis=1))
    np.testing.assert_allclose(levels, 0.1, rtol=0.12)


@pytest.mark.parametrize(
    ("material", "message"),
    [
        (noise(5) * np.exp(times(noise(5))), "its level steps by 1[0-9]"),
        (noise(5) * np.exp(-12 * times(noise(5))), "nothing of it goes on long enough"),
    ],
    ids=["swell", "bang"],
)
def test_what_is_no_loop_is_refused(material: Samples, message: str) -> None:
    assert re.search(message, fault_of(material.astype(np.float32)))


@pytest.mark.parametrize(
    ("loop", "words"),
    [
        (tone(3), "spectrum jumps by 2"),  # cut in the middle of a wave
        (noise(3) * np.exp(-2 * times(noise(3))), "level steps by [345]"),
        (np.concatenate([tone(1.5, 300), tone(1.5, 3000)]), ""),  # it does that inside too
    ],
    ids=["cut wave", "decay", "two tones"],
)
def test_a_hard_cut_is_measured(loop: Samples, words: str) -> None:
    fault = measure_seam(loop.astype(np.float32), RATE).fault
    assert re.search(words, fault) if words else fault == ""


def test_material_that_is_too_short() -> None:
    with pytest.raises(InputError, match=r"a loop of 3\.00 s needs material that is longer than"):
        make_loop(noise(3.01), RATE, 3 * RATE)


def test_a_loop_at_another_rate_is_still_one() -> None:
    # A whole number of waves in a length that divides by no rate: exact in theory.
    num_samples = 16_001
    phase = 2 * np.pi * 441 * np.arange(num_samples) / num_samples
    loop = Waveform(np.sin(phase)[None].astype(np.float32), RATE)
    for rate in (22_050, 44_100, 48_000):
        resampled = resample_loop(loop, rate)
        count = round(num_samples * rate / RATE)
        assert (resampled.num_samples, resampled.sample_rate) == (count, rate)
        expected = np.sin(2 * np.pi * 441 * np.arange(count) / count)
        np.testing.assert_allclose(resampled.samples[0], expected, atol=1e-5)
    assert resample_loop(loop, RATE) is loop
