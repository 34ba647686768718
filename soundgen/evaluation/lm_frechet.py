"""Fréchet distances of several sources to real clips, drawn alike so that they can be compared.

The real clips of each category are halved at random: one half is the reference, the other stands
for "real clips", and what was made from a clip is never held against that clip itself. Each source
then gives as many sounds of each category as there are in the reference. Distances are means over
many such draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.evaluation.frechet import PrincipalAxes, frechet_distance
from soundgen.evaluation.sound_set import SoundSet

_NUM_DRAWS = 20
_MAX_SOUNDS = 64
"""Of one side: as many as there are sounds without a prompt (`evaluate_lm`)."""


@dataclass(frozen=True, slots=True)
class FrechetDistances:
    """What was found, and over how much.

    Attributes:
        num_sounds: Of each side of a distance.
        num_axes: Dimensions of the projected embeddings.
        distances: By name of the source.
    """

    num_sounds: int
    num_axes: int
    distances: dict[str, float]


def frechet_distances(
    real: SoundSet,
    paired: Sequence[SoundSet],
    by_category: Sequence[SoundSet],
    anywhere: Sequence[SoundSet],
    *,
    categories: Sequence[str | None],
    axes: PrincipalAxes,
    seed: int = 0,
) -> FrechetDistances | None:
    """Measure every source against halves of the real clips.

    Args:
        real: Real clips.
        paired: Sources whose sound i was made from real clip i, such as round trips.
        by_category: Sources that answer prompts of the categories.
        anywhere: Sources whose sounds belong to no category; one without sounds is left out.
        categories: Of each prompt; `None` for prompts that take no part.
        axes: To project embeddings on.
        seed: Of the draws.

    Returns:
        `None` where the sources have too few sounds in common for a covariance.
    """
    anywhere = [source for source in anywhere if source.sounds]
    real_pools = _pools(real, categories)
    pools = [_pools(source, categories) for source in by_category]
    quotas = _quotas(real_pools, pools, [len(source.sounds) for source in anywhere])
    num_sounds = sum(quotas.values())
    if num_sounds < 2:
        return None
    sources = [real, *paired, *by_category, *anywhere]
    points = {source.name: axes.project(source.embeddings) for source in sources}
    found: dict[str, list[float]] = {source.name: [] for source in sources}
    for number in range(_NUM_DRAWS):
        rng = np.random.default_rng([seed, number])
        kept, held_out = _halves(real_pools, quotas, rng)
        chosen = {source.name: held_out for source in (real, *paired)}
        for source, pool in zip(by_category, pools, strict=True):
            chosen[source.name] = _draw(pool, quotas, rng)
        for source in anywhere:
            drawn = rng.choice(len(source.sounds), num_sounds, replace=False)
            chosen[source.name] = [int(index) for index in drawn]
        reference = points[real.name][kept]
        for name, indices in chosen.items():
            found[name].append(frechet_distance(points[name][indices], reference))
    return FrechetDistances(
        num_sounds, axes.axes.shape[1], {name: float(np.mean(all_)) for name, all_ in found.items()}
    )


def _pools(source: SoundSet, categories: Sequence[str | None]) -> dict[str, NDArray[np.int64]]:
    """Return the sounds of each category, without repetition."""
    pools: dict[str, set[int]] = {}
    for category, indices in zip(categories, source.by_prompt, strict=True):
        if category is not None:
            pools.setdefault(category, set()).update(indices)
    return {name: np.array(sorted(indices), np.int64) for name, indices in pools.items()}


def _quotas(
    real: Mapping[str, NDArray[np.int64]],
    pools: Sequence[Mapping[str, NDArray[np.int64]]],
    others: Sequence[int],
) -> dict[str, int]:
    """Return how many sounds of each category every source can give; half of the real ones."""
    quotas = {
        name: min([len(clips) // 2, *(len(pool.get(name, ())) for pool in pools)])
        for name, clips in real.items()
    }
    most = min([_MAX_SOUNDS, *others])
    while sum(quotas.values()) > most:
        quotas[max(quotas, key=lambda name: quotas[name])] -= 1
    return quotas


def _halves(
    real: Mapping[str, NDArray[np.int64]], quotas: Mapping[str, int], rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Draw two sets of real clips that have no clip in common."""
    kept: list[int] = []
    held_out: list[int] = []
    for name, quota in quotas.items():
        order = rng.permutation(real[name]).tolist()
        kept += order[:quota]
        held_out += order[quota : 2 * quota]
    return kept, held_out


def _draw(
    pools: Mapping[str, NDArray[np.int64]], quotas: Mapping[str, int], rng: np.random.Generator
) -> list[int]:
    return [
        index
        for name, quota in quotas.items()
        if quota
        for index in rng.choice(pools[name], quota, replace=False).tolist()
    ]
