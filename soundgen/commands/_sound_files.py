"""Where `soundgen generate` puts sounds: formats, names, and a folder made on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from soundgen.errors import OutputError, UsageError

Format = Literal["wav", "flac", "ogg", "opus", "mp3"]

FORMATS = ("wav", "flac", "ogg", "opus", "mp3")


def plan_output(
    output: str | None, format_: Format | None, *, several: bool
) -> tuple[Path, str | None, str]:
    """Decide where sounds go: the folder, the file's name (None: after the prompt), the suffix.

    Raises:
        UsageError: One file is named for several sounds, or the suffix is unknown or contradicts
            `format_`.
    """
    suffix = f".{format_ or 'wav'}"
    if output is None:
        return Path(), None, suffix
    path = Path(output)
    if output.endswith("/") or path.is_dir():
        return path, None, suffix
    if several:
        raise UsageError(f"{output}: one file for several sounds", hint=f"name a folder: {output}/")
    named = path.suffix.lower().removeprefix(".")
    if named not in FORMATS:
        raise UsageError(
            f"{output}: no sound format has the suffix '{path.suffix}'",
            hint=f"one of {', '.join(f'.{name}' for name in FORMATS)}",
        )
    if format_ is not None and format_ != named:
        raise UsageError(f"{output}: not the suffix of --format {format_}")
    return path.parent, path.name, path.suffix


@contextmanager
def folders_made(folder: Path, paths: Iterable[Path]) -> Iterator[None]:
    """Make the folders that files go to; take those away again that nothing came to.

    Args:
        folder: The one that was asked for; what lies above it must be there.
        paths: Files in it, or in folders below it.
    """
    parents = {parent for path in paths for parent in path.parents if folder in parent.parents}
    made = []
    try:
        for parent in [folder, *sorted(parents)]:
            if not parent.is_dir():
                _make_folder(parent)
                made.append(parent)
        yield
    finally:
        for parent in reversed(made):
            with suppress(OSError):  # it is not empty: the usual end
                parent.rmdir()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileNotFoundError as error:  # a missing parent is more likely a typo than a wish
        raise OutputError(
            f"{folder}: the folder {folder.parent} does not exist", hint=f"mkdir -p {folder}"
        ) from error
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror})") from error
