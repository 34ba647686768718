"""Tar shards among what `prepare` reads, such as those of WebDataset: unpacked beside the work."""

from __future__ import annotations

import gzip
import math
import shutil
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

from soundgen.data.walk import Rejected, Source, Walk, walk
from soundgen.files import folder_lock, read_json, write_failure, write_json
from soundgen.progress import Progress

UNPACKED_FOLDER = ".shards"
_SUFFIXES = (".tar", ".tar.gz", ".tgz")
# The last three: of a shard in which a name is both a file and a folder.
_DAMAGED = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile),
    *(NotADirectoryError, IsADirectoryError, FileExistsError),
)


def unpack_shards(found: Walk, folder: Path, progress: Progress) -> None:
    """Put the files of tar shards in place of the shards, as if these were folders.

    What was unpacked by an earlier run stays; other processes at the same work wait.

    Args:
        found: What the source folder holds; changed.
        folder: Where to unpack.
        progress: Listens.

    Raises:
        OutputError: The folder cannot be written, or is full.
    """
    shards = [source for source in found.sources if source.name.lower().endswith(_SUFFIXES)]
    if not shards:
        return
    found.sources = [source for source in found.sources if source not in shards]
    try:
        with folder_lock(folder, wait_s=math.inf):
            progress.start("unpacking shards", len(shards))
            for shard in shards:
                _add(found, shard, folder)
                progress.advance()
            progress.finish()
    except OSError as error:
        raise write_failure(folder, error) from error
    found.sources.sort(key=lambda source: source.name)
    found.rejected.sort(key=lambda rejected: rejected.path)


def remove_unpacked(folder: Path) -> None:
    """Delete what was unpacked, once all clips are made of it."""
    shutil.rmtree(folder, ignore_errors=True)


def _add(found: Walk, shard: Source, folder: Path) -> None:
    inside = folder / shard.name
    mark = folder / f".{shard.name.replace('/', '-')}.json"
    stamp = {"size": shard.size, "mtime_ns": shard.mtime_ns}
    known = read_json(mark) or {}
    if {name: known.get(name) for name in stamp} != stamp:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(parents=True)
        try:
            known = {**stamp, "refused": _extract(shard.path, inside)}
        except _DAMAGED as error:
            found.rejected.append(Rejected(shard.name, f"not a whole tar file ({error})"))
            return
        # With what was refused, or another process would unpack it anew under the feet of this one.
        write_json(mark, known)
    reason = "a name that leads out of the shard"
    found.rejected += [Rejected(f"{shard.name}/{name}", reason) for name in known["refused"]]
    members = walk(inside)
    prefix = f"{shard.name}/"
    found.sources += [replace(one, name=prefix + one.name) for one in members.sources]
    found.rejected += [replace(one, path=prefix + one.path) for one in members.rejected]
    found.companions |= {prefix + name: path for name, path in members.companions.items()}


def _extract(shard: Path, folder: Path) -> list[str]:
    """Unpack the files of a shard; return the names of those that would lie elsewhere."""
    refused = []
    with tarfile.open(shard, "r:*") as archive:
        for member in archive:
            if member.isfile():
                try:
                    archive.extract(member, folder, filter="data")
                except tarfile.FilterError:
                    refused.append(member.name)
    return refused
