"""The token cache, and batches drawn from it."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soundgen.data.token_clips import TokenClip
from soundgen.data.tokens import (
    CacheInfo,
    TokenCache,
    TokenCacheWriter,
    TokenSampler,
    TokenSamplerConfig,
)
from soundgen.errors import CheckpointError

INFO = CacheInfo(
    format=1,
    codec_digest="c" * 64,
    n_q=3,
    codebook_size=1024,
    frame_rate=50.0,
    text_encoder={"name": "none", "dim": 4},
    num_variants=1,
    dataset="d" * 64,
)
LENGTHS = (10, 12, 40, 200, 1500)
CONFIG = TokenSamplerConfig(
    n_q=2,
    batch_frames=400,
    max_s=4.0,
    duration_power=0.0,
    category_power=0.0,
    longest_s=4.0,
)


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    writer = TokenCacheWriter(tmp_path / "cache", INFO)
    for index, length in enumerate(LENGTHS):
        codes = np.arange(length)[None].repeat(3, axis=0) % 1000 + np.array([[0], [5], [9]])
        writer.add(
            codes, duration_s=length / 50, category=f"c{index}", split="train", text_rows=[index]
        )
    texts = torch.arange(5 * 2 * 4).view(5, 2, 4).float()
    writer.finish(texts, torch.ones(5, 2, dtype=torch.bool), texts[:, 0])
    return TokenCache(tmp_path / "cache")


def test_what_is_written_is_read(cache: TokenCache) -> None:
    assert cache.info == INFO
    assert [clip.num_frames for clip in cache.clips] == list(LENGTHS)
    clip = cache.clips[2]
    codes = cache.codes[clip.first_frame : clip.first_frame + clip.num_frames]
    assert np.array_equal(codes[:, 1], np.arange(40) + 5)


def test_clips_come_back_as_they_were_written(cache: TokenCache) -> None:
    assert len(cache.clips) == 5 and not cache.split("valid")
    assert list(cache.split("train")) == list(cache.clips)
    assert list(cache.clips[1:3]) == [cache.clips[1], cache.clips[2]]
    assert cache.clips[-1] == TokenClip(262, 1500, 30.0, "c4", "train", (4,))


def test_codes_and_texts_are_mapped_and_not_read(cache: TokenCache) -> None:
    assert isinstance(cache.codes.base, np.memmap)
    maps = Path("/proc/self/maps")
    if maps.exists():
        mapped = maps.read_text()
        assert str(cache.path / "codes.u16") in mapped
        assert str(cache.path / "texts.safetensors") in mapped


def test_a_batch_is_a_function_of_its_number(cache: TokenCache) -> None:
    first = TokenSampler(cache, cache.clips, CONFIG, seed=1)
    second = TokenSampler(cache, cache.clips, CONFIG, seed=1)
    second.batch(17)
    for ours, theirs in zip(first.batch(3), second.batch(3), strict=True):
        assert torch.equal(ours, theirs)


def test_batches_hold_like_lengths_and_what_belongs_to_them(cache: TokenCache) -> None:
    sampler = TokenSampler(cache, cache.clips, CONFIG, seed=1)
    for index in range(60):
        batch = sampler.batch(index)
        count, num_codebooks, longest = batch.codes.shape
        assert num_codebooks == 2
        assert count == 1 or count * longest <= 400
        assert longest <= 200
        for row in range(count):
            length = int(batch.num_frames[row])
            assert length > 0.75 * longest
            start = round(float(batch.start_s[row]) * 50)
            expected = (torch.arange(length) + start) % 1000
            assert torch.equal(batch.codes[row, 0, :length], expected)
            total = round(float(batch.duration_s[row]) * 50)
            assert bool(batch.ends[row]) == (start + length == total)
            # the clip's own text
            assert LENGTHS[int(batch.text_pooled[row, 0]) // 8] == total


def test_windows_from_inside_a_sound_may_hold_its_beginning(cache: TokenCache) -> None:
    """As windows do at generation, once they have slid."""
    sampler = TokenSampler(cache, cache.clips[-1:], replace(CONFIG, anchored_windows=0.5), seed=1)
    anchored = inside = 0
    for index in range(200):
        batch = sampler.batch(index)
        for codes, start_s in zip(batch.codes[:, 0], batch.start_s, strict=True):
            start = round(float(start_s) * 50)
            expected = (torch.arange(200) + start) % 1000
            differs = int((codes != expected).sum())
            if start < 125:  # it may hold the beginning itself
                continue
            inside += 1
            anchored += differs > 0
            # 0.5 to 2 s from 0.5 s on, and then what is there without them
            assert not differs or 25 <= differs <= 100
            assert torch.equal(codes[:differs], torch.arange(25, 25 + differs))
            assert torch.equal(codes[differs:], expected[differs:])
    assert anchored / inside == pytest.approx(0.5, abs=0.1)


def test_buckets_are_drawn_by_weight(cache: TokenCache) -> None:
    sampler = TokenSampler(cache, cache.clips, CONFIG, seed=1)
    steps: Counter[int] = Counter()
    for index in range(3000):
        steps[int(sampler.batch(index).codes.shape[2] > 100)] += 1
    # two of five clips, all of one weight, are longer than 100 frames
    assert steps[1] / 3000 == pytest.approx(0.4, abs=0.04)


def write(path: Path, info: CacheInfo) -> TokenCacheWriter:
    with TokenCacheWriter(path, info) as writer:
        writer.add(np.zeros((3, 4), np.int64), duration_s=0.08, category="c", split="train",
                   text_rows=[0])  # fmt: skip
        writer.finish(torch.zeros(1, 1, 4), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 4))
    return writer


def test_a_cache_stays_whole_until_the_new_one_is_complete(cache: TokenCache) -> None:
    before = {path.name: path.read_bytes() for path in cache.path.iterdir()}
    with contextlib.suppress(KeyboardInterrupt), TokenCacheWriter(cache.path, INFO) as writer:
        writer.add(np.zeros((3, 4), np.int64), duration_s=0.08, category="c", split="train",
                   text_rows=[0])  # fmt: skip
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in cache.path.iterdir()} == before
    write(cache.path, INFO)
    assert len(TokenCache(cache.path).clips) == 1


def test_a_clip_that_was_cut_when_encoded_has_no_end(tmp_path: Path) -> None:
    with TokenCacheWriter(tmp_path, INFO) as writer:
        writer.add(np.zeros((3, 50), np.int64), duration_s=1.5, category="c", split="train",
                   text_rows=[0])  # fmt: skip
        writer.finish(torch.zeros(1, 1, 4), torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 4))
    cut = TokenCache(tmp_path)
    assert not TokenSampler(cut, cut.clips, CONFIG, seed=0).batch(0).ends.any()


def test_a_newer_or_damaged_cache_is_refused(cache: TokenCache) -> None:
    write(cache.path, replace(INFO, format=99))
    with pytest.raises(CheckpointError, match="newer"):
        TokenCache(cache.path)
    (cache.path / "clips.jsonl").write_text("{")
    (cache.path / "cache.json").write_text('{"format": 1}')
    with pytest.raises(CheckpointError, match="damaged"):
        TokenCache(cache.path)
    (cache.path / "cache.json").unlink()
    with pytest.raises(CheckpointError, match="not finished"):
        TokenCache(cache.path)
