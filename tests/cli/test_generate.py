"""`soundgen generate` with a tiny untrained model: what it writes, repeats, refuses and says."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RunSoundgen, said
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def samples(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    read: np.ndarray[tuple[int], np.dtype[np.int16]] = soundfile.read(path, dtype="int16")[0]
    return read


def made_in(folder: Path) -> list[Path]:
    """Return the sounds in `folder`, without those that are still being written."""
    return [path for path in folder.glob("*.wav") if not path.name.startswith(".")]


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".soundgen-*"))


def test_a_sound_of_exact_length_that_repeats(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    first = soundgen("generate", "Rain!", "-d", "0.73", "--seed", "1", "--model", model)
    assert first.returncode == 0
    assert first.stdout == "rain.wav\n"
    (line,) = said(first.stderr)
    assert re.fullmatch(r"rain\.wav  0\.73 s  seed 1  made in \d+\.\d s", line)
    info = soundfile.info(tmp_path / "rain.wav")
    assert (info.samplerate, info.channels, info.frames) == (16_000, 1, 11_680)
    assert info.subtype == "PCM_16"
    sound = samples(tmp_path / "rain.wav")
    assert 33 < np.abs(sound.astype(int)).max() < 32_767

    # The command that `info` prints makes the same samples, under another name.
    shown = json.loads(soundgen("info", "rain.wav", "--json").stdout)
    assert shown["making"]["prompt"] == "Rain!"
    words = shlex.split(shown["command"].replace("--model tiny", f"--model {model}"))
    assert words[:2] == ["soundgen", "generate"]
    again = soundgen(*[word.replace("rain.wav", "again.flac") for word in words[1:]], "-q")
    assert (again.returncode, again.stdout, again.stderr) == (0, "again.flac\n", "")
    np.testing.assert_array_equal(samples(tmp_path / "again.flac"), sound)


def test_variations_count_up_from_the_seed_and_equal_single_ones(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    options = ("-d", "0.2", "--model", model, "--json")
    result = soundgen("generate", "hum", "a b", "-n", "2", "--seed", "5", "-o", "out/", *options)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["output"], row["seed"]) for row in rows] == [
        ("out/hum_5.wav", 5),
        ("out/hum_6.wav", 6),
        ("out/a-b_6.wav", 6),
        ("out/a-b_7.wav", 7),
    ]
    assert all(row["duration_s"] == 0.2 and not row["skipped"] for row in rows)
    soundgen("generate", "hum", "--seed", "6", "-o", "alone.wav", *options)
    np.testing.assert_array_equal(
        samples(tmp_path / "alone.wav"), samples(tmp_path / "out/hum_6.wav")
    )
    assert (samples(tmp_path / "out/hum_5.wav") != samples(tmp_path / "out/hum_6.wav")).any()
    assert leftovers(tmp_path) == []


def test_a_drawn_seed_is_said_first_and_written_down(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    result = soundgen("generate", "ünïcode / ..\n", "-d", "0.1", "--model", model)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "ünïcode.wav\n"
    seed = re.match(r"seed (\d+)\n", result.stderr)
    assert seed is not None
    shown = json.loads(soundgen("info", "ünïcode.wav", "--json").stdout)
    assert shown["making"]["seed"] == int(seed[1])
    assert shown["tags"]["license"] == "CC0-1.0"


@pytest.mark.parametrize("suffix", ["opus", "mp3"])
def test_other_formats_carry_the_making_too(
    soundgen: RunSoundgen, model: Path, suffix: str
) -> None:
    options = ("-d", "0.5", "--seed", "1", "--model", model, "--format", suffix)
    assert soundgen("generate", "größer", *options).stdout == f"größer.{suffix}\n"
    shown = json.loads(soundgen("info", f"größer.{suffix}", "--json").stdout)
    assert (shown["making"]["prompt"], shown["making"]["seed"]) == ("größer", 1)
    assert shown["duration_s"] == pytest.approx(0.5, abs=0.1)


def test_nothing_is_overwritten_unasked(soundgen: RunSoundgen, model: Path, tmp_path: Path) -> None:
    (tmp_path / "hum.wav").write_text("precious")
    options = ("generate", "hum", "-d", "0.1", "--seed", "1", "--model", model)
    refused = soundgen(*options)
    assert refused.returncode == 5
    assert refused.stderr == "error: hum.wav: exists already\nhint: use -f to overwrite it\n"
    assert (tmp_path / "hum.wav").read_text() == "precious"
    assert soundgen(*options, "-f").returncode == 0
    written = (tmp_path / "hum.wav").read_bytes()
    skipped = soundgen(*options)
    assert (skipped.returncode, skipped.stdout) == (0, "hum.wav\n")
    assert "made already" in skipped.stderr
    assert (tmp_path / "hum.wav").read_bytes() == written
    assert soundgen("generate", "hum", "-d", "0.2", "--model", model).returncode == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x", "-o", "no/where.wav"], 5, "no/where.wav: the folder no does not exist"),
        (["x", "-o", "no/where/"], 5, "no/where: the folder no does not exist"),
        (["x", "y", "-o", "x.wav"], 2, "x.wav: one file for several sounds"),
        (["x", "-o", "x.txt"], 2, "x.txt: no sound format has the suffix '.txt'"),
        (["x", "-d", "0"], 2, "--duration 0: expected auto, or 0.1 to 300 seconds"),
        (["x", "--temperature", "inf"], 2, "--temperature inf: not a finite number"),
        (["x", "--cfg-scale", "inf"], 2, "--cfg-scale inf: not a finite number"),
        (["x", "--seed", str(2**63 - 1), "-n", "2"], 2, "too large for so many sounds"),
        (["x", "--best-of", "0"], 2, "Invalid value for '--best-of'"),
        (["x", "--seed", str(2**63 - 4), "--best-of", "5"], 2, "too large for so many sounds"),
        (["x", "--best-of", "2"], 4, "has no matcher, which chooses the best of several sounds"),
        ([" "], 2, "the prompt is empty"),
        (["x", "--model", "nothing"], 4, "nothing: no such model"),
        (["x", "--model", "."], 4, "not a model folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals(
    soundgen: RunSoundgen,
    model: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    defaults = [] if "--model" in arguments else ["--model", str(model)]
    result = soundgen("generate", *arguments, *defaults)
    assert result.returncode == code
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_an_absent_device_is_not_replaced_in_silence(soundgen: RunSoundgen, model: Path) -> None:
    import torch

    absent = "mps" if torch.cuda.is_available() else "cuda"
    result = soundgen("generate", "x", "--model", model, "--device", absent, "--seed", "1")
    assert result.returncode == 6
    assert result.stderr.endswith("hint: use --device cpu\n")


def test_a_damaged_model_is_refused(soundgen: RunSoundgen, model: Path, tmp_path: Path) -> None:
    damaged = make_tiny_model(tmp_path / "damaged").path
    weights = damaged / "lm.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"oops")
    result = soundgen("generate", "x", "--model", "damaged", "--seed", "1")
    assert result.returncode == 4
    assert "lm does not match its recorded digest" in result.stderr
    weights.write_bytes(weights.read_bytes()[:100])
    assert soundgen("generate", "x", "--model", "damaged").returncode == 4
    (damaged / "config.json").write_text("{}")
    assert soundgen("generate", "x", "--model", "damaged").returncode == 4
    assert not list(tmp_path.glob("*.wav"))


def test_the_best_of_several_candidates(soundgen: RunSoundgen, matcher_model: Path) -> None:
    options = ("-d", "0.2", "--model", matcher_model, "--seed", "5", "-o", "out/", "--json")
    best_of = ("-n", "2", "--best-of", "3")
    made = soundgen("generate", "a click", *best_of, *options)
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    # Each variation has candidates of its own, and its file is named after the first.
    assert [row["output"] for row in rows] == ["out/a-click_5.wav", "out/a-click_8.wav"]
    assert rows[0]["seed"] in (5, 6, 7) and rows[1]["seed"] in (8, 9, 10)
    assert all(row["best_of"] == 3 and -1 <= row["match"] <= 1 for row in rows)
    again = soundgen("generate", "a click", *best_of, *options)
    assert [json.loads(line)["skipped"] for line in again.stdout.splitlines()] == [True, True]
    shown = json.loads(soundgen("info", rows[1]["output"], "--json").stdout)
    assert shown["making"]["first_seed"] == 8 and shown["making"]["match"] == rows[1]["match"]
    words = shlex.split(shown["command"])
    assert words[words.index("--seed") + 1] == str(rows[1]["seed"])
    assert "--best-of" not in words


def test_interrupted(model: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "soundgen", "generate", "one", "two", "-n", "50", "-o", "out/"),
            *("-d", "1", "--seed", "1", "--model", str(model), "--threads", "1"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not made_in(tmp_path / "out"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    made = made_in(tmp_path / "out")
    assert 0 < len(made) < 100
    assert {path.name for path in made} >= {Path(line).name for line in stdout.splitlines()}
    assert all(soundfile.info(path).frames == 16_000 for path in made)
    assert leftovers(tmp_path) == []
