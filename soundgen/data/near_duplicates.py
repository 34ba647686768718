"""Clips that are the same recording or overlapping cuts of one, found without comparing all pairs.

Pairs worth a look share an exact piece of trace, or fall into the same bucket of a random
projection of their shapes; each is then compared in full. Work grows with the number of clips,
not with its square: a bucket is compared only along its sorted neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soundgen.data.fingerprint import TRACE_BANDS, Fingerprint

# A frame with fewer moving bands than this is shared by unrelated sounds.
_MIN_MOVING_BANDS = 8
# Neighbours looked at inside a bucket of equal traces, or of similar shapes.
_TRACE_NEIGHBOURS = 8
_SHAPE_NEIGHBOURS = 24
# More traces than this are thinned out, always the same ones, to bound memory and time.
_MAX_TRACE_KEYS = 4_000_000
# Traces agree when their correlation is this high, and this many times its spread among
# unrelated sounds: of the pairs above both limits in 5,119 effects, all but a few came from
# one collection, against one in twenty of all pairs.
_TRACE_MIN_CORRELATION = 0.4
_TRACE_MIN_EVIDENCE = 9.0
_TRACE_MIN_FRAMES = 4
# Mean difference of the shapes, and ratio of the lengths, up to which sounds count as the same.
_SHAPE_MAX_DISTANCE_DB = 1.2
_SHAPE_MAX_LOG_RATIO = 0.06
_SHAPE_QUIET_DB = 3.0
# Noises of equal colour have equal shapes; their traces, full on both sides, then disagree.
_FULL_TRACE = 0.5
_DISAGREEMENT = 0.2
_PROJECTION_BITS = 20
_PROJECTION_TABLES = 8
_BATCH_PAIRS = 4096


def group_near_duplicates(fingerprints: Sequence[Fingerprint]) -> list[int]:
    """Return for each clip the smallest index among the clips that it is connected with.

    Connected means near-duplicate of one another, or through others.
    """
    groups = _Groups(len(fingerprints))
    if len(fingerprints) > 1:
        for first, second, offset in _trace_candidates(fingerprints):
            if groups.find(first) != groups.find(second):
                a, b = fingerprints[first], fingerprints[second]
                correlation, evidence = compare_traces(a, b, offset)
                if correlation >= _TRACE_MIN_CORRELATION and evidence >= _TRACE_MIN_EVIDENCE:
                    groups.join(first, second)
        for first, second in _similar_shapes(fingerprints):
            if groups.find(first) != groups.find(second):
                a, b = fingerprints[first], fingerprints[second]
                if not _traces_disagree(a, b):
                    groups.join(first, second)
    return [groups.find(index) for index in range(len(fingerprints))]


def compare_traces(a: Fingerprint, b: Fingerprint, offset: int) -> tuple[float, float]:
    """Correlate two traces where frame `i` of `a` lies over frame `i - offset` of `b`.

    Returns:
        The correlation in [-1, 1], and the evidence: the correlation over its spread among
        unrelated sounds, up to a factor.
    """
    start, stop = max(0, offset), min(len(a.rises), len(b.rises) + offset)
    if stop - start < _TRACE_MIN_FRAMES:
        return 0.0, 0.0
    a_rises, a_falls = a.rises[start:stop], a.falls[start:stop]
    b_rises, b_falls = (
        b.rises[start - offset : stop - offset],
        b.falls[start - offset : stop - offset],
    )
    agree = _count(a_rises & b_rises) + _count(a_falls & b_falls)
    disagree = _count(a_rises & b_falls) + _count(a_falls & b_rises)
    moving = (float(_count(a_rises | a_falls)) * float(_count(b_rises | b_falls))) ** 0.5
    if moving == 0:
        return 0.0, 0.0
    correlation = (agree - disagree) / moving
    return correlation, correlation * moving**0.5


class _Groups:
    """Disjoint sets of clips; the smallest index stands for its set."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def find(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = self._parents[self._parents[index]]
            index = self._parents[index]
        return index

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.find(first), self.find(second)))
        self._parents[high] = low


