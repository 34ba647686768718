"""The files of a folder: which are to be read as sounds, which cannot be, which are company."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from soundgen.audio.sniff import read_head, sniff
from soundgen.audio.source import file_kind
from soundgen.data.names import text_name
from soundgen.errors import InputError

# Files that lie beside sounds in any collection. They are left alone without a word, unless their
# content is audio after all.
COMPANION_SUFFIXES = frozenset(
    ".txt .json .jsonl .csv .tsv .md .rst .html .htm .xml .yml .yaml .toml .ini .cfg .log .url .nfo"
    " .pdf .doc .docx .rtf .xlsx .ods .cue .m3u .m3u8 .pls .sfz .asd .reapeaks .pkf .db .lock .py"
    " .sh .bat .jpg .jpeg .png .gif .webp .bmp .svg .tif .tiff .ico .license".split()
)
_COMPANION_NAMES = frozenset(
    "license licence copying readme authors credits notice makefile".split()
)
# Names that promise a sound; a folder with such a name is worth a word.
SOUND_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .wma .aif .aiff .au .caf .mp4 .mov .mkv"
    " .webm".split()
)


@dataclass(frozen=True)
class Source:
    """A file that may be a sound.

    Attributes:
        path: Where it is.
        name: Its path relative to the folder, as text with `/`.
        size: Bytes.
        mtime_ns: When it was last changed.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Rejected:
    """A file, or a part of one, that is not in the dataset.

    Attributes:
        path: Relative to the source folder.
        reason: One line.
    """

    path: str
    reason: str


@dataclass
class Walk:
    """What a folder holds: `sources` and `rejected` sorted by name, companions by name."""

    sources: list[Source] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    companions: dict[str, Path] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def walk(root: Path) -> Walk:
    """List a folder and all below it; the order does not depend on the file system.

    Hidden files are left out. Links to folders elsewhere are followed, once; links to what is
    walked anyway, or to a folder that holds `root`, are not.

    Raises:
        InputError: `root` is missing, not a folder, or cannot be listed.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    if not root.is_dir():
        raise InputError(f"{root}: not a folder", hint="name the folder that holds the sounds")
    found = Walk()
    real_root = root.resolve()
    seen = {_identity(root)}
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            if folder == root:
                raise InputError(f"{root}: cannot be listed ({error.strerror})") from error
            name = text_name(folder.relative_to(root))
            found.rejected.append(Rejected(name, f"cannot be listed ({error.strerror})"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            name = text_name(path.relative_to(root)).replace(os.sep, "/")
            if _is_folder(entry):
                if entry.is_symlink() and not _is_elsewhere(path, real_root):
                    found.notices.append(f"{name}: link to a folder that is walked anyway; skipped")
                    continue
                identity = _identity(path)
                if identity in seen:
                    found.notices.append(f"{name}: folder that was walked already; skipped")
                    continue
                seen.add(identity)
                folders.append(path)
                if path.suffix.lower() in SOUND_SUFFIXES:
                    found.rejected.append(Rejected(name, "a folder, not a file"))
            else:
                _sort_in(found, path, name)
    found.sources.sort(key=lambda source: source.name)
    found.rejected.sort(key=lambda rejected: rejected.path)
    return found


def _sort_in(found: Walk, path: Path, name: str) -> None:
    try:
        status = path.stat()
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        if path.is_symlink():
            reason = "a dangling link: the file that it points to does not exist"
        found.rejected.append(Rejected(name, reason))
        return
    if not stat.S_ISREG(status.st_mode):
        # Never opened: a pipe without a writer would hold us up for ever.
        found.rejected.append(Rejected(name, f"not a regular file ({file_kind(status.st_mode)})"))
        return
    if _is_companion(path):
        found.companions[name] = path
        return
    found.sources.append(Source(path, name, status.st_size, status.st_mtime_ns))


def _is_companion(path: Path) -> bool:
    named_so = path.suffix.lower() in COMPANION_SUFFIXES or path.name.lower() in _COMPANION_NAMES
    if not named_so:
        return False
    try:
        what, kind = sniff(read_head(path))
    except OSError:
        return True
    return kind not in ("audio", "media") or what == "MPEG transport stream"  # any text may look so


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=True)
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_elsewhere(link: Path, real_root: Path) -> bool:
    target = link.resolve()
    return not (target.is_relative_to(real_root) or real_root.is_relative_to(target))


def sidecars_of(name: str) -> Iterator[str]:
    """Yield the names that a sidecar of the sound `name` may have, the likeliest first."""
    stem = name[: -len(Path(name).suffix)] if Path(name).suffix else name
    for base in (stem, name):
        for suffix in (".json", ".txt"):
            yield base + suffix
