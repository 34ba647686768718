"""From an exception to the line, the hint and the exit code that the user gets."""

from __future__ import annotations

import errno
import os
import traceback

import typer

from soundgen.commands._terminal import report_error
from soundgen.errors import DeviceError, ExitCode, OutputError, SoundgenError, is_out_of_memory

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def report(error: Exception, *, as_json: bool) -> int:
    """Show `error` and return the exit code it stands for."""
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer has printed the help already
        return ExitCode.USAGE
    if os.environ.get("SOUNDGEN_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, typer.TyperException):
        message = " ".join(error.format_message().split())
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "soundgen"
        report_error(message, f"{command} --help", ExitCode.USAGE, as_json=as_json)
        return ExitCode.USAGE
    known = _known(error)
    if known is None:
        message = f"a bug of soundgen: {type(error).__name__}: {error}"
        hint = "SOUNDGEN_DEBUG=1 shows the traceback; please report it"
        report_error(message, hint, ExitCode.BUG, as_json=as_json)
        return ExitCode.BUG
    report_error(known.message, known.hint, known.exit_code, as_json=as_json)
    return known.exit_code


def _known(error: Exception) -> SoundgenError | None:
    """Return the user's error that `error` amounts to, None for a bug of ours."""
    if isinstance(error, SoundgenError):
        return error
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        where = f"{error.filename}: " if error.filename else ""
        hint = "make room and start the same command again; what was done is kept"
        return OutputError(
            f"{where}cannot be written ({error.strerror})",
            hint="" if error.errno == errno.EROFS else hint,
        )
    if is_out_of_memory(error):
        return DeviceError(
            "not enough memory", hint="ask for shorter or fewer sounds, or for smaller batches"
        )
    return None
