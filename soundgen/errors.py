"""Errors a user can cause, each with the exit code that scripts branch on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns; documented in `docs/cli.md`."""

    OK = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    MODEL = 4
    OUTPUT = 5
    DEVICE = 6
    INTERRUPTED = 130
    TERMINATED = 143


class SoundgenError(Exception):
    """A failure with a cause that the user can act on.

    Args:
        message: One line: what is wrong, with which file.
        hint: One line: what to do about it. Shown below the message; may be empty.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SoundgenError):
    """Options that contradict each other or lie outside their range."""

    exit_code = ExitCode.USAGE


class InputError(SoundgenError):
    """An input that is missing, unreadable, corrupt or of the wrong kind."""

    exit_code = ExitCode.INPUT


class ConfigError(SoundgenError):
    """A recipe or configuration with an unknown key or an impossible value."""

    exit_code = ExitCode.MODEL


class CheckpointError(SoundgenError):
    """A model folder, run folder or cache that is missing, damaged or does not fit."""

    exit_code = ExitCode.MODEL


class OutputError(SoundgenError):
    """An output that exists already or cannot be written."""

    exit_code = ExitCode.OUTPUT


class DiskFullError(OutputError):
    """No room is left for what was to be written: whatever comes next would fail as well."""


class DeviceError(SoundgenError):
    """A device that is not there, or too little memory on it."""

    exit_code = ExitCode.DEVICE


class Terminated(BaseException):
    """SIGTERM arrived; raised by the signal handler so that `finally` blocks run."""


class ShapeError(ValueError):
    """A tensor of the wrong shape or type was passed to a public function."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory was too small, of the processor or of a GPU."""
    # PyTorch has a class for CUDA's memory only; the processor's allocator raises RuntimeError.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            # the allocator's words, and those of a file that cannot be mapped
            and any(words in str(error) for words in ("can't allocate memory", "Cannot allocate"))
        )
    )
