"""Figures of sets of sounds, against sets whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.evaluation.memorisation import TrainingClips
from soundgen.evaluation.sound_set import (
    HeardSound,
    SoundSet,
    diversity,
    length_error_octaves,
    mean_distance,
    silence_share,
)


def at(degrees: float) -> NDArray[np.float32]:
    """Return a direction in the plane."""
    angle = np.deg2rad(degrees)
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def heard(degrees: float, recording: str, duration_s: float = 1.0) -> HeardSound:
    return HeardSound(duration_s, 0.0, "rain", at(degrees), recording)


def test_silence_is_counted_by_the_frame() -> None:
    tone = 0.1 * np.sin(np.arange(1600)).astype(np.float32)
    quiet = np.full(4800, 0.2, np.float32)  # an offset is no sound
    assert silence_share(np.concatenate([tone, quiet]), 16_000) == pytest.approx(0.75)
    assert silence_share(np.zeros(0, np.float32), 16_000) == 1.0
    assert silence_share(np.float32(1.1e-3) * np.sign(tone), 16_000) == 0.0


def test_distances_leave_out_pieces_of_one_recording() -> None:
    sounds = [heard(0, "a"), heard(60, "b"), heard(0, "a")]
    assert mean_distance(sounds) == pytest.approx(0.5)
    assert mean_distance([sounds[0], sounds[2]]) is None
    assert mean_distance(sounds[:1]) is None


def test_each_prompt_counts_alike() -> None:
    sounds = (heard(0, "a"), heard(90, "b"), heard(60, "c"), heard(60, "d"))
    source = SoundSet("model", sounds, ((0, 1), (1, 2, 3), ()))
    assert diversity(source, [0, 1, 2]) == pytest.approx((1.0 + 2 * (1 - np.sqrt(0.75)) / 3) / 2)
    mean = source.mean_over_prompts([0, 1, 2], lambda row, one: float(row + one.embedding[0]))
    assert mean == pytest.approx((0.5 + 1 + 1 / 3) / 2)
    assert source.mean_over_prompts([2], lambda row, one: 1.0) is None


def test_length_errors_are_octaves_from_the_expected_length() -> None:
    sounds = (heard(0, "a", 1.0), heard(0, "b", 8.0), heard(0, "c", 60.0))
    source = SoundSet("model", sounds, ((0,), (1,), (2,)))
    assert length_error_octaves(source, [2.0, 2.0, 10.0]) == pytest.approx(1.0)
    # Longer than generated sounds may be counts as that long.
    assert length_error_octaves(source, [None, None, 10.0]) == pytest.approx(0.0)
    assert length_error_octaves(source, [None, None, None]) is None


def test_a_copy_is_nearer_than_the_nearest_other_recording() -> None:
    # Recording 0 has two clips; its nearest other recording is 40 degrees away.
    train = np.stack([at(0), at(5), at(45)])
    clips = TrainingClips.among(train, np.array([0, 0, 1]))
    assert clips.neighbour == pytest.approx(np.cos(np.deg2rad([45, 40, 40])), abs=1e-6)
    close = clips.closeness(np.stack([at(-20), at(-50), at(88), at(80)]))
    assert close.similarity == pytest.approx(np.cos(np.deg2rad([20, 50, 43, 35])), abs=1e-6)
    assert close.is_copy.tolist() == [True, False, False, True]


def test_a_training_set_of_one_recording_has_no_neighbours() -> None:
    clips = TrainingClips.among(np.stack([at(0), at(5)]), np.array([3, 3]))
    assert clips.neighbour.tolist() == [-1.0, -1.0]
