"""The README's five commands, from a folder of sounds to a sound, with the tiny recipes."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.fixtures_audio import make_sounds

TRAIN_CODEC = ["train", "codec", "--recipe", "tiny", "--data", "data", "--out"]


def run(command: str, cwd: Path, expected: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == expected, result.stderr
    return result


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all five commands have been run."""
    folder = tmp_path_factory.mktemp("path")
    make_sounds(folder / "my-sounds")
    for command in (
        "soundgen dataset prepare my-sounds data",
        "soundgen train codec --recipe tiny --data data --out runs/codec",
        "soundgen dataset tokenize data cache --model runs/codec",
        "soundgen train lm --recipe tiny --data cache --codec runs/codec --out runs/lm",
        "soundgen generate tone --model runs/lm -d 0.5 --seed 1",
    ):
        result = run(command, folder)
        assert Path(folder, result.stdout.strip()).exists()
    return folder


def test_the_sound_is_there(path: Path) -> None:
    samples, sample_rate = soundfile.read(path / "tone.wav", dtype="float32")
    assert (sample_rate, samples.shape) == (16_000, (8000,))
    assert np.isfinite(samples).all()
    assert 1e-3 < np.abs(samples).max() < 1.0


def test_training_learned_something(path: Path) -> None:
    for name, loss in (("codec", "l_s"), ("lm", "loss")):
        lines = (path / "runs" / name / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        trained = [row for row in rows if row["kind"] == "train"]
        assert [row["step"] for row in trained] == list(range(10, 130, 10))
        losses = [row[loss] for row in trained]
        assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3]), losses


def test_both_runs_are_whole_models(path: Path) -> None:
    report = json.loads(run("soundgen models info runs/lm --json", path).stdout)
    codec = json.loads(run("soundgen info runs/codec --json", path).stdout)
    assert set(report["parts"]) == {"codec", "entropy", "lm"}
    assert set(codec["parts"]) == {"codec", "entropy"}
    assert report["codec_digest"] == codec["codec_digest"] != report["model_digest"]


def test_the_codec_compresses(path: Path) -> None:
    run("soundgen compress tone.wav -o small.sgc --model runs/codec", path)
    run("soundgen decompress small.sgc -o again.wav --model runs/codec", path)
    info = json.loads(run("soundgen info small.sgc --json", path).stdout)
    assert info["kind"] == "sgc"
    assert info["complete"]
    assert (path / "small.sgc").stat().st_size < (path / "tone.wav").stat().st_size / 10
    assert soundfile.info(path / "again.wav").frames == 8000


def test_a_run_is_not_overwritten(path: Path) -> None:
    before = (path / "runs/codec/config.json").read_bytes()
    result = run("soundgen train codec --recipe tiny --data data --out runs/codec", path, 5)
    assert "--resume" in result.stderr
    assert (path / "runs/codec/config.json").read_bytes() == before


def test_what_does_not_fit_is_refused(path: Path) -> None:
    train_lm = "soundgen train lm --recipe tiny --data cache --out new --codec"
    assert "no such model" in run(f"{train_lm} runs/nothing", path, 4).stderr
    assert "has no lm" in run("soundgen generate noise --model runs/codec", path, 4).stderr
    result = run(
        "soundgen train lm --recipe tiny --data data --out new --codec runs/codec", path, 4
    )
    assert result.stderr.startswith("error: data")
    assert not (path / "new").exists()


def test_dry_run_writes_nothing(path: Path) -> None:
    train = "soundgen train codec --recipe tiny --data data --out dry --dry-run"
    result = run(train, path)
    assert not result.stdout
    *plan, last = result.stderr.splitlines()
    assert last == "dry run: everything fits; nothing was trained"
    assert [line.split(":")[0] for line in plan] == [
        "train", "valid", "parameters", "a batch", "a step", "memory"
    ]  # fmt: skip
    assert not (path / "dry").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_stopped_training_saves_and_says_how_to_go_on(
    path: Path, number: signal.Signals, code: int
) -> None:
    out = path / f"stopped-{code}"
    sets = ("--set", "training.steps=100000", "--set", "entropy.seconds=0")
    words = [*TRAIN_CODEC, out.name, *sets]
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *words],
        cwd=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (out / "metrics.jsonl").exists():
        time.sleep(0.1)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stderr
    assert stdout == ""
    last = stderr.splitlines()[-1]
    assert last.startswith("stopped; go on with: soundgen train codec ")
    again = last.removeprefix("stopped; go on with: ")
    assert shlex.split(again) == ["soundgen", *words, "--resume"]
    step = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    report = json.loads(run(f"{again} --max-time 0.1s --json", path).stdout)
    assert report["step"] >= step
    assert (out / "config.json").exists()
