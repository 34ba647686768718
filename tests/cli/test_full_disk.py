"""A full disk: one clear line, exit code 5, the last good state; with room again it goes on.

Twice: with a limit on the size of files (RLIMIT_FSIZE), which works everywhere, and marked slow
on a file system in memory of a few hundred kilobytes, which only root may mount.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import torch

from soundgen.checkpoint import open_model_folder
from tests.conftest import files_below, said
from tests.fixtures_audio import make_dataset, make_sounds
from tests.fixtures_model import make_tiny_model
from tests.fixtures_train import assert_same_weights

REASONS = {"limit": "File too large", "tmpfs": "No space left on device"}


class Disk(Protocol):
    """Where there is little room, until some is made."""

    path: Path
    kind: str

    def shrink(self, size: int, process: subprocess.Popen[str] | None = None) -> None:
        """Leave about `size` bytes: to files, or of a process that runs, to what it writes now."""

    def make_room(self) -> None:
        """Leave enough."""

    def limit(self) -> None:
        """Put a process that is being started under the limit."""


class LimitedFiles:
    """No file may be longer than so many bytes."""

    kind = "limit"

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path, self._size = path, resource.RLIM_INFINITY

    def shrink(self, size: int, process: subprocess.Popen[str] | None = None) -> None:
        self._size = size
        if process is not None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        self._size = resource.RLIM_INFINITY

    def limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, resource.RLIM_INFINITY))


class SmallDisk:
    """A file system in memory."""

    kind = "tmpfs"

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(path)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems may not be mounted here")

    def shrink(self, size: int, process: subprocess.Popen[str] | None = None) -> None:
        used = sum(path.stat().st_blocks * 512 for path in self.path.rglob("*") if path.is_file())
        self._remount(used + size)

    def make_room(self) -> None:
        self._remount(64 << 20)

    def limit(self) -> None:
        pass

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def _remount(self, size: int) -> None:
        options = f"remount,size={size}"
        subprocess.run(["mount", "-o", options, str(self.path)], check=True, capture_output=True)


@pytest.fixture(params=["limit", pytest.param("tmpfs", marks=pytest.mark.slow)])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "limit":
        yield LimitedFiles(tmp_path / "disk")
        return
    small = SmallDisk(tmp_path / "disk")
    try:
        yield small
    finally:
        small.unmount()


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sounds, a dataset and a model, on a disk with room."""
    stock = tmp_path_factory.mktemp("stock")
    make_sounds(stock / "sounds", num_each=2)
    make_dataset(stock / "data", per_kind=1)
    make_tiny_model(stock / "model")
    (stock / "prompts.txt").write_text("rain\nwind\nthunder\n")
    return stock


def run(disk: Disk, stock: Path, arguments: str, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "soundgen", *arguments.replace("OUT", str(out)).split()],
        cwd=stock,
        preexec_fn=disk.limit,
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_line(disk: Disk, done: subprocess.CompletedProcess[str]) -> None:
    """Check what a command that found no room says."""
    assert done.returncode == 5, done.stderr
    *before, error, hint = said(done.stderr)
    assert error.startswith("error: ") and f"({REASONS[disk.kind]})" in error
    assert hint.startswith("hint: make room")
    # Sounds that were made before are told of, and no other failure.
    assert "Traceback" not in done.stderr
    assert not any(line.startswith(("error: ", "hint: ")) for line in before)


# Room for some of what is written: the name -> command, bytes.
WORK = {
    "prepare": ("dataset prepare sounds OUT --jobs 1", 14_000),
    "synth": ("dataset synth OUT --hours 0.003 --seed 3 --kinds laser,coin,rain --jobs 1", 20_000),
    "tokenize": ("dataset tokenize data OUT --model model", 40_000),
    "generate": ("generate --prompts prompts.txt -d 1 --seed 1 --name {prompt} -o OUT/", 20_000),
}
# The processes that convert write no more than a clip at a time, and the disk holds all of them.
ON_DISK = {"prepare": 60_000, "synth": 0, "tokenize": 100_000, "generate": 60_000}


@pytest.mark.parametrize(
    "what",
    [
        "prepare",
        "tokenize",
        *(pytest.param(w, marks=pytest.mark.slow) for w in ("synth", "generate")),
    ],
)
def test_work_goes_on_where_there_was_no_room(disk: Disk, stock: Path, what: str) -> None:
    command, size = WORK[what]
    if what == "generate":
        command += " --model model"
    if disk.kind == "tmpfs":
        size = ON_DISK[what]
    if not size:
        pytest.skip("it looks for room before it starts")
    out = disk.path / "out"
    disk.shrink(size)
    first = run(disk, stock, command, out)
    assert_one_line(disk, first)
    assert not (out / "manifest.jsonl").exists() and not (out / "cache.json").exists()
    disk.make_room()
    again = run(disk, stock, command, out)
    assert again.returncode == 0, again.stderr
    assert not list(out.rglob(".soundgen-*"))
    whole = stock / f"whole-{what}"
    if not whole.exists():
        assert run(disk, stock, command, whole).returncode == 0
    assert files_below(out) == files_below(whole)


STEPS = 60
TRAIN = (
    f"train lm -q --recipe tiny --data whole-tokenize --codec model --out OUT --device cpu --set "
    f"training.steps={STEPS} --set training.checkpoint_every=10 --set training.log_every=5"
)


def test_a_checkpoint_without_room_leaves_the_last_one(disk: Disk, stock: Path) -> None:
    if not (stock / "whole-run").exists():
        tokenize_if_missing(disk, stock)
        assert run(disk, stock, TRAIN, stock / "whole-run").returncode == 0
    out = disk.path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *TRAIN.replace("OUT", str(out)).split()],
        cwd=stock, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: (out / "config.json").exists(), process)
    process.send_signal(signal.SIGSTOP)
    disk.shrink(1000, process)
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=300)
    assert_one_line(disk, subprocess.CompletedProcess([], process.returncode, "", stderr))
    assert "--resume" in stderr
    step = torch.load(out / "state.pt", weights_only=True)["step"]
    assert 0 < step < STEPS and step % 10 == 0
    open_model_folder(out).verify()
    disk.make_room()
    again = run(disk, stock, f"{TRAIN} --resume", out)
    assert again.returncode == 0, again.stderr
    assert_same_weights(out, stock / "whole-run", "lm")


@pytest.mark.slow
def test_too_little_room_is_said_before_a_training_starts(stock: Path, tmp_path: Path) -> None:
    """On a file system in memory only: a limit on files is not seen beforehand."""
    small = SmallDisk(tmp_path / "disk")
    try:
        small.shrink(100_000)
        out = small.path / "run"
        tokenize_if_missing(small, stock)
        done = run(small, stock, TRAIN, out)
    finally:
        small.unmount()
    assert done.returncode == 5, done.stderr
    (error, _) = said(done.stderr)
    assert error.startswith(f"error: {out}: needs ") and error.endswith(" MB are free")


def tokenize_if_missing(disk: Disk, stock: Path) -> None:
    if not (stock / "whole-tokenize").exists():
        done = run(disk, stock, WORK["tokenize"][0], stock / "whole-tokenize")
        assert done.returncode == 0, done.stderr


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
