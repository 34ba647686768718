"""`kill -9` at random moments: the same command goes on, and ends as if nothing had happened.

Each test is one piece of work that is killed again and again: three times in the default suite,
twenty times with `-m slow`, whose moments are drawn anew each time. What was drawn is printed:

    pytest -n 0 -m slow tests/pipelines/test_kill.py
    SOUNDGEN_KILL_SEED=123 pytest ...    the moments of an earlier run
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import files_below
from tests.fixtures_audio import make_sounds
from tests.fixtures_train import assert_same_weights, command

LONGEST_DELAY_S = 0.5
PROGRAM = (sys.executable, "-m", "soundgen")


@dataclass
class Killer:
    """Kills work at random moments and keeps a log."""

    num_kills: int
    seed: int
    log: list[str] = field(default_factory=list)
    num_killed: int = 0
    longest_delay_s: float = LONGEST_DELAY_S

    def run(
        self, next_command: Callable[[], list[str]], progress: Callable[[], int], units: int
    ) -> None:
        """Run work to its end, killing it on the way.

        Args:
            next_command: What to run now.
            progress: How many units of the work are done, by what lies on the disk.
            units: How many there are; the last kills fall in what comes behind them.
        """
        rng = random.Random(self.seed)
        moments = sorted(
            (rng.randrange(units + 1 + units // 10), rng.random() ** 3 * self.longest_delay_s)
            for _ in range(self.num_kills)
        )
        for at, delay_s in moments:
            ended = self._kill(next_command(), progress, min(at, units), delay_s)
            if ended:
                break
        done = subprocess.run(next_command(), capture_output=True, text=True)
        if done.returncode == 5 and self.num_killed < self.num_kills:
            return  # it had ended before the kill, and is not begun a second time
        assert done.returncode == 0, done.stderr

    def _kill(
        self, arguments: list[str], progress: Callable[[], int], at: int, delay_s: float
    ) -> bool:
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 240
        while progress() < at and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=240)
        killed = process.returncode == -signal.SIGKILL
        assert killed or process.returncode == 0, said
        self.num_killed += killed
        what = "killed" if killed else "had ended"
        self.log.append(f"{what} at {progress()} (drawn: {at} and {1000 * delay_s:.0f} ms)")
        return not killed


@pytest.fixture(params=[3, pytest.param(20, marks=pytest.mark.slow)], ids="{} times".format)
def killer(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[Killer]:
    """A killer of three moments that are always the same, or of twenty that never are."""
    drawn = os.environ.get("SOUNDGEN_KILL_SEED") or (
        secrets.randbelow(10**6) if request.param > 3 else 5
    )
    killer = Killer(request.param, int(drawn))
    yield killer
    if request.param > 3:
        with capfd.disabled():
            head = f"\n{request.node.name}: {killer.num_killed} kills, seed {drawn}"
            sys.stdout.write("\n  ".join([head, *killer.log]) + "\n")


def lines_of(*paths: Path) -> int:
    """Count the lines of files that may not be there yet."""
    return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())


def test_prepare(killer: Killer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_sounds(source, num_each=6)
    prepare = [*PROGRAM, "dataset", "prepare", str(source)]
    subprocess.run([*prepare, str(tmp_path / "whole")], check=True, capture_output=True)
    data = tmp_path / "killed"

    def progress() -> int:
        return sum(
            path.read_bytes().count(b'"size"') for path in (data / ".prepare").glob("journal-*")
        )

    killer.longest_delay_s = 0.03  # all 24 files take a fraction of a second
    killer.run(lambda: [*prepare, str(data), "-j", "1"], progress, units=24)
    assert killer.num_killed
    assert files_below(data) == files_below(tmp_path / "whole")
    assert not list(data.rglob(".soundgen-*"))


def test_tokenize(
    killer: Killer, dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    tokenize = [*PROGRAM, "dataset", "tokenize", str(dataset), str(cache)]
    tokenize += ["--model", str(tiny_codec), "--variants", "2"]

    def progress() -> int:
        # Whatever grows: the files that are not yet a cache, in units of a fiftieth of its codes.
        names = ("codes.u16", "clips.jsonl", "texts.safetensors", "cache.json", ".lock")
        files = [path for path in cache.rglob("*") if path.is_file() and path.name not in names]
        sizes = [path.stat().st_size for path in files if path.exists()]
        whole = (token_cache / "codes.u16").stat().st_size
        return int(50 * sum(sizes) / whole) if cache.exists() else 0

    killer.run(lambda: tokenize, progress, units=45)
    assert killer.num_killed
    assert files_below(cache) == files_below(token_cache)


def test_train_codec(killer: Killer, dataset: Path, whole_codec: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    train(killer, "codec", out, "--data", dataset)
    assert_same_weights(whole_codec, out, "codec")
    assert_same_weights(whole_codec, out, "entropy")


def test_train_lm(
    killer: Killer, tiny_codec: Path, token_cache: Path, whole_lm: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    train(killer, "lm", out, "--data", token_cache, "--codec", tiny_codec)
    assert_same_weights(whole_lm, out, "lm")


def train(killer: Killer, kind: str, out: Path, *options: str | Path) -> None:
    def next_command() -> list[str]:
        resumed = ["--resume"] if (out / "state.pt").exists() else []
        return [*command(kind, out, *options), *resumed]

    # Eight lines of training and four of measuring; an entropy model is fitted behind them.
    killer.run(next_command, lambda: lines_of(out / "metrics.jsonl"), units=12)
    assert killer.num_killed
