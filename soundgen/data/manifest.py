"""The manifest of a dataset: one JSON object a line, one line a clip, strict to the last key."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import weakref
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args, overload

import numpy as np
from numpy.typing import NDArray

from soundgen.errors import InputError
from soundgen.files import atomic_path

MANIFEST_NAME = "manifest.jsonl"

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

_DIGEST_SAMPLES = 1 << 20  # at a time, so that a long clip needs no copy of itself
_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One audio file of a dataset.

    Attributes:
        path: The file, relative to the manifest's folder, with `/` between folders.
        captions: What it sounds like, in words; at least one.
        tags: Key words.
        category: One of few names by which clips are counted and weighted.
        duration: Length, s.
        split: By recording, so that cuts of one recording never straddle two splits.
        license: SPDX name where there is one, `None` if not known.
        source: Where it was taken from, such as a repository.
        source_path: Its path there.
        origin: The collection it belongs to.
        author: Who made it.
        recording: What it was cut from; clips of one recording share it.
        sha1_pcm16: `pcm16_digest` of the decoded samples, 40 hexadecimal digits.
    """

    path: str
    captions: tuple[str, ...]
    tags: tuple[str, ...]
    category: str
    duration: float
    split: Split
    license: str | None = None
    source: str | None = None
    source_path: str | None = None
    origin: str | None = None
    author: str | None = None
    recording: str
    sha1_pcm16: str

    def __post_init__(self) -> None:
        """Refuse values that no clip can have."""
        if not self.path or self.path[0] == "/" or ".." in self.path.split("/"):
            raise ValueError(f"path must lie inside the dataset, got {self.path!r}")
        if not self.captions or not all(caption.strip() for caption in self.captions):
            raise ValueError("captions must hold at least one, and none that is empty")
        if not (math.isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"duration must be a positive number of seconds, got {self.duration}")
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if not self.recording:
            raise ValueError("recording must not be empty")
        if not _SHA1.fullmatch(self.sha1_pcm16):
            raise ValueError("sha1_pcm16 must be 40 hexadecimal digits")


def pcm16_digest(samples: NDArray[np.float32]) -> str:
    """Return the SHA-1 of decoded samples as 16-bit integers, the manifest's `sha1_pcm16`.

    Args:
        samples: float32 `[T]`, mono.

    Returns:
        SHA-1 of `trunc(32767 * samples)`, little-endian; values past full scale wrap around, as
        they do in the collections that use this digest.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for start in range(0, len(samples), _DIGEST_SAMPLES):
        piece = samples[start : start + _DIGEST_SAMPLES] * np.float32(32767)
        # Through int32: float to int16 beyond its range is left undefined by C.
        digest.update(piece.astype(np.int32).astype("<i2").tobytes())
    return digest.hexdigest()


class Columns(NamedTuple):
    """What clips are weighed by: durations float64 `[N]` s, categories int64 `[N]` as numbers."""

    durations: NDArray[np.float64]
    categories: NDArray[np.int64]


class Manifest(Sequence[Clip]):
    """The clips of a dataset in their order, checked; a million of them take about 30 MB.

    What clips are chosen by is held in arrays; a clip itself is read from the file when it is asked
    for, in some ten microseconds. The file stays open: where it is replaced meanwhile, the old one
    is read on.

    Args:
        file: For messages.
        lines: Where they come from.
        rows: Which lines, int64 `[N]`.
    """

    def __init__(self, file: Path, lines: _Lines, rows: NDArray[np.int64]) -> None:
        self._file, self._lines, self._rows = file, lines, rows

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Clip | Self:
        """Return a clip, or some of them."""
        if isinstance(index, slice):
            return type(self)(self._file, self._lines, self._rows[index])
        return self._clip(self._rows[index])

    def __iter__(self) -> Iterator[Clip]:
        """Read one clip after the other."""
        return map(self._clip, self._rows)

    def select(self, split: Split) -> Self:
        """Return the clips of one split."""
        chosen = self._lines.splits[self._rows] == SPLITS.index(split)
        return type(self)(self._file, self._lines, self._rows[chosen])

    @property
    def columns(self) -> Columns:
        """Durations and categories of the clips, without reading them again."""
        return Columns(
            self._lines.durations[self._rows], self._lines.categories[self._rows].astype(np.int64)
        )

    def _clip(self, row: np.int64) -> Clip:
        where = f"{self._file}: has changed since it was opened"
        return _parse_line(self._lines.read(int(row), where), where)


def columns_of(clips: Sequence[Clip]) -> Columns:
    """Return what clips are weighed by, whether they are a manifest or a list."""
    if isinstance(clips, Manifest):
        return clips.columns
    numbers: dict[str, int] = {}
    categories = [numbers.setdefault(clip.category, len(numbers)) for clip in clips]
    durations = [clip.duration for clip in clips]
    return Columns(np.array(durations, np.float64), np.array(categories, np.int64))


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest; `path` is the file or the folder that holds `manifest.jsonl`.

    Raises:
        InputError: It is missing, not UTF-8, empty, or a line is not a clip; names the line.
    """
    file = path / MANIFEST_NAME if path.is_dir() else path
    try:
        lines = _Lines(file)
    except FileNotFoundError as error:
        raise InputError(
            f"{file}: no such file", hint="soundgen dataset prepare SRC DST makes a dataset"
        ) from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not a text file in UTF-8") from error
    if not len(lines.durations):
        raise InputError(f"{file}: holds no clips")
    return Manifest(file, lines, np.arange(len(lines.durations)))


