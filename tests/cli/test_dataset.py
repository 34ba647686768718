"""`soundgen dataset` as a user runs it: outputs, exit codes, messages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundgen.data.manifest import read_manifest

RATE = 16000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three good sounds, one in stereo at 44.1 kHz, one empty file, one copy."""
    root = tmp_path / "my [sounds]"
    root.mkdir()
    t = np.arange(RATE) / RATE
    for index, name in enumerate(("door slam.wav", "Tür.flac")):
        soundfile.write(root / name, 0.4 * np.sin((900 + 500 * index) * t * np.exp(-t)), RATE)
    t = np.arange(44100) / 44100
    both = np.stack([np.sin(3000 * t * t), np.cos(2000 * t)], axis=1)
    soundfile.write(root / "wide.wav", 0.4 * both, 44100)
    (root / "empty.wav").touch()
    shutil.copy(root / "door slam.wav", root / "slam again.wav")
    return root


def test_prepare_converts_and_says_what_it_did(soundgen: Any, source: Path, tmp_path: Path) -> None:
    done = soundgen("dataset", "prepare", source, tmp_path / "data")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'data'}\n"
    assert "1 file was downmixed or resampled to 16000 Hz mono" in done.stderr
    assert "rejected empty.wav: an empty file" in done.stderr
    assert "rejected slam again.wav: duplicate of door slam.wav" in done.stderr
    assert "3 clips (" in done.stderr
    assert "2 rejected" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_manifest(tmp_path / "data")) == 3


def test_prepare_json_strict_and_quiet(soundgen: Any, source: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = soundgen("dataset", "prepare", source, data, "--json", "--strict", "-q")
    assert done.returncode == 3
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert (report["num_clips"], report["num_rejected"], report["finished"]) == (3, 2, True)
    assert {item["path"] for item in report["rejected"]} == {"empty.wav", "slam again.wav"}
    assert sum(report["splits"].values()) == 3
    (source / "empty.wav").unlink()
    (source / "slam again.wav").unlink()
    assert soundgen("dataset", "prepare", source, data, "--strict").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["gone", "data"], 3, "gone: no such folder"),
        (["{src}", "{src}/data"], 2, "lie inside one another"),
        (["{src}", "data", "--captions", "gone.csv"], 3, "gone.csv: cannot be read"),
        (["{src}", "data", "--shard", "1-2"], 2, "not of the form i/n"),
        (["{src}", "data", "--shard", "0/2"], 2, "1 <= i <= n"),
        (["{src}", "data", "--split-s", "0"], 2, "--split-s must be at least"),
        (["{src}", "data", "--jobs", "0"], 2, "--jobs must be at least 1"),
        (["{src}"], 2, "Missing argument"),
        (["{src}", "data", "--mood", "x"], 2, "No such option"),
        (["{src}", "taken"], 5, "was not made by dataset prepare"),
        (["{src}", "data", "--allow-license", "CC0-1.0"], 3, "nothing could be converted"),
    ],
)
def test_prepare_refuses(
    soundgen: Any, source: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    filled = [argument.format(src=source) for argument in arguments]
    done = soundgen("dataset", "prepare", *filled)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].startswith(("error: ", "hint: "))
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    as_json = soundgen("dataset", "prepare", *filled, "--json")
    assert as_json.returncode == code
    assert words in json.loads(as_json.stdout)["error"]["message"]


