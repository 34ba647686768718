"""What a dataset holds, whether it is whole, and who made it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.io import read_audio
from soundgen.data.manifest import Clip, pcm16_digest, read_manifest, write_manifest
from soundgen.errors import InputError
from soundgen.pipelines.dataset import dataset_licenses, dataset_stats, verify_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SOUNDGEN_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    clips = []
    for index in range(10):
        path = tmp_path / f"{index}.{'flac' if index % 2 else 'ogg'}"
        length = 1600 * (index + 1)
        soundfile.write(path, 0.3 * np.sin(np.arange(length) / (index + 3)), 16000)
        clips.append(
            Clip(
                path=path.name, captions=("a", "b"), tags=(), category="ab"[index // 7],
                duration=length / 16000, split=("train", "valid", "test")[index // 4],
                license=(None, "CC0-1.0", "CC-BY-4.0")[index % 3], author="Zoë" if index else None,
                source="here", recording=f"r{index // 2}",
                sha1_pcm16=pcm16_digest(read_audio(path).samples[0]),
            )
        )  # fmt: skip
    write_manifest(tmp_path, clips)
    return tmp_path


def test_stats(data: Path) -> None:
    found = dataset_stats(data)
    assert (found.total.clips, found.total.recordings, found.num_captions) == (10, 5, 20)
    assert found.total.hours == round(5.5 / 3600, 4)
    assert {name: share.clips for name, share in found.splits.items()} == {
        "train": 4, "valid": 4, "test": 2,
    }  # fmt: skip
    assert {name: share.clips for name, share in found.categories.items()} == {"a": 7, "b": 3}
    assert list(found.licenses) == ["unknown", "CC-BY-4.0", "CC0-1.0"]
    assert found.duration_s == {"min": 0.1, "p10": 0.19, "median": 0.55, "p90": 0.91, "max": 1.0}
    assert found.num_authors == 1


def test_licenses(data: Path) -> None:
    found = dataset_licenses(data)
    assert sum(credit.clips for credit in found.credits) == 10
    rows = [(c.license, c.source, c.author, c.clips) for c in found.credits]
    assert rows == [
        ("CC-BY-4.0", "here", "Zoë", 3), ("CC0-1.0", "here", "Zoë", 3),
        ("unknown", "here", "Zoë", 3), ("unknown", "here", "unknown", 1),
    ]  # fmt: skip


def test_a_whole_dataset_has_no_problems(data: Path) -> None:
    report = verify_dataset(data, jobs=2)
    assert (report.num_clips, report.problems) == (10, ())
    assert verify_dataset(data / "manifest.jsonl").problems == ()


def test_every_fault_is_found(data: Path) -> None:
    (data / "1.flac").unlink()
    (data / "2.ogg").write_bytes(b"OggS")
    whole = (data / "3.flac").read_bytes()
    (data / "3.flac").write_bytes(whole[: len(whole) // 2])
    samples, _ = soundfile.read(data / "5.flac", dtype="int16")
    samples[700] += 9
    soundfile.write(data / "5.flac", samples, 16000)
    soundfile.write(data / "7.flac", samples, 16000)
    clips = list(read_manifest(data))
    clips[9] = replace(clips[9], split="train", recording="r0")
    clips[8] = replace(clips[8], recording="r4", split="test")
    clips[0] = replace(clips[0], split="test")
    write_manifest(data, clips)
    found = {problem.path: problem.reason for problem in verify_dataset(data).problems}
    assert found.pop("") == "recording 'r0' lies in test and train"
    assert "No such file" in found["1.flac"]
    assert "damaged" in found["2.ogg"]
    assert "truncated" in found["3.flac"] or "damaged" in found["3.flac"]
    assert "its samples are not those" in found["5.flac"]
    assert found["7.flac"] == "lasts 0.6000 s, the manifest says 0.8000 s"
    assert len(found) == 5


def test_a_dataset_that_is_none(tmp_path: Path) -> None:
    for read in (dataset_stats, dataset_licenses, verify_dataset):
        with pytest.raises(InputError, match="no such file"):
            read(tmp_path)
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"path": "x"}))
    with pytest.raises(InputError, match="line 1: missing key"):
        dataset_stats(tmp_path)


@pytest.mark.needs_data
def test_the_collection_that_the_shipped_model_learnt_from() -> None:
    if not (SHARED / "manifest.jsonl").exists():
        pytest.skip("shared/data is not here")
    found = dataset_stats(SHARED)
    assert found.total.clips == len(read_manifest(SHARED)) > 5000
    assert set(found.licenses) == {"CC0-1.0", "public-domain"}
