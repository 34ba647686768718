"""Speed of `compress` and `decompress` on one file, the model loaded, beside Opus in the same run.

    python benchmarks/codec_speed.py [--model soundgen-small] [--seconds 60] [--threads 2]
        [--repeat 3] [--sound FILE] [--out speed.json]

Times are those of the pipelines that the commands call: reading, encoding, entropy coding and
writing, and back. A short file goes first, so that loading the model is not counted; of the
repetitions the fastest counts, for us and for Opus. opusenc and opusdec start as processes each
time (some 10 ms), at the bitrate nearest to our file's that they are compared at, 12 kbit/s.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from soundgen.audio.io import read_mono
from soundgen.pipelines.batch import FileFailure
from soundgen.pipelines.compress import compress
from soundgen.pipelines.decompress import decompress
from soundgen.pipelines.model import use_threads

RATE = 16_000
OPUS_KBPS = 12


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="soundgen-small")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sound", type=Path, help="repeated to the length; noise if not given")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    use_threads(options.threads)
    report: dict[str, object] = {"seconds": options.seconds, "threads": options.threads}
    with tempfile.TemporaryDirectory(prefix="soundgen-") as name:
        folder = Path(name)
        write_sounds(folder, options.seconds, options.sound)
        times = {
            "compress": fastest(options.repeat, lambda: time_compress(folder, options.model)),
            "decompress": fastest(options.repeat, lambda: time_decompress(folder, options.model)),
        }
        report["kbps"] = (folder / "a.sgc").stat().st_size * 8 / 1000 / options.seconds
        if shutil.which("opusenc") and shutil.which("opusdec"):
            wav, opus, back = (str(folder / end) for end in ("a.wav", "a.opus", "c.wav"))
            encode = ["opusenc", "--quiet", "--bitrate", str(OPUS_KBPS), "--vbr", "--comp", "10"]
            decode = ["opusdec", "--quiet", "--rate", str(RATE), opus, back]
            times["opusenc"] = fastest(options.repeat, lambda: time_of([*encode, wav, opus]))
            times["opusdec"] = fastest(options.repeat, lambda: time_of(decode))
    for command, spent in times.items():
        report[command] = round(options.seconds / spent, 1)
        print(f"{command:10}  {spent:8.3f} s  {options.seconds / spent:8.1f} x real time")
    for ours, theirs in (("compress", "opusenc"), ("decompress", "opusdec")):
        if theirs in times:
            ratio = times[theirs] / times[ours]
            report[f"{ours} over {theirs}"] = round(ratio, 4)
            print(f"{ours} is {ratio:.3f} x as fast as {theirs}")
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def fastest(repeat: int, measure: Callable[[], float]) -> float:
    """Return the shortest of several times, s: the one that other processes disturbed least."""
    return min(measure() for _ in range(repeat))


def time_compress(folder: Path, model: str) -> float:
    """Return the time that compressing `a.wav` takes, s, once a shorter file has gone through."""
    inputs = [str(folder / name) for name in ("0.wav", "a.wav")]
    results = compress(inputs, model=model, device="cpu", force=True)
    return time_second(results)


def time_decompress(folder: Path, model: str) -> float:
    """Return the time that decompressing `a.sgc` takes, s, once a shorter file has gone through."""
    inputs = [str(folder / name) for name in ("0.sgc", "a.sgc")]
    results = decompress(inputs, output=f"{folder / 'out'}/", model=model, device="cpu", force=True)
    return time_second(results)


def time_second(results: object) -> float:
    """Return how long the second of two results takes to come, s."""
    first = next(results)  # type: ignore[call-overload]
    start = time.perf_counter()
    second = next(results)  # type: ignore[call-overload]
    spent = time.perf_counter() - start
    for result in (first, second):
        if isinstance(result, FileFailure):
            raise result.error
    return spent


def time_of(command: list[str]) -> float:
    """Return how long `command` takes, s."""
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def write_sounds(folder: Path, seconds: float, sound: Path | None) -> None:
    """Write `a.wav` of so many seconds, and `0.wav` to warm up with."""
    if sound is None:
        rng = np.random.default_rng(0)
        samples = 0.1 * rng.standard_normal(RATE).astype(np.float32)
    else:
        samples = read_mono(sound, RATE)[0].samples[0]
    whole = np.resize(samples, round(seconds * RATE))
    soundfile.write(folder / "a.wav", whole, RATE, subtype="PCM_16")
    soundfile.write(folder / "0.wav", np.resize(samples, 12 * RATE), RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
