"""The classifier: deaf to level, the same for what it heard before, able to learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from soundgen.errors import CheckpointError, InputError
from soundgen.evaluation.classifier import (
    CLASSES,
    ClassifierConfig,
    SoundClassifier,
    load_classifier,
    save_classifier,
)
from soundgen.evaluation.classifier_training import (
    LabelledClip,
    TrainingSettings,
    distort,
    draw_segment,
    train_classifier,
)
from soundgen.evaluation.hearing import cut_segments
from soundgen.progress import SilentProgress

TINY = ClassifierConfig(
    classes=("low", "high", "click"),
    num_mels=32,
    segment_frames=32,
    channels=(8, 8, 16, 16),
)


def sound(label: int, seed: int, seconds: float = 1.0) -> np.ndarray:
    """A low tone, a high tone, or clicks, in a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(16000 * seconds)) / 16000
    if label < 2:
        wave = np.sin(2 * np.pi * (300, 2500)[label] * rng.uniform(0.8, 1.25) * time)
    else:
        wave = np.zeros_like(time)
        wave[:: int(rng.integers(2000, 4000))] = 1.0
    return (wave + 0.003 * rng.standard_normal(time.size)).astype(np.float32)


def clips(seeds: range) -> list[LabelledClip]:
    ear = SoundClassifier(TINY)
    return [
        LabelledClip(
            ear.magnitudes(torch.from_numpy(sound(label, seed))[None])[0].numpy(), label, str(seed)
        )
        for seed in seeds
        for label in range(3)
    ]


@pytest.fixture(scope="module")
def trained() -> SoundClassifier:
    settings = TrainingSettings(num_epochs=6, epoch_clips=240, batch_clips=16)
    classifier, report = train_classifier(
        clips(range(8)),
        clips(range(100, 103)),
        config=TINY,
        settings=settings,
        progress=SilentProgress(),
    )
    assert report.valid_accuracy > 0.8
    return classifier


def test_learns_and_hears_new_sounds(trained: SoundClassifier) -> None:
    right = [
        trained.probabilities(sound(label, seed)).argmax() == label
        for seed in range(200, 206)
        for label in range(3)
    ]
    assert np.mean(right) > 0.8


def test_level_does_not_matter(trained: SoundClassifier) -> None:
    loud = trained.probabilities(sound(0, 300))
    quiet = trained.probabilities(sound(0, 300) * np.float32(0.01))
    np.testing.assert_allclose(loud, quiet, atol=1e-4)
    assert loud.sum() == pytest.approx(1.0, abs=1e-5)


def test_silence_behind_a_sound_does_not_vote(trained: SoundClassifier) -> None:
    click = sound(2, 301, seconds=0.8)
    short = np.concatenate([click, np.zeros(16000, np.float32)])
    long = np.concatenate([click, np.zeros(16000 * 9, np.float32)])
    np.testing.assert_allclose(trained.probabilities(long), trained.probabilities(short), atol=0.1)
    assert trained.probabilities(long).argmax() == 2


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(1000, np.float32),
        np.array([0.1, np.nan], np.float32),
    ],
)
def test_nothing_to_hear_is_an_input_error(trained: SoundClassifier, samples: np.ndarray) -> None:
    with pytest.raises(InputError):
        trained.probabilities(samples)


@pytest.mark.parametrize("length", [1, 399, 401, 16001])
def test_any_length_works(trained: SoundClassifier, length: int) -> None:
    samples = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    assert np.isfinite(trained.probabilities(samples)).all()


def test_saved_and_loaded_hears_the_same(trained: SoundClassifier, tmp_path: Path) -> None:
    save_classifier(trained, tmp_path / "c.safetensors")
    loaded = load_classifier(tmp_path / "c.safetensors")
    assert loaded.config == TINY
    np.testing.assert_array_equal(
        loaded.probabilities(sound(1, 7)), trained.probabilities(sound(1, 7))
    )


def test_what_is_no_classifier_is_a_checkpoint_error(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no")
    for name in ("a.safetensors", "missing.safetensors"):
        with pytest.raises(CheckpointError, match=name):
            load_classifier(tmp_path / name)


def test_same_seed_same_weights() -> None:
    settings = TrainingSettings(num_epochs=1, epoch_clips=32, batch_clips=16)
    states = [
        train_classifier(
            clips(range(2)),
            clips(range(2, 3)),
            config=TINY,
            settings=settings,
            progress=SilentProgress(),
        )[0].state_dict()
        for _ in range(2)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_missing_class_is_named() -> None:
    without = [clip for clip in clips(range(2)) if clip.label != 2]
    with pytest.raises(InputError, match="click"):
        train_classifier(
            without,
            clips(range(1)),
            config=TINY,
            settings=TrainingSettings(),
            progress=SilentProgress(),
        )


def test_segments_cover_a_clip_and_end_with_it() -> None:
    spectrum = torch.arange(100.0)[None].expand(4, 100)
    segments = cut_segments(spectrum, 32)
    assert segments.shape[1:] == (4, 32)
    assert set(segments[:, 0].flatten().tolist()) == set(range(100))
    assert segments[-1, 0, -1] == 99
    assert cut_segments(spectrum[:, :5], 32).shape == (1, 4, 32)
    assert cut_segments(spectrum[:, :32], 32).shape == (1, 4, 32)


def test_draws_and_distortions_keep_shape_and_range() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        length = int(rng.integers(1, 300))
        segment = draw_segment(rng.random((64, length), dtype=np.float32), 120, rng)
        assert segment.shape == (64, 120)
        assert np.isfinite(segment).all()
        assert segment.min() >= 0
    spectra = -torch.rand(16, 64, 120)
    result = distort(spectra, np.random.default_rng(0))
    assert result.shape == spectra.shape
    assert result.min() >= -1
    assert result.max() <= 0


def test_classes_are_the_issues_fourteen() -> None:
    assert len(set(CLASSES)) == 14
