"""`soundgen dataset`: from a folder of audio files to what training reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from soundgen.commands._completion import model_names
from soundgen.commands._dataset_reports import print_shares, show_made, show_prepared
from soundgen.commands._shard import parse_shard
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
from soundgen.errors import ExitCode, Terminated, UsageError

app = typer.Typer(no_args_is_help=True, help="Prepare, tokenize and check training data.")

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder that holds a manifest.jsonl.")
]
JobsOption = Annotated[
    int | None,
    typer.Option("-j", "--jobs", metavar="N", help="Processes to use.  [default: all processors]"),
]


@app.command()
def prepare(
    src: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of audio files.")],
    dst: Annotated[Path, typer.Argument(metavar="DST", help="Dataset: a new or empty folder.")],
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            metavar="FILE",
            help="CSV or JSON Lines: file, caption, and where known author, license, category ...",
        ),
    ] = None,
    allow_license: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-license",
            metavar="LICENSE",
            help="Accept this licence, e.g. CC0-1.0, and refuse all not named so; repeatable.",
        ),
    ] = None,
    trim: Annotated[
        bool, typer.Option("--trim/--no-trim", help="Cut silence at both ends.")
    ] = True,
    split_s: Annotated[
        float | None,
        typer.Option(
            "--split-s", metavar="SECONDS", help="Cut longer files into equal clips up to this."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Do the I-th of N parts of the work; the last part to end writes the manifest.",
        ),
    ] = None,
    jobs: JobsOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 3 if any file was rejected.")
    ] = False,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a dataset of a folder of sounds: mono 16 kHz clips, captions, licences, splits.

    Interrupted, the same command goes on where it stopped. Whatever was left out is listed with
    its reason in DST/rejected.jsonl.

    Example: `soundgen dataset prepare sounds data --captions sounds.csv --split-s 10`
    """
    part = parse_shard(shard)
    from soundgen.pipelines.prepare import prepare as run

    with _saying_how_to_go_on(), console_progress(quiet) as progress:
        report = run(
            source=src,
            data=dst,
            captions=captions,
            allowed_licenses=allow_license or [],
            trim=trim,
            split_s=split_s,
            shard=part,
            jobs=jobs,
            force=force,
            progress=progress,
        )
    if json:
        print_json(report)
    else:
        show_prepared(report, shard, quiet=quiet)
    if strict and report.num_rejected:
        note(f"error: --strict, and rejected: {report.num_rejected}", quiet=json)
        raise typer.Exit(ExitCode.INPUT)


@app.command()
def synth(
    dst: Annotated[Path, typer.Argument(metavar="DST", help="Dataset: a new or empty folder.")],
    hours: Annotated[
        float, typer.Option("--hours", metavar="H", help="Length of all clips together.")
    ],
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", help="The same seed makes the same corpus.")
    ] = 0,
    kinds: Annotated[
        str | None,
        typer.Option(
            "--kinds",
            metavar="NAME,NAME",
            help="Kinds such as rain or bell, or families such as weather; all if not given.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Make the I-th of N parts of the clips; the last part to end writes the manifest.",
        ),
    ] = None,
    jobs: JobsOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a dataset from nothing: synthetic sounds with captions, free of any licence (CC0-1.0).

    Rain, bells, engines, birds and dozens of other kinds, computed from models of how they come
    about; as many clips of each. Interrupted, the same command goes on where it stopped; with more
    hours it adds to what is there.

    Example: `soundgen dataset synth data --hours 1 --seed 1 --kinds weather,water,bell`
    """
    part = parse_shard(shard)
    from soundgen.pipelines.synth import synth as run

    names = [name.strip() for name in kinds.split(",") if name.strip()] if kinds else []
    if kinds is not None and not names:
        raise UsageError("--kinds: names no kind", hint="for example --kinds rain,bell")
    with _saying_how_to_go_on(), console_progress(quiet) as progress:
        report = run(
            data=dst,
            hours=hours,
            seed=seed,
            kinds=names,
            shard=part,
            jobs=jobs,
            force=force,
            progress=progress,
        )
    if json:
        print_json(report)
    else:
        show_made(report, shard, quiet=quiet)


@app.command()
def tokenize(
    data: DataArgument,
    cache: Annotated[Path, typer.Argument(metavar="CACHE", help="Folder for the token cache.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="MODEL",
            help="Model whose codec makes the codes.",
        ),
    ],
    variants: Annotated[
        int,
        typer.Option("--variants", min=1, metavar="N", help="Augmented copies of each clip."),
    ] = 1,
    n_q: Annotated[
        int | None,
        typer.Option(
            "--n-q",
            min=1,
            metavar="N",
            help="Codebooks to encode with, as many as the recipe's lm.n_q.  [default: all]",
        ),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            "--text-encoder", metavar="NAME", help="Text encoder, if not the default one."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Encode the I-th of N parts; the last part to end puts the cache together.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Encode a dataset once for the training of language models: codes and embedded captions.

    Interrupted, the same command goes on where it stopped.

    Example: `soundgen dataset tokenize data cache --model runs/codec --variants 3 --n-q 4`
    """
    part = parse_shard(shard)
    from soundgen.pipelines.tokenize import tokenize as run

    with _saying_how_to_go_on(), console_progress(quiet) as progress:
        report = run(
            data=data,
            cache=cache,
            model=model,
            variants=variants,
            n_q=n_q,
            text_encoder=text_encoder,
            shard=part,
            device=device,
            force=force,
            progress=progress,
        )
    if json:
        print_json(report)
    elif not report.finished:
        note(
            f"shard {shard} of {report.num_clips} clips and variants is done; the last shard to "
            "end puts the cache together",
            quiet=quiet,
        )
        print_line(str(report.cache))
    else:
        note(
            f"{report.num_clips} clips, {report.num_variants} variants, {report.hours:.2f} h",
            quiet=quiet,
        )
        print_line(str(report.cache))


