"""The token cache: what a language model trains on, encoded once.

A folder with `cache.json` (what it was made from), `codes.u16` (all codes, frame after frame,
uint16 `[frames, n_q]`), `clips.jsonl` (a line a clip: where its codes are and which texts describe
it) and `texts.safetensors` (embeddings of every distinct text, fp16). Codes and embeddings are
memory-mapped, so a cache may be larger than memory.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundgen.data.token_clips import TokenClip, TokenClips, read_token_clips
from soundgen.errors import CheckpointError, OutputError
from soundgen.files import atomic_paths, write_failure
from soundgen.training.seeding import sample_rng

CACHE_FORMAT = 1
CACHE_FILE, CODES_FILE, CLIPS_FILE, TEXTS_FILE = (
    "cache.json",
    "codes.u16",
    "clips.jsonl",
    "texts.safetensors",
)

_ANCHOR_BEGINS_S, _ANCHOR_S = 0.5, (0.5, 2.0)
"""Where the beginning that an anchored window holds begins, and its shortest and longest, s."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache was made from; a model records it, and refuses another."""

    format: int
    codec_digest: str
    n_q: int
    codebook_size: int
    frame_rate: float
    text_encoder: dict[str, Any]
    num_variants: int
    dataset: str
    """SHA-256 of the manifest."""


class TokenBatch(NamedTuple):
    """Windows of clips of like length.

    Shapes: codes int64 `[B, K, L]`, num_frames int64 `[B]`, ends bool `[B]`, start_s and
    duration_s float32 `[B]`, text_states float32 `[B, N, D]`, text_mask bool `[B, N]`,
    text_pooled float32 `[B, D]`.
    """

    codes: Tensor
    num_frames: Tensor
    ends: Tensor
    start_s: Tensor
    duration_s: Tensor
    text_states: Tensor
    text_mask: Tensor
    text_pooled: Tensor


class TokenCache:
    """A cache, opened for reading.

    Args:
        path: Its folder.

    Raises:
        CheckpointError: It is missing, incomplete or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.info = CacheInfo(**json.loads((path / CACHE_FILE).read_text(encoding="utf-8")))
            if self.info.format > CACHE_FORMAT:
                raise CheckpointError(
                    f"{path}: cache format {self.info.format} is newer than this program knows",
                    hint="update soundgen",
                )
            with (path / CLIPS_FILE).open(encoding="utf-8") as lines:
                self.clips = read_token_clips(lines)
            self.codes = np.memmap(path / CODES_FILE, dtype="<u2", mode="r").reshape(
                -1, self.info.n_q
            )
            texts = safetensors.torch.load_file(path / TEXTS_FILE)
            self.states, self.mask, self.pooled = texts["states"], texts["mask"], texts["pooled"]
        except FileNotFoundError as error:
            missing = Path(error.filename).name
            raise CheckpointError(
                f"{path}: not a token cache, or not finished ({missing} is missing)",
                hint="make one with: soundgen dataset tokenize",
            ) from error
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            raise CheckpointError(
                f"{path}: a damaged token cache ({error})",
                hint="make it again with: soundgen dataset tokenize",
            ) from error
        if self.clips.last_frame > len(self.codes):
            raise CheckpointError(
                f"{path}: {CODES_FILE} is shorter than {CLIPS_FILE} says",
                hint="make it again with: soundgen dataset tokenize",
            )

    def split(self, name: str) -> TokenClips:
        """Return the clips of one split."""
        return self.clips.select(name)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenSamplerConfig:
    """How batches are drawn from a cache."""

    n_q: int
    """Codebooks to train on; the cache may hold more."""
    batch_frames: int
    max_s: float
    duration_power: float
    category_power: float
    longest_s: float
    anchored_windows: float = 0.0
    """Share of the windows from inside a sound that hold its beginning too, as a window does that
    has slid at generation (see `lm.engine`)."""
    max_items: int = 64


class _Window(NamedTuple):
    """A cut of a clip, and which of its texts goes with it."""

    clip: TokenClip
    start: int
    length: int
    text_row: int
    anchor: int
    """How many of its first frames are the sound's beginning instead."""


