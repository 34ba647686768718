"""`soundgen generate` with a finish, a picture and no loudspeaker: what it writes and says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from soundgen.audio.finish import BIT_DEPTHS, SAMPLE_RATES
from soundgen.commands._finish import BitDepth, SampleRate, finish_settings
from soundgen.errors import UsageError
from tests.conftest import RunSoundgen
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def test_a_finished_sound_and_the_command_that_makes_it_again(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    finish = ("--trim", "--sample-rate", "48000", "--fade-in", "0.2", "--fade-out", "0.3",
              "--channels", "2", "--loudness", "-30", "--bit-depth", "24")  # fmt: skip
    options = ("-d", "0.8", "--seed", "1", "--model", model, "--plot", "--json")
    made = soundgen("generate", "hum", *finish, *options)
    assert made.returncode == 0, made.stderr
    for notice in ("holds nothing above 8 kHz", "hold the same sound twice"):
        assert made.stderr.count(notice) == 1
    row = json.loads(made.stdout)
    assert row["loudness_lufs"] == pytest.approx(-30, abs=0.5)
    assert row["true_peak_dbtp"] <= -1
    assert (row["plot"], row["warning"]) == ("hum.png", "")
    assert (tmp_path / "hum.png").read_bytes().startswith(b"\x89PNG")
    info = soundfile.info(tmp_path / "hum.wav")
    assert (info.samplerate, info.channels, info.subtype) == (48_000, 2, "PCM_24")

    shown = json.loads(soundgen("info", "hum.wav", "--json").stdout)
    command = shown["command"].replace("--model tiny", f"--model {model}")
    assert shlex.split(command)[-len(finish) :] == list(finish)
    words = shlex.split(command.replace("hum.wav", "again.flac"))
    again = soundgen(*words[1:])
    assert again.returncode == 0, again.stderr
    first, second = (
        soundfile.read(tmp_path / name, dtype="int32")[0] for name in ("hum.wav", "again.flac")
    )
    np.testing.assert_array_equal(first, second)
    skipped = json.loads(soundgen("generate", "hum", *finish, *options).stdout)
    assert skipped["skipped"] and skipped["loudness_lufs"] == row["loudness_lufs"]


def test_a_sound_that_cannot_be_played_stays_written(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    stand_in = tmp_path / "stand-in"
    stand_in.mkdir()
    (stand_in / "sounddevice.py").write_text(
        "class PortAudioError(Exception): ...\n"
        "def play(*_, **__): raise PortAudioError('Error querying device -1')"
    )
    path = f"{stand_in}:{Path(__file__).parents[2]}"
    options = ("-d", "0.1", "--seed", "1", "--model", model, "--play", "-n", "2", "-o", "out/")
    done = soundgen("generate", "hum", *options, PYTHONPATH=path)
    assert done.returncode == 6
    assert done.stdout == "out/hum_1.wav\nout/hum_2.wav\n"
    assert done.stderr.count("error: ") == 1
    reason = "no usable output device (Error querying device -1)"
    assert f"error: not played: {reason}\n" in done.stderr
    assert all(soundfile.info(tmp_path / line).frames == 1600 for line in done.stdout.split())


def test_another_rate_than_those_on_offer(soundgen: RunSoundgen, model: Path) -> None:
    result = soundgen("generate", "x", "--model", model, "--sample-rate", "12345")
    assert (result.returncode, result.stdout) == (2, "")
    assert "Invalid value for '--sample-rate'" in result.stderr


def test_the_options_offer_what_the_library_does() -> None:
    assert get_args(SampleRate) == tuple(map(str, SAMPLE_RATES))
    assert get_args(BitDepth) == tuple(map(str, BIT_DEPTHS))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loudness_lufs": -16.0, "normalize": True}, "--loudness and --normalize exclude"),
        ({"fade_in_s": float("nan")}, "--fade-in nan: not a finite number"),
        ({"loudness_lufs": float("nan")}, "--loudness nan: not a finite number"),
    ],
)
def test_options_that_cannot_be_together(changed: dict[str, object], message: str) -> None:
    options: dict[str, object] = {
        "trim": False,
        "sample_rate": None,
        "fade_in_s": 0.0,
        "fade_out_s": 0.0,
        "channels": "1",
        "loudness_lufs": None,
        "normalize": False,
        "bit_depth": None,
    }
    assert finish_settings(**options).channels == 1  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        finish_settings(**{**options, **changed})  # type: ignore[arg-type]
