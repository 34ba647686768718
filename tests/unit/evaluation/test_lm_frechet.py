"""Fréchet distances of sources: drawn alike, and in the order that everyone would expect."""

from __future__ import annotations

import numpy as np

from soundgen.evaluation.frechet import PrincipalAxes
from soundgen.evaluation.lm_frechet import FrechetDistances, frechet_distances
from soundgen.evaluation.sound_set import HeardSound, SoundSet

CATEGORIES = ("low", "high", None)


def make(name: str, seed: int, *, shift: float = 0.0, num_each: int = 20) -> SoundSet:
    """Two categories around two centres, `shift` off, and a sound of no category."""
    rng = np.random.default_rng(seed)
    sounds = []
    for centre in [-1.0] * num_each + [1.0] * num_each + [0.0]:
        point = np.array([centre, 0, 0, 0]) + shift + 0.3 * rng.standard_normal(4)
        sounds.append(HeardSound(1.0, 0.0, "", point.astype(np.float32), str(len(sounds))))
    rows = tuple(range(num_each)), tuple(range(num_each, 2 * num_each)), (2 * num_each,)
    return SoundSet(name, tuple(sounds), rows)


def measure(*sources: SoundSet, anywhere: tuple[SoundSet, ...] = ()) -> FrechetDistances | None:
    real = make("real", 0)
    axes = PrincipalAxes.fit(make("train", 99, num_each=100).embeddings)
    trips = make("trips", 0, shift=0.1)  # the real ones, a little off
    return frechet_distances(
        real, [trips], sources, anywhere, categories=CATEGORIES, axes=axes, seed=3
    )


def test_worse_sources_are_further_away() -> None:
    good, bad = make("good", 1), make("bad", 2, shift=0.6)
    elsewhere = make("elsewhere", 3, shift=2.0)
    found = measure(good, bad, anywhere=(elsewhere,))
    assert found is not None
    assert (found.num_sounds, found.num_axes) == (20, 4)
    far = found.distances
    assert set(far) == {"real", "trips", "good", "bad", "elsewhere"}
    assert far["real"] < far["trips"] < far["bad"] < far["elsewhere"]
    # As good as real: it differs from them by chance only.
    assert far["good"] < 2 * far["real"]
    assert measure(good, bad, anywhere=(elsewhere,)) == found


def test_all_are_drawn_in_the_numbers_that_the_smallest_has() -> None:
    found = measure(make("good", 1), make("few", 2, num_each=3))
    assert found is not None
    assert found.num_sounds == 6
    # A source with fewer sounds of no category bounds all, whatever the categories could give.
    short = make("short", 3, num_each=2)
    bounded = measure(make("good", 1), anywhere=(short,))
    assert bounded is not None
    assert bounded.num_sounds == 5


def test_too_few_sounds_have_no_distance() -> None:
    assert measure(make("none", 1, num_each=0)) is None


def test_a_source_without_sounds_does_not_stop_the_others() -> None:
    good = make("good", 1)
    empty = SoundSet("empty", (), ((), (), ()))
    assert measure(good, anywhere=(empty,)) == measure(good)
