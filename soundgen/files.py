"""Files that are whole or absent: atomic writes, refusal to overwrite, one writer to a folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import resource
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from soundgen.errors import DiskFullError, OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")
"""In the words of libraries in Rust, such as safetensors, which asks for all the room at first."""
# Libraries that write in blocks give up with less than one left.
_BLOCK_BYTES = 1 << 16


def check_output(path: Path, *, force: bool) -> None:
    """Refuse a file output that could not be written, before any expensive work.

    Raises:
        OutputError: `path` exists and `force` is off, is a folder, or its folder is missing or
            not writable.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder", hint="name a file, or end the folder with a /")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already", hint="use -f to overwrite it")
    parent = path.parent
    if not parent.is_dir():
        raise OutputError(f"{path}: the folder {parent} does not exist", hint=f"mkdir -p {parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {parent} cannot be written to")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; it becomes `path` only if the block succeeds.

    The temporary file keeps the suffix of `path`, since encoders choose the format by it.

    Raises:
        OutputError: The file cannot be created or written (permissions, disk full).
    """
    temporary = path.parent / f"{_temporary_prefix(os.getpid())}{secrets.token_hex(8)}{path.suffix}"
    try:
        # Created where `finally` already watches: Ctrl-C may come between any two instructions.
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.close(handle)
        yield temporary
        # Some writers put a file of their own in its place, which only its owner may read.
        temporary.chmod(mode)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise write_failure(path, error, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_paths(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield temporary names for files that belong together; all are written before any is replaced.

    They become `paths` from the last to the first, which is the one to say that all are there.

    Raises:
        OutputError: One cannot be created or written; then all are as they were.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(atomic_path(path)) for path in paths]


def write_failure(path: Path, error: Exception, partial: Path | None = None) -> OutputError:
    """Return what to tell of a file that could not be written, whatever words a library has for it.

    Args:
        path: The file.
        error: What was raised; not always an `OSError`, and not always with the cause.
        partial: What was being written, still there.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (said := _RUST_ERROR.search(str(error))):
        number = int(said[1])
    if number is None:
        number = _shortage(partial or path)
    reason = os.strerror(number) if number else str(error).splitlines()[0]
    message = f"{path}: cannot be written ({reason.rstrip('.')})"
    if number in _FULL:
        return DiskFullError(
            message, hint="make room and start the same command again; what was done is kept"
        )
    return OutputError(message)


def _shortage(partial: Path) -> int | None:
    """Return the number of the error that a library met when it wrote `partial`, if room lacked."""
    try:
        if shutil.disk_usage(partial.parent).free < _BLOCK_BYTES:
            return errno.ENOSPC
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and partial.stat().st_size > limit - _BLOCK_BYTES:
            return errno.EFBIG
    except OSError:
        pass
    return None


def remove_temporary_files(folder: Path, pid: int) -> None:
    """Delete what process `pid`, killed in the middle of a write, has left in `folder`."""
    for path in folder.glob(f"{_temporary_prefix(pid)}*"):
        path.unlink(missing_ok=True)


def _temporary_prefix(pid: int) -> str:
    return f".soundgen-{pid}-"


@contextmanager
def folder_lock(folder: Path, *, shared: bool = False, wait_s: float = 0.0) -> Iterator[None]:
    """Hold `folder` for this process; the kernel frees it however the process ends.

    Args:
        folder: Made if missing.
        shared: Hold it along with others who share it.
        wait_s: How long to wait for those who hold it.

    Raises:
        OutputError: Another process holds it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise OutputError(
                        f"{folder}: another soundgen process is writing there",
                        hint="wait for it, or choose another --out",
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def check_space(folder: Path, num_bytes: int) -> None:
    """Refuse work whose results would not fit on the disk that `folder` lies on.

    Raises:
        OutputError: Less than `num_bytes` are free there.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DiskFullError(
            f"{folder}: needs {num_bytes / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free",
            hint="make room, or choose a folder on another disk",
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a small JSON file atomically; failing is an `OutputError`."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file; `None` where there is no such file, or none in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
