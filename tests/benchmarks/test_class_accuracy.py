"""The class-accuracy benchmark: its prompts are what they claim, its commands run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from soundgen.audio.io import write_audio
from soundgen.audio.waveform import Waveform
from soundgen.data.manifest import Clip, read_manifest, write_manifest
from soundgen.evaluation.classifier import CLASSES
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "benchmarks" / "class_accuracy.py"
PROMPTS = json.loads((REPOSITORY / "benchmarks" / "prompts.json").read_text(encoding="utf-8"))
DATA = Path(os.environ.get("SOUNDGEN_DATA", REPOSITORY.parent / "shared" / "data"))
FILLERS = {"a", "an", "the", "of", "in", "on", "along", "at"}


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def stem(word: str) -> str:
    """Cut plural and other endings, roughly and rather too much than too little."""
    for ending in ("ing", "ers", "er", "ed", "es", "s", "ly", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def test_lists_hold_what_the_issues_ask_for() -> None:
    assert {row["prompt"]: row["class"] for row in PROMPTS["significance"]} == {
        "rain": "rain",
        "thunder": "thunder",
        "birds singing": "birds",
        "footsteps": "footsteps",
        "explosion": "explosion",
        "drum hit": "drum",
    }
    for name, each in (("table", 1), ("two_each", 2), ("unseen", 2)):
        assert Counter(row["class"] for row in PROMPTS[name]) == dict.fromkeys(CLASSES, each)
        assert len({row["prompt"] for row in PROMPTS[name]}) == each * len(CLASSES)


def test_unseen_prompts_are_all_key_words() -> None:
    for row in PROMPTS["unseen"]:
        assert set(words(row["prompt"])) - FILLERS == set(row["key_words"])


@pytest.mark.needs_data
def test_key_words_occur_in_no_caption_and_no_tag() -> None:
    if not (DATA / "manifest.jsonl").is_file():
        pytest.skip("no data set (SOUNDGEN_DATA) to compare the prompts with")
    seen: set[str] = set()
    for clip in read_manifest(DATA):
        for text in (*clip.captions, *clip.tags, clip.category):
            seen.update(map(stem, words(text)))
    assert len(seen) > 1000
    key_words = [word for row in PROMPTS["unseen"] for word in row["key_words"]]
    assert len(key_words) >= 28
    assert [word for word in key_words if stem(word) in seen] == []


def test_train_and_score_run_on_a_small_dataset(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data")
    classifier = tmp_path / "c.safetensors"
    small = ("--epochs", "1", "--epoch-clips", "64")
    trained = run("train", "--data", tmp_path / "data", "--out", classifier, *small)
    assert trained.returncode == 0, trained.stderr
    assert "14 heard right" in trained.stdout
    again = run("train", "--data", tmp_path / "data", "--out", classifier)
    assert again.returncode == 5
    assert "Traceback" not in again.stderr

    real = run("score", "--classifier", classifier, "--data", tmp_path / "data", "--json")
    table = json.loads(real.stdout)
    assert table["num_sounds"] == 28 == sum(map(sum, table["counts"]))
    assert table["num_right"] == sum(one["true"] == one["heard"] for one in table["sounds"])

    wavs = tmp_path / "wavs"
    (wavs / "rain").mkdir(parents=True)
    shutil.copy(tmp_path / "data" / "rain-test.flac", wavs / "rain" / "any name.flac")
    silent = Waveform(np.zeros((1, 16000), np.float32), 16000)
    write_audio(wavs / "rain" / "silent.wav", silent)
    tagged = Waveform(np.ones((1, 800), np.float32), 16000)
    write_audio(wavs / "other.wav", tagged, tags={"title": "door slam"})
    scored = run("score", "--classifier", classifier, "--wavs", wavs, "--json")
    sounds = {Path(one["path"]).name: one for one in json.loads(scored.stdout)["sounds"]}
    assert sounds["silent.wav"]["heard"] == "nothing"
    assert sounds["other.wav"]["true"] == "door"

    write_audio(wavs / "stray.wav", tagged)
    stray = run("score", "--classifier", classifier, "--wavs", wavs)
    assert stray.returncode == 3
    assert "stray.wav" in stray.stderr


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )


def make_dataset(folder: Path) -> None:
    """One short tone a class and split."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    listed = []
    for label, name in enumerate(CLASSES):
        for split in ("train", "valid", "test"):
            time = np.arange(4000) / 16000
            tone = 0.3 * np.sin(2 * np.pi * 200 * 1.25**label * time)
            samples = (tone + 0.01 * rng.standard_normal(4000)).astype(np.float32)
            path = f"{name}-{split}.flac"
            write_audio(folder / path, Waveform(samples[None], 16000))
            listed.append(
                Clip(
                    path=path,
                    captions=(name,),
                    tags=(),
                    category=name,
                    duration=0.25,
                    split=split,
                    recording=path,
                    sha1_pcm16=hashlib.sha1(path.encode()).hexdigest(),
                )
            )
    write_manifest(folder / "manifest.jsonl", listed)
