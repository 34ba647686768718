"""Sounds that lie in tar files, as WebDataset has them: `shards/clips-000000.tar/a.flac` is one.

Few large files are read faster than many small ones, and copied far faster, from disks that are
reached through a network. Where each member begins is found out once a tar file; then it is read
like any other file.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from soundgen.errors import InputError

TAR_SUFFIX = ".tar"


def read_member(path: Path) -> bytes | None:
    """Return the bytes of a file that lies in a tar file; `None` for any other path.

    Raises:
        InputError: The tar file is damaged, or holds no such file.
    """
    tar = _tar_of(path)
    if tar is None:
        return None
    try:
        status = tar.stat()
        members = _members(tar, status.st_size, status.st_mtime_ns)
        name = path.relative_to(tar).as_posix()
        if name not in members:
            raise InputError(
                f"{path}: no such file in {tar.name}", hint="check with: soundgen dataset verify"
            )
        offset, size = members[name]
        with tar.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(size)
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{tar}: cannot be read ({error})") from error
    if len(data) < size:
        raise InputError(f"{tar}: is truncated", hint="copy or export it again")
    return data


@contextmanager
def plain_file(path: Path) -> Iterator[Path]:
    """Yield `path` itself, or where it lies in a tar file, a copy beside no other.

    Raises:
        InputError: See `read_member`.
    """
    data = read_member(path)
    if data is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="soundgen-", suffix=path.suffix) as copy:
        copy.write(data)
        copy.flush()
        yield Path(copy.name)


def _tar_of(path: Path) -> Path | None:
    if TAR_SUFFIX + "/" not in path.as_posix():
        return None
    tars = (parent for parent in path.parents if parent.suffix == TAR_SUFFIX)
    return next((tar for tar in tars if tar.is_file()), None)


@lru_cache(maxsize=4096)
def _members(tar: Path, size: int, mtime_ns: int) -> dict[str, tuple[int, int]]:
    """Return where each file lies: offset and size, bytes. The arguments tell a changed file."""
    with tarfile.open(tar, "r:") as archive:
        return {member.name: (member.offset_data, member.size) for member in archive
                if member.isfile()}  # fmt: skip
