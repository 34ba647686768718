"""`soundgen doctor`: what was found on this machine, for people and for bug reports."""

from __future__ import annotations

import typer

from soundgen.commands._terminal import (
    JsonOption,
    QuietOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
)
from soundgen.errors import ExitCode


def doctor(
    json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False
) -> None:
    """Say what was found: PyTorch, device, ffmpeg, sound formats, models, text encoder.

    Ends with 4 if something is missing that `soundgen generate` needs.

    Example: `soundgen doctor`
    """
    from soundgen.pipelines.doctor import examine

    with console_progress(quiet) as progress:
        report = examine(progress=progress)
    if json:
        print_json(report)
    else:
        width = max(len(finding.name) for finding in report.findings)
        for finding in report.findings:
            mark = "ok  " if finding.ok else ("BAD " if finding.required else "note")
            print_line(f"{mark} {finding.name:<{width}}  {finding.detail}")
            if finding.hint:
                note(f"hint: {finding.name}: {finding.hint}")
    if not report.ok:
        raise typer.Exit(ExitCode.MODEL)
