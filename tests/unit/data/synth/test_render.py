"""Every kind makes sound of the stated length, and says what it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.data.synth.catalogue import KINDS
from soundgen.data.synth.kind import Kind
from soundgen.data.synth.render import plan, render

RATE = 16000
NAMES = list(KINDS)


def clips(name: str, count: int, **traits: str) -> list[NDArray[np.float32]]:
    kind = KINDS[name]
    scores = [plan(kind, 5, number, traits) for number in range(count)]
    return [render(kind, 5, number, score) for number, score in enumerate(scores)]


def level(sounds: list[NDArray[np.float32]]) -> float:
    return float(np.median([20 * np.log10(np.sqrt(np.mean(sound**2))) for sound in sounds]))


def centroid(sounds: list[NDArray[np.float32]]) -> float:
    """Return the middle of the power spectrum, Hz."""
    found = []
    for sound in sounds:
        power = np.abs(np.fft.rfft(sound)) ** 2
        found.append((np.linspace(0, RATE / 2, len(power)) * power).sum() / power.sum())
    return float(np.median(found))


def onsets_per_s(sounds: list[NDArray[np.float32]]) -> float:
    """Return how often the level in 20 ms rises above a third of its highest value."""
    found = []
    for sound in sounds:
        parts = sound[: len(sound) // 320 * 320].reshape(-1, 320)
        loud = np.sqrt((parts**2).mean(axis=1))
        above = np.concatenate([[False], loud > loud.max() / 3])
        found.append(np.count_nonzero(above[1:] & ~above[:-1]) / (len(sound) / RATE))
    return float(np.mean(found))


@pytest.mark.parametrize("name", NAMES)
def test_sounds_as_it_says(name: str) -> None:
    kind = KINDS[name]
    for number in (1,):
        score = plan(kind, 1, number)
        low, high = kind.span_s(score.traits)
        assert low - 1e-4 <= score.num_samples / RATE <= high + 1e-4
        sound = render(kind, 1, number, score)
        assert sound.dtype == np.float32
        assert sound.shape == (score.num_samples,)
        assert np.isfinite(sound).all()
        # Levels differ, but nothing is clipped or lost in the last bits.
        assert 0.02 < np.abs(sound).max() < 0.95
        assert level([sound]) > -55
        assert abs(sound.mean()) < 0.01
        # Nothing clicks at the ends, and no one waits for the sound to begin.
        assert abs(sound[0]) < 0.02 and abs(sound[-1]) < 0.02
        assert np.flatnonzero(np.abs(sound) > 0.1 * np.abs(sound).max())[0] < 0.75 * RATE
        assert 2 <= len(score.captions) <= 4
        assert len(set(score.captions)) == len(score.captions)


@pytest.mark.parametrize("name", NAMES)
def test_captions_name_what_was_drawn(name: str) -> None:
    kind = KINDS[name]
    for number in range(3):
        score = plan(kind, 2, number)
        for trait, value in score.traits.items():
            words = kind.words(trait, value)
            assert value in score.captions[0] or value.split(" ", 1)[-1] in score.captions[0]
            assert value in score.tags
            assert value in words
        for caption in score.captions:
            assert "  " not in caption and "{" not in caption
            assert caption == caption.strip(" ,")


def _with(trait: str, *values: str) -> list[str]:
    return [
        name
        for name, kind in KINDS.items()
        if trait in kind.traits and set(values) <= set(kind.values(trait))
    ]


def _louder(kind: Kind) -> list[tuple[str, str, str]]:
    """Return (trait, quiet value, loud value) where the kind says that one is quieter."""
    return [
        (trait, value, other)
        for trait in kind.traits
        for value in kind.values(trait)
        for other in kind.values(trait)
        if kind.level_db.get(value, 0) <= kind.level_db.get(other, 0) - 5
    ]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if _louder(kind)])
def test_soft_is_softer_and_heavy_is_louder(name: str) -> None:
    for trait, quiet, loud in _louder(KINDS[name]):
        difference = level(clips(name, 3, **{trait: loud})) - level(
            clips(name, 3, **{trait: quiet})
        )
        assert difference > 2, (quiet, loud)


@pytest.mark.parametrize("name", _with("pitch", "low", "high"))
def test_high_is_higher_than_low(name: str) -> None:
    assert centroid(clips(name, 3, pitch="high")) > 1.1 * centroid(clips(name, 3, pitch="low"))


@pytest.mark.parametrize("name", [name for name in _with("size") if name != "explosion"])
def test_large_is_lower_than_small(name: str) -> None:
    small, large = (name for name in KINDS[name].values("size"))
    assert centroid(clips(name, 3, size=large)) < centroid(clips(name, 3, size=small))


# A hoot is all but a sine: there is nothing that distance could take.
@pytest.mark.parametrize("name", sorted(set(_with("distance")) - {"owl"}))
def test_far_is_duller_than_near(name: str) -> None:
    near, far = KINDS[name].values("distance")
    assert centroid(clips(name, 3, distance=far)) < 0.9 * centroid(clips(name, 3, distance=near))


# The clicks of those two follow one another too fast to be told apart.
@pytest.mark.parametrize("name", sorted(set(_with("pace")) - {"paper", "door-creak"}))
def test_fast_is_faster_than_slow(name: str) -> None:
    # Of many at once none can be told from the others.
    one = {trait: KINDS[name].values(trait)[0] for trait in KINDS[name].traits if trait == "number"}
    slow, fast = (clips(name, 3, pace=pace, **one) for pace in KINDS[name].values("pace")[:2])
    if name == "whoosh":
        assert len(fast[0]) < 0.6 * len(slow[0])
    else:
        assert onsets_per_s(fast) > 1.4 * onsets_per_s(slow)


def test_more_drops_fall_in_heavy_rain() -> None:
    def peaks_per_s(strength: str) -> float:
        """Return how many samples a second stand out of the noise."""
        sounds = clips("rain", 3, strength=strength, surface="a tin roof")
        return float(np.mean([(np.abs(s) > 6 * np.median(np.abs(s))).mean() for s in sounds]))

    # The fewer the drops, the more each stands out of the rest.
    assert peaks_per_s("light") > peaks_per_s("heavy")


def test_a_clip_is_a_function_of_seed_kind_and_number() -> None:
    kind = KINDS["bell"]
    score = plan(kind, 1, 3)
    assert score == plan(kind, 1, 3)
    assert np.array_equal(render(kind, 1, 3, score), render(kind, 1, 3, score))
    assert score != plan(kind, 2, 3) != plan(kind, 1, 4)
    assert not np.array_equal(render(kind, 1, 3, score), render(kind, 2, 3, score))


def test_every_value_is_drawn() -> None:
    for kind in KINDS.values():
        drawn: dict[str, set[str]] = {trait: set() for trait in kind.traits}
        for number in range(40):
            for trait, value in plan(kind, 3, number).traits.items():
                drawn[trait].add(value)
        assert drawn == {trait: set(kind.values(trait)) for trait in kind.traits}, kind.name
