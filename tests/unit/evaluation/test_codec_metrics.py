"""The measures of a codec, against values that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from soundgen.errors import ShapeError
from soundgen.evaluation.codec_metrics import (
    LSD_FLOOR_DB,
    Original,
    mel_distance,
    si_sdr_db,
)

RATE = 16_000


def noise(num_samples: int = RATE, *, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


def test_nothing_is_as_near_as_itself() -> None:
    wav = noise()
    found = Original(wav, sample_rate=RATE).compare(wav)
    assert (found.mel_distance, found.log_spectral_distance_db) == (0.0, 0.0)
    assert found.si_sdr_db > 100


def test_a_change_of_level_is_its_decibels_to_the_spectra_and_nothing_to_si_sdr() -> None:
    wav = noise()
    found = Original(wav, sample_rate=RATE).compare(wav / 2)
    assert found.log_spectral_distance_db == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert found.mel_distance == pytest.approx(math.log(2), abs=1e-2)
    assert found.si_sdr_db > 100


def test_below_the_floor_nothing_counts() -> None:
    silence = torch.zeros(RATE)
    rounded = (torch.rand(RATE, generator=torch.Generator().manual_seed(0)) * 2 - 1) / 65_536
    found = Original(silence, sample_rate=RATE).compare(rounded)
    assert found.log_spectral_distance_db == 0.0
    # Long, so that the few frames that hold its abrupt ends hardly count.
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(60 * RATE, dtype=torch.float64) / RATE)
    loud = Original(torch.zeros(60 * RATE), sample_rate=RATE).compare(tone.float())
    # Three bins of a Hann window hold a tone that lies on a bin: 0, -6 and -6 dB of full scale.
    heights = [0 - LSD_FLOOR_DB, -6.02 - LSD_FLOOR_DB, -6.02 - LSD_FLOOR_DB]
    expected = math.sqrt(sum(height**2 for height in heights) / 1025)
    assert loud.log_spectral_distance_db == pytest.approx(expected, rel=0.1)


def test_a_lost_partial_is_dearer_the_louder_it_was() -> None:
    time = torch.arange(2 * RATE) / RATE
    base = 0.3 * torch.sin(2 * torch.pi * 500 * time)
    distances = []
    for level in (0.001, 0.01, 0.1):
        original = Original(base + level * torch.sin(2 * torch.pi * 3000 * time), sample_rate=RATE)
        distances.append(original.compare(base).log_spectral_distance_db)
    assert 0.5 < distances[0] < distances[1] < distances[2]


def test_si_sdr_of_known_noise() -> None:
    wav, other = noise(seed=1), noise(seed=2)
    other = other - (other @ wav) / (wav @ wav) * wav
    other = other * (wav.norm() / other.norm()) * 10 ** (-13 / 20)
    assert si_sdr_db(wav + other, wav) == pytest.approx(13.0, abs=1e-3)


def test_mel_distance_is_the_one_that_comparing_gives() -> None:
    wav, other = noise(seed=1), noise(seed=2)
    assert mel_distance(other, wav, sample_rate=RATE) == pytest.approx(
        Original(wav, sample_rate=RATE).compare(other).mel_distance
    )


@pytest.mark.parametrize("shape", [(RATE - 1,), (1, RATE)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected two \[T\]"):
        Original(noise(), sample_rate=RATE).compare(torch.zeros(shape))
    with pytest.raises(ShapeError, match=r"expected two \[T\]"):
        mel_distance(torch.zeros(shape), noise(), sample_rate=RATE)
    with pytest.raises(ShapeError):
        Original(torch.zeros(1, 5), sample_rate=RATE)
