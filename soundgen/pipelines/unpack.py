"""Tar shards among what `prepare` reads, such as those of WebDataset: unpacked beside the work."""

from __future__ import annotations

import fcntl
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

from soundgen.data.walk import Rejected, Source, Walk, walk
from soundgen.files import atomic_path, write_failure
from soundgen.progress import Progress

UNPACKED_FOLDER = ".shards"
_SUFFIXES = (".tar", ".tar.gz", ".tgz")


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
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
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
    stamp = json.dumps({"size": shard.size, "mtime_ns": shard.mtime_ns})
    if not mark.exists() or mark.read_text(encoding="utf-8") != stamp:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(parents=True)
        try:
            refused = _extract(shard.path, inside)
        except (tarfile.TarError, EOFError) as error:
            found.rejected.append(Rejected(shard.name, f"not a whole tar file ({error})"))
            return
        reason = "a name that leads out of the shard"
        found.rejected += [Rejected(f"{shard.name}/{name}", reason) for name in refused]
        if not refused:
            with atomic_path(mark) as temporary:
                temporary.write_text(stamp, encoding="utf-8")
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
