"""Training segments: each a function of its number, full, bounded, and honest about bad files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.data.manifest import Clip, read_manifest
from soundgen.data.segments import SegmentSampler, clip_weights, prefetch
from soundgen.data.segments_config import SegmentConfig
from soundgen.errors import InputError
from tests.fixtures_audio import RATE, make_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("segments") / "set")


def sampler(root: Path, clips: list[Clip] | None = None, **config: float) -> SegmentSampler:
    clips = read_manifest(root) if clips is None else clips
    settings = SegmentConfig(**config)  # type: ignore[arg-type]
    return SegmentSampler(root, clips, settings, sample_rate=RATE, hop_length=320, seed=3)


def test_a_segment_depends_on_its_number_alone(dataset: Path) -> None:
    first, second = sampler(dataset), sampler(dataset)
    second.segment(99)
    assert np.array_equal(first.segment(7), second.segment(7))
    assert not np.array_equal(first.segment(7), first.segment(8))
    batch = first.batch(2, 4)
    assert batch.shape == (4, 1, 16_000)
    assert np.array_equal(batch[1, 0].numpy(), first.segment(9))


def test_segments_are_full_bounded_and_finite(dataset: Path) -> None:
    draw = sampler(dataset, segment_s=1.5, mix_probability=0.5)
    for index in range(40):
        audio = draw.segment(index)
        assert len(audio) == 24_000
        assert np.isfinite(audio).all() and np.abs(audio).max() <= 1.0
        # short clips follow one another: at most a quarter of a second is left silent at the end
        assert np.abs(audio[: -RATE // 4 - 1]).reshape(-1)[-RATE // 8 :].max() > 0


def test_a_segment_is_whole_frames(dataset: Path) -> None:
    assert sampler(dataset, segment_s=0.33).num_samples % 320 == 0


def test_weights_follow_seconds_and_categories(dataset: Path) -> None:
    clips = read_manifest(dataset)
    weights = clip_weights(clips, duration_power=1.0, category_power=0.0, longest_s=60.0)
    assert weights.sum() == pytest.approx(1.0)
    ratio = weights[0] / weights[-1]
    assert ratio == pytest.approx(clips[0].duration / clips[-1].duration)
    flat = clip_weights(clips, duration_power=0.0, category_power=1.0, longest_s=60.0)
    sizes = Counter(clip.category for clip in clips)
    for category in sizes:
        share = sum(
            weight for weight, clip in zip(flat, clips, strict=True) if clip.category == category
        )
        assert share == pytest.approx(1 / len(sizes))


def test_nothing_to_draw_from_is_an_error(dataset: Path) -> None:
    with pytest.raises(InputError, match="no training clips"):
        sampler(dataset, clips=[])


def test_files_that_are_not_as_the_manifest_says_are_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "set", per_kind=1)
    clips = [clip for clip in read_manifest(root) if clip.split == "train"][:1]
    path = root / clips[0].path
    soundfile.write(path, np.zeros((800, 2)), 44_100)
    with pytest.raises(InputError, match="44100 Hz, 2 channels"):
        sampler(root, clips).segment(0)
    path.write_bytes(b"no audio")
    with pytest.raises(InputError, match=r"tone-0\.flac: cannot be read"):
        sampler(root, clips).segment(0)
    path.unlink()
    with pytest.raises(InputError, match=r"tone-0\.flac: cannot be read"):
        sampler(root, clips).segment(0)


def test_prefetching_keeps_the_order_and_passes_errors_on() -> None:
    def make(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number * 10

    items = prefetch(make, 2)
    assert [next(items) for _ in range(3)] == [20, 30, 40]
    with pytest.raises(ValueError, match="five"):
        next(items)
