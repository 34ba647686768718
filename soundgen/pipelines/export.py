"""A dataset as tar shards in WebDataset's layout, which is a dataset of ours as well.

A shard holds for each clip its file and, beside it under the same name, what the manifest says of
it as JSON: captions, licence, author, split. The folder's own `manifest.jsonl` names the clips by
their places in the shards, so that trainings, `tokenize` and `verify` read it as it is; programs
that know WebDataset need the shards alone.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from soundgen.audio.tar_member import TAR_SUFFIX, read_member
from soundgen.data.manifest import MANIFEST_NAME, Clip, read_manifest, write_manifest
from soundgen.errors import InputError, OutputError, UsageError
from soundgen.files import atomic_path, check_space, folder_lock
from soundgen.progress import Progress, SilentProgress

SHARD_PREFIX = "clips-"
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written.

    Attributes:
        data: The folder of shards, a dataset itself.
        num_clips: Clips in them.
        num_shards: Tar files.
        num_bytes: Their size together.
    """

    data: Path
    num_clips: int
    num_shards: int
    num_bytes: int


@dataclass(frozen=True)
class _Sample:
    """A clip as it lies in a shard."""

    clip: Clip
    file: Path
    name: str

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents: the sound, and what is known of it."""
        yield self.name, _read(self.file)
        facts = json.dumps(asdict(self.clip), ensure_ascii=False) + "\n"
        yield str(PurePosixPath(self.name).with_suffix(".json")), facts.encode()


def export_webdataset(
    *,
    data: Path,
    out: Path,
    shard_mb: float = 500.0,
    force: bool = False,
    progress: Progress = SilentProgress(),
) -> ExportReport:
    """Write a dataset as tar shards; the same dataset gives the same bytes.

    Args:
        data: Folder with `manifest.jsonl`.
        out: A new or empty folder, or one where an export was interrupted.
        shard_mb: A shard ends behind the clip with which it reaches this, MB.
        force: Replace what was exported there before.
        progress: Listens.

    Raises:
        UsageError: `shard_mb` is not above 0, or `out` is `data`.
        InputError: The manifest or a clip cannot be read.
        OutputError: `out` holds something else, or cannot be written.
    """
    if not shard_mb > 0:
        raise UsageError(f"--shard-mb must be above 0, got {shard_mb:g}")
    root = data if data.is_dir() else data.parent
    if out.resolve() == root.resolve():
        raise UsageError(f"{out}: is the dataset itself", hint="name another folder")
    clips = read_manifest(data)
    _check_folder(out, force=force)
    with folder_lock(out):
        sizes = [_size(root / clip.path) for clip in clips]
        earlier = list(out.glob(f"{SHARD_PREFIX}*{TAR_SUFFIX}"))
        freed = sum(old.stat().st_size for old in earlier)
        check_space(out, sum(sizes) + 6 * _BLOCK * len(clips) - freed)
        (out / MANIFEST_NAME).unlink(missing_ok=True)
        for old in earlier:
            old.unlink()
        progress.start("writing shards", len(clips))
        written: list[Clip] = []
        num_bytes = num_shards = 0
        for number, samples in enumerate(_shards(root, clips, sizes, shard_mb * 1e6)):
            shard = out / f"{SHARD_PREFIX}{number:06d}{TAR_SUFFIX}"
            _write(shard, samples, progress)
            written += [replace(one.clip, path=f"{shard.name}/{one.name}") for one in samples]
            num_bytes += shard.stat().st_size
            num_shards += 1
        write_manifest(out / MANIFEST_NAME, written)
        progress.finish()
    return ExportReport(data=out, num_clips=len(clips), num_shards=num_shards, num_bytes=num_bytes)


def _check_folder(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file", hint="name a new or empty folder")
    names = [path.name for path in out.iterdir()] if out.is_dir() else []
    ours = [name for name in names if name.startswith(SHARD_PREFIX) or name == MANIFEST_NAME]
    strangers = sorted(name for name in names if name not in ours and not name.startswith("."))
    if strangers:
        raise OutputError(
            f"{out}: is not empty (it holds {strangers[0]})", hint="name a new or empty folder"
        )
    if MANIFEST_NAME in names and not force:
        raise OutputError(f"{out}: holds a dataset already", hint="use -f to replace it")


def _shards(
    root: Path, clips: Sequence[Clip], sizes: Sequence[int], most: float
) -> Iterator[list[_Sample]]:
    """Yield the samples of one shard after the other."""
    samples: list[_Sample] = []
    taken: set[str] = set()
    filled = 0
    for clip, size in zip(clips, sizes, strict=True):
        name = _member_name(clip.path, taken)
        taken.add(str(PurePosixPath(name).with_suffix("")))
        samples.append(_Sample(clip, root / clip.path, name))
        filled += size
        if filled >= most:
            yield samples
            samples, filled = [], 0
            taken.clear()
    if samples:
        yield samples


def _member_name(path: str, taken: set[str]) -> str:
    """Return the name of a clip's file in a shard: to WebDataset a sample's name ends at a dot."""
    whole = PurePosixPath(path)
    # Of a shard that is exported again, only the place within it.
    parts = [part for part in whole.parts[:-1] if not part.endswith(TAR_SUFFIX)]
    stem = "/".join([*parts, whole.stem.replace(".", "-").strip("-") or "clip"])
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name + whole.suffix.lower()


def _write(shard: Path, samples: Sequence[_Sample], progress: Progress) -> None:
    # PAX as WebDataset writes it; without times and owners, so that bytes do not depend on them.
    with (
        atomic_path(shard) as temporary,
        tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for sample in samples:
            for name, content in sample.members():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
            progress.advance()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except NotADirectoryError:
        return len(_read(file))  # in a shard
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror})", hint="see: soundgen dataset verify"
        ) from error


def _read(file: Path) -> bytes:
    try:
        found = read_member(file)
        return file.read_bytes() if found is None else found
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
