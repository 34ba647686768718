"""A manifest of a million clips: how long until a training takes its first step, in what memory.

    python benchmarks/big_manifest.py [--clips 1000000] [--folder DIR] [--out big.json]

Three rows, each a process of its own: the manifest read and checked; `soundgen train codec` up to
its first step; `soundgen train lm` on a token cache of as many clips, up to its first step. Peak
memory is the largest resident set that the kernel counted for the process, PyTorch included; a
process that only imports PyTorch stands first. Beside the seconds stand those that the processors
spent on it: on a machine that others use too, the latter tell. The lines are as `dataset prepare`
writes them, some 500 bytes each; their files are links to twenty sounds, since paths must differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from soundgen.data.manifest import Clip, Split, pcm16_digest, write_manifest

RATE = 16_000
NUM_SOUNDS, LINKS_A_FOLDER = 20, 1000
CATEGORIES = ("rain", "wind", "footsteps", "bell", "engine", "door", "bird", "alarm")
READ = "import sys; from pathlib import Path; from soundgen.data.manifest import read_manifest; "
READ += "print(len(read_manifest(Path(sys.argv[1]))))"


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="for the files, 1 GB a million clips")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="soundgen-") as name:
        rows = measure(Path(name), options.clips)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, num_clips: int) -> list[dict[str, object]]:
    """Return a row for each process, printed as it is known."""
    data, cache, codec = folder / "data", folder / "cache", folder / "codec"
    write_dataset(data, num_clips)
    size = (data / "manifest.jsonl").stat().st_size
    print(f"{num_clips:,} clips, {size / 1e6:,.0f} MB of manifest", flush=True)
    train = [sys.executable, "-m", "soundgen", "train"]
    tiny = ["--recipe", "tiny", "--device", "cpu", "--set", "training.log_every=1"]
    small = write_dataset(folder / "small", 200)
    short = ["--set", "training.steps=2", "--set", "entropy.seconds=0"]
    codec_run = [*train, "codec", *tiny, *short, "--data", str(small), "--out", str(codec)]
    subprocess.run(codec_run, check=True, capture_output=True)
    write_cache(cache, codec, num_clips)
    rows = []
    for what, command, out in (
        ("import torch", [sys.executable, "-c", "import torch"], None),
        ("read the manifest", [sys.executable, "-c", READ, str(data)], None),
        ("train codec", [*train, "codec", *tiny, "--data", str(data)], folder / "run-codec"),
        ("train lm", [*train, "lm", *tiny, "--data", str(cache), "--codec", str(codec)],
         folder / "run-lm"),
    ):  # fmt: skip
        seconds, cpu_s, mib = run(command, out)
        rows.append(
            {
                "what": what,
                "seconds": round(seconds, 1),
                "cpu_s": round(cpu_s, 1),
                "peak_mib": round(mib, 1),
            }
        )
        until = "first step" if out else "end"
        print(
            f"{what:20}  {seconds:6.1f} s to its {until:10} ({cpu_s:5.1f} s of processor)  "
            f"{mib:7.1f} MiB",
            flush=True,
        )
    return rows


def run(command: list[str], out: Path | None) -> tuple[float, float, float]:
    """Run a command to its end, or a training to its first step; seconds, its own, peak MiB."""
    if out is not None:
        command = [*command, "--out", str(out)]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while out is not None and not _has_stepped(out):
            if process.poll() is not None:
                raise SystemExit(f"{command[-1]}: ended before its first step")
            time.sleep(0.05)
        seconds = time.monotonic() - began
        if out is not None:
            process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if out is None:
        seconds = time.monotonic() - began
        if process.returncode:
            raise SystemExit(f"{command}: ended with {process.returncode}")
    else:
        shutil.rmtree(out)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _has_stepped(out: Path) -> bool:
    metrics = out / "metrics.jsonl"
    return metrics.exists() and metrics.stat().st_size > 0


def write_dataset(folder: Path, num_clips: int) -> Path:
    """Write a dataset of many clips and few sounds."""
    sounds = folder / "sounds"
    sounds.mkdir(parents=True)
    rng = np.random.default_rng(0)
    digests = []
    for number in range(LINKS_A_FOLDER):
        path = sounds / f"{number:03d}.flac"
        if number < NUM_SOUNDS:
            noise = 0.1 * rng.standard_normal(2 * RATE).astype(np.float32)
            soundfile.write(path, noise, RATE, subtype="PCM_16")
            digests.append(pcm16_digest(soundfile.read(path, dtype="float32")[0]))
        else:
            os.link(sounds / f"{number % NUM_SOUNDS:03d}.flac", path)
    (folder / "audio").mkdir()
    for number in range(-(-num_clips // LINKS_A_FOLDER)):
        (folder / f"audio/recordings-{number:06d}").symlink_to("../sounds")
    write_manifest(folder / "manifest.jsonl", (_clip(i, digests) for i in range(num_clips)))
    return folder


def _clip(index: int, digests: list[str]) -> Clip:
    category = CATEGORIES[index % len(CATEGORIES)]
    name = f"recordings-{index // LINKS_A_FOLDER:06d}/{index % LINKS_A_FOLDER:03d}.flac"
    splits: tuple[Split, ...] = ("valid", "test", *("train",) * 38)
    return Clip(
        path=f"audio/{name}",
        captions=(f"{category} in take {index}, near", f"a field recording of {category}"),
        tags=(category, "field", "outdoors"),
        category=category,
        duration=2.0,
        split=splits[index % len(splits)],
        license="CC0-1.0",
        source="https://example.org/sounds",
        source_path=name,
        origin="a large collection",
        author=f"recordist {index % 977}",
        recording=f"recording {index}",
        sha1_pcm16=digests[index % LINKS_A_FOLDER % NUM_SOUNDS],
    )


def write_cache(cache: Path, codec: Path, num_clips: int) -> None:
    """Write a token cache of many clips: four frames each, all with the texts of the first."""
    small = cache.with_name("small-cache")
    subprocess.run(
        [*(sys.executable, "-m", "soundgen", "dataset", "tokenize"),
         *(str(codec.with_name("small")), str(small), "--model", str(codec))],
        check=True, capture_output=True,
    )  # fmt: skip
    shutil.copytree(small, cache)
    n_q = json.loads((cache / "cache.json").read_text(encoding="utf-8"))["n_q"]
    np.zeros((4 * num_clips, n_q), "<u2").tofile(cache / "codes.u16")
    with (cache / "clips.jsonl").open("w", encoding="utf-8") as stream:
        for index in range(num_clips):
            row = {
                "first_frame": 4 * index,
                "num_frames": 4,
                "duration_s": 0.08,
                "category": CATEGORIES[index % len(CATEGORIES)],
                "split": "valid" if index % 40 == 0 else "train",
                "text_rows": [0, 1, 2],
            }
            stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
