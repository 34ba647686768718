"""Find sounds in a folder by text: each file heard once, and remembered in an index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import blocks_mono
from soundgen.checkpoint import DEFAULT_MODEL, resolve_model
from soundgen.data.walk import SOUND_SUFFIXES, Source, walk
from soundgen.errors import InputError, OutputError
from soundgen.evaluation.matcher_config import SILENT
from soundgen.pipelines.search_index import (
    EntryKind,
    IndexEntry,
    SearchIndex,
    default_index_path,
    read_index,
    save_index,
)
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    # PyTorch takes a second: not before everything that can be checked without it is.
    from soundgen.pipelines.model import LoadedMatcher

MAX_HEARD_S = 600.0
"""Of a longer file the first ten minutes are heard."""
_SAVE_EVERY_S = 60.0
"""While a large library is indexed for the first time; a crash loses no more than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchHit:
    """A sound that was found.

    Attributes:
        path: The file.
        score: Cosine with the text.
        duration_s: Length, s, as far as it was heard.
    """

    path: Path
    score: float
    duration_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsearchable:
    """A file that promises a sound and holds none that can be heard.

    Attributes:
        path: The file.
        reason: Why, one line.
    """

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchReport:
    """What a search came to.

    Attributes:
        text: What was looked for.
        folder: Where.
        results: The best matches, best first.
        num_sounds: Sounds that were compared.
        num_new: Of those, the ones that had to be heard for it.
        failures: Files that could not be read, in order.
        index: Where the vectors are kept.
    """

    text: str
    folder: Path
    results: list[SearchHit]
    num_sounds: int
    num_new: int
    failures: list[Unsearchable]
    index: Path


