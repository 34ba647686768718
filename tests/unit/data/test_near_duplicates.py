"""Near-duplicates are found through changes of level, coding and cut; other sounds are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundgen.data.fingerprint import Fingerprint, fingerprint
from soundgen.data.near_duplicates import group_near_duplicates

RATE = 16000
Samples = NDArray[np.float32]


def noise(seed: int, duration_s: float = 2.0) -> Samples:
    """Return a noise whose level and colour wander, as a recording of wind or water has them."""
    rng = np.random.default_rng(seed)
    count = round(duration_s * RATE)
    t = np.arange(count) / RATE
    white = rng.standard_normal(count)
    dark = np.convolve(white, np.ones(16) / 16, mode="same")
    mix = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.3, 2) * t + rng.uniform(0, 6))
    return (0.1 * (mix * white + (1 - mix) * 3 * dark)).astype(np.float32)


def tone(seed: int, duration_s: float = 0.8) -> Samples:
    """Return a struck bar: decaying partials."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * RATE)) / RATE
    partials = rng.uniform(200, 5000, 5)
    rates = rng.uniform(3, 12, 5)
    parts = [np.exp(-r * t) * np.sin(2 * np.pi * f * t)
             for f, r in zip(partials, rates, strict=True)]  # fmt: skip
    return (0.15 * np.sum(parts, axis=0)).astype(np.float32)


def coded(samples: Samples, file_format: str, subtype: str) -> Samples:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=file_format, subtype=subtype)
    buffer.seek(0)
    return soundfile.read(buffer, dtype="float32")[0]


CHANGES = {
    "quieter": lambda x: 0.2 * x,
    "mp3": lambda x: coded(x, "MP3", "MPEG_LAYER_III"),
    "vorbis": lambda x: coded(x, "OGG", "VORBIS"),
    "8 bit": lambda x: coded(x, "WAV", "PCM_U8"),
    "cut at another sample": lambda x: x[37:],
    "air around it": lambda x: np.concatenate([np.zeros(900, np.float32), x, x[:0]]),
    "a little noise": lambda x: (
        x + 0.02 * x.std() * np.random.default_rng(9).standard_normal(len(x))
    ).astype(np.float32),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [noise, tone])
def test_changed_copies_are_found(kind: object, change: str) -> None:
    sounds = [kind(seed) for seed in range(6)]  # type: ignore[operator]
    copies = [CHANGES[change](sound) for sound in sounds]
    groups = group_near_duplicates([fingerprint(sound) for sound in sounds + copies])
    assert groups == [0, 1, 2, 3, 4, 5] * 2


def test_cuts_of_one_recording_are_found() -> None:
    long = noise(0, 12.0)
    cuts = [long[: 5 * RATE], long[4 * RATE : 9 * RATE], long[7 * RATE + 123 :]]
    sounds = [noise(1, 5.0), *cuts, noise(2, 5.0)]
    assert group_near_duplicates([fingerprint(sound) for sound in sounds]) == [0, 1, 1, 1, 4]


def test_sounds_that_are_not_the_same_stay_apart() -> None:
    t = np.arange(RATE) / RATE
    steady = [(0.3 * np.sin(2 * np.pi * f * t)).astype(np.float32) for f in (300, 420, 610, 900)]
    white = [
        (0.1 * np.random.default_rng(seed).standard_normal(RATE)).astype(np.float32)
        for seed in range(100, 104)
    ]
    sounds = [*map(noise, range(12)), *map(tone, range(12)), *steady, *white]
    groups = group_near_duplicates([fingerprint(sound) for sound in sounds])
    assert groups == list(range(len(sounds)))


def test_few_or_short_clips() -> None:
    assert group_near_duplicates([]) == []
    assert group_near_duplicates([fingerprint(tone(0))]) == [0]
    click = np.zeros(800, dtype=np.float32)
    click[400] = 0.5
    one = np.full(1, 0.5, dtype=np.float32)
    groups = group_near_duplicates([fingerprint(click), fingerprint(one), fingerprint(click)])
    assert groups == [0, 1, 0]


def test_text_round_trip() -> None:
    found = fingerprint(noise(0))
    text = found.to_text()
    back = Fingerprint.from_text(text)
    assert text.isascii()
    assert np.array_equal(back.rises, found.rises)
    assert np.array_equal(back.falls, found.falls)
    assert np.abs(back.shape - found.shape).max() <= 0.5 / 7 + 1e-6
    assert back.active_s == pytest.approx(found.active_s)
    assert back.to_text() == text
    for broken in ("", text[:-10], text + "00000", "no fingerprint"):
        with pytest.raises(ValueError, match="not a fingerprint"):
            Fingerprint.from_text(broken)


def test_a_fingerprint_of_a_memory_map_is_the_same(tmp_path: object) -> None:
    samples = noise(3)
    mapped = np.memmap(f"{tmp_path}/x", np.float32, "w+", shape=samples.shape)
    mapped[:] = samples
    assert fingerprint(mapped).to_text() == fingerprint(samples).to_text()
