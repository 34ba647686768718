"""Codec training, seconds of audio a second, beside an earlier commit in the same run.

    python benchmarks/codec_training_speed.py --data DATA [--recipe small] [--commit 7f24655]
        [--steps 10] [--repeat 5] [--threads 2] [--json FILE] [--markdown FILE]

The commit named by default is the one that closed the issue on the path from end to end. Its
package is taken out of git into a temporary folder. Each side is a process of its own that loads
the recipe, finds its components, places its codebooks and then takes steps when it is told to;
the two take turns, and while one works the other waits. Batches are made before the clock starts:
in training a thread makes them while a step is computed. The first turn warms up; of the rest the
medians count, and the ratio is that of the turns, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent

# Runs in both trees, so it uses only what both have.
WORKER = """
import sys, time
from dataclasses import replace
from pathlib import Path
import torch
from soundgen.data.manifest import read_manifest
from soundgen.data.segments import SegmentSampler
from soundgen.pipelines import train_codec as trainer
from soundgen.pipelines.recipes import load_recipe

data, name, steps, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
recipe = load_recipe("codec", name)
recipe = replace(recipe, training=replace(recipe.training, component_batches=8, kmeans_batches=2))
size = recipe.training.batch_size
clips = [clip for clip in read_manifest(data) if clip.split == "train"]
sampler = SegmentSampler(data, clips, recipe.segments, sample_rate=recipe.codec.sample_rate,
                         hop_length=recipe.codec.hop_length, seed=0)
run = trainer._new_run(recipe, torch.device("cpu"), None, "")
trainer._start_components(run, sampler)
trainer._start_quantizer(run, sampler)
print("ready", size * recipe.segments.segment_s, flush=True)
for _ in sys.stdin:
    batches = [sampler.batch(run.step + i, size) for i in range(steps)]
    start = time.perf_counter()
    for wav in batches:
        # A step takes the parts of its batch since trainings share it among processes.
        batch = [wav] if hasattr(trainer, "_wavs") else wav
        metrics = trainer._train_step(run, batch, 0.1)
        run.step += 1
    spent = time.perf_counter() - start
    print(spent, metrics["l_s"], flush=True)
"""


class Side:
    """A process that takes training steps.

    Args:
        package: Folder that holds the package `soundgen`.
        options: Of the command line.
    """

    def __init__(self, package: Path, options: argparse.Namespace) -> None:
        values = (options.data.resolve(), options.recipe, options.steps, options.threads)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *map(str, values)],
            cwd=package,
            env={**os.environ, "PYTHONPATH": str(package)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds_a_step = float(self._read()[1])
        self.times: list[float] = []
        self.loss = float("nan")

    def turn(self, *, counts: bool) -> None:
        """Take the steps of a turn."""
        if self._process.stdin is None:
            raise RuntimeError("a process started with a pipe has one")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        spent, loss = map(float, self._read())
        self.loss = loss
        if counts:
            self.times.append(spent)

    def end(self) -> None:
        """Let the process end."""
        self._process.communicate()

    def _read(self) -> list[str]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit("a training ended; see above")
        return line.split()


def main() -> None:
    """Measure, print, write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a prepared dataset")
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--commit", default="7f24655")
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soundgen-") as folder:
        take_out(options.commit, Path(folder))
        before, now = Side(Path(folder), options), Side(REPOSITORY, options)
        for turn in range(options.repeat + 1):
            for side in (before, now):
                side.turn(counts=turn > 0)
        for side in (before, now):
            side.end()
    audio_s = now.seconds_a_step * options.steps
    ratios = [a / b for a, b in zip(before.times, now.times, strict=True)]
    report: dict[str, Any] = {
        "recipe": options.recipe,
        "threads": options.threads,
        "commit": options.commit,
        "before_audio_s_per_s": round(audio_s / statistics.median(before.times), 1),
        "now_audio_s_per_s": round(audio_s / statistics.median(now.times), 1),
        "ratio": round(statistics.median(ratios), 2),
        "lowest_and_highest": [round(min(ratios), 2), round(max(ratios), 2)],
        "mel_loss_before_and_now": [round(before.loss, 4), round(now.loss, 4)],
    }
    table = as_markdown(report)
    print(table)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")


def take_out(commit: str, folder: Path) -> None:
    """Write the package as it was at `commit` into `folder`."""
    command = ["git", "-C", str(REPOSITORY), "archive", commit, "soundgen"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")


def as_markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    low, high = report["lowest_and_highest"]
    losses = report["mel_loss_before_and_now"]
    return "\n".join(
        [
            f"Recipe codec/{report['recipe']}, {report['threads']} threads; seconds of audio a "
            "second.",
            "",
            "| | before | now | ratio (lowest, highest) |",
            "|---|---|---|---|",
            f"| training | {report['before_audio_s_per_s']} | {report['now_audio_s_per_s']} | "
            f"{report['ratio']} x ({low}, {high}) |",
            f"| mel loss of the last step | {losses[0]} | {losses[1]} | |",
        ]
    )


if __name__ == "__main__":
    main()
