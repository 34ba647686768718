"""Duplicates, licences and splits, on clips whose sound is beside the point."""

from __future__ import annotations

import hashlib
import random

import numpy as np

from soundgen.data.assemble import Assembly, Candidate, assemble, split_of
from soundgen.data.captions import Facts
from soundgen.data.fingerprint import Fingerprint, fingerprint


def sound(seed: int) -> Fingerprint:
    return fingerprint(np.random.default_rng(seed).standard_normal(4000, dtype=np.float32))


SOUNDS = [sound(seed) for seed in range(12)]


def candidate(name: str, seed: int = 0, *, digest: str | None = None, **facts: object) -> Candidate:
    known = {"captions": ("x",), "category": "c", **facts}
    return Candidate(
        source_name=name,
        path=f"audio/{name}.flac",
        part=0,
        num_samples=16000,
        sha1_pcm16=hashlib.sha1((digest or name).encode()).hexdigest(),
        fingerprint=SOUNDS[seed],
        facts=Facts(**known),  # type: ignore[arg-type]
    )


def run(*candidates: Candidate, allowed: tuple[str, ...] = ()) -> Assembly:
    return assemble(candidates, allowed_licenses=allowed)


def test_the_first_of_equal_clips_stays() -> None:
    result = run(candidate("b", 1, digest="x"), candidate("a", 1, digest="x"), candidate("c", 2))
    assert [clip.path for clip in result.clips] == ["audio/a.flac", "audio/c.flac"]
    assert [(item.path, item.reason) for item in result.rejected] == [("b", "duplicate of a")]


def test_a_refused_copy_does_not_push_out_an_allowed_one() -> None:
    result = run(
        candidate("a", 1, digest="x", license="CC-BY-NC-4.0"),
        candidate("b", 1, digest="x", license="CC0-1.0"),
        candidate("c", 2),
        allowed=("CC0-1.0",),
    )
    assert [clip.path for clip in result.clips] == ["audio/b.flac"]
    assert [(item.path, item.reason) for item in result.rejected] == [
        ("a", "licence CC-BY-NC-4.0 is not allowed"),
        ("c", "licence unknown"),
    ]


def test_order_does_not_matter() -> None:
    clips = [candidate(f"f{i}", i % 12) for i in range(40)]
    expected = run(*clips)
    random.Random(0).shuffle(clips)
    assert run(*clips) == expected


def test_what_sounds_alike_is_one_recording_in_one_split() -> None:
    # Chosen so that each would go elsewhere by itself.
    by_split = {}
    for index in range(1000):
        by_split.setdefault(split_of(f"n{index}x"), f"n{index}x")
    names = sorted(by_split.values())
    assert len(names) == 3
    result = run(*(candidate(name, 5, digest=name) for name in names))
    assert {clip.recording for clip in result.clips} == {names[0]}
    assert len({clip.split for clip in result.clips}) == 1


def test_recordings_that_are_given_count() -> None:
    result = run(candidate("a", 1, recording="r"), candidate("b", 2, recording="r"))
    assert {clip.recording for clip in result.clips} == {"r"}


def test_a_split_that_is_given_stays_unless_the_recording_is_held_out() -> None:
    result = run(
        candidate("a", 1, split="valid"), candidate("b", 2, split="train"),
        candidate("c", 2, split="test"),
    )  # fmt: skip
    assert {clip.path: clip.split for clip in result.clips} == {
        "audio/a.flac": "valid", "audio/b.flac": "test", "audio/c.flac": "test",
    }  # fmt: skip
    assert result.num_moved == 1


def test_few_recordings_leave_something_to_train_on() -> None:
    held_out = [f"n{i}x" for i in range(300) if split_of(f"n{i}x") != "train"][:3]
    result = run(*(candidate(name, i) for i, name in enumerate(held_out)))
    assert [clip.split for clip in result.clips].count("train") == 1


def test_shares() -> None:
    splits = [split_of(f"recording {index}") for index in range(20000)]
    assert 0.045 < splits.count("test") / len(splits) < 0.055
    assert 0.045 < splits.count("valid") / len(splits) < 0.055


def test_splits_are_those_of_the_first_release() -> None:
    # Whoever adds files to a folder must find the old ones where they were.
    assert [split_of(name) for name in ("a", "b", "c")] == ["train", "train", "train"]
    known = hashlib.sha256("".join(split_of(str(i)) for i in range(500)).encode()).hexdigest()
    assert known.startswith("e28e60e550fe470a")
