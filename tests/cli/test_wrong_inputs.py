"""What people hand over by mistake: for each, through the real program, one line and one exit code.

| what                           | exit code            |
|--------------------------------|----------------------|
| a JPEG                         | 3                    |
| a text file                    | 3                    |
| a manifest with a missing file | 3                    |
| a truncated safetensors file   | 4                    |
| a configuration with a typo    | 4                    |
| a cache from another codec     | 4                    |
| a caption of 10,000 characters | 0: cut, and said so  |
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from soundgen.data.captions import MAX_CAPTION_CHARACTERS
from soundgen.data.manifest import read_manifest
from tests.conftest import REPOSITORY, RunSoundgen, said
from tests.fixtures_audio import make_dataset, make_sounds
from tests.fixtures_model import make_tiny_model

LONG = "rain " * 2000

# What is handed over -> the command, with names of `desk`; its exit code, its line.
TABLE: dict[str, tuple[str, int, str]] = {
    "a JPEG to compress": (
        "compress photo.wav -o out.sgc --model model",
        3, "photo.wav: not an audio file (a JPEG image)",
    ),
    "a JPEG to decompress": (
        "decompress photo.jpg -o out.wav --model model",
        3, "photo.jpg: not a .sgc file",
    ),
    "a JPEG to go on from": (
        "generate rain --continue photo.jpg -o out.wav --model model --seed 1",
        3, "photo.jpg: not an audio file (a JPEG image)",
    ),
    "a JPEG to look at": ("info photo.jpg", 3, "photo.jpg: not an audio file (a JPEG image)"),
    "a text file to compress": (
        "compress notes.wav -o out.sgc --model model",
        3, "notes.wav: not an audio file (a text file)",
    ),
    "a text file to decompress": (
        "decompress notes.txt -o out.wav --model model", 3, "notes.txt: not a .sgc file",
    ),
    "a text file as a dataset": (
        "train codec --recipe tiny --data notes.txt --out run",
        3, "notes.txt: line 1: not valid JSON (Expecting value)",
    ),
    "a missing file to tokenize": (
        "dataset tokenize gone out --model model",
        3, "gone/audio/tone-0.flac: cannot be read (No such file or directory)",
    ),
    "a missing file to train on": (
        "train codec --recipe tiny --data gone --out run",
        3, "gone/audio/tone-5.flac: cannot be read (no such file)",
    ),
    "a missing file to verify": ("dataset verify gone", 3, "gone: 2 problems"),
    "half a codec to compress with": (
        "compress sound.wav -o out.sgc --model half",
        4, "half/codec.safetensors: damaged (shorter than its header says)",
    ),
    "half a codec to train with": (
        "train lm --recipe tiny --data cache --codec half --out run",
        4, "half/codec.safetensors: damaged (shorter than its header says)",
    ),
    "a typo in a recipe": (
        "train codec --recipe typo.toml --data data --out run",
        4, "typo.toml: training: unknown key 'stepz'; known: steps, batch_size",
    ),
    "a typo on the command line": (
        "train codec --recipe tiny --set training.stepz=5 --data data --out run",
        4, "recipe tiny: training: unknown key 'stepz'; known: steps, batch_size",
    ),
    "a typo in a model": (
        "compress sound.wav -o out.sgc --model typo",
        4, "typo: unknown key 'num_codebookz'; known: autoencoder, sample_rate",
    ),
    "a cache from another codec": (
        "train lm --recipe tiny --data cache --codec other --out run",
        4, "cache: its codes come from another codec than other",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the table names."""
    desk = tmp_path_factory.mktemp("desk")
    for name in ("photo.jpg", "photo.wav"):
        # The beginning of a JPEG; nothing here reads further.
        (desk / name).write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 8)
    for name in ("notes.txt", "notes.wav"):
        (desk / name).write_text("dear\ndiary: today, nothing – as ever\n" * 50, encoding="utf-8")
    make_dataset(desk / "data", per_kind=1)
    # One file of the train split, which is drawn sooner or later, and one of the valid split.
    make_dataset(desk / "gone", per_kind=5)
    for name in ("tone-0", "tone-5"):
        (desk / f"gone/audio/{name}.flac").unlink()
    shutil.copy(make_sounds(desk / "sounds", num_each=1)[0], desk / "sound.wav")
    make_tiny_model(desk / "model")
    make_tiny_model(desk / "other", seed=1)
    shutil.copytree(desk / "model", desk / "half")
    weights = desk / "half/codec.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    shutil.copytree(desk / "model", desk / "typo")
    for path, word, wrong in (
        (desk / "typo/config.json", '"num_codebooks"', '"num_codebookz"'),
        (desk / "typo.toml", "\nsteps", "\nstepz"),
    ):
        recipe = REPOSITORY / "soundgen/recipes/codec/tiny.toml"
        text = (recipe if path.suffix == ".toml" else path).read_text(encoding="utf-8")
        assert word in text
        path.write_text(text.replace(word, wrong), encoding="utf-8")
    subprocess.run(
        [*(sys.executable, "-m", "soundgen", "dataset", "tokenize", "data", "cache"),
         *("--model", "model")],
        cwd=desk, check=True, capture_output=True,
    )  # fmt: skip
    return desk


