"""How fast soundgen is, beside its peers and beside what the machine allows: docs/speed.md.

    python benchmarks/speed_table.py --data DATA [--only lm,seanet,shipped,start,many,prepare,
        training] [--threads 2] [--out docs/speed]

Runs the other benchmarks one after another, each of them ours and a peer in turns, and writes
OUT.json and OUT.md. With `--only` the rest of OUT.json stays. On two cores with nothing beside it
it takes eight minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).resolve().parent.parent
SCRIPTS: dict[str, tuple[str, str]] = {
    "lm": ("lm_speed.py --repeat 5", "--out"),
    "seanet": ("codec_peers.py --rows seanet --seconds 10 --repeat 3", "--json"),
    "shipped": ("codec_peers.py --rows shipped --seconds 10 --repeat 3", "--json"),
    "start": ("process_speed.py --rows help,generate --repeat 5", "--out"),
    "many": ("process_speed.py --rows many --repeat 3", "--out"),
    "prepare": ("process_speed.py --rows prepare --minutes 60 --repeat 2", "--out"),
    "training": ("codec_training_speed.py --repeat 3", "--json"),
}
"""What measures each part, and its option for a JSON file."""
NUM_PROCESSES = {"seanet": 5}
"""The peer's large buffers come from the heap in some processes and from the system in others,
which takes it a third longer: the process with the median ratio counts, and the range of all."""
PRECISIONS = ("float32", "bfloat16", "int8")


def main() -> None:
    """Measure, then write both files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="a dataset, for the training of the codec")
    parser.add_argument("--only", default=",".join(SCRIPTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "speed")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(SCRIPTS):
        parser.error(f"--only {','.join(sorted(unknown))}: not one of {', '.join(SCRIPTS)}")
    if "training" in chosen and options.data is None:
        parser.error("the training of the codec needs --data")
    path = options.out.with_suffix(".json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in chosen:
        found[name] = measure(name, options.threads, options.data)
        found[name]["machine"] = machine(options.threads)
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(found), encoding="utf-8")


def measure(name: str, threads: int, data: Path | None) -> dict[str, Any]:
    """Run one of the benchmarks, in as many processes as it needs, and return its report."""
    reports = [_measure_once(name, threads, data) for _ in range(NUM_PROCESSES.get(name, 1))]
    if len(reports) == 1:
        return reports[0]
    reports.sort(key=lambda report: report["rows"][1]["ours_over_it"])
    ranges = [report["rows"][1]["lowest_and_highest"] for report in reports]
    report = reports[len(reports) // 2]
    lows, highs = zip(*ranges, strict=True)
    report["rows"][1]["lowest_and_highest"] = [min(lows), max(highs)]
    report["processes"] = len(reports)
    return report


def _measure_once(name: str, threads: int, data: Path | None) -> dict[str, Any]:
    script, option = SCRIPTS[name]
    with tempfile.TemporaryDirectory(prefix="soundgen-") as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, *f"benchmarks/{script} --threads {threads}".split()]
        if name == "training":
            command += ["--data", str(data)]
        print(*command[1:], flush=True)
        subprocess.run([*command, option, str(out)], cwd=REPOSITORY, check=True)
        report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report


def machine(threads: int) -> str:
    """Return what was measured on, in words."""
    name = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if "model name" in line), name)
    return f"{name}, {threads} threads, PyTorch {torch.__version__}"


def page(found: Mapping[str, Any]) -> str:
    """Return the page that says what was found."""
    rows = [row for name in SCRIPTS if name in found for row in TABLES[name](found[name])]
    machines = dict.fromkeys(found[name]["machine"] for name in SCRIPTS if name in found)
    lines = [
        "# Speed",
        "",
        "Each figure is from a run in which ours and the peer took turns on one machine with "
        "nothing beside it; ratios are medians, with the lowest and the highest. Models of peers "
        "have random weights of the sizes that are stated. The page is made by "
        "`benchmarks/speed_table.py`; how cost grows is in [cost-growth.md](cost-growth.md).",
        "",
        f"Machine: {'; '.join(machines)}.",
        "",
        "| what | ours | beside it | ratio or share |",
        "|---|---|---|---|",
        *rows,
        "",
        "Commands, in the order of the table:",
        "",
        *(f"- `python benchmarks/{SCRIPTS[name][0]}`" for name in SCRIPTS if name in found),
    ]
    return "\n".join(lines) + "\n"


