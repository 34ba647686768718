"""The manifest of a dataset: one JSON object a line, one line a clip, strict to the last key."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

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
        parts = Path(self.path).parts
        if not self.path or Path(self.path).is_absolute() or ".." in parts:
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


def read_manifest(path: Path) -> list[Clip]:
    """Read a manifest; `path` is the file or the folder that holds `manifest.jsonl`.

    Raises:
        InputError: It is missing, not UTF-8, empty, or a line is not a clip; names the line.
    """
    file = path / MANIFEST_NAME if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"{file}: no such file", hint="soundgen dataset prepare SRC DST makes a dataset"
        ) from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not a text file in UTF-8") from error
    clips: list[Clip] = []
    seen: dict[str, int] = {}
    # Not splitlines(): it would also cut at the line separators that JSON allows in strings.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        clip = _parse_line(line, f"{file}: line {number}")
        if clip.path in seen:
            raise InputError(
                f"{file}: line {number}: {clip.path} stands in line {seen[clip.path]} already"
            )
        seen[clip.path] = number
        clips.append(clip)
    if not clips:
        raise InputError(f"{file}: holds no clips")
    return clips


def write_manifest(path: Path, clips: Iterable[Clip]) -> None:
    """Write clips as JSON Lines, in their order; `path` is the file, or the dataset's folder.

    A file that cannot be written is an `OutputError`, and the old one stays whole.
    """
    file = path / MANIFEST_NAME if path.is_dir() else path
    lines = [json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in clips]
    with atomic_path(file) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _parse_line(line: str, where: str) -> Clip:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not valid JSON ({error.msg})") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object, got {type(row).__name__}")
    known = [field.name for field in fields(Clip)]
    for key in row:
        if key not in known:
            raise InputError(f"{where}: unknown key '{key}'; known: {', '.join(known)}")
    try:
        return Clip(**_typed(row))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {error}") from error


def _typed(row: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields(Clip):
        name = field.name
        optional = name in ("license", "source", "source_path", "origin", "author")
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
