"""`soundgen compress` and `soundgen decompress`: audio files to `.sgc` files and back."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from soundgen.commands._completion import model_names
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
    report_error,
)
from soundgen.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.batch import FileFailure
    from soundgen.pipelines.compress import CompressedFile
    from soundgen.pipelines.decompress import DecompressedFile


def compress(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...",
            help="Audio files, folders (their tree is kept), or - for WAV on standard input.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="An .sgc file, a folder, or - for standard output. Without it, a.wav becomes "
            "a.sgc beside it, and - goes to standard output.",
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            "--bandwidth",
            metavar="KBPS",
            help="The most that the codes may take before entropy coding, kbit/s; all that the "
            "codec has if not given.",
        ),
    ] = None,
    no_entropy: Annotated[
        bool,
        typer.Option(
            "--no-entropy",
            help="Leave the codes as they are: larger files that need no entropy model.",
        ),
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="NAME|DIR",
            help="A shipped model, a model folder, or hf:owner/name, for its codec.",
        ),
    ] = "soundgen-small",
    device: DeviceOption = "auto",
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compress sounds with the neural codec, and print the path of each file written.

    Example: `soundgen compress door.wav --bandwidth 2` writes `door.sgc`.
    """
    _check_streams(inputs, output, json=json)

    from soundgen.pipelines import compress as pipeline

    with console_progress(quiet) as progress:
        results = pipeline.compress(
            inputs,
            output=output,
            bandwidth_kbps=bandwidth,
            entropy=not no_entropy,
            model=model,
            device=device,
            force=force,
            stdin=_bytes_of(sys.stdin),
            stdout=_bytes_of(sys.stdout),
            progress=progress,
        )
        _show_all(results, json=json, quiet=quiet)


def decompress(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...",
            help=".sgc files, folders (their tree is kept), or - for standard input.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="A .wav file, a folder, or - for standard output. Without it, a.sgc becomes "
            "a.wav beside it, and - goes to standard output.",
        ),
    ] = None,
    recover: Annotated[
        bool,
        typer.Option(
            "--recover", help="Decode what is left of damaged files, with silence for the rest."
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="NAME|DIR",
            help="The model that it was compressed with, where that is not a shipped one.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Decompress .sgc files to WAV (mono, 16 bit), and print the path of each file written.

    Example: `soundgen decompress door.sgc -o door-decoded.wav`
    """
    _check_streams(inputs, output, json=json)

    from soundgen.pipelines import decompress as pipeline

    with console_progress(quiet) as progress:
        results = pipeline.decompress(
            inputs,
            output=output,
            recover=recover,
            model=model,
            device=device,
            force=force,
            stdin=_bytes_of(sys.stdin),
            stdout=_bytes_of(sys.stdout),
            progress=progress,
        )
        _show_all(results, json=json, quiet=quiet)


def _check_streams(inputs: list[str], output: str | None, *, json: bool) -> None:
    """Refuse a terminal where bytes belong, and JSON where they would be mixed with them."""
    if "-" in inputs and sys.stdin and sys.stdin.isatty():
        raise UsageError("standard input is a terminal", hint="name a file, or pipe one in")
    if output == "-" or (output is None and "-" in inputs):
        if sys.stdout and sys.stdout.isatty():
            raise UsageError("standard output is a terminal", hint="use -o FILE, or pipe it on")
        if json:
            raise UsageError("--json and the result cannot both go to standard output")


def _bytes_of(stream: TextIO | None) -> BinaryIO | None:
    """Return what is below a standard stream; the shell may have closed it."""
    return stream.buffer if stream else None


def _show_all(
    results: Iterable[CompressedFile | DecompressedFile | FileFailure], *, json: bool, quiet: bool
) -> None:
    """Show each result as it comes; end with an input error if any of several failed."""
    failed = False
    for result in results:
        failed |= not _show(result, json=json, quiet=quiet)
    if failed:
        raise typer.Exit(ExitCode.INPUT)


def _show(
    result: CompressedFile | DecompressedFile | FileFailure, *, json: bool, quiet: bool
) -> bool:
    """Show one result; return whether it is one."""
    from soundgen.pipelines.batch import STREAM, FileFailure
    from soundgen.pipelines.compress import CompressedFile

    if isinstance(result, FileFailure):
        error = result.error
        report_error(error.message, error.hint, error.exit_code, as_json=json)
        return False
    if json:
        print_json(result)
        return True
    if result.output != STREAM:
        print_line(result.output)
    line = f"{result.output}  {result.duration_s:.2f} s"
    if isinstance(result, CompressedFile):
        line += f"  {result.kbps:.2f} kbit/s  {result.size_bytes} bytes  n_q {result.n_q}"
    note(line, quiet=quiet)
    return True
