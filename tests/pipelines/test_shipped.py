"""The model that ships: whole, licensed, small enough, and it makes a sound."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.io import probe
from soundgen.checkpoint import DEFAULT_MODEL, resolve_model
from tests.conftest import REPOSITORY, RunSoundgen

pytestmark = pytest.mark.needs_model


def test_the_folder_is_whole_and_says_where_it_comes_from() -> None:
    folder = resolve_model(DEFAULT_MODEL)
    folder.verify()
    assert folder.has("codec") and folder.has("lm")
    total = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
    assert total < 48 * 2**20
    card = (folder.path / "README.md").read_text(encoding="utf-8")
    assert "license: cc0-1.0" in card
    assert "Yellowstone sounds: U.S. National Park Service" in card
    lines = (folder.path / "PROVENANCE.jsonl").read_text(encoding="utf-8").splitlines()
    clips = [json.loads(line) for line in lines]
    assert len(clips) == 4195
    assert {clip["license"] for clip in clips} == {"CC0-1.0", "public-domain"}
    assert all(clip["source"] for clip in clips)


def test_rain_has_its_length_repeats_and_changes_with_the_seed(
    soundgen: RunSoundgen, tmp_path: Path
) -> None:
    sounds = {}
    # The README's Python, as it stands there, makes the same sound as the command.
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert 'model.generate("rain", duration_s=3, seed=1)' in code
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    (tmp_path / "rain.wav").rename(tmp_path / "again.wav")
    for name, seed in (("rain", "1"), ("other", "2")):
        done = soundgen("generate", "rain", "-d", "3", "--seed", seed, "-o", f"{name}.wav")
        assert done.returncode == 0, done.stderr
    for name in ("rain", "again", "other"):
        sounds[name], _ = soundfile.read(tmp_path / f"{name}.wav", dtype="int16")
    info = probe(tmp_path / "rain.wav")
    assert (info.sample_rate, info.channels, info.num_samples) == (16_000, 1, 48_000)
    assert info.subtype == "PCM_16"
    assert np.abs(sounds["rain"].astype(int)).max() < 32_767
    assert np.abs(sounds["rain"].astype(int)).max() > 100
    assert np.array_equal(sounds["rain"], sounds["again"])
    assert not np.array_equal(sounds["rain"], sounds["other"])


@pytest.mark.parametrize("level", [0.03, 0.1])
def test_its_codec_keeps_the_level_of_noise(
    soundgen: RunSoundgen, tmp_path: Path, level: float
) -> None:
    noise = level * np.random.default_rng(0).standard_normal(32_000)
    soundfile.write(tmp_path / "a.wav", noise.astype(np.float32), 16_000, subtype="FLOAT")
    assert soundgen("compress", "a.wav", "--bandwidth", "4").returncode == 0
    assert soundgen("decompress", "a.sgc", "-o", "back.wav").returncode == 0
    back, rate = soundfile.read(tmp_path / "back.wav")
    assert (len(back), rate) == (32_000, 16_000)
    # 8 codes of 10 bits, 50 times a second
    assert (tmp_path / "a.sgc").stat().st_size < 1.15 * 2 * 500
    assert 0.4 < np.sqrt(np.mean(back**2)) / level < 2.0