def search(
    text: str,
    folder: Path,
    *,
    num_results: int = 10,
    model: str = DEFAULT_MODEL,
    index_path: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> SearchReport:
    """Find the sounds below `folder` that fit `text` best.

    New and changed files are heard first, in bounded memory, of long ones the first ten minutes.
    What was heard is kept if the work is interrupted.

    Args:
        text: What to look for.
        folder: The library; searched with all folders in it.
        num_results: How many to return.
        model: Shipped name, model folder or `hf:owner/name`, with a matcher.
        index_path: Where the index is kept; in the user's cache if `None`.
        device: auto, cpu, cuda or mps.
        threads: Of the processor; as many as it has cores if `None`.
        progress: Listens.

    Raises:
        InputError: The folder is missing, or holds no sound that can be heard.
        CheckpointError: The model has no matcher.
        OutputError: `index_path` cannot be written, or is some other file.
    """
    progress = progress or SilentProgress()
    opened = resolve_model(model)
    opened.section("matcher")
    found = walk(folder)
    for notice in found.notices:
        progress.notice(notice)
    path = index_path or default_index_path(folder, opened.matcher_digest)
    index, problem = read_index(path, opened.matcher_digest, replaceable=index_path is None)
    if problem:
        progress.notice(f"{path}: {problem}; indexing again")

    from soundgen.pipelines.model import load_matcher, use_threads

    use_threads(threads)
    matcher = load_matcher(model, device=device)
    stale = [source for source in found.sources if not _is_known(index, source)]
    forgot = index.keep({source.name for source in found.sources})
    keeper = _Keeper(index, path, progress, required=index_path is not None)
    keeper.changed = forgot or bool(problem)
    _hear_all(matcher, stale, keeper, progress)
    # Files that cannot even be looked at are not in the index: they may be readable tomorrow.
    failures = [
        *(Unsearchable(path=folder / lost.path, reason=lost.reason) for lost in found.rejected),
        *(
            Unsearchable(path=folder / name, reason=entry.problem)
            for name, entry in sorted(index.entries.items())
            if entry.kind == "broken"
        ),
    ]
    if not index.vectors:
        raise InputError(
            f"{folder}: no sounds there that can be heard",
            hint=f"{failures[0].path}: {failures[0].reason}" if failures else "",
        )
    new = {source.name for source in stale}
    return SearchReport(
        text=text,
        folder=folder,
        results=_rank(matcher, index, text, folder, num_results),
        num_sounds=len(index.vectors),
        num_new=len(new & index.vectors.keys()),
        failures=failures,
        index=path,
    )


def _is_known(index: SearchIndex, source: Source) -> bool:
    """Say whether a file needs no second look. Broken ones do: a decoder may be there by now."""
    entry = index.entries.get(source.name)
    if entry is None or entry.kind == "broken":
        return False
    return (entry.size, entry.mtime_ns) == (source.size, source.mtime_ns)


class _Keeper:
    """Saves the index now and then, and at the end however it comes."""

    def __init__(
        self, index: SearchIndex, path: Path, progress: Progress, *, required: bool
    ) -> None:
        self.changed = False
        self._index, self._path, self._progress = index, path, progress
        self._required = required
        self._saved_at = time.monotonic()

    def enter(self, source: Source, entry: IndexEntry, vector: NDArray[np.float32] | None) -> None:
        """Enter what was found in a file, and name it if that is a fault not known yet."""
        if self._index.entries.get(source.name) == entry:
            return
        if entry.kind == "broken":
            self._progress.notice(f"{source.path}: {entry.problem}")
        self._index.add(source.name, entry, vector)
        self.changed = True
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Save changes; a cache that cannot be written costs the next search time, and no more."""
        if not self.changed:
            return
        try:
            save_index(self._index, self._path)
        except OutputError as error:
            if self._required:
                raise
            self._progress.notice(f"the index is not kept: {error.message}")
        self.changed, self._saved_at = False, time.monotonic()


def _hear_all(
    matcher: LoadedMatcher, sources: list[Source], keeper: _Keeper, progress: Progress
) -> None:
    """Hear files and enter them in the index; Ctrl-C and the like keep what was heard."""
    progress.start("listening", len(sources))
    try:
        for source in sources:
            keeper.enter(source, *_hear(matcher, source))
            progress.advance()
    finally:
        keeper.save()
        progress.finish()


def _hear(matcher: LoadedMatcher, source: Source) -> tuple[IndexEntry, NDArray[np.float32] | None]:
    rate = matcher.matcher.config.sample_rate
    heard = _Heard(int(MAX_HEARD_S * rate))
    kind: EntryKind = "sound"
    problem, vector = "", None
    try:
        vector = matcher.matcher.embed_stream(heard.blocks(source.path, rate)).numpy()
    except InputError as error:
        problem = error.message.removeprefix(f"{source.path}: ")
        if problem == SILENT:
            kind = "silent"  # nothing that a person has to repair
        elif heard.num_samples or source.path.suffix.lower() in SOUND_SUFFIXES:
            kind = "broken"
        else:
            # Projects, presets and fonts lie about in any library; only what calls itself a
            # sound has to be one.
            kind = "other"
    entry = IndexEntry(
        size=source.size,
        mtime_ns=source.mtime_ns,
        duration_s=round(heard.num_samples / rate, 3),
        problem=problem,
        kind=kind,
    )
    return entry, vector


class _Heard:
    """Reads the beginning of a file and counts its samples."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.num_samples = 0

    def blocks(self, path: Path, sample_rate: int) -> Iterator[NDArray[np.float32]]:
        """Yield float32 `[T]` until the file or the limit ends."""
        for block in blocks_mono(path, sample_rate):
            piece = block[: self._most - self.num_samples]
            self.num_samples += piece.size
            yield piece
            if self.num_samples == self._most:
                return


def _rank(
    matcher: LoadedMatcher, index: SearchIndex, text: str, folder: Path, num_results: int
) -> list[SearchHit]:
    names = list(index.vectors)
    scores = np.stack([index.vectors[name] for name in names]) @ (
        matcher.embed_prompt(text)[0].numpy()
    )
    # Equal scores by name, so that a search repeats.
    order = sorted(range(len(names)), key=lambda row: (-scores[row], names[row]))
    return [
        SearchHit(
            path=folder / names[row],
            score=round(float(scores[row]), 4),
            duration_s=index.entries[names[row]].duration_s,
        )
        for row in order[:num_results]
    ]
