"""`soundgen info` on sounds and on what is none."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.commands.info import remake_command
from tests.conftest import RunSoundgen


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "a [tone] ü.wav"
    wave = 0.5 * np.sin(np.arange(8000, dtype=np.float32) / 10)
    soundfile.write(path, np.stack([wave, wave], axis=1), 16_000, subtype="PCM_24")
    return path


def test_sound(soundgen: RunSoundgen, tone: Path) -> None:
    result = soundgen("info", tone)
    assert result.returncode == 0
    assert result.stderr == ""
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert rows["file"] == str(tone)
    assert rows["format"] == "WAV PCM_24"
    assert rows["duration_s"] == "0.5"
    assert (rows["sample_rate"], rows["channels"], rows["num_samples"]) == ("16000", "2", "8000")
    assert "command" not in rows


def test_sound_as_json(soundgen: RunSoundgen, tone: Path) -> None:
    found = json.loads(soundgen("info", tone, "--json").stdout)
    assert (found["kind"], found["path"], found["duration_s"]) == ("audio", str(tone), 0.5)
    assert found["making"] is found["command"] is None


def test_what_cannot_be_described(soundgen: RunSoundgen, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not a sound")
    (tmp_path / "broken.sgc").write_bytes(b"SGC")
    (tmp_path / "dangling.wav").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.wav")
    names = ["empty.wav", "text.wav", "broken.sgc", "dangling.wav", "pipe.wav", "missing.wav"]
    for name in names:
        result = soundgen("info", name)
        assert result.returncode == 3, name
        first, *hints = result.stderr.splitlines()
        assert first.startswith(f"error: {name}")
        assert all(line.startswith("hint: ") for line in hints)
        assert result.stdout == ""


def test_empty_name(soundgen: RunSoundgen) -> None:
    result = soundgen("info", "")
    assert result.returncode == 3
    assert result.stderr == "error: the name of the file is empty\n"


def test_folder_without_a_model(soundgen: RunSoundgen, tmp_path: Path) -> None:
    result = soundgen("info", tmp_path)
    assert result.returncode == 4
    assert "not a model folder" in result.stderr


def test_remake_command_quotes_for_the_shell() -> None:
    making = {"prompt": "it's rain", "seed": 7, "duration_s": 3.0, "temperature": 1.0, "top_k": 40}
    words = shlex.split(remake_command(making, "a b.wav"))
    assert words == [
        *("soundgen", "generate", "it's rain", "--seed", "7", "-o", "a b.wav", "-d", "3"),
        *("--top-k", "40"),
    ]
    making = {"prompt": "-x", "seed": 7, "duration_s": 12.3456789, "cfg_scale": 2.5}
    assert shlex.split(remake_command(making, "x.wav"))[2:] == [
        *("--seed", "7", "-o", "x.wav", "-d", "12.3456789", "--cfg-scale", "2.5", "--", "-x"),
    ]
