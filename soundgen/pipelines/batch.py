"""Which files go where: inputs (files, folders, "-") to outputs, settled before any work starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from soundgen.errors import InputError, OutputError, SoundgenError, UsageError
from soundgen.files import atomic_path, check_output

STREAM = "-"


@dataclass(frozen=True, slots=True)
class FileJob:
    """One input and where its result goes.

    Attributes:
        source: The file; `None` is standard input.
        output: The file to write; `None` is standard output.
    """

    source: Path | None
    output: Path | None

    @property
    def name(self) -> str:
        """What messages call the input."""
        return "<stdin>" if self.source is None else str(self.source)

    @property
    def output_name(self) -> str:
        """What reports call the output."""
        return STREAM if self.output is None else str(self.output)


@dataclass(frozen=True, slots=True)
class FileFailure:
    """One of several inputs that could not be done; the others go on.

    Attributes:
        source: The input.
        error: Why.
    """

    source: str
    error: SoundgenError


@dataclass(frozen=True, slots=True)
class FileKinds:
    """What a command takes from folders, and the suffix of what it writes.

    Attributes:
        name: Of the inputs, for messages: "audio files".
        sources: Suffixes in lower case that name an input inside a folder.
        output: Suffix of every output.
    """

    name: str
    sources: frozenset[str]
    output: str


def plan_files(
    inputs: Sequence[str], output: str | None, kinds: FileKinds, *, force: bool
) -> tuple[list[FileJob], list[FileFailure]]:
    """Settle which file is written for which input; nothing is read or written yet.

    A folder stands for the files in it and below, and its tree is kept in the output folder.
    Without `output`, results go beside their inputs, and that of "-" to standard output.

    Args:
        inputs: Files, folders, or "-" alone.
        output: A file, a folder, or "-".
        kinds: What folders are searched for, and what is written.
        force: Whether existing outputs may be overwritten.

    Returns:
        The jobs in order, and inputs that are missing or hold nothing.

    Raises:
        UsageError: `output` does not fit the inputs, or two results would be one file.
        OutputError: An output exists already, or cannot be written.
    """
    if STREAM in inputs and len(inputs) > 1:
        raise UsageError("- (standard input) must be the only input")
    found: list[tuple[Path | None, Path]] = []  # the file, and its place in the tree
    failures: list[FileFailure] = []
    for name in inputs:
        try:
            found += [(None, Path())] if name == STREAM else _expand(name, kinds)
        except InputError as error:
            failures.append(FileFailure(name, error))
    folders = any(name not in (STREAM, "") and Path(name).is_dir() for name in inputs)
    several = len(inputs) > 1 or folders
    if output == STREAM and several:
        raise UsageError("-o - takes one input file", hint="name a folder, or leave -o out")
    if output is None or output == STREAM:
        jobs = [FileJob(source, _beside(source, output, kinds)) for source, _ in found]
    elif several or output.endswith(os.sep) or Path(output).is_dir():
        root = Path(output)
        if not root.is_dir():
            check_output(root, force=False)
        jobs = [_into_folder(root, source, place, kinds) for source, place in found]
    elif Path(output).suffix.lower() != kinds.output:
        raise UsageError(f"{output}: the output must end in {kinds.output}")
    else:
        check_output(Path(output), force=force)
        jobs = [FileJob(source, Path(output)) for source, _ in found]
    _check_outputs(jobs, force=force)
    return jobs, failures


@contextmanager
def open_output(job: FileJob, stdout: BinaryIO | None) -> Iterator[BinaryIO]:
    """Open what `job` writes: a file that appears when it is whole, or standard output.

    Yields:
        A stream open for writing bytes.

    Raises:
        OutputError: The file or its folder cannot be made.
        UsageError: There is no standard output to write to.
    """
    if job.output is None:
        if stdout is None:
            raise UsageError("there is no standard output to write to")
        yield stdout
        stdout.flush()
        return
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{job.output.parent}: the folder cannot be made ({error.strerror})"
        ) from error
    with atomic_path(job.output) as temporary, temporary.open("wb") as stream:
        yield stream


def _expand(name: str, kinds: FileKinds) -> list[tuple[Path | None, Path]]:
    """Return the input files that `name` stands for, each with its path below it."""
    if not name:
        raise InputError("the name of the file is empty")
    path = Path(name)
    if not path.is_dir():
        if not path.exists():
            what = "a link to a file that does not exist" if path.is_symlink() else "no such file"
            raise InputError(f"{path}: {what}")
        return [(path, Path(path.name))]
    unreadable: list[OSError] = []
    found: list[tuple[Path | None, Path]] = []
    for folder, subfolders, names in os.walk(path, onerror=unreadable.append):
        # Hidden ones hold other programs' records, and our own unfinished files.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for file in (Path(folder, name) for name in sorted(names)):
            wanted = file.suffix.lower() in kinds.sources and not file.name.startswith(".")
            if wanted and file.is_file():
                found.append((file, file.relative_to(path)))
    if unreadable:
        error = unreadable[0]
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})")
    if not found:
        suffixes = " ".join(sorted(kinds.sources))
        raise InputError(f"{path}: holds no {kinds.name}", hint=f"it was searched for {suffixes}")
    return found


def _beside(source: Path | None, output: str | None, kinds: FileKinds) -> Path | None:
    if source is None or output == STREAM:
        return None
    return source.with_suffix(kinds.output)


def _into_folder(root: Path, source: Path | None, place: Path, kinds: FileKinds) -> FileJob:
    if source is None:
        raise UsageError(f"{root}: standard input has no name to give a file there")
    return FileJob(source, root / place.with_suffix(kinds.output))


def _check_outputs(jobs: Sequence[FileJob], *, force: bool) -> None:
    taken: dict[Path, FileJob] = {}
    for job in jobs:
        if job.output is None:
            continue
        first = taken.setdefault(job.output.absolute(), job)
        if first is not job:
            raise UsageError(
                f"{job.output}: would be written for both {first.name} and {job.name}",
                hint="do them one at a time, each with its own -o",
            )
        if job.source is not None and job.output.exists() and job.output.samefile(job.source):
            raise UsageError(f"{job.output}: is the input itself")
        # Folders of a tree are made on the way; what exists of them must be a writable folder.
        existing = job.output
        while not existing.parent.exists() and existing.parent != existing:
            existing = existing.parent
        check_output(existing, force=force)
