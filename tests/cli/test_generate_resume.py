"""A batch that was stopped, in whatever way, goes on by the same command."""

from __future__ import annotations

import json
import os
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

from tests.conftest import RunSoundgen
from tests.fixtures_model import make_tiny_model

NUM_PROMPTS = 50


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


@pytest.fixture
def batch(model: Path, tmp_path: Path) -> list[str]:
    """A hundred short sounds of a table, which says of some what their seed is."""
    table = tmp_path / "t.jsonl"
    with table.open("w") as stream:
        for number in range(NUM_PROMPTS):
            row = {"prompt": f"click {number}", **({"seed": 7} if number % 10 == 3 else {})}
            stream.write(json.dumps(row) + "\n")
    options = ("-n", "2", "-d", "0.1", "-o", "out/", "--json", "--threads", "1")
    return ["generate", "--prompts", str(table), *options, "--model", str(model)]


def stop_at(count: int, number: signal.Signals, batch: list[str], folder: Path) -> tuple[int, str]:
    """Start the batch, send it a signal once so many files are there; return its end and words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *batch],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and len(sounds(folder / "out")) < count:
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def sounds(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the sounds there by name, each with what changes if it is written again."""
    found = {}
    for path in folder.glob("[!.]*.wav"):
        status = path.stat()
        found[path.name] = (status.st_ino, status.st_mtime_ns)
    return found


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*"))


def test_killed_twice_it_ends_as_an_undisturbed_batch(
    soundgen: RunSoundgen, batch: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, said = stop_at(9, signal.SIGKILL, batch, tmp_path)
    assert first == -signal.SIGKILL
    seed = re.match(r"seed (\d+)\n", said)
    assert seed is not None
    after_one = sounds(out)
    assert 9 <= len(after_one) < 100
    (journal,) = [name for name in hidden(out) if name.startswith(".generate-")]
    # What a write that was cut short leaves behind, of this batch and of somebody else's.
    pid = json.loads((out / journal).read_text().split("\n")[1])["pid"]
    (out / f".soundgen-{pid}-half.wav").write_bytes(b"RIFF")
    (out / ".soundgen-1-other.wav").write_bytes(b"RIFF")

    second, said = stop_at(len(after_one) + 20, signal.SIGKILL, batch, tmp_path)
    assert second == -signal.SIGKILL
    assert f"seed {seed[1]}, as drawn by the run that was stopped" in said
    after_two = sounds(out)
    assert len(after_one) + 20 <= len(after_two) < 100

    done = soundgen(*batch)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    # The manifest of the last run is that of the whole batch.
    assert sorted((row["row"], row["variation"]) for row in rows) == [
        (row, variation) for row in range(1, NUM_PROMPTS + 1) for variation in (1, 2)
    ]
    assert sum(row["skipped"] for row in rows) == len(after_two)
    after_all = sounds(out)
    assert {f"out/{name}" for name in after_all} == {row["output"] for row in rows}
    assert len(after_all) == 100
    assert {name: after_all[name] for name in after_one} == after_one
    assert {name: after_all[name] for name in after_two} == after_two
    assert hidden(out) == [".soundgen-1-other.wav"]

    undisturbed = [word.replace("out/", "whole/") for word in batch]
    assert soundgen(*undisturbed, "--seed", seed[1]).returncode == 0
    assert {path.name for path in (tmp_path / "whole").iterdir()} == set(after_all)
    for name in after_all:
        one, other = (soundfile.read(tmp_path / folder / name)[0] for folder in ("out", "whole"))
        assert len(one) == 1600
        np.testing.assert_array_equal(one, other)

    # A batch that is done is forgotten: the same command makes other sounds.
    soundgen(*batch)
    assert len(sounds(out)) == 190  # those of rows with a seed are there already


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_stopped_it_says_what_to_run(
    soundgen: RunSoundgen, batch: list[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    returned, said = stop_at(9, number, batch, tmp_path)
    assert returned == code
    last = said.splitlines()[-1]
    made = sounds(tmp_path / "out")
    told = re.fullmatch(r"(\d+) of 100 sounds are made; to go on, run this again: (.*)", last)
    assert told is not None and 0 < int(told[1]) <= len(made)
    assert all(soundfile.info(tmp_path / "out" / name).frames == 1600 for name in made)
    assert len(hidden(tmp_path / "out")) == 1
    words = shlex.split(told[2])
    assert words == ["soundgen", *batch]
    done = soundgen(*words[1:])
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(sounds(tmp_path / "out")) == 100
    assert hidden(tmp_path / "out") == []


def test_overwriting_goes_on_too(soundgen: RunSoundgen, batch: list[str], tmp_path: Path) -> None:
    batch = [*batch, "-f", "--seed", "1", "--name", "{row}_{variation}"]
    assert soundgen(*batch).returncode == 0
    old = sounds(tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *batch], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    while process.poll() is None and sounds(tmp_path / "out") == old:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL
    half = sounds(tmp_path / "out")
    done = soundgen(*batch)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    skipped = {Path(row["output"]).name for row in rows if row["skipped"]}
    new = sounds(tmp_path / "out")
    assert 0 < len(skipped) < 100
    assert {name for name in new if new[name] == half[name]} == skipped
    assert all(half[name] != old[name] for name in skipped)


def test_two_processes_do_not_make_the_same_batch(
    soundgen: RunSoundgen, batch: list[str], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *batch, "-q"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()  # one sound is there
    os.kill(process.pid, signal.SIGSTOP)
    try:
        second = soundgen(*batch)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=120)
    assert second.returncode == 5
    error = json.loads(second.stdout)["error"]
    assert error["message"] == "out: another soundgen process is making these very sounds there"
    assert process.returncode == 0
    assert len(sounds(tmp_path / "out")) == 100