def _count(bits: NDArray[np.uint32]) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def _trace_candidates(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int, int]]:
    """Return (clip, clip, offset) of frames with the same, telling, piece of trace."""
    keys, clips, frames = [], [], []
    for index, found in enumerate(fingerprints):
        moving = np.bitwise_count(found.rises | found.falls) >= _MIN_MOVING_BANDS
        telling = np.flatnonzero(moving)
        unique, first = np.unique(found.rises[telling], return_index=True)
        keys.append(unique)
        clips.append(np.full(len(unique), index, dtype=np.int64))
        frames.append(telling[first].astype(np.int64))
    key, clip, frame = np.concatenate(keys), np.concatenate(clips), np.concatenate(frames)
    if len(key) > _MAX_TRACE_KEYS:
        # Thinned by the key's own hash, so that both sides of a pair keep the same ones.
        mixed = (key.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        kept = mixed < np.uint64((1 << 24) * _MAX_TRACE_KEYS // len(key))
        key, clip, frame = key[kept], clip[kept], frame[kept]
    order = np.lexsort((clip, key))
    key, clip, frame = key[order], clip[order], frame[order]
    found_pairs = []
    for shift in range(1, _TRACE_NEIGHBOURS + 1):
        same = np.flatnonzero(key[shift:] == key[:-shift])
        if not len(same):
            break
        other = same + shift
        rows = (clip[same], clip[other], frame[same] - frame[other])
        found_pairs.append(np.stack(rows, axis=1))
    if not found_pairs:
        return []
    pairs = np.unique(np.concatenate(found_pairs), axis=0)
    return [(int(a), int(b), int(offset)) for a, b, offset in pairs]


def _similar_shapes(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Return pairs of clips of like length whose shapes differ by little."""
    shapes = np.stack([found.shape for found in fingerprints])  # [N, parts * bands]
    lengths = np.log([max(found.active_s, 1e-3) for found in fingerprints])
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    planes = np.random.default_rng(0).standard_normal(
        (shapes.shape[1], _PROJECTION_TABLES * _PROJECTION_BITS), dtype=np.float32
    )
    sides = (centred @ planes > 0).reshape(len(shapes), _PROJECTION_TABLES, _PROJECTION_BITS)
    keys = (sides * (1 << np.arange(_PROJECTION_BITS))).sum(axis=2)  # [N, tables]
    similar: set[tuple[int, int]] = set()
    for table in range(_PROJECTION_TABLES):
        order = np.lexsort((np.arange(len(shapes)), lengths, keys[:, table]))
        key = keys[order, table]
        for shift in range(1, min(_SHAPE_NEIGHBOURS + 1, len(order))):
            same = np.flatnonzero(key[shift:] == key[:-shift])
            first, second = order[same], order[same + shift]
            near = np.abs(lengths[first] - lengths[second]) <= _SHAPE_MAX_LOG_RATIO
            first, second = first[near], second[near]
            for start in range(0, len(first), _BATCH_PAIRS):
                a, b = first[start : start + _BATCH_PAIRS], second[start : start + _BATCH_PAIRS]
                hits = _shape_distances(shapes[a], shapes[b]) <= _SHAPE_MAX_DISTANCE_DB
                similar |= {
                    (min(i, j), max(i, j))
                    for i, j in zip(a[hits].tolist(), b[hits].tolist(), strict=True)
                }
    return sorted(similar)


def _shape_distances(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the mean difference in dB `[P]` of pairs `[P, D]`, where either is not quiet."""
    loud = (first > _SHAPE_QUIET_DB) | (second > _SHAPE_QUIET_DB)
    total = (np.abs(first - second) * loud).sum(axis=1)
    distances: NDArray[np.float32] = total / np.maximum(loud.sum(axis=1), 1)
    return distances


def _traces_disagree(a: Fingerprint, b: Fingerprint) -> bool:
    for found in (a, b):
        moving = _count(found.rises | found.falls)
        if moving < _FULL_TRACE * (TRACE_BANDS - 1) * len(found.rises):
            return False
    return all(compare_traces(a, b, offset)[0] < _DISAGREEMENT for offset in range(-4, 5))
