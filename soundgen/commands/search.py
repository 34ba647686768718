"""`soundgen search`: find sounds in a folder by what they sound like."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundgen.commands._completion import model_names
from soundgen.commands._terminal import (
    DeviceOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    console_progress,
    note,
    one_line,
    print_json,
    print_line,
)
from soundgen.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.search import SearchReport


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to hear, in a few words.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to look, with all folders below it.")
    ],
    num_results: Annotated[
        int, typer.Option("-n", "--num-results", metavar="N", min=1, help="How many to show.")
    ] = 10,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="NAME|DIR",
            help="A shipped model, a model folder, or hf:owner/name.",
        ),
    ] = "soundgen-small",
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="FILE",
            help="Where to keep what was heard; in the user's cache folder if not given.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 3 if any sound file cannot be read.")
    ] = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the sounds in FOLDER that fit TEXT best, whatever their names.

    The first search listens to every file, of long ones to the first ten minutes, and remembers
    it in an index; later ones listen to new and changed files only. Ctrl-C keeps what was heard.
    Any large library holds broken files: they are named and left out, and the search ends with 0
    all the same, unless --strict is given or there is nothing to compare. In a pipe each line is
    the score (a cosine, 1 at most), a tab, and the path.

    Example: `soundgen search "glass breaking" ~/sounds -n 5`
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError(
            "the text is empty", hint='for example: soundgen search "glass breaking" FOLDER'
        )
    from soundgen.pipelines.search import search as find

    with console_progress(quiet) as progress:
        report = find(
            text,
            folder,
            num_results=num_results,
            model=model,
            index_path=index,
            device=device,
            threads=threads,
            progress=progress,
        )
    if json:
        print_json(report)
    else:
        _show(report)
    if report.failures:
        note(
            f"{len(report.failures)} files cannot be read and were left out; --json names them",
            quiet=quiet or json,
        )
        if strict:
            raise typer.Exit(ExitCode.INPUT)


def _show(report: SearchReport) -> None:
    """Print a table for people, or a line a sound for programs."""
    if not sys.stdout.isatty():
        for hit in report.results:
            print_line(f"{hit.score:.4f}\t{hit.path}")
        return
    print_line("score   length  file")
    for hit in report.results:
        print_line(f"{hit.score:5.2f} {hit.duration_s:6.1f} s  {one_line(str(hit.path))}")
