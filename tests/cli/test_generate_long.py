"""Long work is announced; where memory does not suffice, batches get smaller."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RunSoundgen
from tests.fixtures_model import TINY_LM, make_tiny_model

# One sound without a limit; then eight, with hardly more memory than the one had. Last, one for
# which there is none, asked of the library: the program would not even load the model.
PROGRAM = """
import gc, re, resource, sys
from soundgen.cli import main

def generate(*arguments):
    sys.argv = ["soundgen", "generate", "hum", "-d", "0.1", "--seed", "1", "--threads", "1",
                "--device", "cpu", "--model", model, *arguments]
    try:
        main()
    except SystemExit as end:
        print("exit", end.code, flush=True)

def limit(size, room):
    gc.collect()
    with open("/proc/self/status") as file:
        found = re.search(size + r":\\s+(\\d+) kB", file.read())
    bound = 1024 * int(found[1]) + room
    resource.setrlimit(resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))

model = sys.argv[1]
generate("-o", "alone.wav")
limit("VmPeak", 120_000_000)
generate("-n", "8", "-o", "out/")

resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
from pathlib import Path
from soundgen.pipelines.draw_sounds import SoundDrawer
from soundgen.pipelines.model import load_model
from soundgen.pipelines.sound_request import GenerateSettings, SoundRequest
from soundgen.progress import SilentProgress

loaded = load_model(model, device="cpu")
limit("VmSize", 1_000_000)
settings = GenerateSettings(duration_s=0.1)
request = SoundRequest(prompt="hum", seed=1, output=Path("none.wav"), settings=settings)
(failure,) = SoundDrawer(loaded, [request], SilentProgress()).draw([request])
print(type(failure).__name__, failure)
"""


def test_long_work_is_announced(soundgen: RunSoundgen, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny").path
    options = ("-n", "8", "--seed", "1", "--model", model, "--device", "cpu", "-o", "out/")
    # A minute of sound; shorter work says no more than test_generate.py allows.
    done = soundgen("generate", "hum", "-d", "7.5", *options)
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"^60 s of sound will take about \d+ (?:s|min|h \d+ min) here, and about (\d\.\d) GB of "
        r"memory$",
        done.stderr,
        re.MULTILINE,
    )
    assert len(found) == 1 and 0.1 <= float(found[0]) <= 5


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS as Linux has it")
def test_too_little_memory_means_a_smaller_batch(tmp_path: Path) -> None:
    # A window of 100,000 steps: 6 MB each for the keys and the values of a row, 13 MB for the times
    # of a sound. How many rows there are depends on the processor; the times do not.
    wide = replace(TINY_LM, context_s=2000.0)
    model = make_tiny_model(tmp_path / "wide", lm=wide).path
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "alone.wav" and lines[1] == "exit 0"
    assert lines[2:10] == [f"out/hum_{seed}.wav" for seed in range(1, 9)]
    alone_too_large = "DeviceError 'hum': not enough memory for this sound alone"
    assert lines[10:] == ["exit 0", alone_too_large]
    said = re.findall(r"^not enough memory for (\d) sounds at once; going on with (\d)$",
                      done.stderr, re.MULTILINE)  # fmt: skip
    assert said in ([("8", "4")], [("8", "4"), ("4", "2")], [("8", "4"), ("4", "2"), ("2", "1")])
    alone, among = (soundfile.read(tmp_path / name)[0] for name in ("alone.wav", "out/hum_1.wav"))
    np.testing.assert_array_equal(alone, among)
