"""`soundgen eval`: how good a codec is, and a whole model, measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soundgen.commands._completion import model_names
from soundgen.commands._sound_options import (
    DEFAULT_CFG_SCALE,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_K,
)
from soundgen.commands._terminal import (
    DeviceOption,
    ForceOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
)
from soundgen.commands.generate import parse_duration
from soundgen.errors import UsageError

if TYPE_CHECKING:
    from soundgen.evaluation.codec_report import CodecReport, Measures, RatePoint
    from soundgen.evaluation.lm_report import LmReport

app = typer.Typer(no_args_is_help=True, help="Measure models on held-out sounds.")


@app.command()
def codec(
    data: Annotated[
        Path, typer.Option("--data", metavar="DATA", help="Folder that holds a manifest.jsonl.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="NAME|DIR",
            help="A shipped model, a model folder, or hf:owner/name, for its codec.",
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


@app.command()
def lm(
    data: Annotated[
        Path,
        typer.Option("--data", metavar="DATA", help="Dataset that the model was trained on."),
    ],
    prompts: Annotated[
        Path,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Prompts as .txt, .json or .jsonl, each perhaps with its category.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for sounds, report and contact sheet."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="NAME|DIR",
            help="A shipped model, a model folder, or hf:owner/name.",
        ),
    ] = "soundgen-small",
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Sounds for each prompt.")
    ] = 4,
    duration: Annotated[
        str,
        typer.Option(
            "-d", "--duration", metavar="SECONDS|auto", help="Length; auto lets the model end them."
        ),
    ] = "auto",
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="X", min=0.0, help="As in generate.")
    ] = DEFAULT_TEMPERATURE,
    top_k: Annotated[
        int, typer.Option("--top-k", metavar="N", min=0, help="As in generate.")
    ] = DEFAULT_TOP_K,
    cfg_scale: Annotated[
        float, typer.Option("--cfg-scale", metavar="X", min=0.0, help="As in generate.")
    ] = DEFAULT_CFG_SCALE,
    splits: Annotated[
        str, typer.Option("--splits", metavar="LIST", help="Real clips to compare with.")
    ] = "test",
    matcher: Annotated[
        str | None,
        typer.Option(
            "--matcher",
            metavar="NAME|DIR",
            help="A model whose matcher measures.  [default: the model's own]",
        ),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            "--classifier",
            metavar="FILE",
            help="The classifier of real clips.  [default: one is trained]",
        ),
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet/--no-sheet", help="Draw the spectrograms (needs matplotlib).")
    ] = True,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure what a model makes of prompts, beside real clips and other baselines.

    Text match, Fréchet distance, class accuracy, diversity, silence, closeness to training clips
    and error of length; beside held-out clips, their round trips through the codec, the training
    clips with the nearest captions, those of other categories, and the model without a prompt.

    A prompt names its category behind a tab (.txt), or as "category" beside "prompt". Sounds that
    are in the folder already are not made again.

    Example: `soundgen eval lm --data data --prompts prompts.txt --out measured --seeds 8`
    """
    from soundgen.data.manifest import SPLITS
    from soundgen.pipelines.evaluate_lm import evaluate_lm
    from soundgen.pipelines.sound_request import GenerateSettings

    chosen = [split for split in SPLITS if split in splits.split(",")]
    if not chosen or set(splits.split(",")) - set(SPLITS):
        raise UsageError(f"--splits {splits}: not a list of {', '.join(SPLITS)}")
    settings = GenerateSettings(
        duration_s=parse_duration(duration),
        temperature=temperature,
        top_k=top_k,
        cfg_scale=cfg_scale,
    )
    with console_progress(quiet) as progress:
        report = evaluate_lm(
            data=data,
            prompts=prompts,
            out=out,
            model=model,
            num_seeds=seeds,
            settings=settings,
            splits=chosen,
            matcher=matcher,
            classifier=classifier,
            sheet=sheet,
            device=device,
            threads=threads,
            force=force,
            progress=progress,
        )
    if json:
        print_json(report)
        return
    _show_lm(report)
    note(f"written to {out}", quiet=quiet)


def _show_lm(report: LmReport) -> None:
    from soundgen.evaluation.lm_report import prompt_rows, table_rows

    inputs = report.inputs
    print_line(
        f"{report.name}: {len(inputs.prompts)} prompts, {inputs.num_seeds} seeds each; vectors of "
        f"the {report.space}, Fréchet distances over {report.frechet_sounds} sounds"
    )
    _show_table(*table_rows(report))
    _show_table(*prompt_rows(report))


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
