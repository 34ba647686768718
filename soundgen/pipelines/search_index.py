"""The index of `soundgen search`: a vector for each sound file of a folder, kept in a cache file.

One safetensors file: `vectors` float32 `[num_sounds, D]`, and `entries`, JSON as bytes, what was
found in each file. It can always be made again, so whatever is wrong with one, it is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from soundgen.config import from_dict
from soundgen.errors import ConfigError, OutputError
from soundgen.files import atomic_path

INDEX_FORMAT = "soundgen search index"
INDEX_VERSION = "1"
_HEAD_BYTES = 4096

EntryKind = Literal["sound", "silent", "broken", "other"]


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """What was found in one file, and what the file was like then.

    Attributes:
        size: Bytes.
        mtime_ns: When it was last changed.
        duration_s: Length of what was heard, s.
        problem: Why it has no vector; empty for a sound.
        kind: A sound; a silent one; one that is broken; or a file of another sort.
    """

    size: int
    mtime_ns: int
    duration_s: float = 0.0
    problem: str = ""
    kind: EntryKind = "sound"


@dataclass
class SearchIndex:
    """Entries and vectors by the files' paths relative to the folder.

    Attributes:
        matcher_digest: Of the matcher that made the vectors.
        entries: Of every file that was looked at.
        vectors: float32 `[D]`, of each entry that is a sound.
    """

    matcher_digest: str
    entries: dict[str, IndexEntry] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def add(self, name: str, entry: IndexEntry, vector: NDArray[np.float32] | None) -> None:
        """Remember what was found in the file `name`; a vector float32 `[D]` makes it a sound."""
        self.entries[name] = entry
        self.vectors.pop(name, None)
        if vector is not None:
            self.vectors[name] = vector

    def keep(self, names: set[str]) -> bool:
        """Forget all files but `names`; return whether there were others."""
        gone = self.entries.keys() - names
        for name in gone:
            del self.entries[name]
            self.vectors.pop(name, None)
        return bool(gone)


def default_index_path(folder: Path, matcher_digest: str) -> Path:
    """Return where the index of a folder is kept: in the user's cache, by folder and matcher."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    where = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(base) / "soundgen" / "search" / f"{where}-{matcher_digest[:12]}.safetensors"


def read_index(
    path: Path, matcher_digest: str, *, replaceable: bool = False
) -> tuple[SearchIndex, str]:
    """Read an index.

    Args:
        path: The file.
        matcher_digest: Of the matcher that is to be used.
        replaceable: Whatever the file is, an index may take its place: it lies in our cache.

    Returns:
        The index, an empty one where there is none to use; and why not, for the user, if there is
        a file.

    Raises:
        OutputError: `path` is some other file, which an index would replace.
    """
    empty = SearchIndex(matcher_digest)
    if not path.exists():
        return empty, ""
    if not replaceable and (path.is_dir() or not _is_index(path)):
        raise OutputError(
            f"{path}: is not a search index, and would be replaced by one",
            hint="name another file with --index",
        )
    try:
        with safe_open(path, framework="numpy") as file:
            stamp: Mapping[str, str] = file.metadata() or {}
            if stamp.get("version") != INDEX_VERSION:
                return empty, "was made by another version of soundgen"
            if stamp.get("matcher_digest") != matcher_digest:
                return empty, "was made with another model"
            vectors = file.get_tensor("vectors")
            rows = json.loads(file.get_tensor("entries").tobytes())
        return _assemble(matcher_digest, vectors, rows), ""
    except (
        OSError, SafetensorError, ConfigError, ValueError, KeyError, TypeError, IndexError,
        AttributeError,
    ) as error:  # fmt: skip
        return empty, f"is damaged ({type(error).__name__})"


def save_index(index: SearchIndex, path: Path) -> None:
    """Write an index, whole or not at all; its folder is made if it is missing.

    Raises:
        OutputError: It cannot be written.
    """
    rows = {name: asdict(entry) for name, entry in index.entries.items()}
    # Escaped, so that names that are not Unicode survive.
    text = json.dumps(rows, ensure_ascii=True).encode("ascii")
    vectors = [index.vectors[name] for name in rows if name in index.vectors]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror})") from error
    with atomic_path(path) as temporary:
        try:
            safetensors.numpy.save_file(
                {
                    "entries": np.frombuffer(text, np.uint8),
                    "vectors": np.stack(vectors) if vectors else np.zeros((0, 1), np.float32),
                },
                temporary,
                metadata={
                    "format": INDEX_FORMAT,
                    "version": INDEX_VERSION,
                    "matcher_digest": index.matcher_digest,
                },
            )
        except SafetensorError as error:
            raise OutputError(f"{path}: cannot be written ({error})") from error


def _is_index(path: Path) -> bool:
    """Tell an index, even a damaged one, from other files by its first bytes."""
    try:
        with path.open("rb") as stream:
            return INDEX_FORMAT.encode() in stream.read(_HEAD_BYTES)
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror})") from error


def _assemble(matcher_digest: str, vectors: NDArray[Any], rows: Any) -> SearchIndex:
    index = SearchIndex(matcher_digest)
    entries = {name: from_dict(IndexEntry, row, name) for name, row in rows.items()}
    sounds = [name for name, entry in entries.items() if entry.kind == "sound"]
    if vectors.shape[:1] != (len(sounds),) or vectors.dtype != np.float32:
        raise ValueError("another number of vectors than of sounds")
    if not np.isfinite(vectors).all():
        raise ValueError("a vector that is not finite")
    index.entries = entries
    index.vectors = dict(zip(sounds, vectors, strict=True))
    return index
