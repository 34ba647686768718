"""`soundgen eval`: how good a codec is, measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soundgen.commands._terminal import (
    DeviceOption,
    ForceOption,
    JsonOption,
    QuietOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
)
from soundgen.errors import UsageError

if TYPE_CHECKING:
    from soundgen.evaluation.codec_report import CodecReport, Measures, RatePoint

app = typer.Typer(no_args_is_help=True, help="Measure models on held-out sounds.")


@app.command()
def codec(
    data: Annotated[
        Path, typer.Option("--data", metavar="DATA", help="Folder that holds a manifest.jsonl.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", metavar="NAME|DIR", help="A shipped model, or a model folder, for its codec."
        ),
    ] = "soundgen-small",
    split: Annotated[
        Literal["train", "valid", "test"],
        typer.Option("--split", metavar="train|valid|test", help="Which clips."),
    ] = "test",
    n_q: Annotated[
        str | None,
        typer.Option(
            "--n-q",
            metavar="LIST",
            help="Codebooks in use, such as 2,8.  [default: 1,2,4 ... and all]",
        ),
    ] = None,
    opus: Annotated[
        str,
        typer.Option(
            "--opus", metavar="LIST", help="Nominal rates of Opus, kbit/s; none leaves it out."
        ),
    ] = "6,8,12,16",
    shortest: Annotated[
        float, typer.Option("--shortest", metavar="SECONDS", help="Leave out shorter clips.")
    ] = 1.0,
    max_clips: Annotated[
        int | None,
        typer.Option(
            "--max-clips", metavar="N", help="Measure N clips, spread evenly over the manifest."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw distance over rate (or .svg, .pdf)."),
    ] = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure a codec on held-out clips: real rate of its files, and how far off they sound.

    For each number of codebooks in use: mel and log-spectral distance and SI-SDR, over all clips,
    tonal ones and each category, beside Opus on the same clips where opus-tools are installed.

    Example: `soundgen eval codec --data data --model runs/codec --plot rates.png`
    """
    counts = None if n_q is None else _numbers("--n-q", n_q)
    opus_kbps = [] if opus in ("none", "") else _numbers("--opus", opus)

    from soundgen.pipelines.evaluate_codec import evaluate_codec

    with console_progress(quiet) as progress:
        report = evaluate_codec(
            data=data,
            model=model,
            split=split,
            n_q=counts,
            opus_kbps=opus_kbps,
            shortest_s=shortest,
            max_clips=max_clips,
            plot=plot,
            device=device,
            force=force,
            progress=progress,
        )
    if json:
        print_json(report)
        return
    _show(report)
    if plot is not None:
        note(f"drawn: {plot}", quiet=quiet)


def _numbers(flag: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"{flag} {text}: not a list of whole numbers", hint=f"for example {flag} 2,8"
        ) from error


def _show(report: CodecReport) -> None:
    of_all = "" if report.num_clips == report.num_eligible else f" of {report.num_eligible}"
    print_line(
        f"{report.model} on {report.split}: {report.num_clips}{of_all} clips of "
        f"{report.shortest_s:g} s or more, {report.seconds:.1f} s"
    )
    _show_table(
        ["", "kbit/s", "mel", "LSD dB", "SI-SDR dB", "tonal mel", "tonal LSD dB"],
        [_point_row(point) for point in report.points],
    )
    shares = " ".join(f"{share:.0%}" for share in report.capacity_used)
    mean = sum(report.capacity_used) / len(report.capacity_used)
    print_line(f"codebook capacity used: {shares}, mean {mean:.1%}")
    for title, shown in (
        ("mel distance", lambda one: f"{one.mel_distance:.3f}"),
        ("log-spectral distance, dB", lambda one: f"{one.log_spectral_distance_db:.2f}"),
    ):
        print_line("")
        print_line(title)
        _show_table(
            ["category", "s", *(point.label for point in report.points)],
            _category_rows(report, shown),
        )
    if report.opus:
        print_line(f"Opus: {report.opus}, --vbr --comp 10")


def _point_row(point: RatePoint) -> list[str]:
    overall, tonal = point.overall, point.tonal
    return [
        point.label,
        f"{overall.kbps:.2f}",
        f"{overall.mel_distance:.4f}",
        f"{overall.log_spectral_distance_db:.2f}",
        f"{overall.si_sdr_db:.2f}",
        f"{tonal.mel_distance:.4f}" if tonal else "",
        f"{tonal.log_spectral_distance_db:.2f}" if tonal else "",
    ]


def _category_rows(report: CodecReport, shown: Callable[[Measures], str]) -> list[list[str]]:
    """Return a row a category, and the tonal ones together at the end."""
    first = report.points[0]
    rows = [
        [name, f"{found.seconds:.1f}", *(shown(p.categories[name]) for p in report.points)]
        for name, found in first.categories.items()
    ]
    if first.tonal:
        figures = (shown(point.tonal) for point in report.points if point.tonal)
        rows.append(["tonal, all of them", f"{first.tonal.seconds:.1f}", *figures])
    return rows


def _show_table(columns: list[str], rows: list[list[str]]) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A pipe has no width: let no column be cut there.
    width = None if sys.stdout.isatty() else 400
    Console(file=sys.stdout, width=width, highlight=False).print(table)