@pytest.mark.parametrize("what", TABLE)
def test_is_one_line_and_the_right_exit_code(desk: Path, soundgen: RunSoundgen, what: str) -> None:
    before = set(desk.rglob("*"))
    command, exit_code, words = TABLE[what]
    done = soundgen(*command.split(), cwd=desk)
    assert done.returncode == exit_code, done.stderr
    lines = [line for line in said(done.stderr) if not line.startswith("seed ")]
    assert lines[0].startswith(f"error: {words}")
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
    # Nothing is left behind that would be in the way of the right command.
    left = {path.name for path in desk.rglob("*") if path not in before}
    assert left <= {"run", "out", ".lock", ".tokenize", "codes-all.u16", "settings.json"}


def test_a_long_caption_is_cut_by_prepare(soundgen: RunSoundgen, tmp_path: Path) -> None:
    sounds = tmp_path / "sounds"
    first = make_sounds(sounds, num_each=1)[0]
    first.with_suffix(".txt").write_text(LONG)
    done = soundgen("dataset", "prepare", sounds, tmp_path / "data")
    assert done.returncode == 0
    assert said(done.stderr)[0] == (
        f"warning: {first.name}: a caption of 9,999 characters was cut to {MAX_CAPTION_CHARACTERS}"
    )
    captions = {clip.source_path: clip.captions for clip in read_manifest(tmp_path / "data")}
    assert captions[first.name] == (LONG[: MAX_CAPTION_CHARACTERS - 1],)


def test_a_long_caption_is_cut_by_tokenize(
    desk: Path, soundgen: RunSoundgen, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "data", per_kind=1)
    manifest = data / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[0]["captions"] = [LONG.strip()]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = soundgen("dataset", "tokenize", data, tmp_path / "cache", "--model", desk / "model")
    assert done.returncode == 0
    (warning,) = [line for line in said(done.stderr) if line.startswith("warning: ")]
    assert warning.startswith("warning: 1 text is longer than the 32 tokens that ")


def test_a_long_prompt_is_cut_by_generate(
    desk: Path, soundgen: RunSoundgen, tmp_path: Path
) -> None:
    arguments = ("generate", LONG, "-o", "out.wav", "-d", "0.2", "--seed", "1")
    done = soundgen(*arguments, "--model", desk / "model", cwd=tmp_path)
    assert done.returncode == 0
    (warning,) = [line for line in said(done.stderr) if line.startswith("warning: ")]
    assert "the prompt is longer than the 32 tokens that the model reads" in warning
