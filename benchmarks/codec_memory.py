"""Peak memory of `soundgen compress` and `decompress` on a long file, each in its own process.

    python benchmarks/codec_memory.py [--model soundgen-small] [--minutes 60] [--out memory.json]

A 16 kHz mono file and a 44.1 kHz stereo one, of falling partials and noise. The figure is the
largest resident set that the kernel counted for the process, PyTorch and model included; a process
that only imports PyTorch stands first, since that is most of it. (With a CUDA build that is some
600 MiB, about 120 of them pages of its libraries that are mapped only as the process ends.) With
`--minutes 2,6` the two lengths stand beside each other: what grows with length shows at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

KINDS = {"16 kHz mono": (16_000, 1), "44.1 kHz stereo": (44_100, 2)}
BLOCK_S = 10


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="soundgen-small")
    parser.add_argument("--minutes", default="60", help="lengths, such as 2,6")
    parser.add_argument("--folder", type=Path, help="for the files, 1 GB an hour")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    mib, _ = run([sys.executable, "-c", "import torch"])
    print(f"import torch alone                    {mib:7.1f} MiB")
    rows: list[dict[str, object]] = [{"command": "import torch", "peak_mib": round(mib, 1)}]
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="soundgen-") as name:
        for minutes in map(float, options.minutes.split(",")):
            for kind, (sample_rate, channels) in KINDS.items():
                rows += measure(Path(name), kind, minutes, sample_rate, channels, options.model)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(
    folder: Path, kind: str, minutes: float, sample_rate: int, channels: int, model: str
) -> list[dict[str, object]]:
    """Return a row for each way, printed as it is known."""
    wav, sgc, back = (folder / name for name in ("a.wav", "a.sgc", "b.wav"))
    write_sound(wav, minutes, sample_rate, channels)
    rows: list[dict[str, object]] = []
    for command, source, output in (("compress", wav, sgc), ("decompress", sgc, back)):
        arguments = [command, str(source), "-o", str(output), "--model", model, "-q", "-f"]
        mib, seconds = run([sys.executable, "-m", "soundgen", *arguments])
        row = {"command": command, "input": kind, "minutes": minutes}
        row |= {"peak_mib": round(mib, 1), "seconds": round(seconds, 1)}
        print(f"{command:10}  {kind:16}  {minutes:5g} min  {mib:7.1f} MiB  {seconds:7.1f} s")
        rows.append(row)
    for path in (wav, sgc, back):
        path.unlink()
    return rows


def run(command: list[str]) -> tuple[float, float]:
    """Run `command`; return its peak resident memory, MiB, and how long it took, s."""
    start = time.monotonic()
    # Its results, the paths, are of no interest here.
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB on Linux
    return usage.ru_maxrss * unit / (1 << 20), time.monotonic() - start


def write_sound(path: Path, minutes: float, sample_rate: int, channels: int) -> None:
    """Write partials that fall again and again, in noise, block by block."""
    rng = np.random.default_rng(0)
    time_s = np.arange(BLOCK_S * sample_rate) / sample_rate
    wave = sum(0.1 * np.sin(2 * np.pi * f * time_s * (1 - 0.03 * time_s)) for f in (220, 660, 2500))
    left = round(minutes * 60 * sample_rate)
    with soundfile.SoundFile(path, "w", sample_rate, channels, subtype="PCM_16") as file:
        while left:
            frames = min(left, len(time_s))
            noise = 0.05 * rng.standard_normal((frames, channels))
            file.write(wave[:frames, None] + noise)
            left -= frames


if __name__ == "__main__":
    main()