class TokenSampler:
    """Draws batches of clips of like length; batch i is a function of (seed, i) alone.

    Clips are sorted into buckets by length. A bucket is drawn in proportion to its clips' summed
    weights, so a weight is a share of the steps. (Correcting for how many items a batch of each
    bucket holds, so that a weight was a share of the items, gave five steps in six to the few
    long clips, four to a batch, and the loss did not move in 140 steps.)

    Args:
        cache: The cache.
        clips: Of one split; at least one.
        config: How.
        seed: Of the whole run.
    """

    def __init__(
        self,
        cache: TokenCache,
        clips: TokenClips,
        config: TokenSamplerConfig,
        *,
        seed: int,
    ) -> None:
        self.cache, self.config, self.seed = cache, config, seed
        self.max_frames = max(1, round(config.max_s * cache.info.frame_rate))
        lengths = np.minimum(clips.num_frames, self.max_frames)
        # Four buckets an octave: at most a fifth of a batch is padding.
        keys = (np.log2(np.maximum(lengths, 4)) * 4).astype(np.int64)
        of_category = np.bincount(clips.categories).astype(np.float64).clip(min=1)
        of_clip = (of_category**-config.category_power)[clips.categories] * (
            np.minimum(clips.durations_s, config.longest_s) ** config.duration_power
        )
        rows = [np.flatnonzero(keys == key) for key in np.unique(keys)]
        self.buckets = [clips[bucket] for bucket in rows]
        weights = [of_clip[bucket] for bucket in rows]
        self.within = [np.cumsum(w / w.sum()) for w in weights]
        self.sizes = [self._batch_size(bucket) for bucket in self.buckets]
        share = np.array([w.sum() for w in weights])
        self.across = np.cumsum(share / share.sum())

    def _batch_size(self, bucket: TokenClips) -> int:
        longest = min(self.max_frames, int(bucket.num_frames.max()))
        return max(1, min(self.config.max_items, self.config.batch_frames // longest))

    def batch(self, index: int, part: int = 0, num_parts: int = 1) -> TokenBatch:
        """Return batch number `index`, or a part of it.

        Args:
            index: Of the batch.
            part: Which of the parts, from 0.
            num_parts: How many times the rows of a batch there are in all, each part with as
                many as a batch alone has. All are drawn and only the part's are read, so that the
                whole is the same however many share it.
        """
        rng = sample_rng(self.seed, index)
        bucket = min(int(np.searchsorted(self.across, rng.random())), len(self.buckets) - 1)
        size = self.sizes[bucket]
        picks = np.searchsorted(self.within[bucket], rng.random(size * num_parts))
        clips = [self.buckets[bucket][min(int(i), len(self.buckets[bucket]) - 1)] for i in picks]
        windows = [self._window(clip, rng) for clip in clips]
        return self._read(windows[part * size : (part + 1) * size])

    def sweep(self, num_batches: int) -> Iterator[TokenBatch]:
        """Yield the first `num_batches` batches, the same at every call: for measuring."""
        for index in range(num_batches):
            yield self.batch(index)

    def assemble(self, clips: Sequence[TokenClip], rng: np.random.Generator) -> TokenBatch:
        """Cut a window from each clip and put them side by side."""
        return self._read([self._window(clip, rng) for clip in clips])

    def _window(self, clip: TokenClip, rng: np.random.Generator) -> _Window:
        length = min(clip.num_frames, self.max_frames)
        start = int(rng.integers(clip.num_frames - length + 1))
        # Beginnings are where a listener notices: half of the windows are one.
        if rng.random() < 0.5:
            start = 0
        text_row = clip.text_rows[int(rng.integers(len(clip.text_rows)))]
        return _Window(clip, start, length, text_row, self._anchor(start, length, rng))

    def _anchor(self, start: int, length: int, rng: np.random.Generator) -> int:
        """Return how many frames of a window give way to the sound's beginning."""
        if not self.config.anchored_windows:
            return 0
        rate = self.cache.info.frame_rate
        anchor = round(rng.uniform(*_ANCHOR_S) * rate)
        chosen = rng.random() < self.config.anchored_windows
        behind = start >= round(_ANCHOR_BEGINS_S * rate) + anchor
        return anchor if chosen and behind and length >= 2 * anchor else 0

    def _read(self, windows: Sequence[_Window]) -> TokenBatch:
        cache, rate = self.cache, self.cache.info.frame_rate
        longest = max(window.length for window in windows)
        codes = np.zeros((len(windows), longest, self.config.n_q), np.int64)
        for row, window in enumerate(windows):
            codes[row, : window.length] = self._codes(window.clip, window.start, window.length)
            if window.anchor:
                begin = round(_ANCHOR_BEGINS_S * rate)
                codes[row, : window.anchor] = self._codes(window.clip, begin, window.anchor)
        # Not of a clip that was cut when it was encoded: its sound goes on.
        ends = [w.start + w.length >= int(w.clip.duration_s * rate) for w in windows]
        rows = torch.tensor([window.text_row for window in windows])
        durations = [window.clip.duration_s for window in windows]
        return TokenBatch(
            codes=torch.from_numpy(codes).transpose(1, 2),
            num_frames=torch.tensor([window.length for window in windows]),
            ends=torch.tensor(ends),
            start_s=torch.tensor([window.start / rate for window in windows], dtype=torch.float32),
            duration_s=torch.tensor(durations, dtype=torch.float32),
            text_states=cache.states[rows].float(),
            text_mask=cache.mask[rows].bool(),
            text_pooled=cache.pooled[rows].float(),
        )

    def _codes(self, clip: TokenClip, start: int, length: int) -> NDArray[np.uint16]:
        """Return frames of a clip, `[L, n_q]`."""
        first = clip.first_frame + start
        return self.cache.codes[first : first + length, : self.config.n_q]


class TokenCacheWriter:
    """Writes a cache clip by clip; `finish` makes it one.

    The codes grow under a temporary name, so a cache that is there stays whole, and a training
    that reads it undisturbed, until the new one is complete.

    Args:
        path: Its folder; made if missing.
        info: What it is made from.

    Raises:
        OutputError: The folder cannot be written.
    """

    def __init__(self, path: Path, info: CacheInfo) -> None:
        self.path, self.info = path, info
        self._clips: list[TokenClip] = []
        self._num_frames = 0
        self._growing = path / f".{CODES_FILE}.growing"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._codes = self._growing.open("wb")
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close and remove what was not finished."""
        # What is buffered still may not fit; the failure that led here is what counts.
        with contextlib.suppress(OSError):
            self._codes.close()
        self._growing.unlink(missing_ok=True)

    def add(
        self,
        codes: NDArray[np.int64],
        *,
        duration_s: float,
        category: str,
        split: str,
        text_rows: Sequence[int],
    ) -> None:
        """Append a clip's codes int64 `[n_q, L]`.

        Raises:
            OutputError: The disk is full.
        """
        try:
            self._codes.write(np.ascontiguousarray(codes.T.astype("<u2")).tobytes())
        except OSError as error:
            raise write_failure(self.path / CODES_FILE, error) from error
        self._clips.append(
            TokenClip(
                self._num_frames, codes.shape[1], duration_s, category, split, tuple(text_rows)
            )
        )
        self._num_frames += codes.shape[1]

    def finish(self, states: Tensor, mask: Tensor, pooled: Tensor) -> None:
        """Write the text table and make the folder a cache.

        Args:
            states: float32 `[U, N, D]` of the U distinct texts.
            mask: bool `[U, N]`.
            pooled: float32 `[U, D]`.

        Raises:
            OutputError: The disk is full.
        """
        table = {
            "states": states.half().contiguous(),
            "mask": mask.to(torch.uint8).contiguous(),
            "pooled": pooled.half().contiguous(),
        }
        try:
            self._codes.close()
        except OSError as error:
            raise write_failure(self.path / CODES_FILE, error) from error
        names = (CACHE_FILE, CLIPS_FILE, TEXTS_FILE)
        with atomic_paths([self.path / name for name in names]) as (info, clips, texts):
            try:
                safetensors.torch.save_file(table, texts)
            except safetensors.SafetensorError as error:
                raise write_failure(self.path / TEXTS_FILE, error, texts) from error
            lines = (json.dumps(asdict(clip)) for clip in self._clips)
            clips.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            info.write_text(json.dumps(asdict(self.info), indent=2) + "\n", encoding="utf-8")
            # From here to the last rename the folder is no cache, rather than a mixture of two.
            (self.path / CACHE_FILE).unlink(missing_ok=True)
            os.replace(self._growing, self.path / CODES_FILE)