class _Lines:
    """Where the lines of a manifest lie, and columns of what stands in them.

    Args:
        file: It; an `OSError` or a `UnicodeDecodeError` passes.

    Raises:
        InputError: A line is not a clip, or two are the same one.
    """

    def __init__(self, file: Path) -> None:
        offsets, lengths, splits = array("q"), array("q"), bytearray()
        durations, categories, hashes = array("d"), array("i"), array("q")
        names: dict[str, int] = {}
        offset = 0
        with file.open("rb") as stream:
            # By bytes and not by characters: JSON allows other line separators in strings.
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    clip = _parse_line(line, f"{file}: line {number}")
                    offsets.append(offset)
                    lengths.append(len(line))
                    splits.append(SPLITS.index(clip.split))
                    durations.append(clip.duration)
                    categories.append(names.setdefault(clip.category, len(names)))
                    hashes.append(hash(clip.path))
                offset += len(line)
            self._handle = os.dup(stream.fileno())
        # Not a file object: those complain when they are left for the collector to close.
        weakref.finalize(self, os.close, self._handle)
        self._offsets, self._lengths = np.array(offsets), np.array(lengths)
        self.splits = np.frombuffer(bytes(splits), np.uint8)
        self.durations = np.array(durations, np.float64)
        self.categories = np.array(categories, np.int32)
        self._refuse_twins(file, np.array(hashes))

    def read(self, row: int, where: str) -> bytes:
        """Return a line; where it cannot be read, an `InputError` begins with `where`."""
        try:
            return os.pread(self._handle, int(self._lengths[row]), int(self._offsets[row]))
        except OSError as error:
            raise InputError(f"{where} ({error.strerror})") from error

    def _refuse_twins(self, file: Path, hashes: NDArray[np.int64]) -> None:
        order = np.argsort(hashes, kind="stable")
        alike = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        twins = sorted((int(order[i + 1]), int(order[i])) for i in alike)
        for later, first in twins:
            path, other = (_parse_line(self.read(row, ""), "").path for row in (later, first))
            if path == other:  # and not only their hashes
                raise InputError(
                    f"{file}: line {self._number(later)}: {path} stands in line "
                    f"{self._number(first)} already"
                )

    def _number(self, row: int) -> int:
        before = os.pread(self._handle, int(self._offsets[row]), 0)
        return before.count(b"\n") + 1


def write_manifest(path: Path, clips: Iterable[Clip]) -> None:
    """Write clips as JSON Lines, in their order; `path` is the file, or the dataset's folder.

    A file that cannot be written is an `OutputError`, and the old one stays whole.
    """
    file = path / MANIFEST_NAME if path.is_dir() else path
    with atomic_path(file) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for clip in clips:
            row = {name: getattr(clip, name) for name in _NAMES}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


_NAMES = tuple(field.name for field in fields(Clip))
_OPTIONAL = frozenset(("license", "source", "source_path", "origin", "author"))


def _parse_line(line: bytes, where: str) -> Clip:
    text = line.decode("utf-8")
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 1,000 brackets
        raise InputError(f"{where}: not valid JSON for us ({error})") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object, got {type(row).__name__}")
    for key in row:
        if key not in _NAMES:
            raise InputError(f"{where}: unknown key '{key}'; known: {', '.join(_NAMES)}")
    try:
        return Clip(**_typed(row))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {error}") from error


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in _NAMES:
        optional = name in _OPTIONAL
        if name not in row:
            if optional:
                continue
            raise ValueError(f"missing key '{name}'")
        value = row[name]
        if name in ("captions", "tags"):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ValueError(f"{name} must be a list of strings, got {value!r}")
            value = tuple(value)
        elif name == "duration":
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"duration must be a number, got {value!r}")
            value = float(value)
        elif not (isinstance(value, str) or (optional and value is None)):
            raise ValueError(f"{name} must be a string, got {value!r}")
        values[name] = value
    return values
