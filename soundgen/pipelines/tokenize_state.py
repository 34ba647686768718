"""What `tokenize` has encoded so far, so that it goes on where it stopped however it ended.

A hidden folder in the cache: what is asked for, and of each shard a file of codes and a journal
with a line a clip. When all is encoded they become the cache, and the folder goes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from soundgen.data.tokens import CacheInfo
from soundgen.errors import OutputError
from soundgen.files import read_json, write_failure, write_json
from soundgen.pipelines.prepare_state import append_entry
from soundgen.pipelines.shards import Shard

STATE_FOLDER = ".tokenize"
_SETTINGS_NAME = "settings.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedClip:
    """One clip, or a variant of one.

    Attributes:
        number: Of the work, from 0.
        first_frame: Where its codes begin in its file.
        num_frames: How many there are.
        duration_s: Length of the sound.
        category: As in the manifest.
        split: Likewise.
        texts: What describes it.
    """

    number: int
    first_frame: int
    num_frames: int
    duration_s: float
    category: str
    split: str
    texts: tuple[str, ...]


class TokenJournal:
    """What one shard encodes, and what all of them have; to be entered before it is added to.

    Args:
        cache: The cache's folder, which this shard holds.
        info: What is asked for.
        shard: Whose journal; the whole work's if `None`.
    """

    def __init__(self, cache: Path, info: CacheInfo, shard: Shard | None) -> None:
        self.state = cache / STATE_FOLDER
        self._frame_bytes = 2 * info.n_q
        self._n_q = info.n_q
        self._name = shard.name if shard else "all"
        self._file = self._journal(self._name)
        self._codes: BinaryIO | None = None
        self._num_frames = 0

    def __enter__(self) -> Self:
        """Open the codes behind the last clip that was written whole."""
        clips = self._read(self._name)
        self._num_frames = max((c.first_frame + c.num_frames for c in clips), default=0)
        path = self._codes_of(self._name)
        try:
            self._codes = path.open("r+b" if path.exists() else "w+b")
            self._codes.truncate(self._num_frames * self._frame_bytes)
            self._codes.seek(0, os.SEEK_END)
        except OSError as error:
            raise write_failure(path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Close the codes."""
        if self._codes is not None:
            self._codes.close()

    def done(self) -> set[int]:
        """Return the numbers of all that any shard has encoded."""
        return {clip.number for name in self._names() for clip in self._read(name)}

    def clips(self) -> Iterator[tuple[EncodedClip, NDArray[np.int64]]]:
        """Yield all that any shard has encoded, by number, with its codes `[n_q, L]`."""
        found: dict[int, tuple[EncodedClip, str]] = {}
        files: dict[str, NDArray[np.uint16]] = {}
        for name in self._names():
            clips = self._read(name)
            if clips:
                codes = np.memmap(self._codes_of(name), dtype="<u2", mode="r")
                whole = len(codes) // self._n_q * self._n_q
                files[name] = codes[:whole].reshape(-1, self._n_q)
            found |= {clip.number: (clip, name) for clip in clips}
        for number in sorted(found):
            clip, name = found[number]
            rows = files[name][clip.first_frame : clip.first_frame + clip.num_frames]
            yield clip, rows.T.astype(np.int64)

    def add(
        self,
        number: int,
        codes: NDArray[np.int64],
        *,
        duration_s: float,
        category: str,
        split: str,
        texts: Sequence[str],
    ) -> None:
        """Write a clip's codes int64 `[n_q, L]`; on return they survive a kill of this process.

        Raises:
            OutputError: The disk is full.
        """
        if self._codes is None:
            raise ValueError("the journal was not entered")
        try:
            self._codes.write(np.ascontiguousarray(codes.T.astype("<u2")).tobytes())
            self._codes.flush()
        except OSError as error:
            raise write_failure(self._codes_of(self._name), error) from error
        clip = EncodedClip(
            number=number,
            first_frame=self._num_frames,
            num_frames=codes.shape[1],
            duration_s=duration_s,
            category=category,
            split=split,
            texts=tuple(texts),
        )
        append_entry(self._file, asdict(clip))
        self._num_frames += codes.shape[1]

    def _names(self) -> list[str]:
        files = sorted(self.state.glob("journal-*.jsonl"))
        return [file.stem.removeprefix("journal-") for file in files]

    def _journal(self, name: str) -> Path:
        return self.state / f"journal-{name}.jsonl"

    def _codes_of(self, name: str) -> Path:
        return self.state / f"codes-{name}.u16"

    def _read(self, name: str) -> list[EncodedClip]:
        """Return the clips of a journal whose codes are there; a line cut short is none."""
        path, codes = self._journal(name), self._codes_of(name)
        if not path.exists() or not codes.exists():
            return []
        num_frames = codes.stat().st_size // self._frame_bytes
        clips = []
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    row = json.loads(line)
                    clip = EncodedClip(**{**row, "texts": tuple(row["texts"])})
                except (ValueError, KeyError, TypeError):
                    continue
                if clip.first_frame + clip.num_frames <= num_frames:
                    clips.append(clip)
        return clips


def begin_cache(cache: Path, info: CacheInfo, *, force: bool) -> None:
    """Mark a folder that is held as being tokenized into.

    Args:
        cache: The cache's folder.
        info: What is asked for.
        force: Throw away what was begun with something else.

    Raises:
        OutputError: Something else was begun there, or it cannot be written.
    """
    state, wanted = cache / STATE_FOLDER, asdict(info)
    found = read_json(state / _SETTINGS_NAME)
    if found is not None and found != wanted:
        if not force:
            names = [
                "--n-q" if name == "n_q" else name.replace("_", " ")
                for name in wanted
                if found.get(name) != wanted[name]
            ]
            raise OutputError(
                f"{cache}: was begun with another {' and another '.join(names)}",
                hint="use -f (without --shard) to begin anew, or name another folder",
            )
        end_cache(cache)
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(cache, error) from error
    write_json(state / _SETTINGS_NAME, wanted)


def was_begun(cache: Path, info: CacheInfo) -> bool:
    """Tell whether a folder holds notes on this very work."""
    return read_json(cache / STATE_FOLDER / _SETTINGS_NAME) == asdict(info)


def end_cache(cache: Path) -> None:
    """Remove the notes, and what a killed process was writing when it died."""
    for stray in cache.glob(".soundgen-*"):
        stray.unlink(missing_ok=True)
    shutil.rmtree(cache / STATE_FOLDER, ignore_errors=True)
