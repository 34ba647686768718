"""`soundgen compress` and `decompress` as programs: streams, exit codes, what is shown where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.checkpoint import ModelFolder
from soundgen.codec.sgc_info import describe
from tests.conftest import RunSoundgen
from tests.fixtures_codec import make_tiny_codec


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_tiny_codec(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "a [tone] ü.wav"
    wave = 0.5 * np.sin(np.arange(72_001, dtype=np.float32) / 10)
    soundfile.write(path, np.stack([wave, wave], axis=1), 48_000)
    return path


def pipe(*arguments: str | Path, stdin: bytes, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "soundgen", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=300,
    )


def test_a_sound_goes_there_and_back(
    soundgen: RunSoundgen, model: ModelFolder, tone: Path, tmp_path: Path
) -> None:
    packed = tone.with_suffix(".sgc")
    result = soundgen("compress", tone, "--model", model.path, "--bandwidth", "0.6")
    assert result.returncode == 0
    assert result.stdout == f"{packed}\n"
    notice, summary = result.stderr.splitlines()
    assert notice == f"{tone}: 48000 Hz, 2 channels -> 16000 Hz mono"
    info = describe(packed)
    size = packed.stat().st_size
    assert summary == f"{packed}  1.50 s  {info.kbps:.2f} kbit/s  {size} bytes  n_q 2"
    assert (info.n_q, info.num_samples, info.complete) == (2, 24_000, True)

    result = soundgen("decompress", packed, "--model", model.path)
    assert result.returncode == 5  # the original is there
    assert result.stderr.splitlines()[0] == f"error: {tone}: exists already"
    result = soundgen("decompress", packed, "--model", model.path, "-o", "back.wav", "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    shown = json.loads(result.stdout)
    assert (shown["output"], shown["num_samples"], shown["complete"]) == ("back.wav", 24_000, True)
    made = soundfile.info(tmp_path / "back.wav")
    assert (made.frames, made.samplerate, made.channels) == (24_000, 16_000, 1)


def test_pipes(model: ModelFolder, tone: Path, tmp_path: Path) -> None:
    wav = tone.read_bytes()
    unknown = wav[:40] + b"\xff\xff\xff\xff" + wav[44:]
    packed = pipe("compress", "-", "--model", model.path, "-q", stdin=unknown, cwd=tmp_path)
    assert (packed.returncode, packed.stderr) == (0, b"")
    (tmp_path / "p.sgc").write_bytes(packed.stdout)
    assert describe(tmp_path / "p.sgc").num_samples == 24_000
    decode = ("decompress", "-", "--model", model.path, "-q")
    decoded = pipe(*decode, stdin=packed.stdout, cwd=tmp_path)
    assert (decoded.returncode, decoded.stderr) == (0, b"")
    assert decoded.stdout[:4] == b"RIFF"
    assert len(decoded.stdout) == 44 + 2 * 24_000
    cut = pipe(*decode, "-o", "cut.wav", stdin=packed.stdout[:-9], cwd=tmp_path)
    assert (cut.returncode, cut.stdout) == (3, b"")
    assert cut.stderr.startswith(b"error: <stdin>: damaged: it ends ")
    assert not (tmp_path / "cut.wav").exists()


def test_of_several_inputs_failures_are_named_and_the_rest_is_done(
    soundgen: RunSoundgen, model: ModelFolder, tone: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    tone.rename(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "b.wav").write_text("not a sound")
    result = soundgen("compress", "in", "nothing.wav", "-o", "out", "--model", model.path, "--json")
    assert result.returncode == 3
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.get("output") for line in lines] == [None, "out/a.sgc", None]
    errors = [line["error"] for line in lines if "error" in line]
    assert [error["message"].split(":")[0] for error in errors] == ["nothing.wav", "in/b.wav"]
    assert {error["exit_code"] for error in errors} == {3}
    assert sorted(os.listdir(tmp_path / "out")) == ["a.sgc"]


def test_damage_is_named_and_can_be_survived(
    soundgen: RunSoundgen, model: ModelFolder, tone: Path, tmp_path: Path
) -> None:
    wave = np.resize(soundfile.read(tone)[0][:, 0], 48_000 * 4)
    soundfile.write(tmp_path / "b.wav", wave, 48_000)
    assert soundgen("compress", "b.wav", "--model", model.path).returncode == 0
    data = bytearray((tmp_path / "b.sgc").read_bytes())
    data[200] ^= 255
    (tmp_path / "b.sgc").write_bytes(data)
    result = soundgen("decompress", "b.sgc", "-o", "c.wav", "--model", model.path)
    assert result.returncode == 3
    assert result.stderr.splitlines()[0] == "error: b.sgc: damaged: 0.00-1.50 s lost"
    assert not (tmp_path / "c.wav").exists()
    result = soundgen("decompress", "b.sgc", "-o", "c.wav", "--model", model.path, "--recover")
    assert result.returncode == 0
    assert "b.sgc: damaged, and recovered: 0.00-1.50 s lost" in result.stderr
    samples, _ = soundfile.read(tmp_path / "c.wav")
    assert len(samples) == 64_000
    assert not samples[:24_000].any()
    assert samples[24_000:].any()
    assert soundgen("info", "b.sgc").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("compress", "none.wav"), 3, "none.wav: no such file"),
        (("compress", ""), 3, "the name of the file is empty"),
        (("compress", "a.wav", "-o", "b.wav"), 2, "b.wav: the output must end in .sgc"),
        (("compress", "a.wav", "-o", "no/b.sgc"), 5, "no/b.sgc: the folder no does not exist"),
        (("compress", "a.wav", "./a.wav"), 2, "a.sgc: would be written for both a.wav and a.wav"),
        (("compress", "-", "a.wav"), 2, "- (standard input) must be the only input"),
        (("compress", "a.wav", "-o", "-", "--json"), 2, "--json and the result cannot both go"),
        (("compress", "a.wav", "--model", "none"), 4, "none: no such model"),
        (("decompress", "a.wav", "-o", "b.wav"), 3, "a.wav: not a .sgc file"),
        (("decompress", "."), 3, ".: holds no .sgc files"),
        (("decompress", "newer.sgc"), 3, "newer.sgc: .sgc format version 9, newer than the 1"),
    ],
)
def test_mistakes_are_one_line(
    soundgen: RunSoundgen,
    tmp_path: Path,
    arguments: tuple[str, ...],
    exit_code: int,
    message: str,
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16_000)
    folder = tmp_path
    if arguments[1] == ".":
        folder = tmp_path / "empty"
        folder.mkdir()
    if arguments[1] == "newer.sgc":
        (tmp_path / "newer.sgc").write_bytes(b"SGC\x09")
    before = sorted(os.listdir(folder))
    result = soundgen(*arguments, cwd=folder)
    assert result.returncode == exit_code
    if "--json" in arguments:
        assert json.loads(result.stdout)["error"]["message"].startswith(message)
    else:
        first, *hints = result.stderr.splitlines()
        assert first.startswith(f"error: {message}")
        assert all(line.startswith("hint: ") for line in hints)
    assert sorted(os.listdir(folder)) == before
