"""`synth` end to end: the same bytes however it is run, resumable, refusing what it must."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from soundgen.data.manifest import read_manifest
from soundgen.errors import OutputError, UsageError
from soundgen.pipelines.dataset import dataset_stats, verify_dataset
from soundgen.pipelines.synth import SynthReport, synth

# Short sounds, so that many clips cost little.
SHORT = ("interface", "kick", "punch", "stone")


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files but the hidden ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:])
    }


def make(data: Path, minutes: float = 0.5, **options: Any) -> SynthReport:
    return synth(data=data, hours=minutes / 60, **{"seed": 3, "kinds": SHORT, **options})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds, four minutes, by one process."""
    data = tmp_path_factory.mktemp("synth") / "data"
    synth(data=data, hours=0.07, seed=1, jobs=1)
    return data


def test_the_number_of_processes_does_not_matter(corpus: Path, tmp_path: Path) -> None:
    synth(data=tmp_path / "again", hours=0.07, seed=1, jobs=2)
    assert files_below(tmp_path / "again") == files_below(corpus)


def test_is_a_dataset_as_prepare_writes_it(corpus: Path) -> None:
    found = verify_dataset(corpus)
    assert not found.problems
    clips = read_manifest(corpus)
    assert found.hours == pytest.approx(0.07, abs=0.003) and found.hours >= 0.0699
    stats = dataset_stats(corpus)
    assert list(stats.licenses) == ["CC0-1.0"]
    assert {"rain", "bell", "footsteps", "laser", "ui click"} <= set(stats.categories)
    assert {clip.author for clip in clips} == {"soundgen"}
    assert {clip.source for clip in clips} == {"soundgen dataset synth --seed 1"}
    splits: dict[str, set[str]] = {}
    for clip in clips:
        splits.setdefault(clip.recording, set()).add(clip.split)
        assert 2 <= len(clip.captions) <= 4
        assert clip.tags and clip.path.endswith(".flac")
    assert all(len(split) == 1 for split in splits.values())
    assert set(stats.splits) >= {"train", "test"}
    report = json.loads((corpus / "report.json").read_text())
    assert report["num_clips"] == len(clips)
    assert len(report["kinds"]) >= 80
    assert not list(corpus.rglob(".soundgen-*"))


def test_more_hours_add_to_what_is_there(tmp_path: Path) -> None:
    data = tmp_path / "data"
    short = make(data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.flac")}
    assert make(data).num_made == 0
    longer = make(data, 0.8)
    assert longer.num_clips > short.num_clips
    assert longer.num_made == longer.num_clips - short.num_clips
    assert {path: path.stat().st_mtime_ns for path in before} == before
    make(tmp_path / "at once", 0.8)
    assert files_below(tmp_path / "at once") == files_below(data)


def test_a_clip_does_not_depend_on_the_other_kinds(corpus: Path, tmp_path: Path) -> None:
    synth(data=tmp_path / "bells", hours=3 / 3600, seed=1, kinds=["bell"])
    name = "audio/bell/bell-000000.flac"
    assert (tmp_path / "bells" / name).read_bytes() == (corpus / name).read_bytes()


def test_another_corpus_or_a_stranger_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make(data)
    manifest = (data / "manifest.jsonl").read_bytes()
    for options, words in (
        ({"seed": 4}, "was made with other seed"),
        ({"kinds": ["rain"]}, "was made with other kinds"),
        ({"minutes": 0.1}, "was made with more hours"),
    ):
        with pytest.raises(OutputError, match=words) as caught:
            make(data, **options)
        assert "-f" in caught.value.hint
    assert (data / "manifest.jsonl").read_bytes() == manifest
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").touch()
    (tmp_path / "file").touch()
    for name, words in (("mine", "was not made by dataset synth"), ("file", "is a file")):
        with pytest.raises(OutputError, match=words):
            make(tmp_path / name, force=True)
    assert (tmp_path / "mine" / "song.wav").exists()
    # Made anew, with nothing left of before.
    fresh = make(data, 0.1, seed=4, force=True)
    assert fresh.num_clips == len(list(data.rglob("*.flac"))) == len(read_manifest(data))
    assert (data / "manifest.jsonl").read_bytes() != manifest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hours": 0.0}, "--hours must be above 0"),
        ({"hours": -1.0}, "--hours must be above 0"),
        ({"hours": math.nan}, "--hours must be above 0"),
        ({"hours": 1e9}, "at most 10000"),
        ({"hours": 1.0, "seed": -1}, "--seed must be between 0"),
        ({"hours": 1.0, "jobs": 0}, "--jobs must be at least 1"),
        ({"hours": 1.0, "kinds": ["rian"]}, "no kind 'rian'"),
    ],
)
def test_wrong_values_are_refused_at_once(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        synth(data=tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


def test_a_full_disk_is_said_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"needs 1?\d\d MB, and 1 MB are free"):
        synth(data=tmp_path / "data", hours=1.0)
    assert not list((tmp_path / "data").rglob("*.flac"))


def test_killed_half_way_it_goes_on_to_the_same_files(tmp_path: Path) -> None:
    make(tmp_path / "once")
    data = tmp_path / "killed"
    command = [
        *(sys.executable, "-m", "soundgen", "dataset", "synth", data, "--hours"),
        *(str(0.5 / 60), "--seed", "3", "--kinds", ",".join(SHORT), "--jobs", "2"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(data.rglob("*.flac"))) < 12:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (data / "manifest.jsonl").exists()
    # A line of the journal cut short, a half-written clip, and a clip that someone removed.
    with (data / ".synth" / "journal.jsonl").open("a") as journal:
        journal.write('{"path": "au')
    (data / "audio" / "kick" / ".soundgen-half.flac").write_bytes(b"fLaC")
    (data / "audio" / "click" / "click-000000.flac").unlink()
    report = make(data)
    assert report.num_made < report.num_clips
    assert files_below(data) == files_below(tmp_path / "once")
    assert not list(data.rglob(".soundgen-*"))
    assert not verify_dataset(data).problems
