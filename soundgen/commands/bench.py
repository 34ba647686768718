"""`soundgen bench`: how fast a model runs here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from soundgen.commands._sound_options import ModelOption, PrecisionOption
from soundgen.commands._terminal import (
    DeviceOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    console_progress,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from soundgen.pipelines.bench import BenchReport


def bench(
    model: ModelOption = "soundgen-small",
    precision: PrecisionOption = "auto",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure how fast a model runs on this machine, in under a minute.

    Speeds stand beside shares of what the machine allows: a step of one sound has to read all
    weights of the language model once, and a step of sixteen has to do all their products. Other
    programs that run meanwhile are measured too.

    Examples: `soundgen bench` and `soundgen bench --precision int8 --threads 1 --json`
    """
    from soundgen.pipelines.bench import bench as measure

    with console_progress(quiet) as progress:
        report = measure(
            model=model, device=device, precision=precision, threads=threads, progress=progress
        )
    if json:
        print_json(report)
    else:
        print_table(table_rows(report))


def table_rows(report: BenchReport) -> Iterator[tuple[str, Any]]:
    """Yield the rows that show a report."""
    yield "model", f"{report.model}, weights of {report.precision}"
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    yield "machine", f"{report.machine}, {report.device}, {threads}"
    yield "versions", f"soundgen {report.soundgen}, PyTorch {report.torch}"
    yield "memory bandwidth", f"{report.bandwidth_gb_s:g} GB/s"
    yield "matrix products", f"{report.product_gflop_s:g} GFLOP/s in float32"
    yield "model loaded in", f"{report.load_s:.2f} s"
    yield (
        "language model, 1 sound",
        f"{report.lm_steps_s:g} steps/s, {report.lm_sound_s_per_s:g} s of sound a second, "
        f"{report.lm_bandwidth_share:.0%} of the bandwidth limit ({report.step_mb:g} MB a step)",
    )
    yield (
        f"language model, {report.lm_batch} sounds",
        f"{report.lm_batch_steps_s:g} steps/s, {report.lm_batch_sound_s_per_s:g} s of sound a "
        f"second, {report.lm_batch_product_share:.0%} of the matrix-product rate",
    )
    yield "codec, encode", f"{report.codec_encode_x:g} x real time"
    yield "codec, decode", f"{report.codec_decode_x:g} x real time"