def test_captions_and_force(soundgen: Any, source: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("file,caption,license\ndoor slam.wav,a slam,cc0\n")
    arguments = ("dataset", "prepare", source, "data", "--captions", "captions.csv", "--no-trim")
    done = soundgen(*arguments, "--allow-license", "CC0-1.0", "--allow-license", "CC-BY")
    assert done.returncode == 0
    (clip,) = read_manifest(tmp_path / "data")
    assert (clip.captions, clip.license) == (("a slam",), "CC0-1.0")
    refused = soundgen(*arguments, "--split-s", "0.5")
    assert refused.returncode == 5
    assert "hint: use -f to make it anew" in refused.stderr
    assert soundgen(*arguments, "--split-s", "0.5", "-f").returncode == 0
    assert len(read_manifest(tmp_path / "data")) == 6


def test_shards(soundgen: Any, source: Path, tmp_path: Path) -> None:
    first = soundgen("dataset", "prepare", source, "data", "--shard", "1/2")
    assert first.returncode == 0
    assert "the last shard to end writes the manifest" in first.stderr
    assert not (tmp_path / "data" / "manifest.jsonl").exists()
    assert soundgen("dataset", "prepare", source, "data", "--shard", "2/2").returncode == 0
    assert len(read_manifest(tmp_path / "data")) == 3


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_it_says_how_to_go_on(tmp_path: Path, sent: int, code: int) -> None:
    source, data = tmp_path / "src", tmp_path / "data"
    source.mkdir()
    rng = np.random.default_rng(0)
    for index in range(60):
        soundfile.write(source / f"noise {index:04d}.wav", 0.1 * rng.standard_normal(8000), RATE)
    command = [sys.executable, "-m", "soundgen", "dataset", "prepare", source, data, "-j", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(data.rglob("*.flac")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, sent)  # as a terminal does: to the workers, too
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err == "stopped; the same command goes on from here\n"
    assert not (data / "manifest.jsonl").exists()
    again = subprocess.run(command, capture_output=True, check=False)
    assert again.returncode == 0
    assert len(read_manifest(data)) == 60


def test_stats_verify_licenses(soundgen: Any, source: Path, tmp_path: Path) -> None:
    soundgen("dataset", "prepare", source, "data")
    data = tmp_path / "data"
    stats = soundgen("dataset", "stats", "data")
    assert stats.returncode == 0
    assert stats.stdout.startswith("3 clips, 0.00 h, 3 recordings")
    assert json.loads(soundgen("dataset", "stats", "data", "--json").stdout)["total"]["clips"] == 3
    licenses = soundgen("dataset", "licenses", data / "manifest.jsonl")
    assert "unknown" in licenses.stdout
    found = json.loads(soundgen("dataset", "licenses", "data", "--json").stdout)
    assert found["credits"][0]["clips"] == 3
    verify = soundgen("dataset", "verify", "data")
    assert (verify.returncode, verify.stderr) == (0, "")
    assert "all whole" in verify.stdout
    clip = read_manifest(data)[0]
    (data / clip.path).write_bytes(b"")
    verify = soundgen("dataset", "verify", "data")
    assert verify.returncode == 3
    assert verify.stdout == f"{clip.path}: an empty file\n"
    assert "1 problem\n" in verify.stderr
    report = soundgen("dataset", "verify", "data", "--json", "-q")
    assert report.returncode == 3
    assert json.loads(report.stdout)["problems"] == [{"path": clip.path, "reason": "an empty file"}]


@pytest.mark.parametrize("command", ["stats", "verify", "licenses"])
def test_a_folder_without_manifest(soundgen: Any, tmp_path: Path, command: str) -> None:
    done = soundgen("dataset", command, tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {tmp_path / 'manifest.jsonl'}: no such file\nhint: ")


def test_help_is_there_and_quick(soundgen: Any) -> None:
    for command in ("prepare", "tokenize", "stats", "verify", "licenses"):
        done = soundgen("dataset", command, "--help")
        assert done.returncode == 0
        assert "Example" in done.stdout


def test_synth_makes_a_dataset_and_says_so(soundgen: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = ["dataset", "synth", data, "--hours", "0.002", "--kinds", "click, kick", "--seed", "5"]
    done = soundgen(*words)
    assert done.returncode == 0
    assert done.stdout == f"{data}\n"
    assert re.search(r"\d+ clips \(train \d+, .*0\.00 h, 2 kinds; \d+ made now", done.stderr)
    again = soundgen(*words, "--json", "-q")
    assert again.stderr == ""
    report = json.loads(again.stdout)
    assert report["num_made"] == 0
    assert report["num_clips"] == len(read_manifest(data))
    assert set(report["kinds"]) == {"click", "kick"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data", "--hours", "0"], 2, "--hours must be above 0"),
        (["taken", "--hours", "1", "-f"], 5, "was not made by dataset synth"),
    ],
)
def test_synth_failures_are_one_line(
    soundgen: Any, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    done = soundgen("dataset", "synth", *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()
