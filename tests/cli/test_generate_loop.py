"""`soundgen generate --loop`: exact, seamless, marked as a loop, or refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.loop import measure_seam
from tests.conftest import RunSoundgen
from tests.fixtures_audio import loop_points
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def test_a_loop_of_exact_length_with_loop_points(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    options = ("-d", "1.3", "--seed", "1", "--model", model, "--loop", "--json")
    made = soundgen("generate", "hum", *options)
    assert made.returncode == 0, made.stderr
    row = json.loads(made.stdout)
    seam = row["seam"]
    assert seam["flux_db"] <= seam["flux_limit_db"] and seam["step_db"] <= seam["step_limit_db"]
    assert 0 <= seam["flux_percentile"] <= 100 and 0 <= seam["step_percentile"] <= 100
    samples, rate = soundfile.read(tmp_path / "hum.wav", dtype="float32")
    assert (rate, len(samples)) == (16_000, 20_800)
    assert loop_points(tmp_path / "hum.wav") == [(0, 20_800)]
    # What is in the file closes as what was measured: no fade, no cut.
    assert measure_seam(samples, rate, 8000).fault == ""
    assert np.abs(samples[:80]).max() > 0.01 and np.abs(samples[-80:]).max() > 0.01

    assert json.loads(soundgen("generate", "hum", *options).stdout)["skipped"]
    assert json.loads(soundgen("generate", "hum", *options).stdout)["seam"] == seam
    # Without --loop it is another sound, and in the way.
    other = [option for option in options if option != "--loop"]
    assert soundgen("generate", "hum", *other).returncode == 5
    shown = json.loads(soundgen("info", "hum.wav", "--json").stdout)
    assert shown["making"]["loop"] is True and shown["making"]["duration_s"] == 1.3
    words = shlex.split(shown["command"].replace("--model tiny", f"--model {model}"))
    assert "--loop" in words
    again = soundgen(*[word.replace("hum.wav", "again.flac") for word in words[1:]])
    assert again.returncode == 0, again.stderr
    np.testing.assert_array_equal(
        soundfile.read(tmp_path / "again.flac", dtype="float32")[0], samples
    )


def test_a_table_of_loops_finished_for_an_engine(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("prompt,loop,duration\nhum,yes,0.5\nclick,no,0.5\nhiss,1,2\n")
    finish = ("--sample-rate", "44100", "--channels", "2", "--normalize", "--bit-depth", "24")
    options = ("--seed", "1", "--model", model, "--name", "{prompt}")
    made = soundgen("generate", "--prompts", "t.csv", *finish, *options)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == ["hum.wav", "click.wav", "hiss.wav"]
    frames = {name: soundfile.info(tmp_path / f"{name}.wav").frames
              for name in ("hum", "click", "hiss")}  # fmt: skip
    assert frames == {"hum": 22_050, "click": 22_050, "hiss": 88_200}
    points = {name: loop_points(tmp_path / f"{name}.wav") for name in frames}
    assert points == {"hum": [(0, 22_050)], "click": [], "hiss": [(0, 88_200)]}
    samples, rate = soundfile.read(tmp_path / "hiss.wav", dtype="float32")
    assert measure_seam(samples[:, 0].copy(), rate, rate // 2).fault == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rain", "--loop"], 2, "a loop needs a length"),
        (["--prompts", "t.csv"], 3, "t.csv: line 2: a loop needs a length"),
        (["rain", "--loop", "-d", "1", "-o", "x.mp3"], 2, "x.mp3: a loop in .mp3 would not close"),
        (["rain", "--loop", "-d", "1", "--format", "ogg"], 2, "a loop in .ogg would not close"),
        (["rain", "--loop", "-d", "1", "--trim"], 2, "a loop has no ends to trim or to fade"),
        (["rain", "--loop", "-d", "1", "--fade-in", "1"], 2, "a loop has no ends to trim or"),
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
    (tmp_path / "t.csv").write_text("prompt,loop\nrain,true\n")
    result = soundgen("generate", *arguments, "--seed", "1", "--model", model)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr.splitlines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
