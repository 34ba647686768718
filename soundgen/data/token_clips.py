"""The clips of a token cache: where the codes of each lie, in columns fit for a million of them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TokenClip:
    """One encoded clip.

    Attributes:
        first_frame: Where its codes begin in `codes.u16`.
        num_frames: How many frames it has.
        duration_s: Length of the sound; more than `num_frames` where it was cut.
        category: As in the manifest.
        split: train or valid.
        text_rows: Rows of the text table that describe it.
    """

    first_frame: int
    num_frames: int
    duration_s: float
    category: str
    split: str
    text_rows: tuple[int, ...]


class _Columns(NamedTuple):
    """All clips of a cache, `[N]` each; names and texts by number."""

    first_frames: NDArray[np.int64]
    num_frames: NDArray[np.int64]
    durations_s: NDArray[np.float64]
    categories: NDArray[np.int64]
    splits: NDArray[np.int64]
    text_ends: NDArray[np.int64]
    """Where the texts of a clip end in `text_rows`; they begin where those of the one before do."""
    text_rows: NDArray[np.int64]
    names: list[str]


class TokenClips(Sequence[TokenClip]):
    """Clips of a cache, made when they are asked for; some 60 bytes each until then.

    Args:
        columns: Of all clips.
        rows: Which of them, int64 `[N]`.
    """

    def __init__(self, columns: _Columns, rows: NDArray[np.int64]) -> None:
        self._columns, self._rows = columns, rows

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> TokenClip: ...
    @overload
    def __getitem__(self, index: slice | NDArray[np.int64]) -> Self: ...
    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> TokenClip | Self:
        """Return a clip, or some of them."""
        if isinstance(index, (slice, np.ndarray)):
            return type(self)(self._columns, self._rows[index])
        return self._clip(int(self._rows[index]))

    def __iter__(self) -> Iterator[TokenClip]:
        """Make one clip after the other."""
        return map(self._clip, map(int, self._rows))

    def select(self, split: str) -> Self:
        """Return the clips of one split."""
        if split not in self._columns.names:
            return self[:0]
        chosen = self._columns.splits[self._rows] == self._columns.names.index(split)
        return type(self)(self._columns, self._rows[chosen])

    @property
    def num_frames(self) -> NDArray[np.int64]:
        """Frames of each, `[N]`."""
        return self._columns.num_frames[self._rows]

    @property
    def durations_s(self) -> NDArray[np.float64]:
        """Length of each sound, s, `[N]`."""
        return self._columns.durations_s[self._rows]

    @property
    def categories(self) -> NDArray[np.int64]:
        """Category of each as a number, `[N]`."""
        return self._columns.categories[self._rows]

    @property
    def last_frame(self) -> int:
        """How many frames the codes must have at least."""
        ends = self._columns.first_frames[self._rows] + self.num_frames
        return int(ends.max(initial=0))

    def _clip(self, row: int) -> TokenClip:
        columns = self._columns
        begin = int(columns.text_ends[row - 1]) if row else 0
        return TokenClip(
            int(columns.first_frames[row]),
            int(columns.num_frames[row]),
            float(columns.durations_s[row]),
            columns.names[columns.categories[row]],
            columns.names[columns.splits[row]],
            tuple(map(int, columns.text_rows[begin : columns.text_ends[row]])),
        )


def read_token_clips(lines: Iterable[str]) -> TokenClips:
    """Read clips as JSON, one a line; a line that is none is a `ValueError` or a `TypeError`."""
    first_frames, num_frames, durations = array("q"), array("q"), array("d")
    categories, splits, text_ends, text_rows = array("q"), array("q"), array("q"), array("q")
    names: dict[str, int] = {}
    for line in lines:
        clip = TokenClip(**json.loads(line))
        first_frames.append(clip.first_frame)
        num_frames.append(clip.num_frames)
        durations.append(clip.duration_s)
        categories.append(names.setdefault(clip.category, len(names)))
        splits.append(names.setdefault(clip.split, len(names)))
        text_rows.extend(clip.text_rows)
        text_ends.append(len(text_rows))
    columns = _Columns(
        first_frames=np.array(first_frames, np.int64),
        num_frames=np.array(num_frames, np.int64),
        durations_s=np.array(durations, np.float64),
        categories=np.array(categories, np.int64),
        splits=np.array(splits, np.int64),
        text_ends=np.array(text_ends, np.int64),
        text_rows=np.array(text_rows, np.int64),
        names=list(names),
    )
    return TokenClips(columns, np.arange(len(first_frames)))