def lm_rows(report: Mapping[str, Any]) -> list[str]:
    """Return the rows on the language model."""
    rows = []
    peer = report["MusicGen, batch 1, steps/s"]
    bandwidth = report["memory bandwidth, GB/s"]
    dim, layers = report["dims"]
    for precision in PRECISIONS:
        low, high = report[f"{precision}: lowest and highest"]
        rows.append(
            f"| steps of a language model of {layers} x {dim}, one prompt with guidance, "
            f"{precision} | {report[f'soundgen {precision}, batch 1, steps/s']}/s "
            f"| `transformers` MusicGen, float32: {peer}/s "
            f"| {report[f'{precision}: ratio to MusicGen']} x ({low} to {high}) |"
        )
    for precision in PRECISIONS:
        share = report[f"{precision}: batch 1, share of the bandwidth limit"]
        rows.append(
            f"| the same, of the limit that reading the weights sets, {precision} "
            f"| {report[f'{precision}: weights read a step, MB']} MB a step "
            f"| {bandwidth} GB/s are read at best | {share:.0%} |"
        )
    for precision in PRECISIONS:
        own = "float32" if precision == "float32" else "bfloat16"
        share = report[f"{precision}: batch 16, share of the rate of torch.{own} products"]
        rate = report[f"torch.{own} matrix products, GFLOP/s"]
        rows.append(
            f"| steps of 16 prompts with guidance, {precision} "
            f"| {report[f'soundgen {precision}, batch 16, steps/s']}/s "
            f"| large products in {own}: {rate} GFLOP/s | {share:.0%} |"
        )
    return rows


def codec_rows(report: Mapping[str, Any]) -> list[str]:
    """Return the rows on one codec and its peers."""
    ours, *others = report["rows"]
    return [
        f"| {ours['codec']}, encode and decode | {ours['round_trip']} s of sound a second "
        f"| {other['codec']}: {other['round_trip']} | {other['ours_over_it']} x "
        f"({other['lowest_and_highest'][0]} to {other['lowest_and_highest'][1]}) |"
        for other in others
    ]


def process_rows(report: Mapping[str, Any]) -> list[str]:
    """Return the rows on whole commands."""
    names = {
        "help": ("`soundgen --help`", "an empty Python"),
        "generate": ("`soundgen generate rain -d 5`", "a script with MusicGen of the same sizes"),
        "many": ("32 prompts of 5 s from a file", ""),
        "prepare": ("`dataset prepare`, an hour of stereo in 200 files", "ffmpeg, file by file"),
    }
    rows = []
    for key, (what, peer) in names.items():
        if key not in report:
            continue
        row = report[key]
        ours, theirs, ratio = f"{row['ours, s']} s", "", ""
        if "theirs, s" in row:
            theirs = f"{peer}: {row['theirs, s']} s"
            low, high = row["ratio, lowest and highest"]
            # Nothing can be as fast as a Python that does nothing.
            ratio = "" if key == "help" else f"{row['ratio']} x ({low} to {high})"
        if "seconds of sound a second" in row:
            ratio = f"{row['seconds of sound a second']} x real time"
        rows.append(f"| {what} | {ours} | {theirs} | {ratio} |")
    return rows


def training_rows(report: Mapping[str, Any]) -> list[str]:
    """Return the row on the training of the codec."""
    low, high = report["lowest_and_highest"]
    return [
        f"| training of the codec (`{report['recipe']}`) "
        f"| {report['now_audio_s_per_s']} s of sound a second "
        f"| commit {report['commit']}: {report['before_audio_s_per_s']} "
        f"| {report['ratio']} x ({low} to {high}) |"
    ]


TABLES = {
    "lm": lm_rows,
    "seanet": codec_rows,
    "shipped": codec_rows,
    "start": process_rows,
    "many": process_rows,
    "prepare": process_rows,
    "training": training_rows,
}


if __name__ == "__main__":
    main()