@app.command()
def export(
    data: DataArgument,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the shards: new or empty.")
    ],
    format: Annotated[
        Literal["webdataset"],
        typer.Option("--format", metavar="webdataset", help="Layout of the shards."),
    ] = "webdataset",
    shard_mb: Annotated[
        float, typer.Option("--shard-mb", metavar="MB", help="About how large a shard is.")
    ] = 500.0,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a dataset as tar shards, with captions and licences, for storage far away.

    The folder is a dataset too: trainings, `tokenize`, `verify` and the like read it as it is.
    Shards that others made go the other way through `dataset prepare`.

    Example: `soundgen dataset export data shards --format webdataset --shard-mb 500`
    """
    from soundgen.pipelines.export import export_webdataset

    with console_progress(quiet) as progress:
        report = export_webdataset(
            data=data, out=out, shard_mb=shard_mb, force=force, progress=progress
        )
    if json:
        print_json(report)
    else:
        note(
            f"{report.num_clips} clips in {report.num_shards} shards, "
            f"{report.num_bytes / 1e6:,.1f} MB",
            quiet=quiet,
        )
        print_line(str(report.data))


@app.command()
def stats(
    data: DataArgument,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say what a dataset holds: clips, hours, splits, categories, lengths, licences.

    Example: `soundgen dataset stats data`
    """
    from soundgen.pipelines.dataset import dataset_stats

    found = dataset_stats(data)
    if json:
        print_json(found)
        return
    print_line(
        f"{found.total.clips} clips, {found.total.hours:.2f} h, {found.total.recordings} "
        f"recordings, {found.num_captions} captions, {found.num_authors} authors"
    )
    lengths = ", ".join(f"{name} {value:.2f}" for name, value in found.duration_s.items())
    print_line(f"length in s: {lengths}")
    for title, shares in (
        ("split", found.splits),
        ("licence", found.licenses),
        ("category", found.categories),
    ):
        print_line("")
        print_shares(title, shares)


@app.command()
def verify(
    data: DataArgument,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read every file of a dataset and compare it with the manifest; exit code 3 if one differs.

    Example: `soundgen dataset verify data`
    """
    from soundgen.pipelines.dataset import verify_dataset

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
    with console_progress(quiet) as progress:
        found = verify_dataset(data, jobs=jobs, progress=progress)
    if json:
        print_json(found)
    else:
        for problem in found.problems:
            print_line(f"{problem.path}: {problem.reason}" if problem.path else problem.reason)
        if not found.problems:
            print_line(f"{found.num_clips} clips, {found.hours:.2f} h: all whole")
    if found.problems:
        count = len(found.problems)
        note(f"error: {data}: {count} problem{'s' * (count != 1)}", quiet=json)
        raise typer.Exit(ExitCode.INPUT)


@app.command()
def licenses(
    data: DataArgument,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Say who made a dataset and under which licences.

    Example: `soundgen dataset licenses data --json`
    """
    from soundgen.pipelines.dataset import dataset_licenses

    found = dataset_licenses(data)
    if json:
        print_json(found)
        return
    print_shares("licence", found.licenses)
    for name in found.licenses:
        print_line("")
        print_line(name)
        for credit in found.credits:
            if credit.license == name:
                print_line(
                    f"  {credit.clips:>6} clips  {60 * credit.hours:>8.1f} min  "
                    f"{credit.author}  ({credit.source})"
                )


@contextmanager
def _saying_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        note("stopped; the same command goes on from here")
        raise
