"""The manifest: what is read is what was written, and each fault names its line."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgen.data.manifest import (
    SPLITS,
    Clip,
    columns_of,
    pcm16_digest,
    read_manifest,
    write_manifest,
)
from soundgen.errors import InputError

CLIP = Clip(
    path="audio/rain/a.flac",
    captions=("rain on a roof", "Regen – 雨 \u2028 next"),
    tags=("rain",),
    category="rain",
    duration=1.5,
    split="train",
    license="CC0-1.0",
    recording="rain/a",
    sha1_pcm16="0" * 40,
)


def row(**changes: Any) -> dict[str, Any]:
    values = {
        "path": "a.flac", "captions": ["rain"], "tags": [], "category": "rain", "duration": 1.0,
        "split": "test", "recording": "a", "sha1_pcm16": "f" * 40,
    }  # fmt: skip
    return {key: value for key, value in {**values, **changes}.items() if value != "absent"}


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in rows), encoding="utf-8")
    return path


def test_round_trip(tmp_path: Path) -> None:
    clips = [CLIP, replace(CLIP, path="b.flac", license=None, author="Zoë", split="valid")]
    write_manifest(tmp_path, clips)
    assert list(read_manifest(tmp_path)) == clips
    assert list(read_manifest(tmp_path / "manifest.jsonl")) == clips
    first = (tmp_path / "manifest.jsonl").read_bytes()
    write_manifest(tmp_path, read_manifest(tmp_path))
    assert (tmp_path / "manifest.jsonl").read_bytes() == first


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text().filter(str.strip), min_size=1, max_size=5))
def test_any_caption_survives(tmp_path_factory: pytest.TempPathFactory, captions: Any) -> None:
    captions = [text.encode("utf-8", "replace").decode() for text in captions]
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    clip = replace(CLIP, captions=tuple(captions))
    write_manifest(path, [clip])
    assert list(read_manifest(path)) == [clip]


def test_optional_keys_may_be_absent_or_null(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "m.jsonl", row(), row(path="b.flac", author=None))
    assert [clip.author for clip in read_manifest(path)] == [None, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "absent"}, "missing key 'path'"),
        ({"sha1_pcm16": "absent"}, "missing key 'sha1_pcm16'"),
        ({"mood": "x"}, "unknown key 'mood'; known: path, captions"),
        ({"captions": "rain"}, "captions must be a list of strings"),
        ({"captions": []}, "captions must hold at least one"),
        ({"captions": [" "]}, "captions must hold at least one"),
        ({"tags": [1]}, "tags must be a list of strings"),
        ({"duration": "1"}, "duration must be a number"),
        ({"duration": True}, "duration must be a number"),
        ({"duration": 0}, "duration must be a positive number"),
        ({"split": "dev"}, "split must be one of train, valid, test"),
        ({"path": "/etc/passwd"}, "path must lie inside the dataset"),
        ({"path": "../x.flac"}, "path must lie inside the dataset"),
        ({"category": None}, "category must be a string"),
        ({"recording": ""}, "recording must not be empty"),
        ({"sha1_pcm16": "abc"}, "sha1_pcm16 must be 40 hexadecimal digits"),
    ],
)
def test_each_fault_names_its_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = write_rows(tmp_path / "m.jsonl", row(path="good.flac"), row(**changes))
    with pytest.raises(InputError, match="line 2: ") as caught:
        read_manifest(path)
    assert words in caught.value.message


def test_lines_that_are_no_clips(tmp_path: Path) -> None:
    for text, words in (
        ('{"path": \n', "line 1: not valid JSON"),
        ("[1]\n", "line 1: expected an object, got list"),
        ("", "holds no clips"),
        ("\n\n", "holds no clips"),
    ):
        (tmp_path / "m.jsonl").write_text(text)
        with pytest.raises(InputError, match=words):
            read_manifest(tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_manifest(tmp_path / "m.jsonl")
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path)


def test_a_path_stands_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "m.jsonl", row(), row())
    with pytest.raises(InputError, match=r"line 2: a.flac stands in line 1 already"):
        read_manifest(path)


def test_clips_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    clips = [
        replace(CLIP, path=f"{i}.flac", split=SPLITS[i % 3], category="ab"[i % 2], duration=i + 1.0)
        for i in range(12)
    ]
    write_manifest(tmp_path, clips)
    manifest = read_manifest(tmp_path)
    assert len(manifest) == 12 and manifest[3] == clips[3] and manifest[-1] == clips[-1]
    assert list(manifest[2:5]) == clips[2:5]
    valid = manifest.select("valid")
    assert list(valid) == [clip for clip in clips if clip.split == "valid"]
    ours, theirs = valid.columns, columns_of(list(valid))
    assert np.array_equal(ours.durations, theirs.durations)
    # One number for one category, whichever it is.
    assert len(set(zip(ours.categories, theirs.categories, strict=True))) == 2
    # The old one is read on where a new one takes its place ...
    write_manifest(tmp_path, clips[:2])
    assert manifest[7] == clips[7]
    # ... and one that is written over is not taken for what it was.
    manifest = read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("{}\n" * 500)
    with pytest.raises(InputError, match="has changed since it was opened"):
        manifest[1]


def test_a_hundred_thousand_clips_take_few_bytes(tmp_path: Path) -> None:
    line = json.dumps(row(path="PATH", captions=["a sound " * 20], source="s" * 100))
    with (tmp_path / "m.jsonl").open("w") as stream:
        stream.writelines(line.replace("PATH", f"{i}.flac") + "\n" for i in range(100_000))
    tracemalloc.start()
    manifest = read_manifest(tmp_path / "m.jsonl")
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert manifest[99_999].path == "99999.flac"
    assert held < 4_000_000 and most < 15_000_000


def test_digest_is_of_truncated_16_bit_samples() -> None:
    samples = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 0.99999], dtype=np.float32)
    expected = np.array([0, 16383, -16383, 32767, -32767, 32766], dtype="<i2")
    assert pcm16_digest(samples) == hashlib.sha1(expected.tobytes()).hexdigest()
    long = np.random.default_rng(0).uniform(-1, 1, (1 << 20) + 5).astype(np.float32)
    whole = (long * np.float32(32767)).astype("<i2")
    assert pcm16_digest(long) == hashlib.sha1(whole.tobytes()).hexdigest()
