"""How time and peak memory grow with a sound's duration, the batch and the model's size.

    python benchmarks/cost_growth.py [--threads 2] [--precision float32] [--quick]
        [--out docs/cost-growth] [--note TEXT]

Each point is a process of its own, so that its peak memory is its own: the shipped model makes
one sound of 1 s to 5 min, or 1 to 16 sounds of 5 s; models of random weights take steps. Loading is
not in the times; in memory everything is, PyTorch too. Writes OUT.json, OUT.md and OUT.png; takes
five minutes on two cores with nothing beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DURATIONS_S = (1, 5, 15, 60, 300)
BATCHES = (1, 2, 4, 8, 16)
BATCH_S = 5
SIZES = ((128, 4), (256, 6), (512, 8), (768, 12))
SIZE_STEPS = 100
REPOSITORY = Path(__file__).resolve().parent.parent

# Both print a line of JSON; the peak is the process's own, read as it ends.
SOUNDS = """
import json, resource, sys, time
from soundgen.pipelines.model import load_model, use_threads
duration_s, count, threads, precision = json.loads(sys.argv[1])
use_threads(threads)
model = load_model(device="cpu", precision=precision)
started = time.perf_counter()
sounds = model.generate(["rain"] * count, duration_s=duration_s)
spent = time.perf_counter() - started
assert all(abs(sound.duration_s - duration_s) < 0.01 for sound in sounds)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"time_s": spent, "peak_kb": peak}))
"""
STEPS = """
import json, resource, sys, time
import torch
sys.path.insert(0, "benchmarks")
from lm_speed import make_model, run_engine, NUM_TOKENS
from soundgen.lm.engine import Engine
dim, layers, steps, threads, precision = json.loads(sys.argv[1])
torch.set_num_threads(threads)
model = make_model(dim, layers, dim // 64, steps)
engine = Engine(model, max_text_tokens=NUM_TOKENS, precision=precision)
run_engine(engine, 1, 10)
started = time.perf_counter()
run_engine(engine, 1, steps)
spent = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
millions = sum(one.numel() for one in model.parameters()) / 1e6
print(json.dumps({"time_s": spent, "peak_kb": peak, "parameters_m": millions}))
"""


def main() -> None:
    """Measure, then write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--quick", action="store_true", help="the cheap points only")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "cost-growth")
    parser.add_argument("--note", default="", help="a sentence for the page")
    options = parser.parse_args()
    if options.quick and options.out == parser.get_default("out"):
        parser.error("--quick needs an --out of its own: the page in docs has every point")
    found = measure(options.threads, options.precision, quick=options.quick)
    found["note"] = options.note
    text = json.dumps(found, indent=2) + "\n"
    options.out.with_suffix(".json").write_text(text, encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(found, options.out.name), encoding="utf-8")
    draw(found, options.out.with_suffix(".png"))


def measure(threads: int, precision: str, *, quick: bool = False) -> dict[str, Any]:
    """Return every point of the three curves."""
    kept = slice(2) if quick else slice(None)
    found: dict[str, Any] = {"threads": threads, "precision": precision}
    found["duration"] = [
        {"duration_s": duration_s, **_point(SOUNDS, duration_s, 1, threads, precision)}
        for duration_s in DURATIONS_S[kept]
    ]
    found["batch"] = [
        {"batch": batch, **_point(SOUNDS, BATCH_S, batch, threads, precision)}
        for batch in BATCHES[kept]
    ]
    found["size"] = [
        {
            "dim": dim,
            "layers": layers,
            **_point(STEPS, dim, layers, SIZE_STEPS, threads, precision),
        }
        for dim, layers in SIZES[kept]
    ]
    return found


def page(found: Mapping[str, Any], name: str = "cost-growth") -> str:
    """Return the page that shows the points, and the plot of that name beside it."""
    lines = [
        "# How cost grows",
        "",
        f"Measured by `python benchmarks/cost_growth.py`: threads of the processor: "
        f"{found['threads']}, weights of {found['precision']}, each point in a process of its own. "
        "Times are without loading; peak memory is the whole process's, of which PyTorch and the "
        "loaded model are the first point's.",
        *(["", found["note"]] if found.get("note") else []),
        "",
        f"![time and peak memory]({name}.png)",
        "",
        "Up to 5 s time grows in proportion to the duration. Longer sounds are made in pieces of "
        "2.5 s with four draws of each, all in one batch, so a second of them costs more; from "
        "there on it is in proportion again: attention looks back over a window of 5 s whatever "
        "the length. Memory grows by the samples of the sound alone. With the batch, a sound "
        "becomes cheaper, since all share one reading of the weights. With the model's size, a "
        "step takes as long as reading its weights, plus what small models spend around that.",
        "",
        "## Duration: one sound of the shipped model",
        *_table(("sound, s", "time, s", "time a second of sound, s", "peak memory, MB"), [
            (p["duration_s"], p["time_s"], p["time_s"] / p["duration_s"], p["peak_mb"])
            for p in found["duration"]
        ]),
        f"## Batch: sounds of {BATCH_S} s of the shipped model",
        *_table(("sounds", "time, s", "time a sound, s", "peak memory, MB"), [
            (p["batch"], p["time_s"], p["time_s"] / p["batch"], p["peak_mb"])
            for p in found["batch"]
        ]),
        "## Model size: steps of the language model, random weights, one sound with guidance",
        *_table(
            ("width x layers", "parameters, M", "time a step, ms", "peak memory, MB"),
            [
                (
                    f"{p['dim']} x {p['layers']}",
                    p["parameters_m"],
                    1000 * p["time_s"] / SIZE_STEPS,
                    p["peak_mb"],
                )
                for p in found["size"]
            ],
        ),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Plot time and peak memory over duration, batch and size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 3, sharex="col")
    curves = (
        ("sound, s", "duration", "duration_s", "time_s", "time, s"),
        (f"sounds of {BATCH_S} s at once", "batch", "batch", "time_s", "time, s"),
        ("parameters, M", "size", "parameters_m", "step_ms", "time a step, ms"),
    )
    for column, (label, name, x, y, y_label) in enumerate(curves):
        points = [{**p, "step_ms": 1000 * p["time_s"] / SIZE_STEPS} for p in found[name]]
        at = [p[x] for p in points]
        for row, key, shown in ((0, y, y_label), (1, "peak_mb", "peak memory, MB")):
            axis = axes[row][column]
            axis.plot(at, [p[key] for p in points], "o-", color="#2a6f97")
            axis.set_ylabel(shown)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
        axes[1][column].set_xlabel(label)
    figure.savefig(path, dpi=100, metadata={"Software": ""})


def _point(code: str, *arguments: object) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    values: dict[str, float] = json.loads(done.stdout)
    scale = 1e-6 if sys.platform == "darwin" else 1.024e-3
    point = {"time_s": round(values["time_s"], 3), "peak_mb": round(values["peak_kb"] * scale)}
    if "parameters_m" in values:
        point["parameters_m"] = round(values["parameters_m"], 1)
    print(*arguments, point, flush=True)
    return point


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    def line(cells: Sequence[Any]) -> str:
        return (
            "| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells) + " |"
        )

    return ["", line(head), "|" + "---|" * len(head), *map(line, rows), ""]


if __name__ == "__main__":
    main()
